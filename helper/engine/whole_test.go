package engine_test

import (
	"slices"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

func and(others ...string) func(*wire.Question) {
	return func(q *wire.Question) { q.Others = others }
}

const carol, dave = "carol@example.com", "dave@example.com"

// TestWholeMessage: one recipient that is known, or has waited, takes the others with
// it; and then all of them are known.
func TestWholeMessage(t *testing.T) {
	for name, early := range map[string]bool{"retried in time": false, "passed before": true} {
		w := newWorld(t, makePlan(codes, grey(urgent)))
		w.want(says(plan.WholeMessage), later, ref)
		w.wait(5 * time.Minute)
		if early {
			w.want(says(plan.WholeMessage), accept, "")
		}
		if d := w.want(says(plan.WholeMessage, to(carol), and("bob@example.com", dave)), accept, ""); len(d.Writes) != map[bool]int{true: 2, false: 3}[early] {
			t.Errorf("%s: writes %+v", name, d.Writes)
		}
		for _, r := range []string{"bob@example.com", carol, dave} {
			w.want(says(plan.WholeMessage, to(r)), accept, "")
		}
		w.want(says(plan.WholeMessage, to("erin@example.com")), later, ref)
	}
}

// TestWholeMessageDeferred: a row for each recipient, the reasons in each; who is
// added to a message waits from then on.
func TestWholeMessageDeferred(t *testing.T) {
	w := newWorld(t, makePlan(codes, grey(urgent, giveUp("4h"))))
	d := w.want(says(plan.WholeMessage, and(carol)), later, ref)
	if len(d.Writes) != 4 { // two keys, two pairs
		t.Errorf("writes %+v", d.Writes)
	}
	for _, row := range w.mem.seen {
		if row.Why != "" && row.Why != "first_contact" {
			t.Errorf("a row says %q", row.Why)
		}
	}
	w.wait(4 * time.Minute)
	if d := w.want(says(plan.WholeMessage, and(carol, dave)), later, ref); len(d.Writes) != 2 {
		t.Errorf("writes %+v", d.Writes)
	}
	w.wait(time.Minute)
	w.want(says(plan.WholeMessage, to(dave)), later, ref)
	w.want(says(plan.WholeMessage, to(dave), and(carol)), accept, "")
}

func TestWholeMessageGivesUp(t *testing.T) {
	w := newWorld(t, makePlan(codes, grey(urgent, giveUp("1h"))))
	w.want(says(plan.WholeMessage), later, ref)
	w.wait(time.Hour)
	w.want(says(plan.WholeMessage, from("203.0.113.1"), to(dave)), later, ref)
	w.want(says(plan.WholeMessage, from("203.0.113.1"), to(carol), and("bob@example.com")), accept, "")
	w.want(says(plan.WholeMessage, from("203.0.113.1"), to(carol)), accept, "") // it is known now
}

// TestWholeMessageExempt: who is exempt does not take the others with him.
func TestWholeMessageExempt(t *testing.T) {
	vip := plan.List{Name: "vip", Entries: []plan.Entry{{Field: "recipient", Pattern: "bob@example.com"}}}
	w := newWorld(t, makePlan(codes, vip, grey(urgent, func(g *plan.Grey) { g.Except = []plan.Ref{{List: "vip"}} })))
	w.want(says(plan.WholeMessage), accept, "")
	w.want(says(plan.WholeMessage, to("postmaster@example.com"), and("abuse@example.com")), accept, "")
	w.want(says(plan.WholeMessage, and(carol)), later, ref)
	w.want(says(plan.WholeMessage, to("postmaster@example.com"), and("bob@example.com")), later, ref)
}

// TestWholeMessageNullSender: a null sender is part of the key like any other.
func TestWholeMessageNullSender(t *testing.T) {
	w := newWorld(t, makePlan(codes, grey(urgent)))
	w.want(says(plan.WholeMessage, sender("")), later, ref)
	w.wait(5 * time.Minute)
	w.want(says(plan.WholeMessage, sender("")), accept, "")
	w.want(says(plan.WholeMessage), later, ref)
}

// TestTrustOfRecipients: trust in a recipient says nothing of a message with several.
func TestTrustOfRecipients(t *testing.T) {
	w := newWorld(t, makePlan(codes, grey(urgent, trust, func(g *plan.Grey) {
		g.Trust.After, g.Trust.Key = 1, []plan.Part{{Field: "recipient"}}
	})))
	w.want(says(plan.WholeMessage), later, ref)
	w.wait(5 * time.Minute)
	w.want(says(plan.WholeMessage), accept, "")
	w.want(says(plan.WholeMessage, sender("x@example.net")), accept, "")
	w.want(says(plan.WholeMessage, sender("x@example.net"), and(carol)), later, ref)
}

// TestWhenRecipientsAreCounted: where a greylist may defer the message later, with the
// message; once, whatever greylists there are.
func TestWhenRecipientsAreCounted(t *testing.T) {
	l := limit("l", plan.Recipient, only(tier("t", accept, "1000/1h")), func(l *plan.Limit) { l.Key = []plan.Part{{Field: "recipient"}} })
	observe := func(g *plan.Grey) { g.Mode = plan.Observe }
	both := []func(*plan.Grey){urgent, func(g *plan.Grey) { g.Name = "whole" }}
	for name, c := range map[string]struct {
		plan            *plan.Plan
		sender          string
		rcpt, nul, data int64 // how many are counted by then, of two
	}{
		"no greylist":                {makePlan(l), "a@b.test", 2, 2, 2},
		"by recipient":               {makePlan(l, grey()), "a@b.test", 2, 2, 2},
		"by recipient, null sender":  {makePlan(l, grey()), "", 0, 2, 2},
		"whole":                      {makePlan(codes, l, grey(urgent)), "a@b.test", 0, 0, 2},
		"whole, null sender":         {makePlan(codes, l, grey(urgent)), "", 0, 0, 2},
		"observing":                  {makePlan(codes, l, grey(urgent, observe)), "a@b.test", 2, 2, 2},
		"both, null sender":          {makePlan(codes, l, grey(), grey(both...)), "", 0, 0, 2},
		"both":                       {makePlan(codes, l, grey(), grey(both...)), "a@b.test", 0, 0, 2},
		"observing, and one by rcpt": {makePlan(codes, l, grey(), grey(append(both, observe)...)), "", 0, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.plan)
			total := func() (n int64) {
				for k := range w.mem.counter {
					n += w.mem.sum(k)
				}
				return n
			}
			message := func() (rcpt, nul, data int64) {
				s := sender(c.sender)
				w.ask(says(plan.Recipient, s))
				w.ask(says(plan.Recipient, s, to(carol)))
				rcpt = total()
				if c.sender == "" {
					if w.ask(says(plan.NullSender, and(carol))).Answer.Verdict == later {
						return rcpt, total(), total()
					}
				}
				nul = total()
				w.ask(says(plan.WholeMessage, s, and(carol)))
				return rcpt, nul, total()
			}
			for range 2 { // deferred, by one greylist and then by another
				message()
				w.wait(5 * time.Minute)
			}
			w.mem.counter = newMemory().counter
			rcpt, nul, data := message()
			if rcpt != c.rcpt || nul != c.nul || data != c.data {
				t.Errorf("counted %d at RCPT, %d at predata, %d at data; want %d, %d, %d", rcpt, nul, data, c.rcpt, c.nul, c.data)
			}
		})
	}
}

