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

var (
	noName   = plan.Fact{Name: plan.NoReverseDNS}
	listed   = plan.Fact{Name: plan.DNSList, Arg: "zen.example"}
	spfFails = plan.Fact{Name: plan.SPFFail}
	dnswl    = plan.Fact{Name: plan.DNSWL, Arg: "list.dnswl.org"}
	inPool   = plan.Fact{Name: plan.InPool}
	known    = plan.Fact{Name: plan.SPFPass, Arg: "known"}
	spf      = plan.Fact{Name: plan.SPF}

	knownList = plan.List{Name: "known", Entries: []plan.Entry{{Field: "sender", Pattern: "example.org"}}}
	codes     = plan.List{Name: "codes", Entries: []plan.Entry{{Field: "sender", Pattern: "shop.example"}, {Field: "sender", Pattern: "*@*.shop.example"}, {Field: "sender", Pattern: "<>"}}}
)

func suspicious(facts ...plan.Fact) func(*plan.Grey) {
	return func(g *plan.Grey) { g.Suspicious = facts }
}

func spare(facts ...plan.Fact) func(*plan.Grey) { return func(g *plan.Grey) { g.Spare = facts } }

func byPool(g *plan.Grey) {
	g.Key = []plan.Part{{Field: "pool"}, {Field: "sender"}, {Field: "recipient"}}
}

func urgent(g *plan.Grey) { g.Urgent = []plan.Ref{{List: "codes"}} }

func onFailure(word string) func(*plan.Grey) { return func(g *plan.Grey) { g.OnFailure = word } }

func giveUp(after string) func(*plan.Grey) { return func(g *plan.Grey) { g.GiveUp = dur(after) } }

// facts are the same about everybody.
func facts(spf, domain string, found map[plan.Fact]engine.Finding) func(wire.Question) engine.Facts {
	return func(wire.Question) engine.Facts { return engine.Facts{SPF: spf, SPFDomain: domain, Found: found} }
}

type found = map[plan.Fact]engine.Finding

