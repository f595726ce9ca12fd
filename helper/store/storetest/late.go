package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/store"
)

// What is found in a queue after its case was closed goes the way of the others; but what came in after that is deleted
// by nobody.
func testHeldLate(t *testing.T, s Store) {
	Do(t, s, open("k", 10), open("l", 10), open("m", 10))
	for id, d := range []store.Decision{{Release: true}, {Release: true, Remove: true}, {Remove: true}} {
		d.Case, d.At, d.Who = int64(id+1), 20, "alice"
		if err := s.Decide(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	// An earlier removal says nothing of what the release is to do.
	if err := s.Decide(t.Context(), store.Decision{Case: 3, Release: true, At: 25, Who: "alice"}); err != nil {
		t.Fatal(err)
	}
	for id := range int64(3) {
		Do(t, s, engine.PutHeld{Gateway: "gw", Message: fmt.Sprint("said", id), Case: id + 1, At: 30})
		if err := s.SettleHeld(t.Context(), 40, []engine.PutHeld{{Gateway: "gw", Message: fmt.Sprint("seen", id), Case: id + 1, At: 15}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	held, err := s.Held(t.Context(), "gw")
	if err != nil || len(held) != 6 {
		t.Fatalf("%+v, %v", held, err)
	}
	for _, h := range held {
		want := store.Thaw
		if h.Case == 2 && h.Since == 15 {
			want = store.Remove
		}
		if h.Wanted != want {
			t.Errorf("%s of case %d: %q, want %q", h.Message, h.Case, h.Wanted, want)
		}
	}
}

// A message that was thought to be gone when its case was closed, and is found again: somebody has decided about it, or has to.
func testHeldAgain(t *testing.T, s Store) {
	ended := open("c", 10)
	ended.Until = 100
	Do(t, s, open("a", 10), open("b", 10), ended, open("d", 10))
	var found []engine.PutHeld
	var gone []store.HeldMessage
	for id := range int64(4) {
		h := engine.PutHeld{Gateway: "gw", Message: fmt.Sprint("m", id+1), Case: id + 1, At: 15}
		found, gone = append(found, h), append(gone, store.HeldMessage{Gateway: h.Gateway, Message: h.Message})
	}
	for _, settle := range []func() error{
		func() error { return s.SettleHeld(t.Context(), 20, found, nil) },
		func() error { return s.SettleHeld(t.Context(), 30, nil, gone) },
		func() error { return s.Decide(t.Context(), store.Decision{Case: 1, Release: true, At: 40}) },
		func() error {
			return s.Decide(t.Context(), store.Decision{Case: 2, Release: true, Remove: true, At: 40})
		},
		func() error { _, _, err := s.Cleanup(t.Context(), 200, 500); return err },
		func() error { return s.SettleHeld(t.Context(), 210, found, nil) },
	} {
		if err := settle(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"m1": store.Thaw, "m2": store.Remove, "m3": store.Keep, "m4": store.Keep}
	held, err := s.Held(t.Context(), "gw")
	if err != nil || len(held) != len(want) {
		t.Fatalf("%+v, %v", held, err)
	}
	for _, h := range held {
		if h.Wanted != want[h.Message] || h.Since != 15 {
			t.Errorf("%+v, want %q", h, want[h.Message])
		}
	}
	if file, err := s.Case(t.Context(), 3); file.State != store.CaseOpen || err != nil {
		t.Errorf("the case that had ended: %+v, %v", file.Case, err)
	}
}

// What is read late, or said by a gateway whose clock is behind, may raise a case that was closed as ended
// meanwhile: then it blocks again, and somebody must be able to release it.
func testRaiseEnded(t *testing.T, s Store) {
	first := open("k", 10)
	first.Window = 1000
	Do(t, s, first)
	if err := s.Decide(t.Context(), store.Decision{Case: 1, Release: true, At: 20}); err != nil {
		t.Fatal(err)
	}
	warn := open("k", 30)
	warn.Tier, warn.Rank, warn.Blocks, warn.Until, warn.Window = "warn", 1, false, 100, 1000
	Do(t, s, warn)
	if _, _, err := s.Cleanup(t.Context(), 101, 500); err != nil {
		t.Fatal(err)
	}
	if file, err := s.Case(t.Context(), 2); err != nil || file.State != store.CaseEnded {
		t.Fatalf("%+v, %v", file.Case, err)
	}
	Do(t, s, open("k", 99))
	st, _ := stands(t, s, "k")
	if file := theCase(t, s); !st.InForce(102) || st.Case != file.ID || !file.Blocks || file.Decided != 0 {
		t.Errorf("%+v, %+v", st, file)
	}
	if err := s.Decide(t.Context(), store.Decision{Case: st.Case, Release: true, At: 110}); err != nil {
		t.Error(err)
	}
}

// A case whose block ended long ago is open as long as it holds messages: its release clears what was counted,
// like any other.
func testReleaseEnded(t *testing.T, s Store) {
	c := open("k", 10)
	c.Until = 50
	Do(t, s, c, engine.PutHeld{Gateway: "gw", Message: "m", Case: 1, At: 20})
	if _, _, err := s.Cleanup(t.Context(), 60, 500); err != nil {
		t.Fatal(err)
	}
	if _, ok := stands(t, s, "k"); ok {
		t.Fatal("the standing is there yet")
	}
	if err := s.Decide(t.Context(), store.Decision{Case: 1, Release: true, At: 70, Probation: 90}); err != nil {
		t.Fatal(err)
	}
	want := engine.Standing{Policy: Policy, Key: "k", Case: 1, Tier: "stop", Blocks: true, Since: 10, Until: 50, Released: 70, Cleared: 70, Probation: 90}
	if st, _ := stands(t, s, "k"); st != want {
		t.Errorf("%+v, want %+v", st, want)
	}
}

// Who was so slow that another has told it meanwhile does not make it due again.
func testToldTwice(t *testing.T, s Store) {
	c := open("k", 10)
	c.Notify = c.Notify[:1]
	Do(t, s, c)
	slow, err := s.ClaimNotices(t.Context(), "a", 10, 20, 1)
	if err != nil || len(slow) != 1 {
		t.Fatal(slow, err)
	}
	quick, err := s.ClaimNotices(t.Context(), "b", 20, 30, 1)
	if err != nil || len(quick) != 1 {
		t.Fatal(quick, err)
	}
	quick[0].Mailed, quick[0].Due = 21, 0
	slow[0].Due, slow[0].Error = 500, "no answer"
	for _, n := range []store.Notice{quick[0], slow[0]} {
		if err := s.SettleNotice(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := s.ClaimNotices(t.Context(), "c", 1000, 2000, 9); len(again) != 0 || err != nil {
		t.Errorf("due again: %+v, %v", again, err)
	}
}

// What is counted anew since a release is told apart from the key's whole count.
func testTopSince(t *testing.T, s Store) {
	Do(t, s, Add("bob", 1, 5), Add(normalize.Since("bob", 77), 1, 2))
	top, err := s.Top(t.Context(), Policy, 5, 1)
	span := int64(Window / time.Second)
	want := []store.TopKey{{Table: "counter", Key: "bob", Span: span, N: 5}, {Table: "counter", Key: "bob", Span: span, N: 2, Since: 77}}
	if err != nil || !slices.Equal(top, want) {
		t.Errorf("%+v, %v; want %+v", top, err, want)
	}
}

// Two releases have two times, also where a clock was put back between them.
func testReleasedTwice(t *testing.T, s Store) {
	for id, at := range []int64{500, 500, 300} {
		c := open("k", 501)
		Do(t, s, c)
		before, _ := stands(t, s, "k")
		if err := s.Decide(t.Context(), store.Decision{Case: int64(id + 1), Release: true, At: at}); err != nil {
			t.Fatal(err)
		}
		if st, _ := stands(t, s, "k"); st.Cleared <= before.Cleared || st.Released != at || st.Open(at) {
			t.Errorf("%+v, and before %+v", st, before)
		}
	}
}
