// Package storetest is the suite that every kind of store passes: what package
// engine expects of its state, and what exipold expects beside it.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// Store is everything that exipold uses of a store.
type Store interface {
	engine.Store
	store.Desk
	Runtime(ctx context.Context, now int64) (engine.Runtime, error)
	Allow(ctx context.Context, a engine.Allowance) (id int64, err error)
	Disallow(ctx context.Context, id int64) (found bool, err error)
	ListAllowances(ctx context.Context) ([]engine.Allowance, error)
	SwitchOff(ctx context.Context, w engine.Switch) error
	SwitchOn(ctx context.Context, policy string) (found bool, err error)
	Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error)
	Stats(ctx context.Context, now int64) (store.Stats, error)
	Top(ctx context.Context, policy string, n int, now int64) ([]store.TopKey, error)
	Whys(ctx context.Context, policy string, since, now int64) ([]store.WhyCount, error)
	Recent(ctx context.Context, policy string, most int, now int64) ([]store.Contact, error)
	SeenKeys(ctx context.Context, policy string, most int, now int64) ([]store.SeenKey, error)
	Learned(ctx context.Context, policy string, now int64) (store.Learned, error)
	Places(ctx context.Context) ([]engine.PutPlace, error)
	Close() error
}

// Window and Policy are what the suite counts by.
const (
	Policy = "limit.test"
	Window = time.Hour
)

// forever is a slot and a moment after any other.
const forever = 1 << 50

// Run runs the suite. open gives an empty store with all tables, closed again by
// the test's clean-up; a second call within a test gives another.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"Seen", testSeen},
		{"Count", testCount},
		{"Distinct", testDistinct},
		{"BatchIsVisible", testBatchIsVisible},
		{"FailureKeepsNothing", testFailureKeepsNothing},
		{"OneFailureAmongMany", testOneFailureAmongMany},
		{"ViewIsASnapshot", testSnapshot},
		{"ConcurrentIncrements", testConcurrentIncrements},
		{"Context", testContext},
		{"Runtime", testRuntime},
		{"Cleanup", testCleanup},
		{"CleanupBesideLoad", testCleanupBesideLoad},
		{"Stats", testStats},
		{"Contacts", testContacts},
		{"Learned", testLearned},
		{"Log", testLog},
		{"Batch", testBatch},
		{"BatchFails", testBatchFails},
		{"BatchAmongUpdates", testBatchAmongUpdates},
		{"BatchContext", testBatchContext},
		{"OpenCase", testOpenCase},
		{"Evidence", testEvidence},
		{"Raise", testRaise},
		{"OneCase", testOneCase},
		{"Release", testRelease},
		{"Remove", testRemove},
		{"Decisions", testDecisions},
		{"Held", testHeld},
		{"HeldLate", testHeldLate},
		{"RaiseEnded", testRaiseEnded},
		{"ReleaseEnded", testReleaseEnded},
		{"ReleasedTwice", testReleasedTwice},
		{"ToldTwice", testToldTwice},
		{"TopSince", testTopSince},
		{"Standings", testStandings},
		{"Cases", testCases},
		{"EndedCases", testEndedCases},
		{"HostileBytes", testHostileBytes},
		{"Notices", testNotices},
		{"Digests", testDigests},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Do applies writes, or fails the test.
func Do(t testing.TB, s engine.Store, writes ...engine.Write) {
	t.Helper()
	if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return writes, nil }); err != nil {
		t.Fatal(err)
	}
}

// Add is n more of a key.
func Add(key string, slot, n int64) engine.Write {
	return engine.AddCount{Policy: Policy, Key: key, Window: Window, Slot: slot, N: n, Expires: 1 << 50}
}

