package engine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// happens counts a happening, and keeps what that asks for.
func (w *world) happens(hp engine.Happening) engine.Outcome {
	w.t.Helper()
	out, err := w.e.Count(hp, w.now, w.mem, w.live)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mem.apply(w.t, w.now, out.Writes)
	if engine.Opens(out.Writes) {
		w.refresh()
	}
	return out
}

// bounced is a failed delivery of a user's; n tells it from others.
func bounced(id string, n int, at time.Time) engine.Happening {
	return engine.Happening{
		Event: plan.Bounce, Class: "no_such_user", Traffic: plan.Submission, At: at, Gateway: "gw1", Message: "1aaaaa-000000-00", Item: fmt.Sprint(n),
		Client: netip.MustParseAddr("192.0.2.1"), Sender: "alice@example.org", Recipient: fmt.Sprintf("u%d@example.com", n), Auth: id, Line: fmt.Sprint("line ", n),
	}
}

// bouncy is a limit of bounces, for owners.
func bouncy(tiers []plan.Tier, change ...func(*plan.Limit)) plan.Limit {
	l := limit("bouncy", plan.Bounce, tiers, func(l *plan.Limit) {
		l.Traffic, l.Key = "", []plan.Part{{Field: "owner"}}
		l.Classes = []string{"no_such_user", "no_such_domain"}
	})
	for _, c := range change {
		c(&l)
	}
	return l
}

// TestBounces: they count once, by their own time and class, and slow down the next RCPT.
func TestBounces(t *testing.T) {
	slow := tier("slow", plan.Defer, "2/1h", "4/24h")
	w := newWorld(t, makePlan(bouncy(only(slow))))
	look := func() wire.Question { return rcpt("bob", false) }
	for n := range 3 {
		w.blocked(look(), accept, "")
		w.happens(bounced("bob", n, w.now))
	}
	w.blocked(look(), plan.Defer, "limit.bouncy/slow")
	if d := w.blocked(look(), plan.Defer, "limit.bouncy/slow"); len(d.Writes) != 0 {
		t.Errorf("a look writes: %+v", d.Writes)
	}
	w.blocked(rcpt("eve", false), accept, "")
	w.wait(time.Hour + 2*time.Minute)
	w.blocked(look(), accept, "")
	for range 3 { // known
		if out := w.happens(bounced("bob", 1, w.now)); !out.Known || len(out.Writes) != 0 {
			t.Errorf("counted again: %+v", out)
		}
	}
	w.blocked(look(), accept, "")
	full := bounced("bob", 10, w.now)
	full.Class = "full"
	inbound := bounced("bob", 11, w.now)
	inbound.Traffic = plan.Inbound
	old := bounced("bob", 12, w.now.Add(-24*time.Hour-time.Millisecond))
	for _, hp := range []engine.Happening{full, inbound, old} {
		w.happens(hp)
	}
	w.blocked(look(), accept, "")
	if n, _ := w.mem.Bounces("auth:bob", 0); n != 4 { // the full mailbox is one, for those who ask how many there were
		t.Errorf("%d bounces are known", n)
	}
	w.happens(bounced("bob", 13, w.now.Add(-3*time.Hour))) // late, but not too late for the day
	w.blocked(look(), accept, "")
	w.happens(bounced("bob", 14, w.now.Add(-2*time.Hour)))
	w.blocked(look(), plan.Defer, "limit.bouncy/slow")
}

