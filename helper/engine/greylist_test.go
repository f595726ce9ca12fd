package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

const (
	accept = plan.Accept
	later  = plan.Defer
	ref    = "greylist.inbound"
)

func TestGreylistTimes(t *testing.T) {
	for name, c := range map[string]struct {
		wait    time.Duration // from the first contact to the second
		verdict string
		wait2   time.Duration // and to the third
		third   string
	}{
		"at once":              {0, later, 5 * time.Minute, accept},
		"a moment too early":   {5*time.Minute - time.Millisecond, later, time.Millisecond, accept},
		"just in time":         {5 * time.Minute, accept, 0, accept},
		"hours later":          {23 * time.Hour, accept, 35 * 24 * time.Hour, accept},
		"the last moment":      {24*time.Hour - time.Millisecond, accept, 0, accept},
		"too late":             {24*time.Hour + time.Millisecond, later, 5 * time.Minute, accept},
		"too late, then early": {30 * time.Hour, later, 4 * time.Minute, later},
		"forgotten":            {5 * time.Minute, accept, 36 * 24 * time.Hour, later},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(grey()))
			by := map[string]string{later: ref, accept: ""}
			q := says(plan.Recipient)
			w.want(q, later, ref)
			w.wait(c.wait)
			w.want(q, c.verdict, by[c.verdict])
			w.wait(c.wait2)
			w.want(q, c.third, by[c.third])
		})
	}
}

// TestGreylistRetriesDoNotPostpone: a client that retries every minute passes after
// the delay, counted from its first try.
func TestGreylistRetriesDoNotPostpone(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	for range 5 {
		d := w.want(says(plan.Recipient), later, ref)
		if w.now.After(start) && len(d.Writes) > 0 {
			t.Errorf("an early retry writes %+v", d.Writes)
		}
		w.wait(time.Minute)
	}
	w.want(says(plan.Recipient), accept, "")
}

func TestGreylistKey(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	w.want(says(plan.Recipient), later, ref)
	w.wait(time.Hour)
	for name, q := range map[string]wire.Question{
		"another net":       says(plan.Recipient, from("192.0.3.1")),
		"another sender":    says(plan.Recipient, sender("carol@example.org")),
		"another recipient": says(plan.Recipient, to("dave@example.com")),
		"IPv6":              says(plan.Recipient, from("2001:db8::1")),
	} {
		t.Run(name, func(t *testing.T) { w.want(q, later, ref) })
	}
	for name, q := range map[string]wire.Question{
		"the same":         says(plan.Recipient),
		"another host":     says(plan.Recipient, from("192.0.2.99")),
		"another case":     says(plan.Recipient, sender("ALICE@Example.ORG"), to("Bob@EXAMPLE.com")),
		"another HELO":     says(plan.Recipient, func(q *wire.Question) { q.Helo = "x" }),
		"an extension":     says(plan.Recipient, to("bob+lists@example.com")),
		"a BATV signature": says(plan.Recipient, sender("prvs=1234567890=alice@example.org")),
	} {
		t.Run(name, func(t *testing.T) { w.want(q, accept, "") })
	}
}

// TestGreylistSlides: a known key needs a write only where its end would move by more
// than a thirty-sixth; and lives as long as it is used.
func TestGreylistSlides(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	q := says(plan.Recipient)
	w.ask(q)
	w.wait(time.Hour)
	w.want(q, accept, "")
	w.wait(24 * time.Hour) // a thirty-sixth of 36 days
	if d := w.want(q, accept, ""); len(d.Writes) != 0 {
		t.Errorf("it writes %+v", d.Writes)
	}
	w.wait(time.Millisecond)
	if d := w.want(q, accept, ""); len(d.Writes) != 1 {
		t.Errorf("it writes %+v, and not the new end", d.Writes)
	}
	for range 10 {
		w.wait(35 * 24 * time.Hour)
		w.want(q, accept, "")
	}
	w.wait(36 * 24 * time.Hour)
	w.want(q, later, ref)
}

// pass sends a new triplet of the same client through greylisting.
func (w *world) pass(name string) {
	w.t.Helper()
	q := says(plan.Recipient, sender(name+"@example.org"))
	w.want(q, later, ref)
	w.wait(5 * time.Minute)
	w.want(q, accept, "")
}

