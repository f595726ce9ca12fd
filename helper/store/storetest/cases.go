package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// open opens a case that blocks until it is released.
func open(key string, at int64) engine.OpenCase {
	return engine.OpenCase{
		Policy: Policy, Key: key, Tier: "stop", Rank: 2, Blocks: true, At: at, Who: "auth bob", Owner: "auth:bob", Gateway: "gw",
		Counted: 101, Rate: "100/1h", Notify: []string{"notice.desk", "owner"}, Freeze: true,
	}
}

// theCase is the only one that is open.
func theCase(t testing.TB, s Store) store.CaseFile {
	t.Helper()
	cases, err := s.Cases(t.Context(), store.CaseFilter{})
	if err != nil || len(cases) != 1 {
		t.Fatalf("%+v, %v; want one case", cases, err)
	}
	file, err := s.Case(t.Context(), cases[0].ID)
	if err != nil || file.Case != cases[0] {
		t.Fatalf("%+v, %v; listed is %+v", file.Case, err, cases[0])
	}
	return file
}

// stands is how a key stands.
func stands(t testing.TB, s Store, key string) (st engine.Standing, ok bool) {
	t.Helper()
	view(t, s, func(state engine.State) (err error) {
		st, ok, err = state.Standing(Policy, key)
		return err
	})
	return st, ok
}

func sample(key string, n, at int64) engine.PutSample {
	return engine.PutSample{Policy: Policy, Key: key, N: n, At: at, Gateway: "gw", Message: fmt.Sprint("m", n), Address: "a\xff@example.com", Line: "line\x00 ä", Expires: forever}
}

func testOpenCase(t *testing.T, s Store) {
	if st, ok := stands(t, s, "k"); ok {
		t.Errorf("before: %+v", st)
	}
	c := open("k", 10)
	c.Until = 100
	Do(t, s, sample("k", 0, 9), sample("other", 0, 9), c)
	want := engine.Standing{Policy: Policy, Key: "k", Case: 1, Tier: "stop", Rank: 2, Blocks: true, Since: 10, Until: 100}
	if st, ok := stands(t, s, "k"); !ok || st != want {
		t.Errorf("%+v, %v; want %+v", st, ok, want)
	}
	if st, ok := stands(t, s, "other"); ok {
		t.Errorf("another key: %+v", st)
	}
	file := theCase(t, s)
	wantCase := store.Case{
		ID: 1, Policy: Policy, Key: "k", Tier: "stop", Who: "auth bob", Owner: "auth:bob", Opened: 10, Gateway: "gw", State: store.CaseOpen, Blocks: true, Until: 100,
		Counted: 101, Rate: "100/1h", LastWord: "opened by exipold: tier stop: 101 counted, over 100/1h",
	}
	if file.Case != wantCase {
		t.Errorf("%+v\nwant %+v", file.Case, wantCase)
	}
	if want := "[{9 gw m0 a\xff@example.com line\x00 ä}]"; fmt.Sprint(file.Evidence) != want {
		t.Errorf("evidence %q, want %q", fmt.Sprint(file.Evidence), want)
	}
	if want := "[{10 gw exipold opened tier stop: 101 counted, over 100/1h}]"; fmt.Sprint(file.Audit) != want {
		t.Errorf("audit %v, want %v", file.Audit, want)
	}
	if want := "[{1 stop notice.desk 10 10 0 0 0 } {1 stop owner 10 10 0 0 0 }]"; fmt.Sprint(file.Notices) != want {
		t.Errorf("notices %v, want %v", file.Notices, want)
	}
	// The same tier, or a lower one, does nothing while the case is open.
	lower := open("k", 99)
	lower.Rank, lower.Tier, lower.Counted = 1, "warn", 500
	Do(t, s, open("k", 99), lower)
	if again := theCase(t, s); fmt.Sprint(again) != fmt.Sprint(file) {
		t.Errorf("%+v, and it was %+v", again, file)
	}
	// It has ended: the next one is another, and its standing the key's.
	Do(t, s, open("k", 100))
	if st, _ := stands(t, s, "k"); st.Case != 2 || st.Since != 100 || st.Until != 0 {
		t.Errorf("%+v", st)
	}
}

