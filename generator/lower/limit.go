package lower

import (
	"cmp"
	"slices"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

func limit(set *policy.Set, l *policy.Limit) plan.Limit {
	out := plan.Limit{
		Name:      l.Name,
		Traffic:   l.Traffic.V,
		Key:       parts(l.Key),
		Callout:   l.Callout.V,
		Attempts:  l.Attempts.V,
		Only:      refs(l.Only),
		Except:    refs(l.Except),
		Engine:    l.Engine.V,
		Mode:      mode(set, l.Mode),
		OnFailure: onFailure(set, l.OnFailure),
		Origin:    origin(l.DeclRange),
	}
	for _, e := range l.Events {
		out.Events = append(out.Events, plan.WeightedEvent{Event: e.Name.V, Weight: e.Weight.V})
	}
	slices.SortFunc(out.Events, func(a, b plan.WeightedEvent) int { return cmp.Compare(a.Event, b.Event) })
	if l.Distinct != nil {
		out.Distinct = &l.Distinct.Part
	}
	if l.Share != nil {
		out.Share = &plan.Share{Event: l.Share.V, Floor: l.Floor.V}
	}
	for _, v := range l.Classes {
		out.Classes = append(out.Classes, v.V)
	}
	slices.Sort(out.Classes)
	for _, t := range l.Tiers {
		out.Tiers = append(out.Tiers, tier(set, out, t))
	}
	for _, o := range l.Overrides {
		out.Overrides = append(out.Overrides, override(out.Tiers, o))
	}
	out.Windows = windows(out)
	return out
}

func tier(set *policy.Set, l plan.Limit, t *policy.Tier) plan.Tier {
	out := plan.Tier{Name: t.Name, Over: rates(t.Over), Verdict: plan.Accept, Origin: origin(t.DeclRange)}
	if t.Verdict.Set {
		out.Verdict = t.Verdict.V
		out.Message = t.Message.V
	}
	if d := t.Delay; d != nil {
		out.Delay = &plan.Delay{Each: d.Each.V, Fixed: d.Fixed.V, Max: d.Max.V, Sleepers: int(d.Sleepers.V)}
		if !d.Max.Set {
			out.Delay.Max = set.Site.MaxDelay.V
		}
		out.Delay.Max = min(out.Delay.Max, set.Site.MaxDelay.V)
	}
	out.AddHeader = headers(t.AddHeader)
	for _, n := range t.Notify {
		out.Notify = append(out.Notify, n.Ref)
	}
	slices.Sort(out.Notify)
	if t.Block != nil {
		out.Block = block(l, t.Block)
	}
	return out
}

func rates(vs []policy.Value[plan.Rate]) []plan.Rate {
	out := make([]plan.Rate, 0, len(vs))
	for _, v := range vs {
		out = append(out, v.V)
	}
	return out
}

func override(tiers []plan.Tier, o *policy.Override) plan.Override {
	out := plan.Override{Name: o.Name, Only: refs(o.Only), Origin: origin(o.DeclRange)}
	for _, t := range tiers {
		for _, over := range o.Over {
			if over.Tier.V == t.Name {
				out.Over = append(out.Over, plan.OverrideTier{Tier: t.Name, Over: rates(over.Rates)})
			}
		}
	}
	return out
}

// windows lists every window that a limit looks at, each once, the shortest first.
func windows(l plan.Limit) []plan.Duration {
	var out []plan.Duration
	add := func(rs []plan.Rate) {
		for _, r := range rs {
			if !slices.Contains(out, r.Per) {
				out = append(out, r.Per)
			}
		}
	}
	for _, t := range l.Tiers {
		add(t.Over)
	}
	for _, o := range l.Overrides {
		for _, t := range o.Over {
			add(t.Over)
		}
	}
	slices.Sort(out)
	return out
}

func headers(hs []policy.Header) []plan.Header {
	var out []plan.Header
	for _, h := range hs {
		out = append(out, plan.Header{Name: h.Name.V, Value: h.Value.V})
	}
	slices.SortFunc(out, func(a, b plan.Header) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