func TestGreylistTrust(t *testing.T) {
	w := newWorld(t, makePlan(grey(trust)))
	for i := range 6 { // all within an hour: one pass counts
		w.pass(fmt.Sprintf("a%c", 'a'+i))
	}
	w.wait(time.Hour)
	w.pass("b")
	w.want(says(plan.Recipient, sender("ba@example.org")), later, ref) // two passes: not yet trusted
	w.wait(time.Hour)
	w.want(says(plan.Recipient, sender("b@example.org")), accept, "") // a known triplet counts, too
	w.mem.reads = nil
	d := w.want(says(plan.Recipient, sender("new@example.org")), accept, "")
	if len(w.mem.reads) != 1 || w.mem.reads[0] != "seen "+ref+".trusted" || len(d.Writes) != 0 || d.Answer.Waive != wire.WaiveConnection {
		t.Errorf("of a trusted client: reads %q, writes %+v, waives %s", w.mem.reads, d.Writes, d.Answer.Waive)
	}
	w.want(says(plan.Recipient, from("192.0.2.200"), sender("new@example.org")), accept, "")
	w.want(says(plan.Recipient, from("192.0.3.1"), sender("new@example.org")), later, ref)

	w.wait(24*time.Hour + time.Millisecond) // slides, lagging at most a thirty-sixth
	if d := w.want(says(plan.Recipient, sender("x@example.org")), accept, ""); len(d.Writes) != 1 {
		t.Errorf("the end of trust moves by %+v", d.Writes)
	}
	w.wait(36*24*time.Hour - time.Millisecond)
	w.want(says(plan.Recipient, sender("y@example.org")), accept, "")
	w.wait(37 * 24 * time.Hour)
	w.want(says(plan.Recipient, sender("z@example.org")), later, ref) // forgotten
	w.wait(5 * time.Minute)
	w.want(says(plan.Recipient, sender("z@example.org")), accept, "")
	w.want(says(plan.Recipient, sender("zz@example.org")), later, ref) // and begins at nought again
}

// TestTrustIsEarnedByAcceptedMail: what another policy refuses is no pass.
func TestTrustIsEarnedByAcceptedMail(t *testing.T) {
	list := plan.List{Name: "bad", Entries: []plan.Entry{{Field: "sender", Pattern: "example.org"}}}
	w := newWorld(t, makePlan(list, grey(trust), limit("bad", plan.Recipient, only(tier("no", plan.Deny, "0/1h")), func(l *plan.Limit) {
		l.Only = []plan.Ref{{List: "bad"}}
	})))
	for range 10 {
		w.want(says(plan.Recipient), plan.Deny, "limit.bad/no")
		w.wait(time.Hour)
	}
	w.want(says(plan.Recipient, sender("x@example.net")), later, ref)
}

// TestTrustOfMoreThanTheClient: what is trusted with a sender in the key is waived
// for this message alone.
func TestTrustOfMoreThanTheClient(t *testing.T) {
	for field, want := range map[string]string{
		"client": wire.WaiveConnection, "auth": wire.WaiveConnection, "sender.domain": wire.WaiveMessage, "sender": wire.WaiveMessage,
		"helo": wire.WaiveMessage, "recipient": wire.WaiveNo, "recipient.domain": wire.WaiveNo,
	} {
		key := []plan.Part{{Field: field, V4: 32, V6: 128}}
		other := limit("other", plan.Recipient, only(tier("a", plan.Deny, "0/1h")), func(l *plan.Limit) {
			l.Except = []plan.Ref{{Trusted: "inbound"}}
		})
		g := grey(trust, func(g *plan.Grey) { g.Trust.After, g.Trust.Key = 1, key })
		for name, p := range map[string]*plan.Plan{"greylist": makePlan(g), "both": makePlan(g, other)} {
			w := newWorld(t, p)
			q := says(plan.Recipient)
			w.ask(q)
			w.wait(time.Hour)
			if name == "both" {
				w.live.Runtime = &engine.Runtime{Off: []engine.Switch{{Policy: "limit.other"}}}
			}
			w.want(q, accept, "")
			w.live.Runtime = nil
			if d := w.want(q, accept, ""); d.Answer.Waive != want {
				t.Errorf("%s, trust in %s: waives %s, want %s", name, field, d.Answer.Waive, want)
			}
		}
	}
}