// What is kept of a key is a ring, and what is taken along is what was not taken yet.
func testEvidence(t *testing.T, s Store) {
	for i := range int64(engine.Samples + 5) {
		Do(t, s, sample("k", i, 100+i))
	}
	long := sample("k", -1, 200)
	long.Line = strings.Repeat("x", engine.SampleLine+1)
	dead := sample("k", 0, 201)
	dead.Expires = 205
	Do(t, s, long, dead, open("k", 205))
	file := theCase(t, s)
	if n := len(file.Evidence); n != engine.Samples-1 {
		t.Errorf("%d pieces, want %d", n, engine.Samples-1)
	}
	if first, last := file.Evidence[0], file.Evidence[len(file.Evidence)-1]; first.At != 105 || last.At != 200 || last.Line != long.Line[:engine.SampleLine] {
		t.Errorf("from %+v to %+v", first, last)
	}
	higher := open("k", 300)
	higher.Rank, higher.Tier = 3, "more"
	Do(t, s, sample("k", 7, 299), higher)
	file = theCase(t, s)
	if n := len(file.Evidence); n != engine.Samples || file.Evidence[n-1].At != 299 {
		t.Errorf("raised, %d pieces: %+v", n, file.Evidence)
	}
	if err := s.Decide(t.Context(), store.Decision{Case: file.ID, Release: true, At: 400}); err != nil {
		t.Fatal(err)
	}
	Do(t, s, sample("k", 8, 401), open("k", 402))
	if file = theCase(t, s); len(file.Evidence) != 1 || file.Evidence[0].At != 401 {
		t.Errorf("after the release: %+v", file.Evidence)
	}
}

func testRaise(t *testing.T, s Store) {
	tier := func(name string, rank int, blocks bool, until int64) engine.OpenCase {
		c := open("k", int64(rank))
		c.Tier, c.Rank, c.Blocks, c.Until, c.Freeze = name, rank, blocks, until, false
		return c
	}
	for i, step := range []struct {
		c      engine.OpenCase
		tier   string // of the standing
		blocks bool
		until  int64
	}{
		{tier("warn", 1, false, 500), "warn", false, 500},
		{tier("short", 2, true, 100), "short", true, 100},
		{tier("tell", 3, false, 900), "short", true, 100},
		{tier("shorter", 4, true, 50), "shorter", true, 100},
		{tier("long", 5, true, 200), "long", true, 200},
		{tier("ever", 6, true, 0), "ever", true, 0},
		{tier("last", 7, true, 300), "last", true, 0},
	} {
		Do(t, s, step.c)
		want := engine.Standing{Policy: Policy, Key: "k", Case: 1, Tier: step.tier, Rank: i + 1, Blocks: step.blocks, Since: 1, Until: step.until}
		if st, _ := stands(t, s, "k"); st != want {
			t.Errorf("%s: %+v\nwant %+v", step.c.Tier, st, want)
		}
		file := theCase(t, s)
		if file.Tier != step.c.Tier || file.Blocks != step.blocks || file.Until != step.until || len(file.Audit) != i+1 || len(file.Notices) != 2*(i+1) {
			t.Errorf("%s: %+v", step.c.Tier, file)
		}
	}
	if file := theCase(t, s); file.Audit[1].Did != "raised" || file.Opened != 1 {
		t.Errorf("%+v", file)
	}
	if freezing, err := s.Freezing(t.Context(), 1); len(freezing) != 0 || err != nil {
		t.Errorf("%+v, %v", freezing, err)
	}
	c := tier("freeze", 8, true, 0)
	c.Freeze = true
	Do(t, s, c)
	if freezing, err := s.Freezing(t.Context(), 1); len(freezing) != 1 || err != nil {
		t.Errorf("%+v, %v", freezing, err)
	}
}

// Sixty-four at once, by updates, by batches and by hand: one case.
func testOneCase(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			var err error
			switch i % 3 {
			case 0:
				err = s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) { return []engine.Write{open("k", 10)}, nil })
			case 1:
				err = s.Batch(t.Context(), func(tr engine.Transaction) error { return tr.Apply([]engine.Write{open("k", 10)}) })
			case 2:
				var id int64
				if id, err = s.Open(t.Context(), open("k", 10)); id != 1 {
					t.Errorf("case %d", id)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if file := theCase(t, s); len(file.Audit) != 1 || len(file.Notices) != 2 || file.ID != 1 {
		t.Errorf("%+v", file)
	}
}

