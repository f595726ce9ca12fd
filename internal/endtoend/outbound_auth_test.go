package endtoend

import (
	"fmt"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// fails tries a wrong password, and returns the code of the reply.
func (o *outbound) fails(client, id string) int {
	o.t.Helper()
	s := o.Dial(client)
	defer s.Close()
	s.Ehlo("client.test")
	return s.Auth(id, "wrong").Code
}

// TestOutboundAuthCrack: the ready-made policy against somebody who tries passwords, with its
// own numbers: one login counts once, the network is refused AUTH, with or without the right
// password, and its mail still comes in; no other network notices.
func TestOutboundAuthCrack(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "auth-crack")).start()
	const cracker = "192.0.2.1"
	for range 10 { // a phone with an old password
		if code := o.fails("192.0.2.200", "phone"); code != 535 {
			t.Fatalf("a wrong password: %d", code)
		}
	}
	running := o.Dial(cracker)
	running.Ehlo("client.test")
	for i := range 7 {
		if code := o.fails(cracker, fmt.Sprintf("user%d", i)); code != 535 {
			t.Fatalf("wrong password %d: %d", i, code)
		}
	}
	o.eventually("seven logins", func() string {
		if n := o.distinct("auth_crack", cracker); n != 7 {
			return fmt.Sprintf("%d are counted", n)
		}
		return ""
	})
	if n := o.distinct("auth_crack", "192.0.2.200"); n != 1 {
		t.Errorf("%d logins of a phone are counted, want 1", n)
	}
	o.session("bob", cracker).Close() // seven are not too many
	if code := o.fails(cracker, "user7"); code != 535 {
		t.Errorf("the eighth: %d", code)
	}
	o.eventually("logins are refused", func() string {
		s := o.Dial(cracker)
		defer s.Close()
		s.Ehlo("client.test")
		if r := s.Auth("bob", "secret"); r.Code/100 != 5 || !strings.Contains(r.Text(), "too many failed logins from your network") {
			return r.String()
		}
		want(t, "its mail", first(s.Mail("a@remote.test", []string{"alice@local.test"}, note("inbound"))), 250)
		return ""
	})
	if r := running.Auth("bob", "secret"); r.Code/100 != 5 {
		t.Errorf("AUTH in a session that runs: %s", r)
	}
	want(t, "its mail", first(running.Mail("a@remote.test", []string{"alice@local.test"}, note("inbound"))), 250)
	running.Close()
	o.WaitMail(2)
	for _, client := range []string{"192.0.3.1", "192.0.2.200", "192.0.2.2"} {
		s := o.session("bob", client)
		o.sends(s, "bob@local.test", "from "+client, "fine@far.test")
		s.Close()
	}
	c := o.oneCase()
	if c.Owner != "" || c.Counted != 8 || c.Until == 0 {
		t.Errorf("the case is %+v", c.Case)
	}
	// The key is a network's, which the file for exipold's absence cannot hold; a login must
	// still be possible then.
	o.daemon.kill()
	s := o.session("bob", "192.0.3.1")
	s.Close()
	o.CheckLogs()
}

// first is the reply to the first recipient.
func first(rcpt []eximtest.Reply, _ eximtest.Reply) eximtest.Reply { return rcpt[0] }

// TestOutboundAuthSpread: one login from many networks: the desk hears of it, and then the
// mail is held.
func TestOutboundAuthSpread(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "auth-spread", `["5/1h", "10/24h"]`, `["2/1h", "10/24h"]`, `"15/24h"`, `"4/24h"`)).start()
	from := func(net int, id string) {
		s := o.session(id, fmt.Sprintf("198.51.%d.7", net))
		defer s.Close()
		o.sends(s, "bob@local.test", fmt.Sprintf("from network %d", net), fmt.Sprintf("fine.%d@far.test", net))
		o.Sink.WaitTo(fmt.Sprintf("fine.%d@far.test", net), 1)
	}
	for range 3 { // the same networks again and again
		from(1, "bob")
		from(2, "bob")
	}
	for net := 1; net < 9; net++ { // many people, a network each
		from(10+net, fmt.Sprintf("user%d", net))
	}
	from(3, "bob")
	o.eventually("a case", func() string {
		if all := o.cases(); len(all) != 1 {
			return fmt.Sprintf("%d cases", len(all))
		}
		return ""
	})
	if c := o.oneCase(); c.Tier != "warn" || c.Owner != "auth:bob" || c.Counted != 3 || c.Blocks {
		t.Errorf("the case is %+v", c.Case)
	}
	o.notices(1)
	from(4, "bob")
	from(5, "bob")
	o.eventually("a block", func() string {
		if c := o.oneCase(); c.Tier != "block" || !c.Blocks {
			return fmt.Sprintf("%+v", c.Case)
		}
		return ""
	})
	s := o.session("bob", "198.51.1.7")
	o.held(s, "bob@local.test", "held", "Subject: held", "fine@far.test")
	s.Close()
	o.notices(2)
	s = o.session("user1", "198.51.1.7")
	o.flows(s, "user1@local.test", "others", "X-Held", "fine.others@far.test")
	s.Close()
	o.CheckLogs()
}

// TestOutboundRatio: the part of somebody's recipients that bounced, once there are enough of
// them to say anything; the desk hears of it, and mail flows.
func TestOutboundRatio(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "bounce-ratio", "floor   = 50", "floor   = 10")+`
limit "dead" {
  event = bounce
  key   = [owner]
  tier "never" {
    over   = "1000000/1h"
    notify = [notice.desk]
  }
}
`).start()
	fine := func(n int, word string) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("fine.%s.%d@far.test", word, i))
		}
		return all
	}
	bob, carol := o.session("bob", "192.0.2.1"), o.session("carol", "192.0.2.1")
	o.sends(bob, "bob@local.test", "half of few", append(fine(4, "bob"), dead(4, "bob")...)...)
	o.sends(carol, "carol@local.test", "few of many", append(fine(16, "carol"), dead(6, "carol")...)...)
	o.bounced("dead", 4, "auth:bob")
	o.bounced("dead", 6, "auth:carol")
	o.read()
	if all := o.cases(); len(all) != 0 {
		t.Fatalf("cases %+v, want none: bob has too few recipients, carol too many", all)
	}
	o.sends(bob, "bob@local.test", "now there are enough", append(fine(3, "more"), dead(1, "more")...)...)
	o.eventually("a case", func() string {
		if all := o.cases(); len(all) != 1 {
			return fmt.Sprintf("%d cases", len(all))
		}
		return ""
	})
	if c := o.oneCase(); c.Owner != "auth:bob" || c.Blocks || c.Rate != "30%/1d" {
		t.Errorf("the case is %+v", c.Case)
	}
	o.notices(1)
	o.flows(bob, "bob@local.test", "mail flows", "X-Held", "fine.after@far.test")
	bob.Close()
	carol.Close()
	o.CheckLogs()
}