func TestGreylistNever(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	for _, r := range []string{"postmaster@example.com", "PostMaster@EXAMPLE.com", "abuse@sub.example.com", "ABUSE@example.com", "postmaster", "Abuse"} {
		if d := w.want(says(plan.Recipient, to(r)), accept, ""); len(d.Writes) != 0 || d.Answer.Waive != wire.WaiveNo {
			t.Errorf("%s: writes %+v, waives %s", r, d.Writes, d.Answer.Waive)
		}
		w.want(says(plan.NullSender, to(r)), accept, "")
	}
	for _, r := range []string{"postmasters@example.com", "x@postmaster", "x@abuse", "abuse.x@example.com", ""} {
		w.want(says(plan.Recipient, to(r)), later, ref)
	}
}

func TestGreylistNullSender(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	if d := w.want(says(plan.Recipient, sender("")), accept, ""); d.Answer.Waive != wire.WaiveNo || len(d.Writes) != 0 {
		t.Errorf("at rcpt it waives %s, and writes %+v", d.Answer.Waive, d.Writes)
	}
	w.want(says(plan.NullSender), later, ref)
	w.wait(5 * time.Minute)
	w.want(says(plan.NullSender), accept, "")
	w.want(says(plan.NullSender, to("carol@example.com")), later, ref)
}

