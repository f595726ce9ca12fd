package engine_test

import (
	"net/netip"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// TestNobodyToCountFor: without an authenticated id there is nobody.
func TestNobodyToCountFor(t *testing.T) {
	w := newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "0/1h"))))))
	for range 3 {
		w.blocked(rcpt("", true), accept, "")
	}
	if len(w.mem.counter)+len(w.mem.cases) != 0 {
		t.Error("nobody was counted")
	}
}

// TestHostileIDs: ids that look like the inside of a key, a query or a command are what they are.
func TestHostileIDs(t *testing.T) {
	ids := []string{"x;touch y", "$(id)", "${run{/bin/sh}}", `a|b`, `a\|b`, `a\`, `'; drop table x`, "a\nb", "ü ö", "a#b", strings.Repeat("x", 4000), strings.Repeat("x", 4001)}
	w := newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "1/1h"))))))
	for _, id := range ids {
		w.blocked(rcpt(id, true), accept, "")
	}
	for _, id := range ids {
		w.blocked(rcpt(id, true), plan.Freeze, blockRef)
	}
	if len(w.mem.cases) != len(ids) {
		t.Errorf("%d cases for %d ids", len(w.mem.cases), len(ids))
	}
	if got := len(w.e.LastKnown(w.live.Runtime, w.now)); got != len(ids)-2 {
		t.Errorf("%d lines; all but the two that no key holds whole are %d", got, len(ids)-2)
	}
}

// TestRelayIDs: a relay host that has an id is blocked by its address, too, which is all that the log
// knows.
func TestRelayIDs(t *testing.T) {
	relay := func(l *plan.Limit) {
		l.Traffic, l.Key = plan.Relay, []plan.Part{{Field: "owner"}}
		l.Tiers[0].Block.Traffics = []string{plan.Relay}
	}
	w := newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "1/1h"))), relay)))
	ask := func(id string, bad bool) wire.Question {
		q := rcpt("", bad)
		q.Traffic, q.Relay = plan.Relay, id
		return q
	}
	w.blocked(ask("customer-7", true), accept, "")
	w.blocked(ask("customer-7", true), plan.Freeze, blockRef)
	w.blocked(ask("", false), accept, "") // the same address, by now somebody else's
	w.blocked(ask("customer-8", true), accept, "")
	w.blocked(ask("", true), accept, "")
	w.blocked(ask("", true), plan.Freeze, blockRef)
	w.blocked(ask("customer-9", false), plan.Freeze, blockRef)
	if o := w.mem.cases[0].first.Owner + " " + w.mem.cases[1].first.Owner; o != "relay:customer-7 relay:192.0.2.1" {
		t.Error(o)
	}
}

// TestCallouts: what the remote host says is nothing to a limit that did not want it asked.
func TestCallouts(t *testing.T) {
	w := newWorld(t, makePlan(stolen(only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) { l.Name = "routing" }),
		stolen(only(tier("t", plan.Defer, "0/1h")), func(l *plan.Limit) { l.Name, l.Callout = "callout", dur("10s") })))
	q := rcpt("bob", true)
	q.Callout = true
	w.blocked(q, plan.Defer, "limit.callout/t")
	w.blocked(rcpt("bob", true), plan.Deny, "limit.routing/t")
}

// TestWithoutSMTP: the recipients come all at once, and each counts.
func TestWithoutSMTP(t *testing.T) {
	local := func(l *plan.Limit) {
		l.Traffic, l.Key = plan.Local, []plan.Part{{Field: "user"}}
		l.Events[0].Event = plan.UnknownRecipient
		l.Tiers[0].Block.Traffics = []string{plan.Local}
	}
	ask := func(event string, recipients ...string) wire.Question {
		q := says(plan.UnknownRecipient)
		q.Stage, q.Traffic, q.Events, q.User, q.Auth, q.Client = plan.NotSMTP, plan.Local, []string{plan.Blocked}, "www", "www", netip.Addr{}
		if event != "" {
			q.Events = append(q.Events, event)
		}
		q.Recipient, q.Others = recipients[0], recipients[1:]
		return q
	}
	w := newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "4/1h"))), local)))
	w.blocked(ask(plan.UnknownRecipient, "a@x", "b@x", "c@x"), accept, "")
	w.blocked(ask(plan.UnknownRecipient, "d@x", "e@x"), plan.Freeze, blockRef)
	w.blocked(ask("", "good@x"), plan.Freeze, blockRef)
	c := w.mem.cases[0]
	if c.first.Counted != 5 || len(c.evidence) != 5 || c.first.Owner != "user:www" {
		t.Errorf("%+v", c)
	}
	// Each recipient for itself: three times the same is three.
	w = newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "2/1h"))), local, func(l *plan.Limit) {
		l.Key = []plan.Part{{Field: "recipient"}}
	})))
	w.blocked(ask(plan.UnknownRecipient, "a@x", "b@x", "a@x", "c@x"), accept, "")
	w.blocked(ask(plan.UnknownRecipient, "b@x", "a@x"), plan.Freeze, blockRef)
	if len(w.mem.cases) != 1 || w.mem.cases[0].first.Key != "a@x" {
		t.Errorf("%+v", w.mem.cases)
	}
	w = newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "2/1h"))), local, func(l *plan.Limit) {
		l.Distinct = &plan.Part{Field: "recipient"}
	})))
	w.blocked(ask(plan.UnknownRecipient, "a@x", "b@x", "a@x", "b@x"), accept, "")
	w.blocked(ask(plan.UnknownRecipient, "b@x", "a@x"), accept, "")
	w.blocked(ask(plan.UnknownRecipient, "b@x", "c@x", "d@x"), plan.Freeze, blockRef)
	if c := w.mem.cases[0]; c.first.Counted != 3 || len(w.mem.cases) != 1 {
		t.Errorf("%+v", c)
	}
	// More recipients than the question names.
	w = newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "99/1h"))), local, func(l *plan.Limit) {
		l.Events[0].Event = plan.Recipient
	})))
	q := ask("", "a@x", "b@x")
	q.Half, q.Events, q.Count = plan.After, []string{plan.Recipient}, 100
	w.blocked(q, plan.Freeze, blockRef)
}
