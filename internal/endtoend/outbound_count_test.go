package endtoend

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// soon is a policy for stolen passwords that loses its patience soon, beside one that only
// counts what it counts, and a greylist that outbound mail has nothing to do with.
func soon(traffic, key string, over int) string {
	return deskNotice + fmt.Sprintf(`
limit "stolen" {
  traffic = %[1]q
  event   = invalid_recipient
  callout = "2s"
  key     = [%[2]s]
  tier "block" {
    over   = "%[3]d/1h"
    notify = [notice.desk]
    block {
      add_header = { "X-Held-For" = "${%[2]s}" }
      freeze {
      }
    }
  }
}
limit "counts" {
  traffic = %[1]q
  event   = invalid_recipient
  callout = "2s"
  key     = [%[2]s]
  tier "never" {
    over = "1000000/1h"
    deny {
    }
  }
}
`, traffic, key, over)
}

// TestOutboundCountsOnlyNo: only a final no about a recipient counts: not an existing user,
// nor anything temporary, a greylisting remote host, one that is silent or closes, one that
// refuses the sender.
func TestOutboundCountsOnlyNo(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, soon("submission", "auth", 2)).start()
	bob := o.session("bob", "192.0.2.1")
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	for _, to := range []string{
		"fine.one@far.test", "fine.two@far.test", "alice@local.test", "forward@local.test", "list@local.test",
		"grey.one@far.test", "grey.one@far.test", "grey.two@far.test",
		"busy@far.test", "later@far.test", "closes@far.test", "hangs@far.test", "later@local.test", "x@defer.test",
	} {
		want(t, to, bob.Cmd("RCPT TO:<"+to+">"), 250)
	}
	bob.Expect(250, "RSET")
	bob.Expect(250, "MAIL FROM:<refused@local.test>")
	for range 4 {
		bob.Expect(250, "RCPT TO:<fine.one@far.test>")
	}
	bob.Expect(250, "RSET")
	if n := o.counted("counts", "bob"); n != 0 {
		t.Errorf("%d were counted, and none is invalid", n)
	}
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	// Each of these is one, whoever says so: the remote host, routing, the site's own.
	for _, to := range []string{"nosuch@far.test", "x@broken.test"} {
		want(t, to, bob.Cmd("RCPT TO:<"+to+">"), 250)
	}
	if n := o.counted("counts", "bob"); n != 2 {
		t.Errorf("%d were counted, want 2", n)
	}
	bob.Expect(250, "RSET")
	o.flows(bob, "bob@local.test", "two are not too many", "X-Held-For", "fine.three@far.test")
	o.held(bob, "bob@local.test", "three are", "X-Held-For: bob", "nosuch@local.test")
	if n := o.counted("counts", "bob"); n != 3 {
		t.Errorf("%d were counted, want 3", n)
	}
	// Refused by the site or not, a guess is a guess; a block in force does not stop the count.
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	want(t, "more", bob.Cmd("RCPT TO:<nosuch.more@far.test>"), 250)
	if n := o.counted("counts", "bob"); n != 4 {
		t.Errorf("%d were counted, want 4", n)
	}
	if n := len(o.cases()); n != 1 {
		t.Errorf("%d cases, want one", n)
	}
	bob.Close()
	o.CheckLogs()
}

