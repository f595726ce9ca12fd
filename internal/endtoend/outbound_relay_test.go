package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// TestOutboundRelay: the ready-made policy for hosts that relay without a login, with a
// smaller number: one host is blocked, and no other.
func TestOutboundRelay(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "stolen-relay", `"100/1h"`, `"2/1h"`), func(o *outbound, _ *Options) {
		o.RelayHosts = []string{"127.0.0.1", "127.0.0.9"}
	}).start()
	const tag = "X-Relayed-From: relay:127.0.0.9"
	s := o.session("", "127.0.0.9")
	o.invalid(s, "a@customer.test", "a", 2)
	s.Expect(250, "RSET")
	o.flows(s, "a@customer.test", "two are not too many", "X-Relayed-From", "fine@far.test")
	o.held(s, "b@customer.test", "three are", tag, "nosuch@far.test")
	o.held(s, "c@customer.test", "whoever the sender is", tag, "fine@far.test")
	s.Close()
	other := o.session("", "127.0.0.1")
	o.flows(other, "a@customer.test", "another host", "X-Relayed-From", "fine.other@far.test")
	other.Close()
	// A login at the same address is somebody else.
	bob := o.session("bob", "127.0.0.9")
	o.flows(bob, "bob@local.test", "a login", "X-Relayed-From", "fine.bob@far.test")
	bob.Close()
	if c := o.oneCase(); c.Owner != "relay:127.0.0.9" || c.Counted != 3 {
		t.Errorf("the case is %+v", c.Case)
	}
	o.daemon.kill()
	s = o.session("", "127.0.0.9")
	o.held(s, "d@customer.test", "nobody answers", tag, "fine@far.test")
	s.Close()
	o.CheckLogs()
}

// TestOutboundRelayID: a lookup of the site's says who a relay host is. Two addresses of one
// customer are one owner, what the lookup does not know is its address, and a lookup that
// fails breaks no mail.
func TestOutboundRelayID(t *testing.T) {
	t.Parallel()
	var table string
	o := newOutbound(t, ready(t, "stolen-relay", `"100/1h"`, `"2/1h"`), func(o *outbound, with *Options) {
		o.RelayHosts = []string{"127.0.0.1", "127.0.0.9"}
		table = o.WriteFile("etc/customers", "127.0.0.1: customer: 17 ${run{/bin/false}}\n127.0.0.9: customer: 17 ${run{/bin/false}}\n")
		with.Site += fmt.Sprintf("relay_id = \"$${lookup{$sender_host_address}lsearch{%s}}\"\n", table)
	}).start()
	const tag = "X-Relayed-From: relay:customer: 17 ${run{/bin/false}}"
	one, two := o.session("", "127.0.0.9"), o.session("", "127.0.0.1")
	o.invalid(one, "a@customer.test", "a", 1)
	one.Expect(250, "RSET")
	o.invalid(two, "a@customer.test", "b", 1)
	two.Expect(250, "RSET")
	o.held(one, "a@customer.test", "the third", tag, "nosuch@far.test")
	o.held(two, "b@customer.test", "the other address", tag, "fine@far.test")
	one.Close()
	two.Close()
	if c := o.oneCase(); c.Owner != "relay:customer: 17 ${run{/bin/false}}" || c.Counted != 3 {
		t.Errorf("the case is %+v", c.Case)
	}
	o.WriteFile("etc/customers", "")
	s := o.session("", "127.0.0.9")
	o.flows(s, "a@customer.test", "a host that the table does not know", "X-Relayed-From", "fine.unknown@far.test")
	s.Close()
	o.remove("etc/customers")
	s = o.session("", "127.0.0.9")
	o.flows(s, "a@customer.test", "no table", "X-Relayed-From", "fine.table@far.test")
	s.Close()
}

