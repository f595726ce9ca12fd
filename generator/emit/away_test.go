package emit

import (
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// TestStoreAway: exipold answers, and its store is away. on_failure holds for each policy, blocks that are known are in
// force, and the next command is asked about again.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	away := wire.Answer{Verdict: wire.Away}.String()
	known := wire.Answer{Verdict: plan.Deny, By: "limit.letters/no", LastKnown: true}.String()
	for _, c := range []struct {
		name, answer, auth string
		code               int
		text               string
	}{
		{"passes", away, "", 250, ""},
		{"defers", away, "bob", 451, "(limit.careful)"},
		{"blocked", known, "", 550, "(limit.letters/no)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newSite(t, map[string]string{"rcpt.after": c.answer})
			s := b.BsSession(stranger)
			s.Ehlo("client.test")
			if c.auth != "" {
				s.Auth(c.auth, eximtest.Password)
			}
			s.Expect(250, "MAIL FROM:<a@remote.test>")
			b.helper.Forget()
			for range 2 {
				if r := s.Cmd("RCPT TO:<alice@local.test>"); r.Code != c.code || !strings.Contains(r.Text(), c.text) {
					t.Errorf("%s, want %d", r, c.code)
				}
			}
			s.Quit()
			asked := 0
			for _, q := range b.helper.Questions() {
				if strings.Contains(q, " at=rcpt.after ") {
					asked++
				}
			}
			if asked != 2 {
				t.Errorf("asked %d times of two recipients", asked)
			}
			if lines := b.Grep("gave no answer"); len(lines) > 0 {
				t.Errorf("%s", lines)
			}
			b.CheckLogs()
		})
	}
}
