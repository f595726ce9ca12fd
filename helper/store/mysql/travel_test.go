package mysql

import (
	"fmt"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// statements is how many statements a server was sent while something was done, by whomever: the looks at it count,
// too, a few in a second.
func statements(t *testing.T, server *mysqltest.Server, do func()) int {
	t.Helper()
	count := func() (n int) {
		var name string
		if err := server.DB().QueryRow("SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	do()
	return count() - before
}

// What many ask and write travels together: it takes about as many statements as there are tables.
func TestTogether(t *testing.T) {
	server := mysqltest.Start(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw", Writers: 1, Readers: 1})
	const rounds, events = 20, 100
	next := 0
	follow := func() {
		first := next
		if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
			next = first
			for range events {
				next++
				if err := event(tr, fmt.Sprintf("1tABCD-%011d-0001", next), benchKey(int64(next%500))); err != nil {
					return err
				}
			}
			return tr.Apply([]engine.Write{engine.PutPlace{Gateway: "gw", Log: "/log", Place: fmt.Sprint(next), At: 1}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if n := statements(t, server, func() {
		for range rounds {
			follow()
		}
	}); n > rounds*20 {
		t.Errorf("%d statements for %d batches of %d events", n, rounds, events)
	} else {
		t.Logf("%d statements for a batch of %d events", n/rounds, events)
	}

	// All wait behind the first one, and are taken together.
	const callers, each = 64, 20
	for name, do := range map[string]func(i, j int) error{
		"updates": func(i, j int) error { return add(t.Context(), s, fmt.Sprint(i, j)) },
		"looks": func(i, j int) error {
			return s.Look(t.Context(), func(st engine.State) error {
				_, _, err := st.Seen("greylist.x", fmt.Sprint(i, j))
				if err != nil {
					return err
				}
				_, err = st.Count(storetest.Policy, fmt.Sprint(i), storetest.Window, 0, 9)
				return err
			})
		},
	} {
		if n := statements(t, server, func() {
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					for j := range each {
						if err := do(i, j); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
		}); n > callers*each {
			t.Errorf("%d statements for %d %s", n, callers*each, name)
		} else {
			t.Logf("%d statements for %d %s", n, callers*each, name)
		}
	}
}

// TestStretches: a decision may ask for one stretch of a counter, or of a crowd, and then for another.
func TestStretches(t *testing.T) {
	s := open(t, Config{Store: database(t, mysqltest.Shared(t)), Gateway: "gw"})
	storetest.Do(t, s, storetest.Add("k", 1, 5), storetest.Add("k", 20, 7),
		engine.PutDistinct{Policy: storetest.Policy, Key: "k", Member: "a", At: 3, Expires: 1 << 50}, engine.PutDistinct{Policy: storetest.Policy, Key: "k", Member: "b", At: 13, Expires: 1 << 50})
	counts := func(st engine.State) error {
		n, err := st.Count(storetest.Policy, "k", storetest.Window, 0, 5)
		if err != nil || n == 0 {
			return err
		}
		m, err := st.Count(storetest.Policy, "k", storetest.Window, 10, 30)
		if err == nil && (n != 5 || m != 7) {
			err = fmt.Errorf("%d and %d, want 5 and 7", n, m)
		}
		return err
	}
	crowds := func(st engine.State) error {
		n, _, err := st.Distinct(storetest.Policy, "k", "a", 0, 5, 10)
		if err != nil || n == 0 {
			return err
		}
		m, _, err := st.Distinct(storetest.Policy, "k", "a", 10, 20, 10)
		if err == nil && (n != 1 || m != 1) {
			err = fmt.Errorf("%d and %d, want 1 and 1", n, m)
		}
		return err
	}
	for name, f := range map[string]func(engine.State) error{"counts": counts, "crowds": crowds} {
		for way, run := range map[string]func() error{
			"view": func() error { return s.View(t.Context(), f) },
			"look": func() error { return s.Look(t.Context(), f) },
			"update": func() error {
				return s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) { return nil, f(st) })
			},
		} {
			if err := run(); err != nil {
				t.Errorf("%s, %s: %v", name, way, err)
			}
		}
	}
}