// TestLateBounces: what is read late is judged as of when it happened.
func TestLateBounces(t *testing.T) {
	hold := blocking(tier("hold", accept, "2/1h"), func(b *plan.Block) { b.Traffics = []string{plan.Submission, plan.Relay, plan.Local} })
	warn := tier("warn", accept, "100/24h")
	warn.Notify = []string{"notice.desk"}
	w := newWorld(t, makePlan(bouncy([]plan.Tier{warn, hold})))
	w.wait(20 * time.Hour)
	for n, age := range []time.Duration{15 * time.Hour, 14 * time.Hour, 13 * time.Hour, 12 * time.Hour} {
		w.happens(bounced("slow", n, w.now.Add(-age)))
	}
	if len(w.mem.cases) != 0 {
		t.Fatal("one an hour is not too much")
	}
	w.happens(bounced("bob", 20, w.now.Add(-10*time.Hour)))
	w.happens(bounced("bob", 21, w.now.Add(-10*time.Hour+20*time.Minute)))
	w.happens(bounced("bob", 22, w.now.Add(-10*time.Hour+10*time.Minute))) // out of order
	if len(w.mem.cases) != 1 || w.mem.cases[0].first.At != w.now.Add(-10*time.Hour+10*time.Minute).UnixMilli() {
		t.Fatalf("%+v", w.mem.cases)
	}
	w.blocked(rcpt("bob", false), plan.Freeze, "limit.bouncy/hold/block")
	if e := w.mem.cases[0].evidence; len(e) != 3 || !strings.HasPrefix(e[0].Line, "line 2") {
		t.Errorf("%+v", e)
	}
	// What happened before the release is the desk's already; what happened after it counts.
	w.mem.release("limit.bouncy", "auth:bob", w.now.UnixMilli(), 0)
	w.refresh()
	for n := range 9 {
		w.happens(bounced("bob", 30+n, w.now.Add(-time.Duration(n+1)*time.Minute)))
	}
	w.wait(time.Second)
	w.happens(bounced("bob", 40, w.now))
	w.happens(bounced("bob", 41, w.now))
	w.blocked(rcpt("bob", false), accept, "")
	w.happens(bounced("bob", 42, w.now))
	w.blocked(rcpt("bob", false), plan.Freeze, "limit.bouncy/hold/block")
	// A clock that is ahead: it cannot have happened yet.
	for n := range 3 {
		w.happens(bounced("eve", 50+n, w.now.Add(time.Hour)))
	}
	w.blocked(rcpt("eve", false), plan.Freeze, "limit.bouncy/hold/block")
}

// TestShare: a part of what was accepted, beyond a floor, judged when a bounce comes.
func TestShare(t *testing.T) {
	warn := tier("warn", accept, "30%/24h")
	warn.Notify = []string{"notice.desk"}
	w := newWorld(t, makePlan(bouncy(only(warn), func(l *plan.Limit) { l.Share = &plan.Share{Event: plan.Recipient, Floor: 10} })))
	accepted := user("bob", plan.Recipient)
	for n := range 9 {
		w.blocked(accepted, accept, "")
		w.happens(bounced("bob", n, w.now)) // all of them
	}
	if len(w.mem.cases) != 0 {
		t.Fatal("below the floor")
	}
	for range 21 {
		w.blocked(accepted, accept, "")
	}
	if len(w.mem.cases) != 0 {
		t.Fatal("accepted recipients open a case")
	}
	for n := range 2 {
		if len(w.mem.cases) != n {
			t.Fatalf("%d cases before bounce %d of 30", len(w.mem.cases), 10+n)
		}
		w.wait(time.Minute)
		w.happens(bounced("bob", 20+n, w.now)) // 9 of 30 are 30%; 10 are more
		if n == 0 && len(w.mem.cases) != 1 {
			t.Fatalf("10 of 30: %d cases", len(w.mem.cases))
		}
	}
	if c := w.mem.cases[0].first; c.Rate != "30%/1d" || c.Counted != 34 {
		t.Errorf("%+v", c)
	}
	// Exactly the share is not over it.
	w = newWorld(t, makePlan(bouncy(only(warn), func(l *plan.Limit) { l.Share = &plan.Share{Event: plan.Recipient, Floor: 10} })))
	for range 30 {
		w.blocked(accepted, accept, "")
	}
	for n := range 9 {
		w.happens(bounced("bob", n, w.now))
	}
	if len(w.mem.cases) != 0 {
		t.Error("9 of 30 are over 30%")
	}
	// What others refuse was not sent.
	w = newWorld(t, makePlan(bouncy(only(warn), func(l *plan.Limit) { l.Share = &plan.Share{Event: plan.Recipient, Floor: 10} }),
		limit("other", plan.Recipient, only(tier("t", plan.Deny, "5/1h")), func(l *plan.Limit) { l.Traffic = plan.Submission })))
	for range 30 {
		w.ask(accepted)
	}
	if n := w.mem.counter[counterKey{"limit.bouncy.of", "auth:bob", 24 * time.Hour}]; n[slotOf(w.now, 24*time.Hour)] != 5 {
		t.Errorf("counted %v", n)
	}
}