// TestOutboundLocal: what programs of the host send, with the ready-made policy and a smaller
// number: by way of exim -t, exim -bs, and with recipients as arguments; one message may hold
// several guesses. Exim has no callouts there, and a temporary failure is none.
func TestOutboundLocal(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "local-scripts", `"100/1h"`, `"4/1h"`), func(o *outbound, _ *Options) {
		o.Bed.Site["rcpt"] = "  accept hosts = :\n" + o.Bed.Site["rcpt"]
	})
	o.startHelper()
	const who = "www-data" // all that calls Exim here is Exim's own user: it says who it speaks for
	o.Arguments = []string{"-oMt", who}
	o.local(note("a program's"), "fine@far.test", "nosuch@far.test", "later@local.test", "alice@local.test")
	o.Sink.WaitTo("fine@far.test", 1)
	o.local("To: nosuch.a@local.test, fine@far.test\n"+note("two guesses"), "-t", "-odi")
	o.local(note("another"), "nosuch.b@local.test", "x@broken.test")
	s := o.BsSession("")
	s.Ehlo("localhost")
	o.flows(s, "a@local.test", "three are not too many", "X-", "fine.three@far.test")
	s.Expect(250, "MAIL FROM:<a@local.test>")
	want(t, "a guess in a session", s.Cmd("RCPT TO:<nosuch.c@local.test>"), 250)
	s.Expect(250, "RSET")
	if all := o.cases(); len(all) != 0 {
		t.Fatalf("four open a case: %+v", all)
	}
	o.local(note("the fifth"), "nosuch.d@local.test", "fine.held@far.test")
	o.local(note("the next"), "fine.held@far.test")
	rcpt, data := s.Mail("a@local.test", []string{"fine.held@far.test"}, note("in the session"))
	want(t, "blocked, in a session", rcpt[0], 250)
	want(t, "blocked, in a session", data, 250)
	s.Quit()
	o.eventually("three messages lie frozen", func() string {
		f, w := o.queue()
		if len(f) != 3 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	c := o.oneCase()
	if c.Owner != "user:"+who || c.Counted != 5 || c.Case.Held != 3 {
		t.Errorf("the case is %+v", c.Case)
	}
	if said := o.notices(1)[0]; !strings.Contains(said.Body+said.Header, who) {
		t.Errorf("the notice does not say %q:\n%s", who, said.Body)
	}
	o.caseCommand("remove", c.ID, "--reason", "a form was open", "--release")
	o.desk()
	o.eventually("the queue is empty", func() string {
		if f, w := o.queue(); len(f)+len(w) > 0 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	if n := len(o.Sink.To("fine.held@far.test")); n != 0 {
		t.Errorf("%d removed messages arrived", n)
	}
	o.eventually("mail flows", func() string {
		o.local(note("after it"), "fine.after@far.test")
		o.desk() // exipold hears of a release within two seconds
		if len(o.Sink.To("fine.after@far.test")) == 0 {
			return "it does not"
		}
		return ""
	})
	o.CheckLogs()
}

// TestOutboundSubmission: Exim's submission mode where the site asks for it, and only there.
func TestOutboundSubmission(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		block, sender, field string
		mended               bool // Exim adds what is missing in a new message
	}{
		"nobody asked":      {"", "forged@local.test", "", false},
		"the sender stays":  {"submission {\n domain = \"people.test\"\n}", "forged@local.test", "", true},
		"the sender is his": {"submission {\n domain = \"people.test\"\n retain = false\n}", "bob@people.test", "bob@people.test", true},
		"for others":        {"submission {\n traffic = [\"relay\"]\n}", "forged@local.test", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOutbound(t, soon("submission", "auth", 2), func(_ *outbound, with *Options) { with.Site += c.block + "\n" }).start()
			s := o.session("bob", "192.0.2.1")
			_, data := s.Mail("forged@local.test", []string{"fine@far.test"}, "From: forged@local.test\nSubject: x\n\nx\n")
			want(t, "DATA", data, 250)
			m := o.Sink.WaitTo("fine@far.test", 1)[0]
			if m.Sender != c.sender || m.Field("Sender") != c.field {
				t.Errorf("sent by %q with Sender: %q, want %q and %q", m.Sender, m.Field("Sender"), c.sender, c.field)
			}
			if (m.Field("Date") != "") != c.mended {
				t.Errorf("Date: %q", m.Field("Date"))
			}
			stranger(t, o)
			s.Close()
			o.CheckLogs()
		})
	}
}

// stranger sends inbound mail, which nothing here changes.
func stranger(t *testing.T, o *outbound) {
	t.Helper()
	s := o.session("", "192.0.2.9")
	_, data := s.Mail("a@remote.test", []string{"alice@local.test"}, "From: b@remote.test\nSubject: inbound\n\nx\n")
	want(t, "inbound", data, 250)
	var mail eximtest.Message
	for _, m := range o.WaitMail(1) {
		if m.Field("Subject") == "inbound" {
			mail = m
		}
	}
	if mail.Sender != "a@remote.test" || mail.Field("Sender") != "" {
		t.Errorf("inbound mail of %q with Sender: %q", mail.Sender, mail.Field("Sender"))
	}
	s.Close()
}
