package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

func testRuntime(t *testing.T, s Store) {
	ctx := t.Context()
	a := engine.Allowance{Policy: "greylist.x", Field: "sender", Pattern: "*@ä.example", Owner: "o'brien", Why: "w\n", Made: 5, Until: 100}
	first, err := s.Allow(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Allow(ctx, engine.Allowance{Field: "client", Pattern: "192.0.2.0/24"})
	if err != nil || second <= first {
		t.Fatalf("second allowance: id %d after %d, %v", second, first, err)
	}
	off := engine.Switch{Policy: "limit.y", Owner: "o", Why: "w", Made: 6, Until: 50}
	if err := s.SwitchOff(ctx, off); err != nil {
		t.Fatal(err)
	}
	runtime := func(now int64) engine.Runtime {
		r, err := s.Runtime(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a.ID = first
	r := runtime(49)
	if len(r.Allowances) != 2 || r.Allowances[0] != a || len(r.Off) != 1 || r.Off[0] != off {
		t.Errorf("at 49: %+v", r)
	}
	if r := runtime(50); len(r.Allowances) != 2 || len(r.Off) != 0 {
		t.Errorf("at 50: %+v", r)
	}
	if r := runtime(100); len(r.Allowances) != 1 || r.Allowances[0].ID != second {
		t.Errorf("at 100: %+v", r)
	}
	if found, err := s.Disallow(ctx, second); !found || err != nil {
		t.Errorf("disallow: %v, %v", found, err)
	}
	if found, err := s.Disallow(ctx, second); found || err != nil {
		t.Errorf("disallow again: %v, %v", found, err)
	}
	if third, err := s.Allow(ctx, a); err != nil || third <= second {
		t.Errorf("id %d, %v: an id was used twice", third, err)
	}
	off.Why, off.Until = "longer", 0
	if err := s.SwitchOff(ctx, off); err != nil {
		t.Fatal(err)
	}
	if r := runtime(1000); len(r.Off) != 1 || r.Off[0] != off {
		t.Errorf("switched off again: %+v", r.Off)
	}
	if found, err := s.SwitchOn(ctx, "limit.y"); !found || err != nil {
		t.Errorf("on: %v, %v", found, err)
	}
	if found, err := s.SwitchOn(ctx, "limit.y"); found || err != nil {
		t.Errorf("on again: %v, %v", found, err)
	}
	if all, err := s.ListAllowances(ctx); len(all) != 2 || err != nil {
		t.Errorf("list: %+v, %v", all, err)
	}
}

// fill writes n rows of each kind that end at a time, and one that does not.
func fill(t *testing.T, s Store, n int, expires int64) {
	t.Helper()
	var writes []engine.Write
	for i := range n + 1 {
		if i == n {
			expires = 1 << 50
		}
		key := fmt.Sprint("k", i)
		writes = append(writes,
			engine.PutSeen{Policy: "greylist.x", Key: key, Row: engine.SeenRow{First: 1, Passes: int64(i), Expires: expires}},
			engine.AddCount{Policy: Policy, Key: key, Window: Window, Slot: 1, N: int64(i), Expires: expires},
			engine.PutDistinct{Policy: Policy, Key: "d", Member: key, At: 3, Expires: expires},
			engine.PutSample{Policy: Policy, Key: key, At: 4, Expires: expires},
			engine.PutArrival{Gateway: "g", Message: key, Expires: expires},
			engine.PutEvent{Gateway: "g", Message: key, Kind: "bounce", Expires: expires})
	}
	Do(t, s, writes...)
}

func testCleanup(t *testing.T, s Store) {
	fill(t, s, 25, 100)
	for _, until := range []int64{0, 99, 100, 101} {
		if _, err := s.Allow(t.Context(), engine.Allowance{Field: "sender", Pattern: "x", Until: until}); err != nil {
			t.Fatal(err)
		}
		if err := s.SwitchOff(t.Context(), engine.Switch{Policy: fmt.Sprint("limit.p", until), Until: until}); err != nil {
			t.Fatal(err)
		}
	}
	if removed, more, err := s.Cleanup(t.Context(), 98, 10); removed != 0 || more || err != nil {
		t.Errorf("before anything ended: %d, %v, %v", removed, more, err)
	}
	total, rounds := 0, 0
	for more := true; more; rounds++ {
		removed, again, err := s.Cleanup(t.Context(), 100, 10)
		if err != nil {
			t.Fatal(err)
		}
		if removed > 64 {
			t.Errorf("%d rows in one batch", removed)
		}
		total += removed
		more = again
	}
	if total != 6*25+4 || rounds != 3 {
		t.Errorf("%d removed in %d rounds, want 154 in 3", total, rounds)
	}
	stats, err := s.Stats(t.Context(), 100)
	if err != nil || len(stats.Tables) != 9 {
		t.Fatalf("%+v, %v", stats, err)
	}
	for _, table := range stats.Tables {
		if slices.Contains([]string{"desk_case", "held", "standing"}, table.Name) {
			continue
		}
		if table.Rows != 1 || table.Expired != 0 {
			t.Errorf("%+v: one row lives", table)
		}
	}
	if all, _ := s.ListAllowances(t.Context()); len(all) != 2 {
		t.Errorf("allowances left: %+v", all)
	}
}

// Clean-up and load at once: no live count is lost, no ended row stays.
func testCleanupBesideLoad(t *testing.T, s Store) {
	const callers, each = 8, 30
	fill(t, s, 1000, 100)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				Do(t, s, Add("live", int64(j), 1), engine.AddCount{Policy: Policy, Key: fmt.Sprint("dead", i, j), Window: Window, Slot: 1, N: 1, Expires: 50})
				if err := s.View(t.Context(), func(st engine.State) error {
					_, _, err := st.Seen("greylist.x", "k1000")
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	loaded := make(chan struct{})
	go func() { wg.Wait(); close(loaded) }()
	for busy, more := true, true; busy || more; {
		select {
		case <-loaded:
			busy = false
		default:
		}
		var err error
		if _, more, err = s.Cleanup(t.Context(), 100, 50); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		_, more, _ = s.Cleanup(t.Context(), 100, 50)
	}
	if n := Count(t, s, "live", 0); n != callers*each {
		t.Errorf("live: %d, want %d", n, callers*each)
	}
	stats, err := s.Stats(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range stats.Tables {
		if table.Expired != 0 {
			t.Errorf("%s: %d ended rows stay", table.Name, table.Expired)
		}
	}
}

func testStats(t *testing.T, s Store) {
	fill(t, s, 3, Window.Milliseconds()+7)
	Do(t, s, engine.PutSeen{Policy: "greylist.a", Key: "k", Row: engine.SeenRow{First: 9, Expires: 1 << 50}})
	stats, err := s.Stats(t.Context(), Window.Milliseconds()+7)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Bytes == 0 || stats.Version == 0 {
		t.Errorf("%+v", stats)
	}
	want := []store.TableStats{
		{Name: "arrival", Rows: 4, Expired: 3},
		{Name: "counter", Rows: 4, Expired: 3, Policies: []store.PolicyStats{{Policy: Policy, Rows: 4, Oldest: 7}}},
		{Name: "desk_case"},
		{Name: "distinct_member", Rows: 4, Expired: 3, Policies: []store.PolicyStats{{Policy: Policy, Rows: 4, Oldest: 3}}},
		{Name: "held"},
		{Name: "log_event", Rows: 4, Expired: 3},
		{Name: "sample", Rows: 4, Expired: 3, Policies: []store.PolicyStats{{Policy: Policy, Rows: 4, Oldest: 4}}},
		{Name: "seen", Rows: 5, Expired: 3, Policies: []store.PolicyStats{{Policy: "greylist.a", Rows: 1, Oldest: 9}, {Policy: "greylist.x", Rows: 4, Oldest: 1}}},
		{Name: "standing"},
	}
	if fmt.Sprintf("%+v", stats.Tables) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v\nwant %+v", stats.Tables, want)
	}
	top, err := s.Top(t.Context(), Policy, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantTop := []store.TopKey{{Table: "counter", Key: "k3", Span: 3600, N: 3}, {Table: "counter", Key: "k2", Span: 3600, N: 2}, {Table: "distinct_member", Key: "d", N: 4}}
	if fmt.Sprintf("%+v", top) != fmt.Sprintf("%+v", wantTop) {
		t.Errorf("%+v\nwant %+v", top, wantTop)
	}
	Do(t, s, engine.PutSeen{Policy: "greylist.a", Key: "l", Row: engine.SeenRow{First: 9, Passed: 10, Expires: 1 << 50}})
	if top, err = s.Top(t.Context(), "greylist.a", 2, 0); err != nil {
		t.Fatal(err)
	}
	wantTop = []store.TopKey{{Table: "seen", Key: "k"}, {Table: "seen", Key: "l", LetIn: true}}
	if fmt.Sprintf("%+v", top) != fmt.Sprintf("%+v", wantTop) {
		t.Errorf("%+v\nwant %+v", top, wantTop)
	}
}
