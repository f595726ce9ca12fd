package check

import (
	"fmt"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// references are all references of all policies, but for those of urgent.
func (c *checker) references() []policy.Ref {
	var refs []policy.Ref
	for _, g := range c.set.Greylists {
		refs = append(refs, g.Except...)
	}
	for _, lim := range c.set.Limits {
		refs = slices.Concat(refs, lim.Only, lim.Except)
		for _, o := range lim.Overrides {
			refs = append(refs, o.Only...)
		}
	}
	return refs
}

// hasFact says whether any greylist asks about a fact.
func (c *checker) hasFact(is func(policy.Fact) bool) bool {
	return slices.ContainsFunc(c.set.Greylists, func(g *policy.Greylist) bool {
		return slices.ContainsFunc(g.Suspicious, is) || slices.ContainsFunc(g.Spare, is)
	})
}

// usesLearned says whether anything is compared with what a list learned, which is
// addresses.
func (c *checker) usesLearned(list string, refs []policy.Ref) bool {
	return c.hasFact(func(f policy.Fact) bool { return f.Name == plan.SPFPass && f.Arg == list }) ||
		slices.ContainsFunc(refs, func(r policy.Ref) bool {
			return r.List == list && r.Field != "client" && r.Field != "auth" && r.Field != "user"
		})
}

// forNobody: lists that learn, and pools that are looked up, for nobody.
func forNobody(c *checker) {
	if c.set.Partial {
		return // who uses them may be what is missing
	}
	for _, n := range c.set.Notices {
		named := false
		c.eachTier(func(_ *policy.Limit, t *policy.Tier) {
			named = named || slices.ContainsFunc(t.Notify, func(r policy.Notified) bool { return r.Ref == "notice."+n.Name })
		})
		if !named {
			c.warn("EP226", n.DeclRange, fmt.Sprintf("nothing tells the notice %q", n.Name), fmt.Sprintf("in a tier: notify = [notice.%s]", n.Name))
		}
	}
	refs := c.references()
	for _, l := range c.set.Lists {
		if len(l.Learn) == 0 || c.usesLearned(l.Name, refs) {
			continue
		}
		if i := slices.IndexFunc(refs, func(r policy.Ref) bool { return r.List == l.Name }); i >= 0 {
			c.warn("EP226", l.Learn[0].DeclRange, fmt.Sprintf("list.%s learns for nobody: no policy compares a sender or recipient with it", l.Name),
				fmt.Sprintf("refer to list.%s.sender, in except", l.Name), note(refs[i].Range, "what it learns cannot match here"))
			continue
		}
		c.warn("EP226", l.Learn[0].DeclRange, fmt.Sprintf("list.%s learns for nobody: no policy refers to it", l.Name),
			fmt.Sprintf("for example, in a greylist: except = [list.%s.sender]", l.Name))
	}
	if c.poolsCount() {
		return
	}
	for _, p := range c.set.Pools {
		if !slices.ContainsFunc(refs, func(r policy.Ref) bool { return r.Pool == p.Name }) {
			c.warn("EP226", p.DeclRange, fmt.Sprintf("nothing uses the pool %q", p.Name),
				fmt.Sprintf("put client.pool into a key, pool into spare, or pool.%s into except", p.Name))
		}
	}
}

// poolsCount says whether something is about whichever pool a client belongs to.
func (c *checker) poolsCount() bool {
	has := func(parts []policy.Part) bool {
		return slices.ContainsFunc(parts, func(p policy.Part) bool { return p.Field == "pool" })
	}
	for _, g := range c.set.Greylists {
		if has(g.Key) || g.Trust != nil && has(g.Trust.Key) {
			return true
		}
	}
	for _, lim := range c.set.Limits {
		if has(lim.Key) || lim.Distinct != nil && has([]policy.Part{*lim.Distinct}) {
			return true
		}
	}
	return c.hasFact(func(f policy.Fact) bool { return f.Name == plan.InPool })
}

// leastMemory: an answer may take some days.
const leastMemory = plan.Duration(24 * time.Hour)

// learnTimes: what is learned must still be known when the answer comes.
func learnTimes(c *checker) {
	for _, l := range c.set.Lists {
		for _, learn := range l.Learn {
			switch {
			case learn.Remember.V == 0:
				c.fail("EP227", learn.Remember.Range, "what is learned would be forgotten at once", "60d, or leave it out")
			case learn.Remember.V < leastMemory:
				c.warn("EP227", learn.Remember.Range, fmt.Sprintf("what is learned is forgotten after %s: most answers take longer", learn.Remember.V), "weeks rather than hours")
			}
		}
	}
}
