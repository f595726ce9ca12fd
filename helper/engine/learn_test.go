package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// correspondents learns from submissions.
func correspondents(from ...string) plan.List {
	l := plan.List{Name: "correspondents"}
	for _, f := range from {
		l.Learn = append(l.Learn, plan.Learn{Traffic: plan.Submission, From: f, Remember: dur("60d")})
	}
	return l
}

func exceptKnown(field string) func(*plan.Grey) {
	return func(g *plan.Grey) { g.Except = []plan.Ref{{List: "correspondents", Field: field}} }
}

// sends is a message of one of our own users.
func sends(to ...string) wire.Question {
	return says(plan.Message, func(q *wire.Question) {
		q.Traffic, q.Sender, q.Auth = plan.Submission, "bob@example.com", "bob"
		q.Recipient, q.Others = to[0], to[1:]
	})
}

// ours says of each recipient whether it is the site's own.
func ours(q wire.Question, is ...bool) wire.Question {
	q.Ours = is
	return q
}

// learned is what the store holds for the list.
func (w *world) learned() []string {
	var out []string
	for k := range w.mem.seen {
		if k[0] == "list.correspondents" {
			out = append(out, k[1])
		}
	}
	slices.Sort(out)
	return out
}

func TestLearn(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		from []string
		q    wire.Question
		want []string
	}{
		"address":            {[]string{"recipient"}, sends("Alice+x@Example.ORG"), []string{"alice@example.org"}},
		"domain":             {[]string{"recipient.domain"}, sends("alice@Example.ORG."), []string{"@example.org"}},
		"both":               {[]string{"recipient", "recipient.domain"}, sends("alice@example.org"), []string{"@example.org", "alice@example.org"}},
		"all of them":        {[]string{"recipient"}, sends("a@example.org", "b@example.net", "A@example.org"), []string{"a@example.org", "b@example.net"}},
		"the site's own":     {[]string{"recipient", "recipient.domain"}, ours(sends("a@example.net", "b@example.org", "c@example.org"), true, false, true), []string{"@example.org", "b@example.org"}},
		"all the site's own": {[]string{"recipient", "recipient.domain"}, ours(sends("a@example.net", "b@example.org"), true, true), nil},
		"automatic":          {[]string{"recipient"}, func() wire.Question { q := sends("a@example.org"); q.Auto = true; return q }(), nil},
		"one's own domain":   {[]string{"recipient", "recipient.domain"}, sends("carol@EXAMPLE.com", "a@example.org"), []string{"@example.org", "a@example.org"}},
		"null sender":        {[]string{"recipient"}, func() wire.Question { q := sends("a@example.org"); q.Sender = ""; return q }(), nil},
		"another traffic":    {[]string{"recipient"}, func() wire.Question { q := sends("a@example.org"); q.Traffic = plan.Relay; return q }(), nil},
		"no local part":      {[]string{"recipient"}, sends(`""@example.org`), nil},
		"no domain":          {[]string{"recipient", "recipient.domain"}, sends("postmaster", "x@"), nil},
		"a rewritten sender": {[]string{"recipient"}, sends("srs0=aaaa=bb=example.org=alice@forward.test"), []string{"srs0=aaaa=bb=example.org=alice@forward.test"}},
		"long":               {[]string{"recipient"}, sends(long + "@example.org"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(correspondents(c.from...), grey(exceptKnown("sender"))))
			d := w.ask(c.q)
			if d.Answer.Waive == wire.WaiveConnection && c.q.Traffic == plan.Submission || d.Answer.Verdict != accept {
				t.Errorf("%s", d.Answer)
			}
			got := w.learned()
			if name == "long" {
				if len(got) != 1 || len(got[0]) > 255 {
					t.Errorf("learned %q", got)
				}
				w.want(says(plan.Recipient, sender(long+"@example.org")), accept, "")
				w.want(says(plan.Recipient, sender(long+"@example.net")), later, ref)
				return
			}
			if !slices.Equal(got, c.want) || len(d.Writes) != len(c.want) {
				t.Errorf("learned %q, want %q", got, c.want)
			}
		})
	}
}

