package mysql

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// gateways opens one database as so many gateways.
func gateways(t testing.TB, n int) (all []*Store) {
	t.Helper()
	c := Config{Store: database(t, mysqltest.Shared(t))}
	for i := range n {
		c.Gateway = fmt.Sprint("gw", i)
		all = append(all, open(t, c))
	}
	return all
}

// blocking is what a limit writes that is over its rate.
func blocking(key string, at int64) engine.OpenCase {
	return engine.OpenCase{Policy: storetest.Policy, Key: key, Tier: "stop", Rank: 1, Blocks: true, At: at, Gateway: "gw", Rate: "100/1h"}
}

// crowding has 64 callers at three gateways at once do something 4 times each, and gives all that they saw, sorted.
func crowding(t *testing.T, all []*Store, do func(s *Store, i int) (saw int64, err error)) (seen []int64) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 64 {
		wg.Go(func() {
			<-start
			for j := range 4 {
				saw, err := do(all[i%len(all)], 4*i+j)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen = append(seen, saw)
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	slices.Sort(seen)
	return seen
}

// eachOnce checks that each number up to 256 was seen by one.
func eachOnce(t *testing.T, seen []int64) {
	t.Helper()
	for i, n := range seen {
		if n != int64(i) {
			t.Fatalf("one was to see each number, and these were seen: %v", seen)
		}
	}
	if len(seen) != 256 {
		t.Errorf("%d were answered", len(seen))
	}
}

// A threshold is crossed once, at whichever gateway: each count is seen by one request, and one opens the case.
func TestThreshold(t *testing.T) {
	for name, at := range map[string]func(i int) int64{
		"one slot":  func(int) int64 { return 7 },
		"two slots": func(i int) int64 { return 7 + int64(i%2) }, // as where time goes on meanwhile
		"new slots": func(i int) int64 { return int64(i / 8) },
	} {
		t.Run(name, func(t *testing.T) {
			all := gateways(t, 3)
			var mu sync.Mutex
			opened := 0
			seen := crowding(t, all, func(s *Store, i int) (saw int64, err error) {
				opens := false
				err = s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
					n, err := st.Count(storetest.Policy, "k", storetest.Window, 0, 40)
					standing, _, err2 := st.Standing(storetest.Policy, "k")
					saw, opens = n, n+1 > 100 && !standing.Open(5)
					writes := []engine.Write{storetest.Add("k", at(i), 1)}
					if opens {
						writes = append(writes, blocking("k", 5))
					}
					return writes, errors.Join(err, err2)
				})
				if opens {
					mu.Lock()
					opened++
					mu.Unlock()
				}
				return saw, err
			})
			eachOnce(t, seen)
			if opened != 1 {
				t.Errorf("%d opened a case", opened)
			}
			if cases, err := all[1].Cases(t.Context(), store.CaseFilter{}); len(cases) != 1 || err != nil {
				t.Errorf("%+v, %v", cases, err)
			}
		})
	}
}

// So it is with distinct members: of those that are counted for the first time, each sees another number.
func TestDistinctThreshold(t *testing.T) {
	all := gateways(t, 3)
	for round := range 3 {
		key := fmt.Sprint("k", round) // of which there is nothing to lock at first
		seen := crowding(t, all, func(s *Store, i int) (saw int64, err error) {
			member := fmt.Sprint(i)
			err = s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
				n, at, err := st.Distinct(storetest.Policy, key, member, 0, 1000, 1000)
				if err == nil && at != 0 {
					err = fmt.Errorf("member %s is new, and was seen at %d", member, at)
				}
				saw = n
				return []engine.Write{engine.PutDistinct{Policy: storetest.Policy, Key: key, Member: member, At: int64(1 + i), Expires: 1 << 50}}, err
			})
			return saw, err
		})
		eachOnce(t, seen)
	}
}

// And with rows that count themselves.
func TestRowThreshold(t *testing.T) {
	all := gateways(t, 3)
	seen := crowding(t, all, func(s *Store, i int) (saw int64, err error) {
		err = s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
			row, _, err := st.Seen("list.x", "k")
			saw = row.Passes
			row.Passes++
			row.Expires = 1 << 50
			return []engine.Write{engine.PutSeen{Policy: "list.x", Key: "k", Row: row}}, err
		})
		return saw, err
	})
	eachOnce(t, seen)
}

