package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// TestOutboundGateways: two gateways that share a store. What they count adds up, one case
// is opened, one notice sent, the block is in force on both, and so is the release.
func TestOutboundGateways(t *testing.T) {
	testOutboundGateways(t, plan.Store{})
}

func testOutboundGateways(t *testing.T, shared plan.Store) {
	t.Parallel()
	a := newOutbound(t, soon("submission", "auth", 10), func(_ *outbound, with *Options) { with.Store = shared }).start()
	b := newOutbound(t, soon("submission", "auth", 10), func(o *outbound, with *Options) {
		o.gateway, o.Sink, with.Store = "two", a.Sink, a.store
	}).start()
	const tag = "X-Held-For: bob"
	atA, atB := a.session("bob", "192.0.2.1"), b.session("bob", "192.0.2.1")
	a.invalid(atA, "bob@local.test", "a", 5)
	b.invalid(atB, "bob@local.test", "b", 5)
	atA.Expect(250, "RSET")
	atB.Expect(250, "RSET")
	a.flows(atA, "bob@local.test", "ten are not too many", tag, "fine.ten@far.test")
	b.held(atB, "bob@local.test", "eleven are", tag, "nosuch@far.test", "fine.eleven@far.test")
	a.eventually("the block is in force at the other gateway", func() string { // within two seconds
		rcpt, data := atA.Mail("bob@local.test", []string{"fine.a@far.test"}, note("at the other gateway"))
		want(t, "at the other gateway", rcpt[0], 250)
		want(t, "at the other gateway", data, 250)
		if frozen, _ := a.queue(); len(frozen) == 0 {
			return "mail still flows"
		}
		return ""
	})
	c := a.oneCase()
	if c.Counted != 11 || c.Gateway != "two" {
		t.Errorf("the case is %+v", c.Case)
	}
	a.desk()
	b.desk()
	a.notices(1)
	b.notices(1)
	if all := gateways(a.oneCase().Held); all != "one two" {
		t.Errorf("messages are held on the gateways %q, want one and two", all)
	}
	said := a.caseCommand("release", c.ID, "--reason", "a test")
	if !strings.Contains(said, "two") {
		t.Errorf("the release does not say that the other gateway holds some:\n%s", said)
	}
	a.desk()
	a.eventually("released at the other gateway", func() string {
		rcpt, data := atB.Mail("bob@local.test", []string{"fine.b@far.test"}, note("released"))
		want(t, "released", rcpt[0], 250)
		want(t, "released", data, 250)
		if len(a.Sink.To("fine.b@far.test")) == 0 {
			return "nothing came"
		}
		return ""
	})
	a.Sink.WaitTo("fine.a@far.test", 1)
	if n := len(a.Sink.To("fine.eleven@far.test")); n != 0 {
		t.Errorf("%d messages of the other gateway came before its own desk was at work", n)
	}
	b.desk()
	a.Sink.WaitTo("fine.eleven@far.test", 1)
	for _, o := range []*outbound{a, b} {
		o.eventually("the queue is empty", func() string {
			if f, w := o.queue(); len(f)+len(w) > 0 {
				return fmt.Sprintf("frozen %v, waiting %v", f, w)
			}
			return ""
		})
		o.CheckLogs()
	}
	atA.Close()
	atB.Close()
}

// gateways are the names of those that hold something, each once.
func gateways(held []store.Held) string {
	names := map[string]bool{}
	for _, h := range held {
		names[h.Gateway] = true
	}
	out := ""
	for _, name := range []string{"one", "two"} {
		if names[name] {
			out += " " + name
		}
	}
	return strings.TrimSpace(out)
}

const rejected = `
limit "rejected" {
  event = rejected_recipient
  key   = [owner]
  tier "hold" {
    over   = "2/1h"
    notify = [notice.desk]
    block {
      add_header = { "X-Held-For" = "${owner}" }
      freeze {
      }
    }
  }
}
` + deskNotice

// TestOutboundRejected: recipients that the site itself refuses an owner are read from the
// log. What is put off does not count, nor what is refused to a stranger.
func TestOutboundRejected(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, rejected, func(o *outbound, _ *Options) {
		o.RelayHosts = []string{"127.0.0.9"}
		o.Bed.Site["rcpt"] = "  deny local_parts = ^refuse\n  defer local_parts = ^postpone\n" + o.Bed.Site["rcpt"]
	}).start()
	tries := func(id, client string, code int, to ...string) {
		s := o.session(id, client)
		defer s.Close()
		s.Expect(250, "MAIL FROM:<bob@local.test>")
		for _, r := range to {
			want(t, r, s.Cmd("RCPT TO:<"+r+">"), code)
		}
	}
	tries("", "192.0.2.9", 550, "refuse.a@far.test", "refuse.b@far.test", "refuse.c@far.test", "nosuch@local.test")
	tries("bob", "192.0.2.1", 451, "postpone.a@far.test", "postpone.b@far.test", "postpone.c@far.test")
	tries("bob", "192.0.2.1", 550, "refuse.a@far.test", "refuse.b@far.test")
	tries("", "127.0.0.9", 550, "refuse.a@far.test", "refuse.b@far.test", "refuse.c@far.test")
	o.bounced("rejected", 2, "auth:bob")
	o.bounced("rejected", 3, "relay:127.0.0.9")
	if c := o.oneCase(); c.Owner != "relay:127.0.0.9" {
		t.Errorf("the case is %+v", c.Case)
	}
	tries("bob", "192.0.2.1", 550, "refuse.a@far.test") // the same again is another one
	o.bounced("rejected", 3, "auth:bob")
	s := o.session("bob", "192.0.2.1")
	o.held(s, "bob@local.test", "held", "X-Held-For: auth:bob", "fine@far.test")
	s.Close()
	o.CheckLogs()
}