// TestFirstContact: each fact on its own, and together.
func TestFirstContact(t *testing.T) {
	const yes, no, unclear = engine.Yes, engine.No, engine.Unclear
	for name, c := range map[string]struct {
		grey   plan.Grey
		spf    string
		open   bool
		found  found
		pool   string
		why    string // of the deferral; "" where it is accepted
		asks   []plan.Fact
		writes int
	}{
		"nobody asks":                   {grey: grey(), why: "first_contact", writes: 1},
		"suspicious":                    {grey: grey(suspicious(noName)), found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{noName}, writes: 1},
		"not suspicious":                {grey: grey(suspicious(noName)), found: found{noName: no}, asks: []plan.Fact{noName}},
		"all in one go":                 {grey: grey(suspicious(noName, listed)), found: found{noName: no, listed: yes}, why: "dnslist.zen.example", asks: []plan.Fact{noName, listed}, writes: 1},
		"both":                          {grey: grey(suspicious(noName, listed)), found: found{noName: yes, listed: yes}, why: "no_reverse_dns,dnslist.zen.example", asks: []plan.Fact{noName, listed}, writes: 1},
		"one unclear":                   {grey: grey(suspicious(noName, listed)), found: found{noName: no, listed: unclear}, asks: []plan.Fact{noName, listed}},
		"one unclear, defer":            {grey: grey(suspicious(noName, listed), onFailure(plan.Defer)), found: found{noName: no, listed: unclear}, why: "unclear", asks: []plan.Fact{noName, listed}, writes: 1},
		"one unclear, one holds, defer": {grey: grey(suspicious(noName, listed), onFailure(plan.Defer)), found: found{noName: yes, listed: unclear}, why: "no_reverse_dns", asks: []plan.Fact{noName, listed}, writes: 1},
		"none, defer":                   {grey: grey(suspicious(noName), onFailure(plan.Defer)), found: found{noName: no}, asks: []plan.Fact{noName}},
		"one reason once": {
			grey:  grey(suspicious(listed, plan.Fact{Name: plan.DNSList, Arg: "zen.example=127.0.0.2"})),
			found: found{listed: yes, {Name: plan.DNSList, Arg: "zen.example=127.0.0.2"}: yes}, why: "dnslist.zen.example",
			asks: []plan.Fact{listed, {Name: plan.DNSList, Arg: "zen.example=127.0.0.2"}}, writes: 1,
		},
		"SPF fails":                 {grey: grey(suspicious(spfFails)), spf: "fail", why: "spf_fail", asks: []plan.Fact{spf}, writes: 1},
		"SPF fails softly":          {grey: grey(suspicious(spfFails)), spf: "softfail", why: "spf_fail", asks: []plan.Fact{spf}, writes: 1},
		"SPF passes":                {grey: grey(suspicious(spfFails)), spf: "pass", asks: []plan.Fact{spf}},
		"SPF is neutral":            {grey: grey(suspicious(spfFails)), spf: "neutral", asks: []plan.Fact{spf}},
		"SPF cannot be read":        {grey: grey(suspicious(spfFails)), spf: "permerror", asks: []plan.Fact{spf}},
		"no SPF":                    {grey: grey(suspicious(spfFails)), spf: "none", asks: []plan.Fact{spf}},
		"SPF unclear":               {grey: grey(suspicious(spfFails)), spf: "temperror", asks: []plan.Fact{spf}},
		"SPF unclear, defer":        {grey: grey(suspicious(spfFails), onFailure(plan.Defer)), spf: "temperror", why: "unclear", asks: []plan.Fact{spf}, writes: 1},
		"spared":                    {grey: grey(suspicious(noName), spare(dnswl)), found: found{noName: yes, dnswl: yes}, asks: []plan.Fact{dnswl, noName}},
		"not spared":                {grey: grey(suspicious(noName), spare(dnswl)), found: found{noName: yes, dnswl: no}, why: "no_reverse_dns", asks: []plan.Fact{dnswl, noName}, writes: 1},
		"perhaps spared":            {grey: grey(suspicious(noName), spare(dnswl)), found: found{noName: yes, dnswl: unclear}, why: "no_reverse_dns", asks: []plan.Fact{dnswl, noName}, writes: 1},
		"spared, all are asked":     {grey: grey(spare(dnswl)), found: found{dnswl: yes}, asks: []plan.Fact{dnswl}},
		"not spared, all are asked": {grey: grey(spare(dnswl)), found: found{dnswl: no}, why: "first_contact", asks: []plan.Fact{dnswl}, writes: 1},
		"a pool":                    {grey: grey(suspicious(noName), spare(dnswl, inPool)), pool: "big", found: found{noName: yes}},
		"no pool":                   {grey: grey(suspicious(noName), spare(inPool)), found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{noName}, writes: 1},
		"known, SPF passes":         {grey: grey(suspicious(noName), spare(known)), spf: "pass", found: found{noName: yes}, asks: []plan.Fact{spf, noName}},
		"known, SPF is open":        {grey: grey(suspicious(noName), spare(known)), spf: "pass", open: true, found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{spf, noName}, writes: 1},
		"known, no SPF":             {grey: grey(suspicious(noName), spare(known)), spf: "none", found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{spf, noName}, writes: 1},
		"unknown":                   {grey: grey(suspicious(noName), spare(plan.Fact{Name: plan.SPFPass, Arg: "codes"})), spf: "pass", found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{noName}, writes: 1},
		"by pool":                   {grey: grey(byPool, suspicious(noName)), spf: "none", found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{spf, noName}, writes: 1},
		"by pool, SPF passes":       {grey: grey(byPool, suspicious(noName)), spf: "pass", found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{spf, noName}, writes: 2},
		"by pool, in one":           {grey: grey(byPool, suspicious(noName)), pool: "big", found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{noName}, writes: 1},
		"by pool, SPF is open":      {grey: grey(byPool), spf: "pass", open: true, why: "first_contact", asks: []plan.Fact{spf}, writes: 1},
		"an observer":               {grey: grey(suspicious(noName), func(g *plan.Grey) { g.Mode = plan.Observe }), found: found{noName: yes}, why: "no_reverse_dns", asks: []plan.Fact{noName}, writes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(knownList, codes, c.grey))
			w.truth = func(wire.Question) engine.Facts {
				return engine.Facts{SPF: c.spf, SPFDomain: "example.org", SPFOpen: c.open, Found: c.found}
			}
			w.live.Pool = poolOf(c.pool)
			d := w.ask(says(plan.Recipient))
			verdict := d.Answer.Verdict
			if c.grey.Mode == plan.Observe {
				verdict = d.Answer.Would
			}
			if got := strings.Join(d.Answer.Why, ","); got != c.why || (verdict == later) != (c.why != "") {
				t.Errorf("%s because of %q, want %q; %s", verdict, got, c.why, reasons(d))
			}
			if !slices.Equal(w.asked, c.asks) {
				t.Errorf("asks for %v, want %v", w.asked, c.asks)
			}
			if len(d.Writes) != c.writes {
				t.Errorf("writes %+v", d.Writes)
			}
			if name == "known, SPF passes" && (len(d.Hits) != 1 || d.Hits[0].List != "list.known") || d.Answer.Verdict == later && len(d.Hits) > 0 {
				t.Errorf("hits %+v", d.Hits)
			}
			var whys []string
			for _, row := range w.mem.seen {
				if row.Why != "" {
					whys = append(whys, row.Why)
				}
			}
			if c.why != "" && !slices.Equal(whys, []string{c.why}) {
				t.Errorf("the rows say why: %q", whys)
			}
		})
	}
}

