package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// RunShared runs what is expected of several processes that share a store. open gives two
// stores of one empty database with all tables, as two processes have it open, closed again by the test's
// clean-up; a second call gives two of another.
func RunShared(t *testing.T, open func(t *testing.T) (a, b Store)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, a, b Store)
	}{
		{"OneCase", sharedCase},
		{"ManyCases", sharedCases},
		{"Raise", sharedRaise},
		{"Decide", sharedDecide},
		{"HeldAndReleased", sharedHeld},
		{"HeldTwice", sharedHeldTwice},
		{"Notices", sharedNotices},
		{"Digests", sharedDigests},
		{"Ended", sharedEnded},
		{"Lease", oneHolder},
		{"Allow", sharedAllow},
		{"Counters", sharedCounters},
		{"Standings", sharedStandings},
		{"Events", sharedEvents},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.test(t, a, b)
		})
	}
}

// together runs f so many times at once, by turns on each of the two.
func together(a, b Store, n int, f func(i int, s Store)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i, []Store{a, b}[i%2])
		})
	}
	close(start)
	wg.Wait()
}

func sharedAllow(t *testing.T, a, b Store) {
	const each = 20
	ids := make([]int64, each)
	together(a, b, each, func(i int, s Store) {
		var err error
		if ids[i], err = s.Allow(t.Context(), engine.Allowance{Field: "sender", Pattern: fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
	})
	list, err := b.ListAllowances(t.Context())
	if err != nil || len(list) != each {
		t.Fatalf("%+v, %v", list, err)
	}
	slices.Sort(ids)
	for i, l := range list {
		if ids[i] != int64(i+1) || l.ID != ids[i] {
			t.Errorf("ids %v, entry %+v", ids, l)
		}
	}
}

// Sixty-four writers on the same keys: nothing is lost, nothing counted twice.
func sharedCounters(t *testing.T, a, b Store) {
	const writers, each = 64, 10
	together(a, b, writers, func(i int, s Store) {
		for j := range each {
			keys := []string{"x", "y", "z", fmt.Sprint(i)}
			rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
			var writes []engine.Write
			for _, key := range keys {
				writes = append(writes, Add(key, int64(j%3), 1))
			}
			if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return writes, nil }); err != nil {
				t.Error(err)
			}
		}
	})
	for _, s := range []Store{a, b} {
		for _, key := range []string{"x", "y", "z"} {
			if n := Count(t, s, key, 0); n != writers*each {
				t.Errorf("%s: %d, want %d", key, n, writers*each)
			}
		}
		for i := range writers {
			if n := Count(t, s, fmt.Sprint(i), 0); n != each {
				t.Errorf("writer %d: %d, want %d", i, n, each)
			}
		}
	}
}

// What one opens or decides, the other sees the next time that it looks.
func sharedStandings(t *testing.T, a, b Store) {
	inForce := func(s Store, key string, want bool) {
		t.Helper()
		r, err := s.Runtime(t.Context(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if st, _ := r.Standings.Find(Policy, key); st.InForce(1000) != want {
			t.Errorf("%s: %+v, want in force %v", key, st, want)
		}
	}
	both := []Store{a, b}
	for i := range 20 {
		one, other, key := both[i%2], both[1-i%2], fmt.Sprint(i)
		id, err := one.Open(t.Context(), open(key, 10))
		if err != nil {
			t.Fatal(err)
		}
		inForce(one, key, true)
		inForce(other, key, true)
		if i%3 == 0 { // by who has not opened it
			err = other.Decide(t.Context(), store.Decision{Case: id, Release: true, At: 20})
		} else {
			err = one.Decide(t.Context(), store.Decision{Case: id, Release: true, At: 20})
		}
		if err != nil {
			t.Fatal(err)
		}
		inForce(one, key, false)
		inForce(other, key, false)
	}
	// Both at once, and each looks all the time: in the end they agree with the table.
	together(a, b, 40, func(i int, s Store) {
		id, err := s.Open(t.Context(), open(fmt.Sprint("k", i), 10))
		if err == nil && i%5 < 2 {
			err = s.Decide(t.Context(), store.Decision{Case: id, Release: true, At: 20})
		}
		if _, err2 := s.Runtime(t.Context(), 1000); err != nil || err2 != nil {
			t.Error(err, err2)
		}
	})
	for i := range 40 {
		inForce(a, fmt.Sprint("k", i), i%5 >= 2)
		inForce(b, fmt.Sprint("k", i), i%5 >= 2)
	}
}

// An event of a log that two read counts once, whoever was first, also where both were at it at the same time.
func sharedEvents(t *testing.T, a, b Store) {
	const events = 30
	read := func(s Store) {
		for _, i := range rand.Perm(events) {
			if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
				message := fmt.Sprint("m", i)
				known, err := tr.Known("gw", message, "i")
				if known || err != nil {
					return err
				}
				return tr.Apply([]engine.Write{Add("k", int64(i%3), 1), event(message, "i", "auth:bob", 10)})
			}); err != nil {
				t.Error(err)
			}
		}
	}
	together(a, b, 4, func(_ int, s Store) { read(s) })
	for _, s := range []Store{a, b} {
		if n := Count(t, s, "k", 0); n != events {
			t.Errorf("%d counted, want %d", n, events)
		}
		view(t, s, func(st engine.State) error {
			n, err := st.Bounces("auth:bob", 0)
			if n != events {
				t.Errorf("%d bounces, want %d", n, events)
			}
			return err
		})
	}
}
