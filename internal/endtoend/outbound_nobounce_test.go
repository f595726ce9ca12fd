package endtoend

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// TestOutboundNoBounces: what looks like a bounce in the log, and is none of bob's: DSNs,
// delay warnings, a message that was taken behind a refusal, deliveries that go through at
// once, forwarded mail of strangers, bounces of bounces. What is behind an alias counts once
// for each address that failed.
func TestOutboundNoBounces(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, strings.ReplaceAll(strings.ReplaceAll(bouncy, `"3/1h"`, `"999/1h"`), `"6/1h"`, `"999/1h"`), func(o *outbound, _ *Options) {
		o.Main += "dsn_advertise_hosts = *\ndelay_warning = 1s:1h\ndelay_warning_condition = yes\n"
		o.Bed.Site["rcpt"] = "  warn condition = ${if match{$local_part}{^cut}}\n    control = cutthrough_delivery\n" + o.Bed.Site["rcpt"]
		o.Bed.Site["data"] = "  warn condition = ${if match{$h_subject:}{fake}}\n    control = fakereject\n  accept\n"
	}).start()
	bob := o.session("bob", "192.0.2.1")
	o.sends(bob, "bob@local.test", "one behind an alias, two of a list", "alias@local.test", "list@local.test")
	o.bounced("dead", 3, "auth:bob")

	bob.Expect(250, "MAIL FROM:<bob@local.test> RET=HDRS")
	bob.Expect(250, "RCPT TO:<fine@far.test> NOTIFY=SUCCESS,FAILURE")
	want(t, "a message with a receipt", bob.Data(note("receipt")), 250)
	o.WaitLog(" <= <> R=")

	o.sends(bob, "bob@local.test", "nobody home yet", "later@far.test", "grey@far.test")
	o.eventually("it waits", func() string {
		if len(o.Grep(" == later@far.test")) == 0 {
			return "no"
		}
		return ""
	})
	o.eventually("a warning", func() string {
		o.runQueue()
		if !slices.ContainsFunc(o.Mailbox(), func(m eximtest.Message) bool { return strings.Contains(m.Field("Subject"), "delayed") }) {
			return "there is none"
		}
		return ""
	})

	rcpt, data := bob.Mail("bob@local.test", []string{"fine.fake@far.test"}, note("fake"))
	want(t, "RCPT", rcpt[0], 250)
	want(t, "fakereject", data, 550)
	o.Sink.WaitTo("fine.fake@far.test", 1)

	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	want(t, "cutthrough", bob.Cmd("RCPT TO:<cut.fine@far.test>"), 250)
	want(t, "cutthrough", bob.Data(note("at once")), 250)
	o.WaitLog(" >> cut.fine@far.test")
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	bob.Cmd("RCPT TO:<nosuch.cut@far.test>")
	bob.Expect(250, "RSET")

	before := len(o.Grep(" ** "))
	stranger := o.session("", "192.0.2.9")
	o.sends(stranger, "bob@local.test", "a stranger's, forwarded", "alias@local.test") // with bob's address
	_, _ = stranger.Mail("", []string{"alias@local.test"}, note("a bounce that bounces"))
	// A report of somebody else's host about bob's mail, which anybody could have written.
	_, data = stranger.Mail("", []string{"bob@local.test"}, "Subject: Undelivered\nContent-Type: multipart/report\nX-Failed-Recipients: nosuch@far.test\n\n ** nosuch@far.test: 550 5.1.1\n")
	want(t, "a report", data, 250)
	o.eventually("they fail", func() string {
		if n := len(o.Grep(" ** ")); n < before+2 {
			return fmt.Sprintf("%d of 2 did", n-before)
		}
		return ""
	})
	o.sends(bob, "", "his own null sender", dead(1, "null")...)
	o.sends(bob, "bob@local.test", "x ** nosuch@far.test: 550 5.1.1 no such user <= bob@local.test A=plain_server:bob", "fine.subject@far.test")
	o.Sink.WaitTo("fine.subject@far.test", 1)
	o.read()
	if n := o.counted("dead", "auth:bob"); n != 3 {
		t.Errorf("%d are counted for bob, want 3", n)
	}
	for _, limit := range []string{"full", "refused"} {
		if n := o.counted(limit, "auth:bob"); n != 0 {
			t.Errorf("%s: %d are counted for bob, want none", limit, n)
		}
	}
	if got, err := ask(o.Plan.Socket, "BOUNCELIST bob"); err != nil || got != "3:3" {
		t.Errorf("BOUNCELIST bob: %q %v, want 3:3", got, err)
	}
	bob.Close()
	stranger.Close()
	if t.Failed() {
		t.Log(strings.Join(o.Log("mainlog"), "\n"))
	}
}

// TestOutboundBouncelist: an ACL that asks BOUNCELIST gets the verdicts that it got from the
// helper that it was written for: more than sixty in the hour are deferred.
func TestOutboundBouncelist(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "bounce-slow"), func(o *outbound, _ *Options) {
		o.Bed.Site["rcpt"] = `  warn  authenticated = *
        set acl_m_came_back = ${readsocket{` + o.SocketPath("exipold.sock") + `}{BOUNCELIST $authenticated_id}{3s}{\n}{0:0}}
        set acl_m_hour = ${extract{1}{:}{$acl_m_came_back}}
  defer authenticated = *
        condition = ${if >{$acl_m_hour}{60}}
        message = 451 $acl_m_came_back came back
` + o.Bed.Site["rcpt"]
	})
	o.Main, o.ACL = strings.ReplaceAll(o.Main, o.Files["exipol.main"], ""), "" // nothing generated is in its configuration
	o.Configure()
	o.start()
	bob := o.session("bob", "192.0.2.1")
	o.sends(bob, "bob@local.test", "sixty", dead(60, "a")...)
	o.eventually("BOUNCELIST", func() string {
		if got, err := ask(o.Plan.Socket, "BOUNCELIST bob"); err != nil || got != "60:60" {
			return fmt.Sprintf("%q %v", got, err)
		}
		return ""
	})
	o.sends(bob, "bob@local.test", "one more", dead(1, "b")...)
	o.eventually("BOUNCELIST", func() string {
		if got, err := ask(o.Plan.Socket, "BOUNCELIST bob"); err != nil || got != "61:61" {
			return fmt.Sprintf("%q %v", got, err)
		}
		return ""
	})
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	if r := bob.Cmd("RCPT TO:<fine@far.test>"); r.Code != 451 || !strings.Contains(r.Text(), "61:61 came back") {
		t.Errorf("the next recipient: %s", r)
	}
	bob.Expect(250, "RSET")
	carol := o.session("carol", "192.0.2.1")
	o.sends(carol, "carol@local.test", "carol's", "fine@far.test")
	if got, err := ask(o.Plan.Socket, "BOUNCELIST carol"); err != nil || got != "0:0" {
		t.Errorf("BOUNCELIST carol: %q %v", got, err)
	}
	bob.Close()
	carol.Close()
}
