package engine_test

import (
	"maps"
	"slices"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// desk is what the memory keeps for the desk and of the log, as a store does.
type desk struct {
	standing map[[2]string]engine.Standing
	sample   map[[2]string]map[int64]engine.PutSample
	event    map[[3]string]engine.PutEvent
	held     map[[2]string]engine.PutHeld
	cases    []deskCase // case n is at n-1
	opens    []engine.OpenCase
}

// deskCase is what the desk sees of a case.
type deskCase struct {
	first    engine.OpenCase
	tiers    []string
	evidence []engine.PutSample
	notices  map[[2]string]int // tier and receiver
}

func newDesk() desk {
	return desk{
		standing: map[[2]string]engine.Standing{}, sample: map[[2]string]map[int64]engine.PutSample{},
		event: map[[3]string]engine.PutEvent{}, held: map[[2]string]engine.PutHeld{},
	}
}

func (d *desk) Standing(policy, key string) (engine.Standing, bool, error) {
	s, ok := d.standing[[2]string{policy, key}]
	return s, ok, nil
}

func (d *desk) Known(gateway, message, item string) (bool, error) {
	_, ok := d.event[[3]string{gateway, message, item}]
	return ok, nil
}

func (d *desk) Arrival(string, string) (engine.Arrival, bool, error) {
	return engine.Arrival{}, false, nil
}

func (d *desk) Held(caseID int64) (n int64, err error) {
	for _, h := range d.held {
		if h.Case == caseID {
			n++
		}
	}
	return n, nil
}

func (d *desk) Bounces(owner string, since int64) (n int64, err error) {
	for _, e := range d.event {
		if e.Owner == owner && e.Kind == plan.Bounce && e.At >= since {
			n++
		}
	}
	return n, nil
}

// apply makes one write; expires is 0 where the row has no end.
func (d *desk) apply(w engine.Write) (expires int64, known bool) {
	switch w := w.(type) {
	case engine.PutSample:
		at := [2]string{w.Policy, w.Key}
		if d.sample[at] == nil {
			d.sample[at] = map[int64]engine.PutSample{}
		}
		if w.N < 0 || w.N >= engine.Samples || len(w.Line) > engine.SampleLine {
			panic("no store takes this sample")
		}
		d.sample[at][w.N] = w
		return w.Expires, true
	case engine.PutEvent:
		at := [3]string{w.Gateway, w.Message, w.Item}
		if _, ok := d.event[at]; !ok {
			d.event[at] = w
		}
		return w.Expires, true
	case engine.PutHeld:
		d.held[[2]string{w.Gateway, w.Message}] = w
		return 0, true
	case engine.OpenCase:
		d.opens = append(d.opens, w)
		d.open(w)
		return 0, true
	}
	return 0, false
}

// open is what the standing's row decides.
func (d *desk) open(w engine.OpenCase) {
	at := [2]string{w.Policy, w.Key}
	s, ok := d.standing[at]
	open := ok && s.Released == 0 && (s.Until == 0 || w.At < s.Until)
	if open && s.Rank >= w.Rank || w.At < s.Cleared {
		return
	}
	if !open {
		d.cases = append(d.cases, deskCase{first: w, notices: map[[2]string]int{}})
		s = engine.Standing{Policy: w.Policy, Key: w.Key, Case: int64(len(d.cases)), Since: w.At, Cleared: s.Cleared, Probation: s.Probation}
	}
	switch before := s.Blocks; {
	case !open || w.Blocks && !before:
		s.Tier, s.Blocks, s.Until = w.Tier, w.Blocks, w.Until
	case before && !w.Blocks:
	case s.Until == 0 || w.Until == 0:
		s.Tier, s.Until = w.Tier, 0
	default:
		s.Tier, s.Until = w.Tier, max(s.Until, w.Until)
	}
	s.Rank = w.Rank
	d.standing[at] = s
	c := &d.cases[s.Case-1]
	c.tiers = append(c.tiers, w.Tier)
	for _, sample := range d.sample[at] {
		if sample.At >= s.Cleared && !slices.Contains(c.evidence, sample) {
			c.evidence = append(c.evidence, sample)
		}
	}
	for _, receiver := range w.Notify {
		c.notices[[2]string{w.Tier, receiver}]++
	}
}

// release is the desk's decision about a key.
func (d *desk) release(policy, key string, now, probation int64) {
	at := [2]string{policy, key}
	s := d.standing[at]
	s.Released, s.Cleared, s.Probation = now, now, probation
	d.standing[at] = s
}

// runtime is what helpers read of it, twice a second.
func (d *desk) runtime() *engine.Runtime {
	return &engine.Runtime{Standings: new(engine.Standings).With(slices.Collect(maps.Values(d.standing)))}
}

// deskAsks are the asks that a plan's blocks and tiers need besides the events that are counted;
// what of it is about the same event is added to those that are concerned.
func deskAsks(p *plan.Plan, concerned map[[2]string][]string) map[[2]string][]plan.Ask {
	asks := map[[2]string][]plan.Ask{}
	add := func(stage, half, traffic, event, ref string) {
		if also := [2]string{traffic, event}; concerned[also] != nil && stageOf[event] == [2]string{stage, half} {
			if !slices.Contains(concerned[also], ref) {
				concerned[also] = append(concerned[also], ref)
			}
			return
		}
		all := asks[[2]string{stage, half}]
		for i := range all {
			if all[i].Traffic == traffic && all[i].Event == event {
				if !slices.Contains(all[i].Policies, ref) {
					all[i].Policies = append(all[i].Policies, ref)
					slices.Sort(all[i].Policies)
				}
				return
			}
		}
		asks[[2]string{stage, half}] = append(all, plan.Ask{Traffic: traffic, Event: event, Policies: []string{ref}})
	}
	for _, l := range p.Limits {
		traffics := []string{l.Traffic}
		if l.Traffic == "" {
			traffics = []string{plan.Submission, plan.Relay, plan.Local}
		}
		log := !slices.ContainsFunc(l.Events, func(w plan.WeightedEvent) bool { return !plan.Events[w.Event].Log })
		for _, t := range l.Tiers {
			if log && t.Block == nil {
				for _, traffic := range traffics {
					add(plan.Rcpt, plan.Before, traffic, plan.Blocked, l.Ref())
					add(plan.NotSMTP, plan.Before, traffic, plan.Blocked, l.Ref())
				}
			}
			if t.Block == nil {
				continue
			}
			for _, traffic := range t.Block.Traffics {
				add(t.Block.At, plan.Before, traffic, plan.Blocked, l.Ref())
				if t.Block.At == plan.Rcpt {
					add(plan.NotSMTP, plan.Before, traffic, plan.Blocked, l.Ref())
				}
				add(plan.Data, plan.After, traffic, plan.Held, l.Ref())
				add(plan.NotSMTP, plan.After, traffic, plan.Held, l.Ref())
			}
		}
		for _, traffic := range traffics {
			if l.Share != nil {
				add(stageOf[l.Share.Event][0], plan.After, traffic, l.Share.Event, l.Ref())
				add(plan.NotSMTP, plan.After, traffic, l.Share.Event, l.Ref())
			}
			for _, w := range l.Events {
				switch where := plan.Events[w.Event]; {
				case w.Event == plan.Bounce:
					add(plan.Delivery, plan.After, traffic, plan.Bounce, l.Ref())
				case where.NotSMTP:
					add(plan.NotSMTP, where.Half, traffic, w.Event, l.Ref())
				}
			}
		}
	}
	return asks
}
