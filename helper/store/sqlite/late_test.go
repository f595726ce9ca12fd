package sqlite

import (
	"path/filepath"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

// A gateway whose exipold was away when the desk deleted and released went on freezing, by what it
// last knew. What came in after the decision is mail that nobody has decided to delete.
func TestNotRemovedAfterRelease(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	storetest.Do(t, s, openCase("k", 10_000))
	if err := s.Decide(t.Context(), store.Decision{Case: 1, Release: true, Remove: true, At: 20_000}); err != nil {
		t.Fatal(err)
	}
	before := engine.PutHeld{Gateway: "gw", Message: "before", Case: 1, At: 15_000}
	after := engine.PutHeld{Gateway: "gw", Message: "after", Case: 1, At: 80_000}
	if err := s.SettleHeld(t.Context(), 90_000, []engine.PutHeld{before, after}, nil); err != nil {
		t.Fatal(err)
	}
	held, err := s.Held(t.Context(), "gw")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"before": store.Remove, "after": store.Thaw}
	for _, h := range held {
		if h.Wanted != want[h.Message] {
			t.Errorf("what was frozen %s the decision is to be %q, want %q", h.Message, h.Wanted, want[h.Message])
		}
	}
	if len(held) != 2 {
		t.Errorf("held: %+v", held)
	}
}