// What a decision guesses leaves no trace: it would write other rows for keys that it does not know.
func TestGuesses(t *testing.T) {
	s := gateways(t, 1)[0]
	storetest.Do(t, s, engine.PutSeen{Policy: "greylist.x", Key: "k", Row: engine.SeenRow{First: 1, Passed: 2, Expires: 1 << 50}},
		storetest.Add("known", 1, 5), engine.PutDistinct{Policy: storetest.Policy, Key: "known", Member: "a", At: 3, Expires: 1 << 50})
	for range 3 {
		err := s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
			n, err := st.Count(storetest.Policy, "known", storetest.Window, 0, 9)
			members, _, err2 := st.Distinct(storetest.Policy, "known", "b", 0, 9, 9)
			if _, _, err3 := st.Distinct(storetest.Policy, "guessed", "b", 0, 9, 9); n == 0 || members == 0 {
				_, err4 := st.Count(storetest.Policy, "guessed", storetest.Window, 0, 9)
				return []engine.Write{storetest.Add("guessed", 1, 1), storetest.Add("blind", 1, 1), blocking("guessed", 1),
					engine.PutDistinct{Policy: storetest.Policy, Key: "guessed", Member: "b", At: 3, Expires: 1 << 50}}, errors.Join(err, err2, err3, err4)
			}
			row, _, err := st.Seen("greylist.x", "k")
			row.Passes++
			return []engine.Write{engine.PutSeen{Policy: "greylist.x", Key: "k", Row: row}, storetest.Add("known", 2, 1)}, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]int{
		"SELECT count(*) FROM counter WHERE key_ <> 'known'":         0,
		"SELECT count(*) FROM distinct_member WHERE key_ <> 'known'": 0,
		"SELECT count(*) FROM desk_case":                             0,
		"SELECT sum(n) FROM counter":                                 8,
		"SELECT count(*) FROM counter":                               2,
		"SELECT passes FROM seen":                                    3,
	} {
		if n := ask(t, s, query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
}

// ask asks the database itself for a number.
func ask(t testing.TB, s *Store, query string, args ...any) (n int) {
	t.Helper()
	host, err := s.hosts.Use(t.Context())
	if err == nil {
		err = host.DB().QueryRowContext(t.Context(), query, args...).Scan(&n)
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// Whatever keys of whatever tables several gateways change at once, none waits for another for ever, and all
// is counted. What the database gives up is run again, and nobody hears of it.
func TestOverlap(t *testing.T) {
	all := gateways(t, 3)
	const callers, each = 24, 15
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			s := all[i%len(all)]
			for range each {
				keys := rand.Perm(12)[:5]
				decide := func(st engine.State) (writes []engine.Write, err error) {
					for _, k := range keys {
						key := fmt.Sprint("k", k)
						n, err := st.Count(storetest.Policy, key, storetest.Window, 0, 99)
						row, _, err2 := st.Seen("list.x", key)
						_, _, err3 := st.Distinct(storetest.Policy, key, fmt.Sprint(n%7), 0, 99, 99)
						if err := errors.Join(err, err2, err3); err != nil {
							return nil, err
						}
						row.Passes++
						row.Expires = 1 << 50
						writes = append(writes, storetest.Add(key, n%3, 1), engine.PutSeen{Policy: "list.x", Key: key, Row: row},
							engine.PutDistinct{Policy: storetest.Policy, Key: key, Member: fmt.Sprint(n % 7), At: 5, Expires: 1 << 50})
						if n%10 == 9 {
							writes = append(writes, blocking(key, n))
						}
					}
					return writes, nil
				}
				var err error
				if i%4 == 3 {
					err = s.Batch(t.Context(), func(tr engine.Transaction) error {
						writes, err := decide(tr)
						if err != nil {
							return err
						}
						return tr.Apply(writes)
					})
				} else {
					err = s.Update(t.Context(), decide)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, rows := ask(t, all[0], "SELECT sum(n) FROM counter"), ask(t, all[0], "SELECT sum(passes) FROM seen"); n != callers*each*5 || rows != n {
		t.Errorf("%d counted, %d in rows, want %d", n, rows, callers*each*5)
	}
	retries := int64(0)
	for _, s := range all {
		retries += s.Health().Retries
	}
	t.Logf("%d of %d were run again", retries, callers*each)
}
