package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/helper/store"
)

// lease asks for one, or fails the test.
func lease(t testing.TB, s Store, name, holder string, lasts time.Duration) bool {
	t.Helper()
	held, err := s.Lease(t.Context(), name, holder, lasts)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func testLease(t *testing.T, s Store) {
	expect := func(name, holder string, want bool) {
		t.Helper()
		if got := lease(t, s, name, holder, time.Hour); got != want {
			t.Errorf("%s, %s: %v, want %v", name, holder, got, want)
		}
	}
	yield := func(name, holder string) {
		t.Helper()
		if err := s.Yield(t.Context(), name, holder); err != nil {
			t.Error(err)
		}
	}
	holder := func(name, want string) {
		t.Helper()
		got, until, err := s.Holder(t.Context(), name)
		if ends := s.Now().Add(time.Hour).UnixMilli(); got != want || err != nil || want == "" && until != 0 || want != "" && (until > ends || until < ends-60_000) {
			t.Errorf("%s: held by %q until %d, %v; want %q", name, got, until, err, want)
		}
	}
	yield("x", "a") // there is none yet
	holder("x", "")
	expect("x", "a", true)
	expect("x", "b", false)
	holder("x", "a")
	expect("x", "a", true) // longer
	expect("y", "b", true) // another lease
	expect("y", "a", false)
	yield("x", "b") // it is not b's
	expect("x", "b", false)
	yield("x", "a")
	holder("x", "")
	expect("x", "b", true)
	holder("x", "b")
	expect("x", "a", false)
	odd := []string{"", "gw\x00", "ä", "g w", strings.Repeat("g", 300)}
	for i, holder := range odd[1:] {
		name := fmt.Sprint("odd", i)
		expect(name, holder, true)
		expect(name, "a", false)
		expect(holder, holder, true)
	}
	// Who does not ask in time loses it, to one.
	if !lease(t, s, "short", "a", time.Millisecond) {
		t.Fatal("not held")
	}
	for end := time.Now().Add(time.Minute); !lease(t, s, "short", "b", time.Hour); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a lease that has ended is not given to another")
		}
	}
	expect("short", "a", false)
	// Who holds it may make it shorter.
	if !lease(t, s, "x", "b", time.Millisecond) {
		t.Error("it is b's")
	}
	for end := time.Now().Add(time.Minute); !lease(t, s, "x", "a", time.Hour); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a lease that was made shorter does not end")
		}
	}
	oneHolder(t, s, s)
}

// oneHolder has many ask both stores for one lease: one gets it, and the next when that yields it.
func oneHolder(t *testing.T, a, b Store) {
	t.Helper()
	var holder string
	for round := range 5 {
		if err := a.Yield(t.Context(), "many", holder); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var held atomic.Int64
		for i := range 16 {
			wg.Go(func() {
				ok, err := []Store{a, b}[i%2].Lease(t.Context(), "many", fmt.Sprint(round, i), time.Hour)
				if err != nil {
					t.Error(err)
				}
				if ok {
					held.Add(1)
					holder = fmt.Sprint(round, i)
				}
			})
		}
		wg.Wait()
		if n := held.Load(); n != 1 {
			t.Fatalf("round %d: %d hold the lease", round, n)
		}
	}
}

func testGateways(t *testing.T, s Store) {
	list := func() []store.Gateway {
		t.Helper()
		all, err := s.Gateways(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	see := func(g store.Gateway) {
		t.Helper()
		if err := s.SeeGateway(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	if all := list(); len(all) != 0 {
		t.Errorf("before: %+v", all)
	}
	before := s.Now().UnixMilli()
	see(store.Gateway{Name: "mx2", Version: "v1", Plans: []string{"b", "a"}, Started: 5, Seen: 7})
	see(store.Gateway{Name: "mx1", Version: "v1 (dirty)", Started: 6})
	all := list()
	if len(all) != 2 || all[0].Name != "mx1" || all[1].Name != "mx2" || !slices.Equal(all[1].Plans, []string{"b", "a"}) || len(all[0].Plans) != 0 || all[1].Version != "v1" || all[1].Started != 5 {
		t.Fatalf("%+v", all)
	}
	for _, g := range all {
		if after := s.Now().UnixMilli(); g.Seen < before || g.Seen > after {
			t.Errorf("%s was seen at %d, that is between %d and %d", g.Name, g.Seen, before, after)
		}
	}
	see(store.Gateway{Name: "mx2", Version: "v2", Plans: []string{"c"}, Started: 9})
	if all := list(); len(all) != 2 || all[1].Version != "v2" || !slices.Equal(all[1].Plans, []string{"c"}) || all[1].Started != 9 || all[1].Seen < before {
		t.Errorf("seen again: %+v", all)
	}
	leave := func(name string, started int64) {
		t.Helper()
		if err := s.LeaveGateway(t.Context(), name, started); err != nil {
			t.Fatal(err)
		}
	}
	leave("mx2", 5) // another one of that name
	if all := list(); all[1].Ended || all[1].Started != 9 {
		t.Errorf("an earlier one has ended: %+v", all)
	}
	leave("mx2", 9)
	if all := list(); !all[1].Ended || all[0].Ended || all[1].Seen < before {
		t.Errorf("it has ended: %+v", all)
	}
	see(store.Gateway{Name: "mx2", Version: "v2", Plans: []string{"c"}, Started: 9})
	if all := list(); all[1].Ended {
		t.Errorf("it is there again: %+v", all)
	}
	see(store.Gateway{Name: "ä x", Version: strings.Repeat("ä", 99), Plans: []string{"\xff"}})
	if all := list(); len(all) != 3 {
		t.Errorf("an odd one: %+v", all)
	}
	// The clean-up forgets who was not seen for a week.
	week := 7 * 24 * time.Hour
	clean := func(now time.Time) {
		t.Helper()
		if _, _, err := s.Cleanup(t.Context(), now.UnixMilli(), 500); err != nil {
			t.Fatal(err)
		}
	}
	clean(time.UnixMilli(before).Add(week - time.Minute))
	if all := list(); len(all) != 3 {
		t.Errorf("before a week is over: %+v", all)
	}
	clean(s.Now().Add(week + time.Minute))
	if all := list(); len(all) != 0 {
		t.Errorf("after a week: %+v", all)
	}
}