// Count is a counter's sum from a slot on, or a failed test.
func Count(t testing.TB, s engine.Store, key string, slot int64) (n int64) {
	t.Helper()
	if err := s.View(t.Context(), func(st engine.State) (err error) {
		n, err = st.Count(Policy, key, Window, slot, forever)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// keys are bytes that SMTP lets in, and others.
var keys = []string{"", "a", "A", "a ", "ä", "\x00", "a\x00b", "\xff\xfe", "'; DROP TABLE seen; --", `\|"`, fmt.Sprintf("%0255d", 7)}

func testSeen(t *testing.T, s Store) {
	for i, key := range keys {
		n := int64(i + 1)
		row := engine.SeenRow{First: n, Passed: 2 * n, Passes: 3 * n, Counted: 4 * n, Expires: 1 << 50, Why: key + "x"}
		seen := func() (got engine.SeenRow, ok bool) {
			if err := s.View(t.Context(), func(st engine.State) (err error) {
				got, ok, err = st.Seen("greylist.x", key)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return got, ok
		}
		if got, ok := seen(); ok {
			t.Errorf("key %q before it was written: %+v", key, got)
		}
		Do(t, s, engine.PutSeen{Policy: "greylist.x", Key: key, Row: row})
		if got, ok := seen(); !ok || got != row {
			t.Errorf("key %q: %+v, %v, want %+v", key, got, ok, row)
		}
		row.Passes++
		row.Counted, row.Why = 0, ""
		Do(t, s, engine.PutSeen{Policy: "greylist.x", Key: key, Row: row})
		if got, ok := seen(); !ok || got != row {
			t.Errorf("key %q replaced: %+v, %v, want %+v", key, got, ok, row)
		}
		_ = s.View(t.Context(), func(st engine.State) error {
			if got, ok, err := st.Seen("greylist.y", key); ok || err != nil {
				t.Errorf("key %q of another policy: %+v, %v", key, got, err)
			}
			return nil
		})
	}
}

func testCount(t *testing.T, s Store) {
	for i, key := range keys {
		n := int64(i)
		Do(t, s, Add(key, 10, 1), Add(key, 11, 2), Add(key, 12, 4), Add(key, 11, n))
		for slot, want := range map[int64]int64{9: 7 + n, 10: 7 + n, 11: 6 + n, 12: 4, 13: 0} {
			if got := Count(t, s, key, slot); got != want {
				t.Errorf("key %q from slot %d: %d, want %d", key, slot, got, want)
			}
		}
	}
	_ = s.View(t.Context(), func(st engine.State) error {
		// What a clock that was ahead has counted is not of the time asked about.
		for to, want := range map[int64]int64{9: 0, 10: 1, 11: 4, 12: 8} {
			if n, err := st.Count(Policy, "a", Window, 10, to); n != want || err != nil {
				t.Errorf("slots 10 to %d: %d, %v; want %d", to, n, err, want)
			}
		}
		if n, err := st.Count(Policy, "a", 2*Window, 0, forever); n != 0 || err != nil {
			t.Errorf("another window: %d, %v", n, err)
		}
		if n, err := st.Count("limit.other", "a", Window, 0, forever); n != 0 || err != nil {
			t.Errorf("another policy: %d, %v", n, err)
		}
		return nil
	})
}

func testDistinct(t *testing.T, s Store) {
	put := func(key, member string, at int64) engine.Write {
		return engine.PutDistinct{Policy: Policy, Key: key, Member: member, At: at, Expires: 1 << 50}
	}
	Do(t, s, put("k", "a", 10), put("k", "b", 20), put("k", "\xff", 30), put("k", "b", 25), put("other", "a", 99))
	for _, c := range []struct {
		member             string
		since, until, most int64
		n, at              int64
	}{
		{"a", 0, 99, 9, 3, 10},
		{"b", 0, 99, 9, 3, 25},
		{"\xff", 11, 99, 9, 2, 30},
		{"a", 10, 25, 9, 2, 10},
		{"a", 11, 99, 9, 2, 0},
		{"\xff", 0, 29, 9, 2, 0},
		{"c", 26, 99, 9, 1, 0},
		{"a", 31, 99, 9, 0, 0},
		{"a", 0, 99, 2, 2, 10},
		{"\xff", 0, 99, 1, 1, 30},
	} {
		_ = s.View(t.Context(), func(st engine.State) error {
			n, at, err := st.Distinct(Policy, "k", c.member, c.since, c.until, c.most)
			if n != c.n || at != c.at || err != nil {
				t.Errorf("%+v: %d, %d, %v", c, n, at, err)
			}
			return nil
		})
	}
	// A clock that was ahead for a while leaves nothing that stays: the time noted last
	// holds.
	Do(t, s, put("clock", "a", 1<<40), put("clock", "a", 50))
	_ = s.View(t.Context(), func(st engine.State) error {
		if n, at, err := st.Distinct(Policy, "clock", "a", 0, 60, 9); n != 1 || at != 50 || err != nil {
			t.Errorf("after the clock was put right: %d, %d, %v", n, at, err)
		}
		return nil
	})
}

// An update sees what the ones before it in its batch wrote: each of these adds one
// only where it finds the number that it expects to.
func testBatchIsVisible(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
				row, _, err := st.Seen("greylist.x", "k")
				row.Passes++
				row.Expires = 1 << 50
				return []engine.Write{engine.PutSeen{Policy: "greylist.x", Key: "k", Row: row}}, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_ = s.View(t.Context(), func(st engine.State) error {
		if row, _, err := st.Seen("greylist.x", "k"); row.Passes != 64 || err != nil {
			t.Errorf("%d passes, %v; want 64", row.Passes, err)
		}
		return nil
	})
}

func testFailureKeepsNothing(t *testing.T, s Store) {
	mine := errors.New("mine")
	long := string(make([]byte, 256))
	for name, f := range map[string]func(engine.State) ([]engine.Write, error){
		"error": func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1)}, mine },
		"panic": func(engine.State) ([]engine.Write, error) { panic("mine") },
		"long key": func(engine.State) ([]engine.Write, error) {
			return []engine.Write{Add("k", 1, 1), Add(long, 1, 1)}, nil
		},
		"negative": func(engine.State) ([]engine.Write, error) {
			return []engine.Write{Add("k", 1, 1), Add("k", 1, -1)}, nil
		},
		"long reason": func(engine.State) ([]engine.Write, error) {
			return []engine.Write{Add("k", 1, 1), engine.PutSeen{Policy: "greylist.x", Key: "k", Row: engine.SeenRow{Why: string(make([]byte, 1<<16))}}}, nil
		},
		"nil": func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1), nil}, nil },
	} {
		err := s.Update(t.Context(), f)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if name == "error" && !errors.Is(err, mine) {
			t.Errorf("%s: %v is not the error of f", name, err)
		}
		if name != "error" && (!errors.Is(err, store.ErrDecision) || store.AtFault(err)) {
			t.Errorf("%s: %v is not said to be the decision's fault", name, err)
		}
		if n := Count(t, s, "k", 0); n != 0 {
			t.Errorf("%s: %d were kept", name, n)
		}
	}
	if err := s.View(t.Context(), func(engine.State) error { panic("mine") }); err == nil {
		t.Error("View: a panic is no error")
	}
	if err := s.View(t.Context(), func(engine.State) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("View: %v is not the error of f", err)
	}
	Do(t, s, Add("k", 1, 1))
	if n := Count(t, s, "k", 0); n != 1 {
		t.Errorf("after all failures: %d, want 1", n)
	}
}

