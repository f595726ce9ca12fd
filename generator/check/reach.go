package check

import (
	"fmt"
	"slices"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// emptyTiers: a tier that does nothing.
func emptyTiers(c *checker) {
	c.eachTier(func(_ *policy.Limit, t *policy.Tier) {
		if !t.Verdict.Set && t.Delay == nil && len(t.AddHeader) == 0 && t.Block == nil && len(t.Notify) == 0 {
			c.fail("EP215", t.DeclRange, fmt.Sprintf("the tier %q does nothing", t.Name), "give it a delay, defer, deny, drop, discard, freeze, block, add_header or notify")
		}
	})
}

// unreachableTiers: tiers whose doing never shows.
func unreachableTiers(c *checker) {
	for _, lim := range c.set.Limits {
		for i, t := range lim.Tiers {
			for j, s := range lim.Tiers {
				if i == j || overridden(lim, s) || overridden(lim, t) {
					continue
				}
				if locksOut(lim, s, t) {
					c.warn("EP204", t.DeclRange, fmt.Sprintf("the tier %q is never reached: what the tier %q refuses is not counted", t.Name, s.Name),
						"attempts = true counts what was refused, too", note(s.DeclRange, "%q answers with %s above %s", s.Name, s.Verdict.V, s.Over[0].V))
					break
				}
				if implies(t, s) && hides(s, t) && (i > j || !(implies(s, t) && hides(t, s))) {
					c.warn("EP204", t.DeclRange, fmt.Sprintf("the tier %q never decides: the tier %q applies whenever it does, and is as strong", t.Name, s.Name),
						"a stronger verdict belongs to a higher rate", note(s.DeclRange, "%q is here", s.Name))
					break
				}
			}
		}
	}
}

// overridden says whether some have other rates for a tier: then what holds for
// the tier's own rates need not hold.
func overridden(lim *policy.Limit, t *policy.Tier) bool {
	for _, o := range lim.Overrides {
		for _, over := range o.Over {
			if over.Tier.V == t.Name {
				return true
			}
		}
	}
	return false
}

// implies says whether s applies whenever t does: for each of t's rates s has
// one that is lower in a window at least as long.
func implies(t, s *policy.Tier) bool {
	for _, a := range t.Over {
		if !slices.ContainsFunc(s.Over, func(b policy.Value[plan.Rate]) bool { return b.V.Count <= a.V.Count && b.V.Per >= a.V.Per }) {
			return false
		}
	}
	return len(t.Over) > 0
}

// rank is a verdict's place in the order in which verdicts win.
func rank(t *policy.Tier) int {
	if !t.Verdict.Set {
		return len(plan.VerdictOrder)
	}
	return slices.Index(plan.VerdictOrder, t.Verdict.V)
}

// hides says whether nothing of t shows where s applies, too.
func hides(s, t *policy.Tier) bool {
	if t.Block != nil || len(t.Notify) > 0 {
		return false // it opens a case of its own
	}
	if rank(s) > rank(t) || !t.Verdict.Set && t.Delay == nil && len(t.AddHeader) == 0 {
		return false
	}
	if d := t.Delay; d != nil {
		e := s.Delay
		if e == nil || e.Each.V < d.Each.V || e.Fixed.V < d.Fixed.V || e.Max.V != d.Max.V || e.Sleepers.V != d.Sleepers.V {
			return false
		}
	}
	// A header is added only to a message that is accepted.
	if len(t.AddHeader) > 0 {
		return s.Verdict.Set && (s.Verdict.V == plan.Drop || s.Verdict.V == plan.Deny || s.Verdict.V == plan.Defer)
	}
	return true
}

// locksOut says whether s keeps the count below t's rates, because what it
// refuses is not counted.
func locksOut(lim *policy.Limit, s, t *policy.Tier) bool {
	if lim.Attempts.V || lim.Distinct != nil || lim.Engine.V == plan.EngineExim || !s.Verdict.Set || s.Verdict.V == plan.Freeze || len(t.Over) == 0 || len(s.Over) == 0 {
		return false
	}
	most := int64(1)
	for _, e := range lim.Events {
		if plan.Events[e.Name.V].Offence {
			return false
		}
		most = max(most, e.Weight.V)
	}
	for _, a := range t.Over {
		held := slices.ContainsFunc(s.Over, func(b policy.Value[plan.Rate]) bool {
			// In a's window fit so many of b's, and in each of them at most b's number
			// is ever counted; this event comes on top.
			windows := (int64(a.V.Per) + int64(b.V.Per) - 1) / int64(b.V.Per)
			return windows < 1_000_000 && b.V.Count*windows+most <= a.V.Count
		})
		if !held {
			return false
		}
	}
	return true
}

// unreachablePolicies: policies that concern nobody.
func unreachablePolicies(c *checker) {
	for _, g := range c.set.Greylists {
		events := []policy.Event{{Name: policy.Value[string]{V: plan.Recipient}}}
		c.concernsNobody("greylist."+g.Name, nil, g.Except, events, g.Traffic.V)
	}
	for _, lim := range c.set.Limits {
		c.concernsNobody("limit."+lim.Name, lim.Only, lim.Except, lim.Events, lim.Traffic.V)
		for _, o := range lim.Overrides {
			c.concernsNobody("the override "+o.Name, o.Only, nil, lim.Events, lim.Traffic.V)
		}
	}
}

func (c *checker) concernsNobody(name string, only, except []policy.Ref, events []policy.Event, traffic string) {
	if len(only) > 0 && !slices.ContainsFunc(only, func(r policy.Ref) bool { return c.canMatch(r, events, traffic) }) {
		c.warn("EP205", only[0].Range, fmt.Sprintf("%s concerns nobody: nothing that only names can match", name),
			"the lists are empty, or have no entries of a field that is known at these events")
		return
	}
	for _, r := range except {
		if c.isEverybody(r) {
			c.warn("EP205", r.Range, fmt.Sprintf("%s concerns nobody: everybody is exempt", name), "")
			return
		}
	}
	if len(only) == 0 || len(except) == 0 {
		return
	}
	covered := func(r policy.Ref) bool {
		return slices.ContainsFunc(except, func(e policy.Ref) bool {
			return e.Ref == r.Ref || e.List != "" && e.List == r.List && e.Field == ""
		})
	}
	if !slices.ContainsFunc(only, func(r policy.Ref) bool { return !covered(r) }) {
		c.warn("EP205", except[0].Range, fmt.Sprintf("%s concerns nobody: all that only names are exempt", name), "", note(only[0].Range, "only is here"))
	}
}

// canMatch says whether a reference can match anything at one of the events.
func (c *checker) canMatch(r policy.Ref, events []policy.Event, traffic string) bool {
	at := func(field string) bool {
		return len(events) == 0 || slices.ContainsFunc(events, func(e policy.Event) bool {
			if field == "recipient" && e.Name.V == plan.Message {
				return true // matched where all recipients do
			}
			_, ok := known(field, e.Name.V, traffic)
			return ok
		})
	}
	if r.Trusted != "" || r.Pool != "" {
		return at("client")
	}
	list := c.lists[r.List]
	if list == nil {
		return true // faulty, and reported as such
	}
	if len(list.Learn) > 0 && (r.Field == "recipient" && at("recipient") || (r.Field == "sender" || r.Field == "") && at("sender")) {
		return true
	}
	return slices.ContainsFunc(list.Entries, func(e policy.Entry) bool {
		return (r.Field == "" || r.Field == e.Field) && at(e.Field)
	})
}

// isEverybody says whether a reference matches every client.
func (c *checker) isEverybody(r policy.Ref) bool {
	list := c.lists[r.List]
	if list == nil || r.Field != "" && r.Field != "client" {
		return false
	}
	if known, ok := c.all[r.List]; ok {
		return known
	}
	var v4, v6 bool
	for _, e := range list.Entries {
		if e.Field == "client" && e.Until.V == "" {
			v4 = v4 || e.Pattern.V == "0.0.0.0/0"
			v6 = v6 || e.Pattern.V == "::/0"
		}
	}
	c.all[r.List] = v4 && v6
	return v4 && v6
}
