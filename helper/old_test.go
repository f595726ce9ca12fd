package helper

import (
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
)

// Whatever comes in, something safe comes out.
func TestMalformed(t *testing.T) {
	b := newBench(t)
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	for line, want := range map[string]string{
		"v=1\n":                                failedAnswer,
		"v=2 plan=0 \n":                        failedAnswer,
		strings.TrimSuffix(q.String(), "\n"):   failedAnswer,
		strings.Repeat("v=1 ", 30000):          failedAnswer,
		"exipold shutdown\n":                   "error: unknown command",
		"":                                     "error: nothing was asked",
		"\x00\xff\n":                           "white",
		"TARLIST\n":                            "0",
		"TARLIST x\n":                          "0",
		"TARLIST 192.0.2.1 192.0.2.2\n":        "0",
		"BOUNCELIST someone\n":                 "0:0",
		"--grey\n":                             "false",
		"--white nonsense\n":                   "true",
		"--black 192.0.2.1 a@b c@d\n":          "false",
		"--purple 192.0.2.1 a@b c@d\n":         `error: "purple" is none of grey, white and black`,
		"check\n":                              "white",
		"update --grey 1 2 3 4 5 6\n":          "false",
		"--grey " + strings.Repeat("x", 1<<20): "false",
	} {
		if got := b.old(line); got != want {
			t.Errorf("%.30q: %q, want %q", line, got, want)
		}
	}
}

// The old verbs share their state with our own.
func TestOldVerbs(t *testing.T) {
	b := newBench(t)
	for i, want := range []string{"1", "2", "3"} {
		if got := b.old("TARLIST 192.0.2.1"); got != want {
			t.Errorf("TARLIST, time %d: %s, want %s", i, got, want)
		}
	}
	if d := b.unknown().Delay; d != 8 {
		t.Errorf("the fourth offence costs %d s, want 8", d)
	}
	if got := b.old("TARLIST ::ffff:192.0.2.1\n"); got != "5" {
		t.Errorf("IPv4-mapped: %s", got)
	}
	const data = "192.0.2.1 a@b.example c@d.example"
	say := func(question, want string) {
		t.Helper()
		if got := b.old(question); got != want {
			t.Errorf("%q: %q, want %q", question, got, want)
		}
	}
	say("check --grey "+data, "true") // looks only
	b.pass(6 * time.Minute)
	say("check "+data, "grey") // still never seen
	say("--grey "+data+"\n", "true")
	say("--white "+data, "false")
	say(data, "grey")
	say("--black "+data, "false")
	b.pass(6 * time.Minute)
	say("check "+data, "white")
	say("update --grey "+data, "false")
	say("--white "+strings.ToUpper(data), "true")
	say(data, "white")
	b.want(b.grey(), plan.Accept)
	say("192.0.2.0/24 a@b.example c@d.example", "white") // the key holds the net
	say("--grey 192.0.2.1 a@b.example postmaster@d.example", "false")
	say("--grey 192.0.2.7  c@d.example", "true") // the null sender
	say("--grey 192.0.2.7 <> c@d.example", "true")
	say("--grey 192.0.2.7 c@d.example, e@d.example", "true")
	say(`--grey 2001.0db8.0000.0000.0000.0000.0000.0000/64 "a b"@x.example c@d.example`, "true")
	b.pass(6 * time.Minute)
	say("--grey 192.0.2.7  c@d.example", "false")
	say(`--grey 2001:db8::9 "a b"@x.example c@d.example`, "false")
}

// A client that the greylist trusts pays nothing in the tarpit, also in the old words.
func TestOldVerbsExempt(t *testing.T) {
	b := newBench(t)
	for range 4 {
		b.grey()
		b.pass(2 * time.Hour)
	}
	if got := b.old("TARLIST 192.0.2.1"); got != "0" {
		t.Errorf("a trusted client: %s", got)
	}
}