// TestExcept: everything that exempts, at its own field and for as long as that field
// stays the same.
func TestExcept(t *testing.T) {
	list := func(entries ...plan.Entry) plan.List { return plan.List{Name: "friends", Entries: entries} }
	at := func(l plan.List, field string) *plan.Plan {
		return makePlan(l, grey(func(g *plan.Grey) { g.Except = []plan.Ref{{List: "friends", Field: field}} }))
	}
	const until = "2026-03-02T00:00:00Z"
	for name, c := range map[string]struct {
		plan    *plan.Plan
		q       wire.Question
		verdict string
		waive   string
	}{
		"client":             {at(list(plan.Entry{Field: "client", Pattern: "192.0.2.0/24"}), ""), says(plan.Recipient), accept, wire.WaiveConnection},
		"client, one of two": {at(list(plan.Entry{Field: "client", Pattern: "10.0.0.0/8"}, plan.Entry{Field: "client", Pattern: "192.0.2.1/32"}), "client"), says(plan.Recipient), accept, wire.WaiveConnection},
		"another client":     {at(list(plan.Entry{Field: "client", Pattern: "192.0.2.0/32"}), ""), says(plan.Recipient), later, wire.WaiveNo},
		"client, IPv6":       {at(list(plan.Entry{Field: "client", Pattern: "2001:db8::/32"}), ""), says(plan.Recipient, from("2001:db8::1")), accept, wire.WaiveConnection},
		"everybody":          {at(list(plan.Entry{Field: "client", Pattern: "0.0.0.0/0"}), ""), says(plan.Recipient, from("2001:db8::1")), later, wire.WaiveNo},
		"sender":             {at(list(plan.Entry{Field: "sender", Pattern: "alice@example.org"}), ""), says(plan.Recipient), accept, wire.WaiveMessage},
		"sender, any case":   {at(list(plan.Entry{Field: "sender", Pattern: "alice@example.org"}), ""), says(plan.Recipient, sender("Alice@EXAMPLE.org")), accept, wire.WaiveMessage},
		"sender, extension":  {at(list(plan.Entry{Field: "sender", Pattern: "alice@example.org"}), ""), says(plan.Recipient, sender("alice+x@example.org")), accept, wire.WaiveMessage},
		"sender, quoted":     {at(list(plan.Entry{Field: "sender", Pattern: "alice@example.org"}), ""), says(plan.Recipient, sender(`"alice"@example.org`)), accept, wire.WaiveMessage},
		"an extension alone": {at(list(plan.Entry{Field: "sender", Pattern: "alice+x@example.org"}), ""), says(plan.Recipient), later, wire.WaiveNo},
		"domain":             {at(list(plan.Entry{Field: "sender", Pattern: "example.org"}), ""), says(plan.Recipient), accept, wire.WaiveMessage},
		"domain, with star":  {at(list(plan.Entry{Field: "sender", Pattern: "*@example.org"}), ""), says(plan.Recipient), accept, wire.WaiveMessage},
		"no subdomain":       {at(list(plan.Entry{Field: "sender", Pattern: "*@example.org"}), ""), says(plan.Recipient, sender("a@b.example.org")), later, wire.WaiveNo},
		"subdomain":          {at(list(plan.Entry{Field: "sender", Pattern: "*@*.example.org"}), ""), says(plan.Recipient, sender("a@b.c.example.org")), accept, wire.WaiveMessage},
		"not itself":         {at(list(plan.Entry{Field: "sender", Pattern: "*@*.example.org"}), ""), says(plan.Recipient), later, wire.WaiveNo},
		"no suffix":          {at(list(plan.Entry{Field: "sender", Pattern: "*@example.org"}), ""), says(plan.Recipient, sender("a@notexample.org")), later, wire.WaiveNo},
		"two at signs":       {at(list(plan.Entry{Field: "sender", Pattern: "*@example.org"}), ""), says(plan.Recipient, sender(`"a@example.org"@evil.test`)), later, wire.WaiveNo},
		"the last at sign":   {at(list(plan.Entry{Field: "sender", Pattern: "*@evil.test"}), ""), says(plan.Recipient, sender(`"a@example.org"@evil.test`)), accept, wire.WaiveMessage},
		"null sender":        {at(list(plan.Entry{Field: "sender", Pattern: "<>"}), ""), says(plan.NullSender), accept, wire.WaiveMessage},
		"not a null sender":  {at(list(plan.Entry{Field: "sender", Pattern: "<>"}), ""), says(plan.Recipient), later, wire.WaiveNo},
		"recipient":          {at(list(plan.Entry{Field: "recipient", Pattern: "bob@example.com"}), ""), says(plan.Recipient), accept, wire.WaiveNo},
		"auth":               {at(list(plan.Entry{Field: "auth", Pattern: "Bob"}), ""), says(plan.Recipient, auth("Bob")), accept, wire.WaiveConnection},
		"auth, another case": {at(list(plan.Entry{Field: "auth", Pattern: "Bob"}), ""), says(plan.Recipient, auth("bob")), later, wire.WaiveNo},
		"nobody logged in":   {at(list(plan.Entry{Field: "auth", Pattern: ""}), ""), says(plan.Recipient), later, wire.WaiveNo},
		"this field":         {at(list(plan.Entry{Field: "recipient", Pattern: "bob@example.com"}), "recipient"), says(plan.Recipient), accept, wire.WaiveNo},
		"another field":      {at(list(plan.Entry{Field: "recipient", Pattern: "bob@example.com"}), "sender"), says(plan.Recipient), later, wire.WaiveNo},
		"still":              {at(list(plan.Entry{Field: "client", Pattern: "192.0.2.0/24", Until: until}), ""), says(plan.Recipient), accept, wire.WaiveConnection},
		"twice, one ended": {
			at(list(plan.Entry{Field: "client", Pattern: "192.0.2.0/24", Until: until}, plan.Entry{Field: "client", Pattern: "192.0.2.0/24", Until: "2026-02-01T00:00:00Z"}), ""),
			says(plan.Recipient), accept, wire.WaiveConnection,
		},
		"no longer": {at(list(plan.Entry{Field: "client", Pattern: "192.0.2.0/24", Until: "2026-03-01T12:00:00Z"}), ""), says(plan.Recipient), later, wire.WaiveNo},
		"forwarder": {makePlan(grey()), says(plan.Recipient, from("198.51.100.7")), accept, wire.WaiveConnection},
		"the longest match": {
			at(list(plan.Entry{Field: "sender", Pattern: "alice@example.org"}, plan.Entry{Field: "client", Pattern: "192.0.2.0/24"}), ""),
			says(plan.Recipient), accept, wire.WaiveConnection,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.plan)
			by := ""
			if c.verdict == later {
				by = ref
			}
			d := w.want(c.q, c.verdict, by)
			if d.Answer.Waive != c.waive {
				t.Errorf("waives %s, want %s", d.Answer.Waive, c.waive)
			}
			if c.verdict == accept && (len(d.Writes) > 0 || len(w.mem.reads) > 0) {
				t.Errorf("exempt, and yet it reads %q and writes %+v", w.mem.reads, d.Writes)
			}
		})
	}
}