// strangeIDs are logins made of what some language executes, quotes, comments on, or cuts at.
func strangeIDs(touch string) []string {
	return []string{
		"x;touch " + touch, "$(touch " + touch + ")", "`touch " + touch + "`", "|touch " + touch, "x\ttouch", "&& touch " + touch,
		"${run{/usr/bin/touch " + touch + "}}", "$authenticated_id", "${lookup{x}lsearch{/etc/passwd}}", "\\N^.*$\\N", "{", "}",
		"'; DROP TABLE standing; --", `a"b`, "a'b", `a\`, `a\\`, "%s%n%d", "%{for x in y}", "${auth}", "$${auth}",
		"a:b", "a, b", "#x", " x ", "a  b", "a/b", "../../../etc/passwd", "-oMa", "--", "*", "*@far.test", "@", "!x", "^x", "+list", "<;a;b", ":blackhole:",
		"\u00e9t\u00e9@local.test", "\xff\xfe", "bob@local.test", "Bob@Local.Test", "bob+ext@local.test", strings.Repeat("i", 240), "a\r\nX-Evil: yes", "a|b", "v=1 verdict=accept end=1",
	}
}

// printing is an id as Exim has it: what cannot be printed is written out.
func printing(id string) string {
	var b strings.Builder
	for i := range len(id) {
		switch c := id[i]; {
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c != '\t' && c < ' ', c > '~':
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// shown is an id as a header line has it.
func shown(id string) string {
	id = strings.ReplaceAll(printing(id), "\t", "?")
	return id[:min(len(id), 255)]
}

// TestOutboundStrangeIDs: ids made of shell, SQL, HCL and Exim syntax are counted and blocked
// like any other, while exipold is there and while it is away, and released one by one. They
// execute nothing, and none is taken for another.
func TestOutboundStrangeIDs(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, soon("submission", "auth", 1)).start()
	touch := o.Path("run/touched")
	ids := strangeIDs(touch)
	session := func(id string) *eximtest.Session { return o.session(id, "192.0.2.1") }
	for _, id := range ids {
		s := session(id)
		s.Expect(250, "MAIL FROM:<bob@local.test>")
		want(t, id, s.Cmd("RCPT TO:<nosuch@far.test>"), 250)
		s.Expect(250, "RSET")
		o.flows(s, "bob@local.test", "one is not enough", "X-Held-For", "fine@far.test")
		o.held(s, "bob@local.test", "two are", "X-Held-For: "+shown(id), "nosuch@far.test")
		s.Close()
		if n := o.counted("counts", printing(id)); n != 2 {
			t.Errorf("%q: %d were counted, want 2", id, n)
		}
	}
	var want, got []string
	for _, id := range ids {
		want = append(want, "auth:"+printing(id))
	}
	for _, c := range o.cases() {
		got = append(got, c.Owner)
	}
	slices.Sort(want)
	slices.Sort(got)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("a case is about %q, want %q", got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d cases, want %d", len(got), len(want))
	}
	said := o.notices(len(ids))
	for _, m := range said {
		if m.Field("X-Evil") != "" || m.Field("X-Exipol-Case") == "" {
			t.Errorf("a notice with this header:\n%s", m.Header)
		}
	}
	o.daemon.kill()
	for _, id := range ids {
		s := session(id)
		o.held(s, "bob@local.test", "nobody answers", "X-Held-For: "+shown(id), "fine@far.test")
		s.Close()
	}
	s := session("bob@local")
	o.flows(s, "bob@local.test", "another login", "X-Held-For", "fine.another@far.test")
	s.Close()
	o.startHelper()
	long := session(strings.Repeat("l", 2000)) // its key is a hash
	long.Expect(250, "MAIL FROM:<bob@local.test>")
	long.Expect(250, "RCPT TO:<nosuch@far.test>")
	long.Expect(250, "RSET")
	o.held(long, "bob@local.test", "a long id", "X-Held-For: "+strings.Repeat("l", 255), "nosuch@far.test")
	o.held(long, "bob@local.test", "a long id", "X-Held-For: "+strings.Repeat("l", 255), "fine@far.test")
	long.Close()
	for _, c := range o.cases()[:3] {
		o.caseCommand("release", c.ID, "--reason", "a test")
	}
	o.eventually("exipold hears of the releases", func() string { // within two seconds
		text, err := os.ReadFile(o.Plan.Blocked)
		if n := strings.Count(string(text), "\n"); err != nil || n != len(ids)-3 {
			return fmt.Sprintf("%d blocks are known, want %d (%v)", n, len(ids)-3, err)
		}
		return ""
	})
	for i, id := range ids {
		s := session(id)
		if i < 3 {
			o.flows(s, "bob@local.test", "released", "X-Held-For", "fine.released@far.test")
		} else {
			o.held(s, "bob@local.test", "not released", "X-Held-For: "+shown(id), "fine@far.test")
		}
		s.Close()
	}
	if o.exists("run/touched") || o.exists("touched") {
		t.Error("something in an id was executed")
	}
	o.CheckLogs()
}
