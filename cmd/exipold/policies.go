package main

import (
	"fmt"
	"slices"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
)

// policyRefs are the full names of a plan's policies.
func policyRefs(p *plan.Plan) []string {
	var refs []string
	for _, g := range p.Greylists {
		refs = append(refs, g.Ref())
	}
	for _, l := range p.Limits {
		refs = append(refs, l.Ref())
	}
	return refs
}

// helperPolicy is an error where the helper has nothing to say of a policy: wrong usage
// where the plan has none of that name, and a failure where Exim counts it itself.
func helperPolicy(p *plan.Plan, ref string) error {
	refs := policyRefs(p)
	switch {
	case len(refs) == 0:
		return cli.WrongUsage("no policy %q: this plan has none at all", ref)
	case !slices.Contains(refs, ref):
		if near := cli.Nearest(ref, refs); near != "" {
			return cli.WrongUsage("no policy %q in this plan: did you mean %s?", ref, near)
		}
		return cli.WrongUsage("no policy %q in this plan, which has %s", ref, listed(refs))
	}
	for _, l := range p.Limits {
		if l.Ref() == ref && l.Engine == plan.EngineExim {
			return fmt.Errorf("%s: Exim counts it itself (engine = %q): exipold neither asks it nor changes it; write what is to change into the policies", ref, plan.EngineExim)
		}
	}
	return nil
}

func listed(words []string) string {
	out := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			out += " and "
		default:
			out += ", "
		}
		out += w
	}
	return out
}