func TestForwardersOnlyForInboundMail(t *testing.T) {
	w := newWorld(t, makePlan(grey(func(g *plan.Grey) { g.Traffic = plan.Relay })))
	w.want(says(plan.Recipient, from("198.51.100.7"), func(q *wire.Question) { q.Traffic = plan.Relay }), later, ref)
}

func TestUntilPasses(t *testing.T) {
	w := newWorld(t, makePlan(plan.List{Name: "friends", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.0/24", Until: "2026-03-02T00:00:00Z"}}},
		grey(func(g *plan.Grey) { g.Except = []plan.Ref{{List: "friends"}} })))
	w.wait(12*time.Hour - time.Millisecond)
	w.want(says(plan.Recipient), accept, "")
	w.wait(time.Millisecond)
	w.want(says(plan.Recipient), later, ref)
}

func TestRuntime(t *testing.T) {
	ms := start.UnixMilli()
	for name, c := range map[string]struct {
		runtime engine.Runtime
		verdict string
		waive   string
	}{
		"nothing":             {engine.Runtime{}, later, wire.WaiveNo},
		"off":                 {engine.Runtime{Off: []engine.Switch{{Policy: ref}}}, accept, wire.WaiveConnection},
		"off until later":     {engine.Runtime{Off: []engine.Switch{{Policy: ref, Until: ms + 1}}}, accept, wire.WaiveConnection},
		"was off":             {engine.Runtime{Off: []engine.Switch{{Policy: ref, Until: ms}}}, later, wire.WaiveNo},
		"another is off":      {engine.Runtime{Off: []engine.Switch{{Policy: "limit.x"}}}, later, wire.WaiveNo},
		"allowed":             {engine.Runtime{Allowances: []engine.Allowance{{Policy: ref, Field: "sender", Pattern: "example.org"}}}, accept, wire.WaiveMessage},
		"allowed everywhere":  {engine.Runtime{Allowances: []engine.Allowance{{Field: "client", Pattern: "192.0.2.1/32"}}}, accept, wire.WaiveConnection},
		"allowed for another": {engine.Runtime{Allowances: []engine.Allowance{{Policy: "limit.x", Field: "client", Pattern: "192.0.2.1/32"}}}, later, wire.WaiveNo},
		"no longer allowed":   {engine.Runtime{Allowances: []engine.Allowance{{Field: "client", Pattern: "192.0.2.1/32", Until: ms}}}, later, wire.WaiveNo},
		"no pattern at all":   {engine.Runtime{Allowances: []engine.Allowance{{Field: "client", Pattern: "x"}, {Field: "x", Pattern: "x"}}}, later, wire.WaiveNo},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(grey()))
			w.live.Runtime = &c.runtime
			by := map[string]string{later: ref}[c.verdict]
			if d := w.want(says(plan.Recipient), c.verdict, by); d.Answer.Waive != c.waive {
				t.Errorf("waives %s, want %s", d.Answer.Waive, c.waive)
			}
		})
	}
}

// TestObserve: rows of its own, nobody's verdict, and the log says what would have been.
func TestObserve(t *testing.T) {
	observe := func(g *plan.Grey) { g.Mode = plan.Observe }
	w := newWorld(t, makePlan(grey(trust, observe)))
	d := w.want(says(plan.Recipient), accept, "")
	if d.Answer.Would != plan.Defer || d.Answer.WouldBy != ref {
		t.Errorf("would %s by %s", d.Answer.Would, d.Answer.WouldBy)
	}
	w.wait(time.Hour)
	if d = w.want(says(plan.Recipient), accept, ""); d.Answer.Would != "" || d.Answer.WouldBy != "" {
		t.Errorf("would %s by %s", d.Answer.Would, d.Answer.WouldBy)
	}
	for k := range w.mem.seen {
		if k[0] != "observe:"+ref && k[0] != "observe:"+ref+".trusted" {
			t.Errorf("it keeps a row of %s", k[0])
		}
	}
	// Enforced afterwards, it begins anew.
	w.e = newWorld(t, makePlan(grey(trust))).e
	w.want(says(plan.Recipient), later, ref)
}