// TestLearnedIsExempt: by the field that the reference names, for as long as that
// stays the same, and for as long as it is remembered.
func TestLearnedIsExempt(t *testing.T) {
	for name, c := range map[string]struct {
		from, field string
		q           wire.Question
		verdict     string
		waive       string
		hit         string // its field
	}{
		"sender":                {"recipient", "sender", says(plan.Recipient), accept, wire.WaiveMessage, "sender"},
		"no field":              {"recipient", "", says(plan.Recipient), accept, wire.WaiveMessage, "sender"},
		"spelled differently":   {"recipient", "sender", says(plan.Recipient, sender(`"ALICE"+x@Example.ORG`)), accept, wire.WaiveMessage, "sender"},
		"another sender":        {"recipient", "sender", says(plan.Recipient, sender("x@example.org")), later, wire.WaiveNo, ""},
		"rewritten":             {"recipient", "sender", says(plan.Recipient, sender("srs0=aaaa=bb=example.org=alice@evil.test")), later, wire.WaiveNo, ""},
		"null sender":           {"recipient", "sender", says(plan.NullSender), later, wire.WaiveNo, ""},
		"of the domain":         {"recipient.domain", "sender", says(plan.Recipient, sender("x@example.org")), accept, wire.WaiveMessage, "sender"},
		"not of the domain":     {"recipient.domain", "sender", says(plan.Recipient, sender("x@sub.example.org")), later, wire.WaiveNo, ""},
		"empty local part":      {"recipient", "sender", says(plan.Recipient, sender(`""@example.org`)), later, wire.WaiveNo, ""},
		"recipient":             {"recipient", "recipient", says(plan.Recipient, to("alice@example.org")), accept, wire.WaiveNo, "recipient"},
		"another recipient":     {"recipient", "recipient", says(plan.Recipient), later, wire.WaiveNo, ""},
		"client":                {"recipient", "client", says(plan.Recipient), later, wire.WaiveNo, ""},
		"auth":                  {"recipient", "auth", says(plan.Recipient, auth("alice@example.org")), later, wire.WaiveNo, ""},
		"two, both known":       {"recipient.domain", "recipient", says(plan.NullSender, to("a@example.org"), and("b@example.org")), accept, wire.WaiveNo, "recipient"},
		"two, one is not known": {"recipient.domain", "recipient", says(plan.NullSender, to("a@example.org"), and("b@example.net")), later, wire.WaiveNo, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(correspondents(c.from), grey(exceptKnown(c.field))))
			w.ask(sends("alice@example.org"))
			d := w.want(c.q, c.verdict, map[string]string{later: ref}[c.verdict])
			if d.Answer.Waive != c.waive {
				t.Errorf("waives %s, want %s", d.Answer.Waive, c.waive)
			}
			switch {
			case c.hit == "" && len(d.Hits) > 0, c.hit != "" && (len(d.Hits) != 1 || d.Hits[0] != engine.Hit{List: "list.correspondents", Field: c.hit}):
				t.Errorf("hits %+v", d.Hits)
			}
			if c.verdict == accept && len(d.Writes) > 0 {
				t.Errorf("writes %+v", d.Writes)
			}
			w.wait(60 * 24 * time.Hour)
			w.want(c.q, later, ref)
		})
	}
}

// TestLearnSlides: a correspondent costs a write when the end moves by a thirty-sixth.
func TestLearnSlides(t *testing.T) {
	l := correspondents("recipient")
	l.Learn = append(l.Learn, plan.Learn{Traffic: plan.Relay, From: "recipient", Remember: dur("10d")})
	w := newWorld(t, makePlan(l, grey(exceptKnown("sender"))))
	row := func() engine.SeenRow { return w.mem.seen[[2]string{"list.correspondents", "a@example.org"}] }
	w.ask(sends("a@example.org"))
	first := row()
	if want := (engine.SeenRow{First: start.UnixMilli(), Counted: start.UnixMilli(), Expires: start.UnixMilli() + dur("60d").Milliseconds()}); first != want {
		t.Errorf("%+v, want %+v", first, want)
	}
	w.wait(40 * time.Hour) // a thirty-sixth
	if d := w.ask(sends("a@example.org")); len(d.Writes) != 0 {
		t.Errorf("writes %+v", d.Writes)
	}
	w.wait(time.Millisecond)
	w.ask(sends("a@example.org"))
	if got := row(); got.First != first.First || got.Counted != w.now.UnixMilli() || got.Expires != w.now.UnixMilli()+dur("60d").Milliseconds() {
		t.Errorf("%+v", got)
	}
	// What is remembered for longer is not cut short by other mail ...
	relayed := sends("a@example.org")
	relayed.Traffic = plan.Relay
	if d := w.ask(relayed); len(d.Writes) != 0 {
		t.Errorf("writes %+v", d.Writes)
	}
	w.wait(30 * 24 * time.Hour)
	if d := w.ask(relayed); len(d.Writes) != 0 {
		t.Errorf("writes %+v", d.Writes)
	}
	// ... but a clock that was ahead is put right.
	w.now = start.Add(-10 * 24 * time.Hour)
	if d := w.ask(relayed); len(d.Writes) != 1 {
		t.Errorf("writes %+v", d.Writes)
	}
	w.now = start.Add(100 * 24 * time.Hour)
	w.ask(sends("a@example.org"))
	if got := row(); got.First != w.now.UnixMilli() {
		t.Errorf("forgotten, and yet first seen at %d", got.First)
	}
}

