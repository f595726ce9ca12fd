package helper

import (
	"testing"
	"time"

	"exipol/helper/engine"
)

// Old verbs know what is suspicious, too: an update writes it down, a check only looks.
func TestOldVerbsWithFacts(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), finding: engine.Yes}
	b.suspicious(w, nil)
	for _, c := range []struct{ line, want string }{
		{"check 192.0.2.1 a@b.example c@d.example", "grey"},
		{"update 192.0.2.1 a@b.example c@d.example", "grey"},
		{"--grey 192.0.2.1 a@b.example c@d.example", "true"},
	} {
		if got := b.old(c.line); got != c.want {
			t.Errorf("%s: %s, want %s", c.line, got, c.want)
		}
	}
	b.pass(6 * time.Minute)
	gathered := w.times()
	if got := b.old("update 192.0.2.1 a@b.example c@d.example"); got != "white" || w.times() != gathered {
		t.Errorf("a retry in time: %s, facts gathered %d times more", got, w.times()-gathered)
	}
	w.finding = engine.No
	if got := b.old("update 198.51.100.1 x@b.example c@d.example"); got != "white" {
		t.Errorf("nothing suspicious: %s", got)
	}
	if whys, err := b.store.Whys(t.Context(), "greylist.inbound", 0, b.now.Load()); err != nil || len(whys) != 1 || whys[0].LetIn != 1 || whys[0].Why != "no_reverse_dns" {
		t.Errorf("%+v, %v", whys, err)
	}
}