func testRelease(t *testing.T, s Store) {
	Do(t, s, open("k", 10), engine.PutHeld{Gateway: "gw", Message: "m1", Case: 1, At: 11, Size: 5})
	d := store.Decision{Case: 1, Release: true, Probation: 500, Who: "alice", Why: "password changed", Gateway: "g2", At: 20}
	if err := s.Decide(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	want := engine.Standing{Policy: Policy, Key: "k", Case: 1, Tier: "stop", Rank: 2, Blocks: true, Since: 10, Released: 20, Cleared: 20, Probation: 500}
	if st, _ := stands(t, s, "k"); st != want || st.Open(20) {
		t.Errorf("%+v, want %+v", st, want)
	}
	file, err := s.Case(t.Context(), 1)
	if err != nil || file.State != store.CaseReleased || file.Decided != 20 || file.LastWord != "released by alice: password changed" || len(file.Held) != 1 || file.Held[0].Wanted != store.Thaw {
		t.Errorf("%+v, %v", file, err)
	}
	if got := file.Audit[1]; got != (store.Audit{At: 20, Gateway: "g2", Who: "alice", Did: "released", Why: "password changed"}) {
		t.Errorf("%+v", got)
	}
	if err := s.Decide(t.Context(), d); !errors.Is(err, store.ErrCaseClosed) {
		t.Errorf("released twice: %v", err)
	}
	// A message that was on its way is thawed, too.
	Do(t, s, engine.PutHeld{Gateway: "gw", Message: "m2", Case: 1, At: 21})
	if held, err := s.Held(t.Context(), ""); len(held) != 2 || held[1].Wanted != store.Thaw || err != nil {
		t.Errorf("%+v, %v", held, err)
	}
	// What happened before the release, and was read after it, opens nothing; what comes after it does,
	// and neither forgets the release nor the probation.
	Do(t, s, open("k", 19))
	if cases, _ := s.Cases(t.Context(), store.CaseFilter{}); len(cases) != 0 {
		t.Errorf("%+v", cases)
	}
	Do(t, s, open("k", 21))
	want = engine.Standing{Policy: Policy, Key: "k", Case: 2, Tier: "stop", Rank: 2, Blocks: true, Since: 21, Cleared: 20, Probation: 500}
	if st, _ := stands(t, s, "k"); st != want || !st.InForce(21) {
		t.Errorf("%+v, want %+v", st, want)
	}
}

func testRemove(t *testing.T, s Store) {
	held := func() (all string) {
		list, err := s.Held(t.Context(), "gw")
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range list {
			all += h.Message + ":" + h.Wanted + " "
		}
		return all
	}
	put := func(message string, id int64) engine.Write {
		return engine.PutHeld{Gateway: "gw", Message: message, Case: id, At: 11}
	}
	Do(t, s, open("k", 10), open("l", 10), put("m1", 1), put("m2", 2))
	if err := s.Decide(t.Context(), store.Decision{Case: 1, Remove: true, Who: "alice", At: 20}); err != nil {
		t.Fatal(err)
	}
	if st, _ := stands(t, s, "k"); !st.InForce(21) {
		t.Errorf("the block is gone: %+v", st)
	}
	Do(t, s, put("m3", 1))
	if got := held(); got != "m1:remove m2: m3: " {
		t.Error(got)
	}
	if err := s.Decide(t.Context(), store.Decision{Case: 1, Release: true, Who: "alice", At: 30}); err != nil {
		t.Fatal(err)
	}
	if got := held(); got != "m1:remove m2: m3:thaw " {
		t.Error(got)
	}
	if err := s.Decide(t.Context(), store.Decision{Case: 2, Release: true, Remove: true, Who: "alice", At: 30}); err != nil {
		t.Fatal(err)
	}
	if got := held(); got != "m1:remove m2:remove m3:thaw " {
		t.Error(got)
	}
	file, err := s.Case(t.Context(), 2)
	if err != nil || len(file.Audit) != 3 || file.Audit[1].Did != "removed" || file.Audit[2].Did != "released" {
		t.Errorf("%+v, %v", file.Audit, err)
	}
}