// TestLearnByTraffic: from each what its own block says.
func TestLearnByTraffic(t *testing.T) {
	l := correspondents("recipient")
	l.Learn = append(l.Learn, plan.Learn{Traffic: plan.Relay, From: "recipient.domain", Remember: dur("10d")})
	w := newWorld(t, makePlan(l, grey(exceptKnown("sender"))))
	relayed := sends("a@example.org")
	relayed.Traffic = plan.Relay
	w.ask(relayed)
	if got := w.learned(); !slices.Equal(got, []string{"@example.org"}) {
		t.Errorf("learned %q", got)
	}
}

// TestLearnsFromAcceptedMail, and from whoever may send it.
func TestLearnsFromAcceptedMail(t *testing.T) {
	deny := limit("deny", plan.Message, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) { l.Traffic = plan.Submission })
	freeze := deny
	freeze.Name, freeze.Tiers = "freeze", only(tier("t", plan.Freeze, "0/1h"))
	observed := deny
	observed.Mode = plan.Observe
	allowed := &engine.Runtime{Allowances: []engine.Allowance{{Field: "client", Pattern: "192.0.2.0/24"}}}
	for name, c := range map[string]struct {
		limit   *plan.Limit
		runtime *engine.Runtime
		want    int
	}{
		"accepted":     {nil, nil, 1},
		"denied":       {&deny, nil, 0},
		"frozen":       {&freeze, nil, 1},
		"observed":     {&observed, nil, 1},
		"allowed":      {nil, allowed, 1},
		"switched off": {nil, &engine.Runtime{Off: []engine.Switch{{Policy: "list.correspondents"}}}, 0},
	} {
		policies := []any{correspondents("recipient"), grey(exceptKnown("sender"))}
		if c.limit != nil {
			policies = append(policies, *c.limit)
		}
		w := newWorld(t, makePlan(policies...))
		w.live.Runtime = c.runtime
		w.ask(sends("a@example.org"))
		if got := w.learned(); len(got) != c.want {
			t.Errorf("%s: learned %q", name, got)
		}
	}
}

// TestLearnedUnderAnotherPlan: what this plan would not learn does not count.
func TestLearnedUnderAnotherPlan(t *testing.T) {
	w := newWorld(t, makePlan(correspondents("recipient"), grey(exceptKnown("sender"))))
	w.mem.seen[[2]string{"list.correspondents", "@example.org"}] = engine.SeenRow{First: 1, Expires: 1 << 50}
	w.want(says(plan.Recipient), later, ref)
}

// TestMismatchOfWhatGrows: only for those that a list has learned; the rest of the
// message need not ask, and the next one must.
func TestMismatchOfWhatGrows(t *testing.T) {
	for field, want := range map[string]string{"": wire.WaiveMessage, "sender": wire.WaiveMessage, "recipient": wire.WaiveNo, "client": wire.WaiveConnection} {
		w := newWorld(t, makePlan(correspondents("recipient"), limit("l", plan.Recipient, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) {
			l.Only = []plan.Ref{{List: "correspondents", Field: field}}
		})))
		if d := w.want(says(plan.Recipient), accept, ""); d.Answer.Waive != want {
			t.Errorf("%q: waives %s, want %s", field, d.Answer.Waive, want)
		}
	}
	w := newWorld(t, makePlan(plan.Pool{Name: "p"}, limit("l", plan.Recipient, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) {
		l.Only = []plan.Ref{{Pool: "p"}}
	})))
	if d := w.want(says(plan.Recipient), accept, ""); d.Answer.Waive != wire.WaiveConnection {
		t.Errorf("not in a pool: waives %s", d.Answer.Waive)
	}
}

// TestNothingIsLearnedBeforeMail: without a sender there is nobody to know.
func TestNothingIsLearnedBeforeMail(t *testing.T) {
	w := newWorld(t, makePlan(correspondents("recipient", "recipient.domain"), limit("l", plan.Connection, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) {
		l.Except = []plan.Ref{{List: "correspondents"}, {List: "correspondents", Field: "recipient"}}
	})))
	w.ask(sends("alice@example.org"))
	w.mem.reads = nil
	w.want(says(plan.Connection, to("")), plan.Deny, "limit.l/t")
	for _, r := range w.mem.reads {
		if strings.Contains(r, "list.") {
			t.Errorf("it reads %q", r)
		}
	}
}
