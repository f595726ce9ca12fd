package load

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

func (l *loader) limit(b *hcl.Block) *policy.Limit {
	c := l.content(b, language.Root.Block("limit"))
	lim := &policy.Limit{
		Name:      c.name,
		DeclRange: c.at,
		Traffic:   l.word(c, "traffic"),
		Events:    l.events(c),
		Classes:   l.bareWords(c, "classes"),
		Callout:   l.duration(c, "callout"),
		Key:       l.key(c, "key"),
		Floor:     l.number(c, "floor"),
		Attempts:  l.boolean(c, "attempts"),
		Only:      l.references(c, "only"),
		Except:    l.references(c, "except"),
		Engine:    l.word(c, "engine"),
		Mode:      l.word(c, "mode"),
		OnFailure: l.word(c, "on_failure"),
	}
	lim.Distinct, lim.Share = l.count(c)
	if !lim.Traffic.Set {
		lim.Traffic.V = usualTraffic(lim.Events)
	}
	own := l.faulty(c)
	var tiers []string // of faulty ones, too: overrides may name them
	for _, inner := range c.blocks["tier"] {
		tiers = append(tiers, inner.Labels[0])
		if t := l.tier(inner, c.spec.Block("tier")); t != nil {
			if b := t.Block; b != nil && !b.At.Set {
				b.At.V = usualStage(lim.Events)
			}
			lim.Tiers = append(lim.Tiers, t)
		}
	}
	for _, inner := range c.blocks["override"] {
		if o := l.override(inner, c.spec.Block("override"), tiers); o != nil {
			lim.Overrides = append(lim.Overrides, o)
		}
	}
	if own {
		return nil
	}
	return lim
}

// usualTraffic is the traffic of a limit that does not say whose mail it is for.
func usualTraffic(events []policy.Event) string {
	all := func(names ...string) bool {
		return !slices.ContainsFunc(events, func(e policy.Event) bool { return !slices.Contains(names, e.Name.V) })
	}
	switch {
	case all(plan.Login):
		return plan.Submission
	case all(plan.Bounce, plan.RejectedRecipient, plan.Login):
		return "" // whoever answers for it
	}
	return plan.Inbound
}

// usualStage is where a block is in force that does not say where.
func usualStage(events []policy.Event) string {
	if slices.ContainsFunc(events, func(e policy.Event) bool { return e.Name.V != plan.AuthFailure }) {
		return plan.Rcpt
	}
	return plan.Auth
}

// verdicts are the tier's blocks of which at most one may stand there.
var verdicts = []string{"defer", "deny", "drop", "discard", "freeze", "block"}

func (l *loader) tier(b *hcl.Block, spec *language.Block) *policy.Tier {
	c := l.content(b, spec)
	t := &policy.Tier{
		Name: c.name, DeclRange: c.at,
		Over: l.rates(c, "over"), AddHeader: l.headers(c), Notify: l.receivers(c),
		Verdict: policy.Value[string]{Range: c.at},
		Message: policy.Value[string]{Range: c.at},
	}
	if v := l.only(c, false, verdicts...); v == "block" {
		t.Block = l.stateBlock(c)
	} else if v != "" {
		inner := l.block(c, v)
		t.Verdict = policy.Value[string]{V: v, Range: inner.at, Set: true}
		if inner.spec.Argument("message") != nil {
			t.Message = l.text(inner, "message")
		}
	}
	if d := l.block(c, "delay"); d != nil {
		l.only(d, true, "each", "fixed")
		t.Delay = &policy.Delay{
			DeclRange: d.at,
			Each:      l.duration(d, "each"),
			Fixed:     l.duration(d, "fixed"),
			Max:       l.duration(d, "max"),
			Sleepers:  l.number(d, "sleepers"),
		}
	}
	if l.faulty(c) {
		return nil
	}
	return t
}

func (l *loader) override(b *hcl.Block, spec *language.Block, tiers []string) *policy.Override {
	c := l.content(b, spec)
	o := &policy.Override{Name: c.name, DeclRange: c.at, Only: l.references(c, "only")}
	if a := c.attrs["over"]; a != nil {
		items, ds := hcl.ExprMap(a.Expr)
		if ds.HasErrors() {
			l.fail("EP108", a.Expr.Range(), "over must be tiers with their other rates, written out", "", `for example: { slow = "500/1h" }`)
		} else if len(items) == 0 {
			l.emptyList(a.Expr.Range(), "over")
		}
		for _, p := range l.pairs(items) {
			if !slices.Contains(tiers, p.name) {
				l.fail("EP104", p.at, fmt.Sprintf("this limit has no tier %q", p.name), "", choose(p.name, tiers))
				continue
			}
			like := field{l: l, arg: c.spec.Argument("over")}
			o.Over = append(o.Over, policy.OverrideTier{
				Tier:  policy.Value[string]{V: p.name, Range: p.at, Set: true},
				Rates: l.rateList(p.expr, like),
			})
		}
	}
	if l.faulty(c) {
		return nil
	}
	return o
}
