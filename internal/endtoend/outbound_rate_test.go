package endtoend

import (
	"fmt"
	"strings"
	"testing"
)

// TestOutboundRateUser: the ready-made limit on what a user sends, with smaller numbers: a word to
// the desk, a deferral that counts what it refused, and at the end mail that is held. A user of
// bulk mail has other numbers.
func TestOutboundRateUser(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "rate-user", `"500/24h"`, `"2/24h"`, `["200/1h", "1000/24h"]`, `["4/1h", "1000/24h"]`, `"5000/24h"`, `"7/24h"`)).start()
	bob := o.session("bob", "192.0.2.1")
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	for i := range 4 {
		want(t, fmt.Sprintf("recipient %d", i+1), bob.Cmd(fmt.Sprintf("RCPT TO:<fine%d@far.test>", i)), 250)
	}
	for i := range 3 {
		r := bob.Cmd(fmt.Sprintf("RCPT TO:<fine%d@far.test>", 4+i))
		want(t, fmt.Sprintf("recipient %d", i+5), r, 451)
		if !strings.Contains(r.Text(), "you are sending too fast") {
			t.Errorf("the client reads %q", r)
		}
	}
	if c := o.oneCase(); c.Tier != "warn" || c.Blocks || c.Counted != 3 {
		t.Errorf("after seven, the case is %+v", c.Case)
	}
	// What was refused has counted: the eighth is held rather than deferred.
	want(t, "recipient 8", bob.Cmd("RCPT TO:<fine8@far.test>"), 250)
	want(t, "DATA", bob.Data(note("held")), 250)
	if c := o.oneCase(); c.Tier != "stop" || !c.Blocks || c.Owner != "auth:bob" {
		t.Errorf("after eight, the case is %+v", c.Case)
	}
	o.eventually("the queue", func() string {
		if frozen, _ := o.queue(); len(frozen) != 1 {
			return fmt.Sprintf("%d messages are frozen, want 1", len(frozen))
		}
		return ""
	})
	o.notices(2) // one for each tier that has one
	if held := o.oneCase().Held; len(held) != 1 || held[0].Size == 0 {
		t.Errorf("the case holds %+v", held)
	}

	bulk := o.session("newsletter@example.com", "192.0.2.1")
	bulk.Expect(250, "MAIL FROM:<newsletter@local.test>")
	for i := range 20 {
		want(t, fmt.Sprintf("bulk recipient %d", i+1), bulk.Cmd(fmt.Sprintf("RCPT TO:<fine%d@far.test>", i)), 250)
	}
	o.CheckLogs()
}

// TestOutboundListOwner: the owner of a mailing list is told of the dead addresses on it, and not
// held; who owns none is.
func TestOutboundListOwner(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "list-owner-hygiene", `["newsletter@example.com"]`, `["news@far.test"]`, `"300/24h"`, `"2/24h"`)+
		ready(t, "bounce-hold", "  # With list-owner-hygiene.hcl beside this file: except = [list.list_owners]", "  except = [list.list_owners]", `"100/1h"`, `"2/1h"`)).start()
	owner := o.session("news@far.test", "192.0.2.1")
	o.sends(owner, "news@local.test", "the list", append(dead(4, "list"), "fine@far.test")...)
	bob := o.session("bob", "192.0.2.1")
	o.sends(bob, "bob@local.test", "no list", dead(4, "bob")...)
	o.eventually("the cases", func() string {
		if all := o.cases(); len(all) != 2 {
			return fmt.Sprintf("%d cases, want 2", len(all))
		}
		return ""
	})
	for _, c := range o.cases() {
		if c.Blocks != (c.Owner == "auth:bob") || c.Blocks != (c.Policy == "limit.bounce_hold") {
			t.Errorf("the case %+v", c)
		}
	}
	o.desk()
	told := o.Sink.WaitTo("news@far.test", 1)
	if !strings.Contains(told[0].Body, "nosuch.list.") {
		t.Errorf("the owner is not told which addresses are dead:\n%s", told[0].Body)
	}
	o.sends(owner, "news@local.test", "the list again", "fine.two@far.test")
	o.deliver("fine.two@far.test", 1)
	o.sends(bob, "bob@local.test", "held", "fine.three@far.test")
	o.desk()
	o.runQueue()
	if got := o.Sink.To("fine.three@far.test"); len(got) != 0 {
		t.Error("bob's mail was delivered")
	}
	o.CheckLogs()
}
