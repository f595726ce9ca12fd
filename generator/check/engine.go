package check

import (
	"fmt"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// eximEngine: what Exim's own ratelimit cannot do.
func eximEngine(c *checker) {
	for _, lim := range c.set.Limits {
		if lim.Engine.V != plan.EngineExim {
			continue
		}
		cannot := func(at policy.Value[string], what string) {
			c.fail("EP303", at.Range, "Exim's own ratelimit cannot "+what, `leave engine out: the helper can`, note(lim.Engine.Range, "the engine is exim"))
		}
		if len(lim.Events) > 1 {
			cannot(lim.Events[1].Name, "count events of several kinds together")
		}
		for _, e := range lim.Events {
			switch {
			case plan.Events[e.Name.V].Log:
				cannot(e.Name, "count what the log says")
			case e.Name.V == plan.InvalidRecipient:
				cannot(e.Name, "tell a recipient that does not exist from one that is not known at the moment")
			}
			if e.Weight.V != 1 {
				cannot(policy.Value[string]{Range: e.Weight.Range}, "give an event a weight")
			}
		}
		for _, p := range lim.Key {
			switch p.Field {
			case "pool":
				cannot(policy.Value[string]{Range: p.Range}, "know who answers for a client: use client.net")
			case "user", "owner", "login":
				cannot(policy.Value[string]{Range: p.Range}, "count for "+p.Text)
			}
		}
		if lim.Distinct != nil {
			cannot(policy.Value[string]{Range: lim.Distinct.Range}, "count different ones in this way")
		}
		if lim.Share != nil {
			cannot(*lim.Share, "count a share")
		}
		for _, o := range lim.Overrides {
			cannot(policy.Value[string]{Range: o.DeclRange}, "have overrides")
		}
		for _, t := range lim.Tiers {
			if t.Block != nil {
				cannot(policy.Value[string]{Range: t.Block.DeclRange}, "block")
			}
			if len(t.Notify) > 0 {
				cannot(policy.Value[string]{Range: t.Notify[0].Range}, "notify anybody")
			}
			if d := t.Delay; d != nil && d.Each.Set {
				cannot(policy.Value[string]{Range: d.Each.Range}, "let a delay grow with the count: use fixed")
			}
			if d := t.Delay; d != nil && d.Sleepers.Set {
				cannot(policy.Value[string]{Range: d.Sleepers.Range}, "count those that are being delayed")
			}
		}
		for _, refs := range [][]policy.Ref{lim.Only, lim.Except} {
			for _, r := range refs {
				if why := c.beyondExim(r); why != "" {
					cannot(policy.Value[string]{Range: r.Range}, why)
				}
			}
		}
	}
}

// beyondExim says why Exim alone cannot decide a reference, "" where it can.
func (c *checker) beyondExim(r policy.Ref) string {
	if r.Trusted != "" {
		return "know whom a greylist trusts"
	}
	if r.Pool != "" {
		return "know the networks of a pool"
	}
	list := c.lists[r.List]
	if list == nil {
		return ""
	}
	if len(list.Learn) > 0 && r.Field != "client" && r.Field != "auth" && r.Field != "user" {
		return fmt.Sprintf("know what list.%s learns", list.Name)
	}
	for _, e := range list.Entries {
		if r.Field != "" && r.Field != e.Field {
			continue
		}
		if e.Field != "client" {
			return fmt.Sprintf("use the entries of list.%s for %ss: only those for clients", list.Name, e.Field)
		}
		if e.Until.V != "" {
			return fmt.Sprintf("use entries of list.%s that have an end", list.Name)
		}
	}
	return ""
}

// eximRates: a low rate of Exim's ratelimit trips at once, since it compares a
// moving average that the first event already moves.
func eximRates(c *checker) {
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		if lim.Engine.V != plan.EngineExim {
			return
		}
		for _, r := range t.Over {
			if r.V.Count <= 1 {
				c.fail("EP304", r.Range, fmt.Sprintf("Exim's own ratelimit trips at the first event with a rate of %s", r.V),
					"use 2 or more, or leave engine out", note(lim.Engine.Range, "the engine is exim"))
			}
		}
	})
}