// TestSpareLearned: a sender that the list has learned is in it for spf_pass, too, for as
// long as it is remembered.
func TestSpareLearned(t *testing.T) {
	byHand := correspondents("recipient")
	byHand.Entries = []plan.Entry{{Field: "sender", Pattern: "example.net"}}
	for name, c := range map[string]struct {
		list   plan.List
		sender string
		spf    string
		want   string
		hit    engine.Hit
	}{
		"learned":               {correspondents("recipient"), "Alice+x@Example.ORG", "pass", accept, engine.Hit{List: "list.correspondents", Field: "sender"}},
		"by its domain":         {correspondents("recipient.domain"), "b@example.org", "pass", accept, engine.Hit{List: "list.correspondents", Field: "sender"}},
		"written down":          {byHand, "b@example.net", "pass", accept, engine.Hit{List: "list.correspondents", Field: "sender", Pattern: "example.net"}},
		"learned beside those":  {byHand, "alice@example.org", "pass", accept, engine.Hit{List: "list.correspondents", Field: "sender"}},
		"learned, SPF fails":    {correspondents("recipient"), "alice@example.org", "fail", later, engine.Hit{}},
		"learned, SPF unclear":  {correspondents("recipient"), "alice@example.org", "temperror", later, engine.Hit{}},
		"another of its domain": {correspondents("recipient"), "b@example.org", "pass", later, engine.Hit{}},
		"null sender":           {correspondents("recipient"), "", "pass", later, engine.Hit{}},
	} {
		t.Run(name, func(t *testing.T) {
			event := plan.Recipient
			if c.sender == "" {
				event = plan.NullSender
			}
			w := newWorld(t, makePlan(c.list, grey(suspicious(noName), spare(plan.Fact{Name: plan.SPFPass, Arg: "correspondents"}))))
			w.truth = facts(c.spf, "example.org", found{noName: engine.Yes})
			w.ask(sends("alice@example.org"))
			d := w.want(says(event, sender(c.sender)), c.want, map[string]string{later: ref}[c.want])
			if c.want == accept && (len(d.Hits) != 1 || d.Hits[0] != c.hit) || c.want == later && len(d.Hits) > 0 {
				t.Errorf("hits %+v", d.Hits)
			}
			listed := c.want == accept || strings.HasPrefix(name, "learned")
			if slices.Contains(w.asked, spf) != listed {
				t.Errorf("asks for %v", w.asked)
			}
			if c.hit.Pattern == "" && c.want == accept {
				w.wait(60 * 24 * time.Hour)
				w.want(says(event, sender(c.sender)), later, ref)
			}
		})
	}
	w := newWorld(t, makePlan(correspondents("recipient"), grey(spare(plan.Fact{Name: plan.SPFPass, Arg: "correspondents"}))))
	for _, known := range []*engine.Facts{nil, {SPF: "pass"}} {
		if _, err := w.e.Decide(says(plan.Recipient), w.now, broken{w.mem, "list."}, engine.Live{Facts: known}); err == nil {
			t.Errorf("the store fails, and nobody says so (facts %+v)", known)
		}
	}
	byPools := newWorld(t, makePlan(correspondents("recipient"), grey(byPool, spare(plan.Fact{Name: plan.SPFPass, Arg: "correspondents"}))))
	if _, err := byPools.e.Decide(says(plan.Recipient), w.now, broken{w.mem, "list."}, engine.Live{}); err == nil {
		t.Error("the store fails, and nobody says so")
	}
}

