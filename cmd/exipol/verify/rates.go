package verify

import (
	"context"
	"slices"

	"exipol/generator/plan"
)

// rates makes the text anew for each rate that Exim counts itself, and exceeds it.
func (b *bench) rates(ctx context.Context, p *plan.Plan) error {
	for i := range p.Limits {
		l := &p.Limits[i]
		if l.Engine != plan.EngineExim {
			continue
		}
		for j := range l.Tiers {
			t := &l.Tiers[j]
			for k := range t.Over {
				if err := b.write(rated(p, place{i, j, k})); err != nil {
					return err
				}
				if err := b.sessions(ctx, []session{rateSession(b.plan, l, t)}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// never is a rate that no session reaches.
const never = 1_000_000_000

// place is a rate's, by the indexes of its limit, its tier and itself.
type place struct{ limit, tier, rate int }

// nowhere is no rate's.
var nowhere = place{-1, -1, -1}

// rated is a plan in which Exim itself finds one rate exceeded at once, and no other.
func rated(p *plan.Plan, only place) *plan.Plan {
	out := *p
	out.Limits = slices.Clone(p.Limits)
	for i := range out.Limits {
		l := &out.Limits[i]
		if l.Engine != plan.EngineExim {
			continue
		}
		l.Tiers = slices.Clone(l.Tiers)
		for j := range l.Tiers {
			t := &l.Tiers[j]
			over := slices.Clone(t.Over)
			for k := range over {
				over[k].Count = never
				if (place{i, j, k}) == only {
					over[k].Count = 1
				}
			}
			t.Over = over
			if t.Delay != nil && l.Traffic == plan.Local { // where Exim really sleeps
				second, _ := plan.ParseDuration("1s")
				t.Delay = &plan.Delay{Fixed: second, Max: second}
			}
		}
	}
	return &out
}

// rateSession is the session in which a tier of a limit trips that Exim counts.
func rateSession(p *plan.Plan, l *plan.Limit, t *plan.Tier) session {
	ref := l.Ref() + "/" + t.Name
	s := session{name: l.Traffic + " mail, " + ref + " exceeded", traffic: l.Traffic, answer: accept}
	switch {
	case l.Mode == plan.Observe:
		s.expect = []string{logged("observe " + ref + ": would ")}
	case t.Verdict == plan.Accept || t.Verdict == plan.Freeze:
		s.expect = []string{logged(ref + " [")}
	default:
		s.expect = shown(t.Verdict, ref)
	}
	var fits bool
	if s.client, fits = client(p, l.Traffic, l); !fits {
		s.expect = nil
	}
	return s
}
