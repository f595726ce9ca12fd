// Package single asks one policy of a plan as if there were no other: for the command
// that explains what a policy says, and for the old verbs, which know only one.
package single

import (
	"slices"

	"exipol/generator/plan"
)

// Plan is p with every policy but one left unasked: where p asks for ref, the result
// asks for it alone. It has no stages where the helper is never asked for ref. The id
// stays that of p.
func Plan(p *plan.Plan, ref string) *plan.Plan {
	out := *p
	out.Stages = nil
	for _, s := range p.Stages {
		s.Before, s.After = asks(s.Before, ref), asks(s.After, ref)
		if len(s.Before)+len(s.After) > 0 {
			out.Stages = append(out.Stages, s)
		}
	}
	return &out
}

func asks(all []plan.Ask, ref string) []plan.Ask {
	var out []plan.Ask
	for _, a := range all {
		if slices.Contains(a.Policies, ref) {
			a.Policies, a.Exim = []string{ref}, nil
			out = append(out, a)
		}
	}
	return out
}