// TestTrustedByAnObserver: whom an observing greylist trusts is exempt from what
// observes, and from nothing else.
func TestTrustedByAnObserver(t *testing.T) {
	for _, mode := range []string{plan.Observe, plan.Enforce} {
		w := newWorld(t, makePlan(
			grey(trust, func(g *plan.Grey) { g.Mode, g.Trust.After = plan.Observe, 1 }),
			limit("l", plan.Recipient, only(tier("t", plan.Deny, "1/1h")), func(l *plan.Limit) {
				l.Except, l.Mode = []plan.Ref{{Trusted: "inbound"}}, mode
			})))
		w.ask(says(plan.Recipient))
		w.wait(5 * time.Minute)
		w.live.Runtime = &engine.Runtime{Off: []engine.Switch{{Policy: "limit.l"}}}
		w.ask(says(plan.Recipient))
		w.live.Runtime = nil
		d := w.ask(says(plan.Recipient))
		if mode == plan.Enforce && d.Answer.Verdict != plan.Deny {
			t.Errorf("an observing policy exempts from an enforced one: %s", reasons(d))
		}
		if mode == plan.Observe && d.Answer.Would != "" {
			t.Errorf("it would %s by %s, though the client were trusted", d.Answer.Would, d.Answer.WouldBy)
		}
	}
}

func TestErrorsOfTheStore(t *testing.T) {
	for name, p := range map[string]*plan.Plan{
		"greylist": makePlan(grey()), "trust": makePlan(grey(trust)),
		"limit":    makePlan(limit("l", plan.Recipient, only(tier("t", plan.Deny, "1/1h")))),
		"distinct": makePlan(limit("l", plan.Recipient, only(tier("t", plan.Deny, "1/1h")), func(l *plan.Limit) { l.Distinct = &plan.Part{Field: "recipient"} })),
		"except":   makePlan(grey(trust), limit("l", plan.Recipient, only(tier("t", plan.Deny, "1/1h")), func(l *plan.Limit) { l.Except = []plan.Ref{{Trusted: "inbound"}} })),
	} {
		w := newWorld(t, p)
		w.mem.fail = errors.New("the disk is full")
		if d, err := w.e.Decide(says(plan.Recipient), w.now, w.mem, w.live); !errors.Is(err, w.mem.fail) || len(d.Writes) > 0 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// TestGiveUp: the pair of sender and recipient is timed from its first contact, by
// whatever client; a client that is let in for that has earned no trust.
func TestGiveUp(t *testing.T) {
	w := newWorld(t, makePlan(grey(trust, func(g *plan.Grey) { g.GiveUp = dur("1h") })))
	clients := []string{"192.0.2.1", "198.51.100.20", "203.0.113.1", "192.0.3.1"}
	for _, c := range clients[:3] {
		w.want(says(plan.Recipient, from(c)), later, "greylist.inbound")
		w.wait(20 * time.Minute)
	}
	before := len(w.mem.seen)
	w.want(says(plan.Recipient, from(clients[3])), accept, "")
	for k := range w.mem.seen {
		if k[0] == "greylist.inbound.trusted" {
			t.Errorf("trust was earned: %v", k)
		}
	}
	if len(w.mem.seen) != before+1 {
		t.Errorf("%d rows, want one more than %d", len(w.mem.seen), before)
	}
	w.want(says(plan.Recipient, from(clients[3])), accept, "") // known now
	w.want(says(plan.Recipient, from(clients[3]), sender("new@example.net")), later, "greylist.inbound")
	w.want(says(plan.NullSender, from(clients[0])), later, "greylist.inbound")
	w.wait(2 * time.Hour)
	w.want(says(plan.NullSender, from(clients[1])), later, "greylist.inbound") // a null sender is nobody in particular
}
