// Package engine makes the decisions: what a plan says to a question, given what
// the store knows and what was found out about the client. It does no I/O of its own,
// keeps no state and knows no clock; the same question, plan, state, facts and time
// give the same decision.
package engine

import (
	"fmt"
	"slices"
	"time"

	"exipol/generator/plan"
)

// Engine answers questions by one plan. It is safe for concurrent use.
type Engine struct {
	plan       *plan.Plan
	pools      map[string]bool // by name
	lists      map[string]*list
	forwarders *set
	greylists  map[string]*greylist
	limits     map[string]*limit
	happenings map[string][]*limit      // by event of the log: who counts it, sorted by ref
	horizons   map[string]time.Duration // by the same: what is older counts for nobody
	learners   map[string]*list         // the lists that learn, by ref
	concerned  map[occasion][]string    // refs of the policies, sorted
	deferring  map[trafficAndStop]bool  // where an enforced greylist may defer what was accepted at rcpt
}

// occasion is an event in one half of a stage, for one traffic.
type occasion struct{ stage, half, traffic, event string }

// New prepares a plan. The error is a plan that no correct exipol builds: a
// reference to a policy or a list that is not in it, say.
func New(p *plan.Plan) (*Engine, error) {
	e := &Engine{
		plan:       p,
		pools:      map[string]bool{},
		lists:      map[string]*list{},
		forwarders: newSet("client"),
		greylists:  map[string]*greylist{},
		limits:     map[string]*limit{},
		happenings: map[string][]*limit{},
		horizons:   map[string]time.Duration{},
		learners:   map[string]*list{},
		concerned:  map[occasion][]string{},
		deferring:  map[trafficAndStop]bool{},
	}
	for _, pool := range p.Pools {
		e.pools[pool.Name] = true
	}
	for _, l := range p.Lists {
		made, err := newList(l)
		if err != nil {
			return nil, err
		}
		e.lists[l.Name] = made
		if len(l.Learn) > 0 {
			e.learners[l.Ref()] = made
		}
	}
	for _, f := range p.Forwarders {
		if err := e.forwarders.add("client", f, entry{}); err != nil {
			return nil, fmt.Errorf("forwarders: %w", err)
		}
	}
	for i := range p.Greylists {
		g := newGreylist(&p.Greylists[i])
		e.greylists[g.ref] = g
	}
	for i := range p.Limits {
		l := newLimit(&p.Limits[i])
		e.limits[l.ref] = l
		e.noteHappenings(l)
	}
	for _, s := range p.Stages {
		for half, asks := range map[string][]plan.Ask{plan.Before: s.Before, plan.After: s.After} {
			for _, a := range asks {
				e.concerned[occasion{s.Name, half, a.Traffic, a.Event}] = a.Policies
				e.noteStop(a)
			}
		}
	}
	return e, e.references()
}

// references proves that everything that the plan names is in it.
func (e *Engine) references() error {
	for ref, g := range e.greylists {
		if err := e.known(g.Except); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		if err := e.knownFacts(g); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	for ref, l := range e.limits {
		if err := counts(l.Limit); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		refs := slices.Concat(l.Only, l.Except)
		for _, o := range l.Overrides {
			refs = append(refs, o.Only...)
		}
		if err := e.known(refs); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	for at, refs := range e.concerned {
		for _, ref := range refs {
			if e.greylists[ref] == nil && e.limits[ref] == nil && e.learners[ref] == nil {
				return fmt.Errorf("stage %s asks for %q, which is not in this plan", at.stage, ref)
			}
		}
	}
	return nil
}

// known proves that what is referred to is there.
func (e *Engine) known(refs []plan.Ref) error {
	for _, r := range refs {
		switch {
		case r.Trusted != "":
			if g := e.greylists["greylist."+r.Trusted]; g == nil || g.Trust == nil {
				return fmt.Errorf("greylist %q trusts nobody in this plan", r.Trusted)
			}
		case r.Pool != "":
			if !e.pools[r.Pool] {
				return fmt.Errorf("no pool %q in this plan", r.Pool)
			}
		case e.lists[r.List] == nil:
			return fmt.Errorf("no list %q in this plan", r.List)
		}
	}
	return nil
}

// knownFacts proves that every fact of a greylist can be found out: one that nobody
// knows would be asked for in vain, for ever.
func (e *Engine) knownFacts(g *greylist) error {
	for _, f := range g.Suspicious {
		switch f.Name {
		case plan.NoReverseDNS, plan.HeloMismatch, plan.DynamicName, plan.DNSList, plan.SPFFail, plan.NoDNSWL:
		default:
			return fmt.Errorf("suspicious: no such fact is called %q", f.Name)
		}
	}
	for _, f := range g.Spare {
		switch f.Name {
		case plan.DNSWL, plan.InPool:
		case plan.SPFPass:
			if e.lists[f.Arg] == nil {
				return fmt.Errorf("%s: no list %q in this plan", f.Name, f.Arg)
			}
		default:
			return fmt.Errorf("spare: no such fact is called %q", f.Name)
		}
	}
	for _, r := range g.Urgent {
		if e.lists[r.List] == nil {
			return fmt.Errorf("urgent: no list %q in this plan", r.List)
		}
	}
	return nil
}

// counts proves that each rate of a limit has its window: one without would never
// be exceeded.
func counts(l *plan.Limit) error {
	if len(l.Windows) == 0 {
		return fmt.Errorf("no window to count in")
	}
	var rates []plan.Rate
	for _, t := range l.Tiers {
		rates = append(rates, t.Over...)
	}
	for _, o := range l.Overrides {
		for _, t := range o.Over {
			rates = append(rates, t.Over...)
		}
	}
	for _, r := range rates {
		if !slices.Contains(l.Windows, r.Per) {
			return fmt.Errorf("nothing is counted for %s", r)
		}
	}
	return nil
}

// Plan is the plan that the engine answers by.
func (e *Engine) Plan() *plan.Plan { return e.plan }