// TestUrgentUnclear: SPF that is unclear proves nobody. An urgent sender is then judged
// like any other, and on_failure decides where nothing suspicious is known.
func TestUrgentUnclear(t *testing.T) {
	for name, c := range map[string]struct {
		suspicious []plan.Fact
		found      engine.Finding // about its name
		pass       string         // the verdict with on_failure = "pass"
		deferred   string         // and with "defer"
	}{
		"everybody is greylisted": {nil, engine.No, later, later},
		"spf_fail":                {[]plan.Fact{spfFails}, engine.No, accept, later},
		"looks bad otherwise":     {[]plan.Fact{spfFails, noName}, engine.Yes, later, later},
		"looks good":              {[]plan.Fact{noName}, engine.No, accept, accept},
	} {
		for word, want := range map[string]string{plan.Pass: c.pass, plan.LastKnown: c.pass, plan.Defer: c.deferred} {
			w := newWorld(t, makePlan(codes, grey(urgent, suspicious(c.suspicious...), onFailure(word))))
			w.truth = facts("temperror", "", found{noName: c.found})
			if d := w.ask(says(plan.WholeMessage, sender("bounce@shop.example"))); d.Answer.Verdict != want || len(d.Hits) > 0 {
				t.Errorf("%s, %s: %s, want %s; hits %+v", name, word, d.Answer.Verdict, want, d.Hits)
			}
		}
	}
}

// TestEarlyRetry: the same is asked again; what is clean by now is let in, and what
// cannot be found out is deferred for what it was deferred for.
func TestEarlyRetry(t *testing.T) {
	for name, c := range map[string]struct {
		onFailure string
		now       engine.Finding
		why       string
	}{
		"still":          {plan.Pass, engine.Yes, "no_reverse_dns"},
		"no longer":      {plan.Pass, engine.No, ""},
		"unclear":        {plan.Pass, engine.Unclear, ""},
		"unclear, defer": {plan.Defer, engine.Unclear, "no_reverse_dns"},
	} {
		w := newWorld(t, makePlan(grey(suspicious(noName), onFailure(c.onFailure))))
		w.truth = facts("none", "", found{noName: engine.Yes})
		w.want(says(plan.Recipient), later, ref)
		w.wait(time.Minute)
		w.truth = facts("none", "", found{noName: c.now})
		d := w.ask(says(plan.Recipient))
		if got := strings.Join(d.Answer.Why, ","); got != c.why || (d.Answer.Verdict == later) != (c.why != "") || len(d.Writes) > 0 {
			t.Errorf("%s: %s because of %q, writes %+v", name, d.Answer.Verdict, got, d.Writes)
		}
	}
}

// TestNoFactsWithoutNeed: who passed, who retries in time and who has waited for long
// enough is let in without a question.
func TestNoFactsWithoutNeed(t *testing.T) {
	w := newWorld(t, makePlan(grey(trust, suspicious(noName), giveUp("1h"))))
	w.truth = facts("fail", "example.org", found{noName: engine.Yes})
	w.want(says(plan.Recipient), later, ref)
	w.wait(5 * time.Minute)
	for range 2 {
		if w.want(says(plan.Recipient), accept, ""); len(w.asked) > 0 {
			t.Errorf("asks for %v", w.asked)
		}
	}
	w.want(says(plan.Recipient, sender("c@example.org"), from("192.0.3.1")), later, ref)
	w.wait(time.Hour)
	if w.want(says(plan.Recipient, sender("c@example.org"), from("192.0.4.1")), accept, ""); len(w.asked) > 0 {
		t.Errorf("asks for %v", w.asked)
	}
}