// TestDeferredMessageCountsNothing, and a recipient that Exim forgets counts at once.
func TestDeferredMessageCountsNothing(t *testing.T) {
	w := newWorld(t, makePlan(codes, grey(urgent), limit("l", plan.Recipient, only(tier("t", plan.Deny, "3/1h")))))
	for range 10 {
		w.want(says(plan.Recipient), accept, "")
		w.want(says(plan.WholeMessage, and(carol)), later, ref)
	}
	if n := w.count(); n != 0 {
		t.Errorf("counted %d", n)
	}
	w.want(says(plan.Recipient, func(q *wire.Question) { q.Unkept = true }), accept, "")
	if n := w.count(); n != 1 {
		t.Errorf("counted %d", n)
	}
	// Without recipients that are to be counted, the next message is not waived either.
	w.wait(5 * time.Minute)
	if d := w.want(says(plan.WholeMessage, and(carol)), accept, ""); d.Answer.Waive != wire.WaiveNo {
		t.Errorf("waives %s", d.Answer.Waive)
	}
	if n := w.count(); n != 3 {
		t.Errorf("counted %d", n)
	}
}

// TestNullSenderByBDAT: where Exim has no predata, its question comes at data, with
// the message's own.
func TestNullSenderByBDAT(t *testing.T) {
	p := makePlan(grey(), limit("l", plan.Recipient, only(tier("t", accept, "1000/1h"))))
	for i := range p.Stages {
		if s := &p.Stages[i]; s.Name == plan.Data {
			s.After = append(s.After, plan.Ask{Traffic: plan.Inbound, Event: plan.NullSender, Policies: []string{ref}})
		}
	}
	w := newWorld(t, p)
	q := says(plan.NullSender, func(q *wire.Question) { q.Stage = plan.Data; q.Events = []string{plan.Message, plan.NullSender} })
	w.want(q, later, ref)
	w.wait(5 * time.Minute)
	w.want(q, accept, "")
	if n := w.count(); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// TestTrustAndAWholeMessage: what is needed to count the recipients, here whether the
// client is trusted by its domain, is asked for with the message.
func TestTrustAndAWholeMessage(t *testing.T) {
	other := grey(trust, func(g *plan.Grey) {
		g.Name, g.Traffic, g.Trust.Key = "other", plan.Relay, []plan.Part{{Field: "pool"}}
	})
	w := newWorld(t, makePlan(codes, grey(urgent), other, limit("l", plan.Recipient, only(tier("t", accept, "1000/1h")), func(l *plan.Limit) {
		l.Except, l.Key = []plan.Ref{{Trusted: "other"}}, []plan.Part{{Field: "sender"}}
	})))
	w.truth = ownHosts
	w.mem.seen[[2]string{"greylist.other.trusted", "spf:example.org"}] = engine.SeenRow{Passes: 3, Expires: 1 << 50}
	for ip, want := range map[string]int64{provider[0]: 0, "198.18.0.1": 2} {
		w.ask(says(plan.WholeMessage, from(ip), and(carol)))
		w.wait(5 * time.Minute)
		w.want(says(plan.WholeMessage, from(ip), and(carol)), accept, "")
		if !slices.Equal(w.asked, []plan.Fact{spf}) {
			t.Errorf("from %s it asks for %v", ip, w.asked)
		}
		if n := w.mem.sum(counterKey{"limit.l", "alice@example.org", time.Hour}); n != want {
			t.Errorf("from %s: counted %d: %v", ip, n, w.mem.counter)
		}
		w.mem.counter = map[counterKey]map[int64]int64{}
	}
}

// TestPoolLimitOfAWholeMessage: the recipients are counted under the name that needs no
// asking.
func TestPoolLimitOfAWholeMessage(t *testing.T) {
	w := newWorld(t, makePlan(codes, grey(urgent), limit("l", plan.Recipient, only(tier("t", accept, "1000/1h")), func(l *plan.Limit) {
		l.Key = []plan.Part{{Field: "pool"}}
	})))
	w.truth = ownHosts
	w.ask(says(plan.WholeMessage, from(provider[0]), and(carol)))
	w.wait(5 * time.Minute)
	w.want(says(plan.WholeMessage, from(provider[0]), and(carol)), accept, "")
	if n := w.mem.sum(counterKey{"limit.l", "203.0.0.0/24", time.Hour}); n != 2 || len(w.asked) > 0 {
		t.Errorf("counted %d: %v; asks for %v", n, w.mem.counter, w.asked)
	}
}

func TestRuntimeHits(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	w.live.Runtime = &engine.Runtime{Allowances: []engine.Allowance{
		{Policy: "limit.x", Field: "client", Pattern: "192.0.2.1/32"}, {Field: "sender", Pattern: "*@example.org"},
		{Policy: "limit.x", Field: "client", Pattern: "192.0.2.2/32"},
	}}
	if d := w.want(says(plan.Recipient), accept, ""); len(d.Hits) != 1 || d.Hits[0] != (engine.Hit{List: "allow", Field: "sender", Pattern: "*@example.org"}) {
		t.Errorf("hits %+v", d.Hits)
	}
}

// TestHits: what exempted or selected, each once; and nothing that did not.
func TestHits(t *testing.T) {
	friends := plan.List{Name: "friends", Entries: []plan.Entry{
		{Field: "client", Pattern: "192.0.2.0/24", Until: "2026-02-01T00:00:00Z"}, // ended
		{Field: "client", Pattern: "192.0.2.0/25"},
		{Field: "sender", Pattern: "*@*.test"},
		{Field: "recipient", Pattern: "Carol@example.com"},
	}}
	bulk := plan.List{Name: "bulk", Entries: []plan.Entry{{Field: "sender", Pattern: "bulk@b.test"}}}
	policies := []any{
		friends, bulk, grey(func(g *plan.Grey) { g.Except = []plan.Ref{{List: "friends"}} }),
		limit("l", plan.Recipient, only(tier("t", plan.Deny, "9/1h")), func(l *plan.Limit) {
			l.Only = []plan.Ref{{List: "friends"}}
			l.Overrides = []plan.Override{{Name: "o", Only: []plan.Ref{{List: "bulk"}}, Over: []plan.OverrideTier{{Tier: "t", Over: []plan.Rate{rate("99/1h")}}}}}
		}),
	}
	w := newWorld(t, makePlan(policies...))
	client := engine.Hit{List: "list.friends", Field: "client", Pattern: "192.0.2.0/25"}
	cases := map[string]struct {
		q    wire.Question
		want []engine.Hit
	}{
		"client":        {says(plan.Recipient), []engine.Hit{client}},
		"nobody":        {says(plan.Recipient, from("192.0.2.200")), nil},
		"sender":        {says(plan.Recipient, from("192.0.2.200"), sender("a@b.test")), []engine.Hit{{List: "list.friends", Field: "sender", Pattern: "*@*.test"}}},
		"recipient":     {says(plan.Recipient, from("192.0.2.200"), to(carol)), []engine.Hit{{List: "list.friends", Field: "recipient", Pattern: "Carol@example.com"}}},
		"an override's": {says(plan.Recipient, sender("bulk@b.test")), []engine.Hit{client, {List: "list.bulk", Field: "sender", Pattern: "bulk@b.test"}}},
	}
	for range 2 { // what one question adds is not in the next
		for name, c := range cases {
			d := w.ask(c.q)
			if len(d.Hits) != len(c.want) {
				t.Errorf("%s: %+v, want %+v", name, d.Hits, c.want)
				continue
			}
			for i := range c.want {
				if d.Hits[i] != c.want[i] {
					t.Errorf("%s: %+v, want %+v", name, d.Hits, c.want)
				}
			}
		}
	}
}