// TestShareOfRelays: the log knows a relay host's address only, so what it was let send is compared by
// address, too, where a question knows its id; what was before a release is not.
func TestShareOfRelays(t *testing.T) {
	warn := tier("warn", accept, "30%/24h")
	warn.Notify = []string{"notice.desk"}
	w := newWorld(t, makePlan(bouncy(only(warn), func(l *plan.Limit) { l.Share = &plan.Share{Event: plan.Recipient, Floor: 10} })))
	accepted := user("", plan.Recipient)
	accepted.Traffic, accepted.Relay = plan.Relay, "customer-7"
	n := 0
	bounce := func() {
		n++
		hp := bounced("", n, w.now)
		hp.Traffic = plan.Relay
		w.happens(hp)
	}
	for release := range 2 {
		for range 10 {
			w.blocked(accepted, accept, "")
		}
		for range 3 {
			bounce()
		}
		if len(w.mem.cases) != release {
			t.Fatalf("3 of 10: %d cases", len(w.mem.cases))
		}
		bounce()
		if len(w.mem.cases) != release+1 || w.mem.cases[release].first.Owner != "relay:192.0.2.1" || w.mem.cases[release].first.Counted != 40 {
			t.Fatalf("4 of 10: %+v", w.mem.cases)
		}
		w.wait(time.Minute)
		w.mem.release("limit.bouncy", "relay:192.0.2.1", w.now.UnixMilli(), 0)
		w.refresh()
	}
}

// TestLogins: distinct values of what only the log knows.
func TestLogins(t *testing.T) {
	block := blocking(tier("block", accept, "2/5m"), func(b *plan.Block) {
		b.At, b.Until, b.Verdict, b.Traffics = plan.Auth, dur("1h"), plan.Deny, []string{plan.Inbound, plan.Relay}
	})
	crack := limit("crack", plan.AuthFailure, only(block), func(l *plan.Limit) {
		l.Key, l.Distinct = []plan.Part{clientNet}, &plan.Part{Field: "login"}
	})
	w := newWorld(t, makePlan(crack))
	n := 0
	failed := func(login string) {
		n++
		w.happens(engine.Happening{Event: plan.AuthFailure, Traffic: plan.Inbound, At: w.now, Item: fmt.Sprint(n), Client: netip.MustParseAddr("192.0.2.7"), Login: login})
		w.wait(time.Second)
	}
	for range 20 {
		failed("bob")
		failed("") // nobody knows whose
	}
	failed("eve")
	if len(w.mem.cases) != 0 {
		t.Fatalf("two logins: %+v", w.mem.cases)
	}
	failed("mallory")
	if len(w.mem.cases) != 1 || w.mem.cases[0].first.Counted != 3 || w.mem.cases[0].first.Owner != "" {
		t.Fatalf("%+v", w.mem.cases)
	}
	spread := limit("spread", plan.Login, only(blocking(tier("t", accept, "1/1h"))), func(l *plan.Limit) {
		l.Traffic, l.Key, l.Distinct = plan.Submission, []plan.Part{{Field: "auth"}}, &clientNet
	})
	w = newWorld(t, makePlan(spread))
	for i, ip := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.1"} {
		w.happens(engine.Happening{Event: plan.Login, Traffic: plan.Submission, At: w.now, Item: fmt.Sprint(i), Client: netip.MustParseAddr(ip), Auth: "bob", Login: "bob"})
	}
	if len(w.mem.cases) != 1 {
		t.Errorf("two networks: %+v", w.mem.cases)
	}
}