// TestUrgent: SPF for the envelope sender, or DKIM for the header's; nothing else.
func TestUrgent(t *testing.T) {
	from := func(address string, domains ...string) func(*wire.Question) {
		return func(q *wire.Question) { q.From, q.Dkim = address, domains }
	}
	code := sender("bounce@shop.example")
	for name, c := range map[string]struct {
		q    wire.Question
		spf  string
		open bool
		want string
	}{
		"SPF passes":              {says(plan.WholeMessage, code), "pass", false, accept},
		"SPF passes, a subdomain": {says(plan.WholeMessage, sender("x@a.b.shop.example")), "pass", false, accept},
		"SPF is open":             {says(plan.WholeMessage, code), "pass", true, later},
		"SPF fails":               {says(plan.WholeMessage, code), "fail", false, later},
		"SPF is unclear":          {says(plan.WholeMessage, code), "temperror", false, later},
		"nobody":                  {says(plan.WholeMessage), "pass", false, later},
		"null sender":             {says(plan.WholeMessage, sender(""), helo("shop.example")), "pass", false, later},
		"DKIM":                    {says(plan.WholeMessage, from("no-reply@shop.example", "other.example", "shop.example")), "none", false, accept},
		"DKIM, null sender":       {says(plan.WholeMessage, sender(""), from("no-reply@shop.example", "shop.example")), "none", false, accept},
		"DKIM, case and dot":      {says(plan.WholeMessage, from("No-Reply@Shop.Example", "SHOP.example.")), "none", false, accept},
		"DKIM of a subdomain":     {says(plan.WholeMessage, from("no-reply@shop.example", "mail.shop.example")), "none", false, accept},
		"DKIM of the parent":      {says(plan.WholeMessage, from("no-reply@mail.shop.example", "shop.example")), "none", false, accept},
		"DKIM of a suffix":        {says(plan.WholeMessage, from("no-reply@shop.example", "example")), "none", false, later},
		"DKIM of another":         {says(plan.WholeMessage, from("no-reply@shop.example", "notshop.example", "shop.example.evil.test")), "none", false, later},
		"DKIM of the envelope":    {says(plan.WholeMessage, code, from("x@evil.test", "shop.example")), "none", false, later},
		"not in the list":         {says(plan.WholeMessage, from("x@evil.test", "evil.test")), "pass", false, later},
		"no From":                 {says(plan.WholeMessage, from("", "shop.example")), "none", false, later},
		"no signature":            {says(plan.WholeMessage, from("no-reply@shop.example")), "none", false, later},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(codes, grey(urgent)))
			w.truth = func(wire.Question) engine.Facts { return engine.Facts{SPF: c.spf, SPFDomain: "x", SPFOpen: c.open} }
			d := w.want(c.q, c.want, map[string]string{later: ref}[c.want])
			if c.want == accept && (len(d.Writes) > 0 || len(d.Hits) != 1 || d.Hits[0].List != "list.codes") {
				t.Errorf("writes %+v, hits %+v", d.Writes, d.Hits)
			}
			if c.want == later && len(d.Hits) > 0 {
				t.Errorf("hits %+v", d.Hits)
			}
			if proven := c.want == accept && c.spf == "none"; len(w.asked) > 0 && (proven || c.q.Sender == "" || strings.HasPrefix(c.q.Sender, "alice")) {
				t.Errorf("asks for %v", w.asked)
			}
		})
	}
	// What a list learned is not urgent: anybody may have been written to.
	learns := codes
	learns.Learn = []plan.Learn{{Traffic: plan.Submission, From: "recipient", Remember: dur("60d")}}
	w := newWorld(t, makePlan(learns, grey(urgent)))
	w.truth = facts("pass", "example.org", nil)
	w.mem.seen[[2]string{"list.codes", "alice@example.org"}] = engine.SeenRow{First: 1, Expires: 1 << 50}
	w.want(says(plan.WholeMessage), later, ref)
}

// TestWhyGoesWithTheVerdict: of several policies that of the one who decides, else of
// the one who would have.
func TestWhyGoesWithTheVerdict(t *testing.T) {
	watch := grey(suspicious(listed), func(g *plan.Grey) { g.Name, g.Mode = "watch", plan.Observe })
	truth := facts("none", "", found{noName: engine.Yes, listed: engine.Yes})
	for name, c := range map[string]struct {
		plan *plan.Plan
		why  string
	}{
		"the decider's":      {makePlan(watch, grey(suspicious(noName))), "no_reverse_dns"},
		"the observer's":     {makePlan(watch), "dnslist.zen.example"},
		"another one denies": {makePlan(grey(suspicious(noName)), limit("l", plan.Recipient, only(tier("t", plan.Deny, "0/1h")))), ""},
	} {
		w := newWorld(t, c.plan)
		w.truth = truth
		if got := strings.Join(w.ask(says(plan.Recipient)).Answer.Why, ","); got != c.why {
			t.Errorf("%s: %q, want %q", name, got, c.why)
		}
	}
}

// TestReasonsNameFacts: for `exipold ask`.
func TestReasonsNameFacts(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool, suspicious(noName, listed), spare(dnswl))))
	for _, c := range []struct {
		found found
		want  string
	}{
		{found{noName: engine.Yes, listed: engine.Yes}, "suspicious: no_reverse_dns, dnslist.zen.example"},
		{found{noName: engine.No, listed: engine.Unclear}, "nothing suspicious; could not find out: dnslist.zen.example"},
		{found{noName: engine.Yes, dnswl: engine.Yes}, "spared: dnswl"},
	} {
		w.truth = facts("none", "", c.found)
		if got := reasons(w.decide(says(plan.Recipient))); !strings.Contains(got, c.want) {
			t.Errorf("%s, without %q", got, c.want)
		}
	}
	d, err := w.e.Decide(says(plan.Recipient), w.now, w.mem, w.live)
	if err != nil || !strings.Contains(reasons(d), "must find out: spf, dnswl, no_reverse_dns, dnslist.zen.example") {
		t.Errorf("%s, %v", reasons(d), err)
	}
}