func testOneFailureAmongMany(t *testing.T, s Store) {
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range 200 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
				if i%5 == 0 {
					return nil, errors.New("mine")
				}
				return []engine.Write{Add("k", 1, 1)}, nil
			})
			if err != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := Count(t, s, "k", 0); failed.Load() != 40 || n != 160 {
		t.Errorf("%d failed and %d were kept, want 40 and 160", failed.Load(), n)
	}
}

func testSnapshot(t *testing.T, s Store) {
	Do(t, s, Add("k", 1, 1))
	for name, first := range map[string]func(engine.State) error{
		"count":    func(st engine.State) error { _, err := st.Count(Policy, "k", Window, 0, forever); return err },
		"seen":     func(st engine.State) error { _, _, err := st.Seen("greylist.x", "nobody"); return err },
		"distinct": func(st engine.State) error { _, _, err := st.Distinct(Policy, "k", "m", 0, forever, 100); return err },
	} {
		before := Count(t, s, "k", 0)
		err := s.View(t.Context(), func(st engine.State) error {
			if err := first(st); err != nil {
				return err
			}
			Do(t, s, Add("k", 1, 1))
			for range 2 {
				n, err := st.Count(Policy, "k", Window, 0, forever)
				if err != nil {
					return err
				}
				if n != before {
					t.Errorf("after %s: %d, and a snapshot has %d", name, n, before)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if n := Count(t, s, "k", 0); n != before+1 {
			t.Errorf("after %s, in a new view: %d, want %d", name, n, before+1)
		}
	}
}

func testConcurrentIncrements(t *testing.T, s Store) {
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
					return []engine.Write{Add("all", 1, 1), Add(fmt.Sprint(i), int64(j), 2)}, nil
				})
				if err != nil {
					t.Error(err)
				}
				if err := s.View(t.Context(), func(st engine.State) error {
					_, err := st.Count(Policy, "all", Window, 0, forever)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := Count(t, s, "all", 0); n != callers*each {
		t.Errorf("%d, want %d", n, callers*each)
	}
	for i := range callers {
		if n := Count(t, s, fmt.Sprint(i), 0); n != 2*each {
			t.Errorf("caller %d: %d, want %d", i, n, 2*each)
		}
	}
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1)}, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an update whose context has ended: %v", err)
	}
	if n := Count(t, s, "k", 0); n != 0 {
		t.Errorf("%d were kept", n)
	}
}

func testClosed(t *testing.T, s Store) {
	Do(t, s, Add("k", 1, 1))
	var wg sync.WaitGroup
	var kept atomic.Int64
	for range 32 {
		wg.Go(func() {
			for {
				err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1)}, nil })
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				kept.Add(1)
			}
		})
	}
	for kept.Load() < 100 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := s.View(t.Context(), func(engine.State) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a view of a closed store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
