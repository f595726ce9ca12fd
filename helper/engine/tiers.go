package engine

import (
	"fmt"
	"strings"
	"time"

	"exipol/generator/plan"
)

// manner is how tiers are judged.
type manner int

const (
	looking    manner = iota // nothing is counted, and no case is opened
	ifAccepted               // counted if the mail is accepted
	whatever                 // counted whatever comes out
)

// judgeTiers lets every tier act whose rate is exceeded.
func (e *Engine) judgeTiers(j *judgement, t *tallying, h *hearing, counted map[plan.Duration]int64, how manner) error {
	l := t.limit
	override, err := e.override(l, h)
	if err != nil {
		return err
	}
	share := t.probation(h)
	acted := false
	for i := range l.Tiers {
		tier := &l.Tiers[i]
		value, rate, exceeded := exceeds(lowered(rates(tier, override), share), counted)
		if !exceeded {
			continue
		}
		acted = true
		switch {
		case how != looking:
			if l.desk && tier.Desk() {
				j.open(t, h, i, value, rate, how)
			}
			if tier.Block != nil && h.happened == nil && actsAtOnce(tier.Block, &h.q) {
				if err := j.block(t, h, tier, t.openCase(h)); err != nil {
					return err
				}
			}
		case j.observe && tier.Block != nil && actsAt(tier.Block, &h.q):
			// Who observes opens no case: the block would be in force while the rate is exceeded.
			if err := j.block(t, h, tier, 0); err != nil {
				return err
			}
		}
		if how != looking || h.q.Stage == plan.Rcpt || h.q.Stage == plan.NotSMTP {
			j.act(l, tier, value, rate, h.live)
		}
	}
	if !acted {
		j.say("", plan.Accept, "counts %s", tally{l, counted})
	}
	return nil
}

// override is the first one that the question matches, nil for none.
func (e *Engine) override(l *limit, h *hearing) (*plan.Override, error) {
	for i := range l.Overrides {
		found, _, err := e.matchAny(l.Overrides[i].Only, l.Mode == plan.Observe, h)
		if err != nil || found != nil {
			return &l.Overrides[i], err
		}
	}
	return nil, nil
}

// rates are a tier's, or those that an override gives it.
func rates(t *plan.Tier, override *plan.Override) []plan.Rate {
	if override != nil {
		for i := range override.Over {
			if override.Over[i].Tier == t.Name {
				return override.Over[i].Over
			}
		}
	}
	return t.Over
}

// lowered are rates on probation: so many percent of them, rounded down.
func lowered(over []plan.Rate, share int64) []plan.Rate {
	if share == wholeRates {
		return over
	}
	out := make([]plan.Rate, 0, len(over))
	for _, r := range over {
		r.Count = r.Count * share / 100
		out = append(out, r)
	}
	return out
}

// wholeRates is the share of those who are not on probation.
const wholeRates = 100

// exceeds finds the largest value that is over one of the rates.
func exceeds(over []plan.Rate, counted map[plan.Duration]int64) (value int64, rate plan.Rate, exceeded bool) {
	for _, r := range over {
		if n := counted[r.Per]; n > r.Count && (!exceeded || n > value) {
			value, rate, exceeded = n, r, true
		}
	}
	return value, rate, exceeded
}

// act is what one tier adds to the judgement.
func (j *judgement) act(l *limit, t *plan.Tier, value int64, rate plan.Rate, live Live) {
	if !j.explain && t.Verdict == plan.Accept && t.Delay == nil && len(t.AddHeader) == 0 {
		return // it is for the desk only
	}
	name := l.ref + "/" + t.Name
	if stronger(t.Verdict, j.verdict) {
		j.verdict, j.by = t.Verdict, name
	}
	if len(t.AddHeader) > 0 {
		j.add = append(j.add, name)
	}
	var slow time.Duration
	if t.Delay != nil {
		slow = wait(t.Delay, value)
		if t.Delay.Sleepers > 0 && live.Sleeping != nil && live.Sleeping(name) >= t.Delay.Sleepers {
			slow = 0
			j.say(t.Name, t.Verdict, "counts %d, over %s; not delayed, for %d are asleep already", value, rate, t.Delay.Sleepers)
		} else {
			j.say(t.Name, t.Verdict, "counts %d, over %s; delayed by %s", value, rate, plan.Duration(slow))
		}
	} else {
		j.say(t.Name, t.Verdict, "counts %d, over %s", value, rate)
	}
	if slow > j.delay {
		j.delay, j.delayBy, j.sleepers = slow, name, t.Delay.Sleepers
	}
}

// wait is how long a delay is for what was counted.
func wait(d *plan.Delay, value int64) time.Duration {
	if d.Each == 0 {
		return min(d.Fixed, d.Max).Std()
	}
	if value > int64(d.Max/d.Each) {
		return d.Max.Std()
	}
	return time.Duration(value) * d.Each.Std()
}

// tally is what was counted in each window, for reading.
type tally struct {
	limit   *limit
	counted map[plan.Duration]int64
}

func (s tally) String() string {
	var words []string
	for _, w := range s.limit.Windows {
		words = append(words, fmt.Sprintf("%d in %s", s.counted[w], w))
	}
	return strings.Join(words, ", ")
}