// TestExemptHappenings: as a question's.
func TestExemptHappenings(t *testing.T) {
	lists := []any{
		plan.List{Name: "owners", Entries: []plan.Entry{{Field: "auth", Pattern: "lists"}}},
		plan.List{Name: "system", Entries: []plan.Entry{{Field: "user", Pattern: "root"}}},
	}
	warn := tier("warn", accept, "0/1h")
	warn.Notify = []string{"owner"}
	w := newWorld(t, makePlan(append(lists,
		bouncy(only(warn), func(l *plan.Limit) { l.Except = []plan.Ref{{List: "owners"}, {List: "system"}} }),
		bouncy(only(warn), func(l *plan.Limit) { l.Name, l.Only = "hygiene", []plan.Ref{{List: "owners"}} }),
	)...))
	root := bounced("", 1, w.now)
	root.Traffic, root.User = plan.Local, "root"
	www := root
	www.User, www.Item = "www", "2"
	for _, hp := range []engine.Happening{bounced("lists", 3, w.now), root, www, bounced("bob", 4, w.now)} {
		w.happens(hp)
	}
	var got []string
	for _, c := range w.mem.cases {
		got = append(got, c.first.Policy+" "+c.first.Owner)
	}
	if fmt.Sprint(got) != "[limit.hygiene auth:lists limit.bouncy user:www limit.bouncy auth:bob]" {
		t.Error(got)
	}
}

// TestDelivery: Exim's own event counts like the log's, and both together once.
func TestDelivery(t *testing.T) {
	w := newWorld(t, makePlan(bouncy(only(tier("slow", plan.Defer, "1/1h")))))
	w.live.Gateway = "gw1"
	w.live.Failure = func(q wire.Question) (class, item string) { return q.Text, q.Recipient }
	fail := func(to, text string) {
		q := user("bob", plan.Bounce)
		q.Stage, q.Half, q.Message, q.Recipient, q.Text = plan.Delivery, plan.After, "1aaaaa-000000-00", to, text
		w.blocked(q, accept, "")
	}
	fail("a@x", "no_such_user")
	fail("a@x", "no_such_user")
	fail("b@x", "full")
	same := bounced("bob", 0, w.now)
	same.Item = "a@x"
	w.happens(same)
	w.blocked(rcpt("bob", false), accept, "")
	fail("c@x", "no_such_user")
	w.blocked(rcpt("bob", false), plan.Defer, "limit.bouncy/slow")
}

// TestMixedEvents: what a limit counts of the log and of questions adds up; its tiers act at its own questions only.
func TestMixedEvents(t *testing.T) {
	slow := tier("slow", plan.Defer, "2/1h")
	w := newWorld(t, makePlan(limit("any", plan.UnknownRecipient, only(slow), func(l *plan.Limit) {
		l.Events = []plan.WeightedEvent{{Event: plan.AuthFailure, Weight: 2}, {Event: plan.UnknownRecipient, Weight: 1}}
	})))
	w.blocked(says(plan.UnknownRecipient), accept, "")
	w.happens(engine.Happening{Event: plan.AuthFailure, Traffic: plan.Inbound, At: w.now, Item: "1", Client: netip.MustParseAddr("192.0.2.1")})
	w.blocked(says(plan.UnknownRecipient), plan.Defer, "limit.any/slow")
	q := says(plan.UnknownRecipient)
	q.Events = []string{plan.Blocked}
	w.blocked(q, accept, "")
}

// TestWholeMessagesOpenCases: recipients that count when their message is in count one after the other.
func TestWholeMessagesOpenCases(t *testing.T) {
	warn := tier("warn", accept, "2/1h")
	warn.Notify = []string{"notice.desk"}
	w := newWorld(t, makePlan(codes, grey(urgent), limit("rate", plan.Recipient, only(warn))))
	for _, r := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"} {
		w.blocked(says(plan.Recipient, to(r)), accept, "")
	}
	message := says(plan.WholeMessage, to("a@example.com"), and("b@example.com", "c@example.com", "d@example.com"))
	w.want(message, later, ref)
	if len(w.mem.cases) != 0 || len(w.mem.counter) != 0 {
		t.Fatalf("counted before it was let in: %+v", w.mem.cases)
	}
	w.wait(6 * time.Minute)
	w.want(message, accept, "")
	if len(w.mem.opens) != 1 {
		t.Fatalf("%+v", w.mem.opens)
	}
	if n := w.mem.cases[0].first.Counted; n != 3 {
		t.Errorf("opened with %d", n)
	}
}
