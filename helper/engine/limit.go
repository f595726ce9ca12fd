package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// judgeLimit compares what was counted, with this event, to the tiers' rates.
func (e *Engine) judgeLimit(j *judgement, l *plan.Limit, h *hearing) error {
	if len(l.Only) > 0 {
		found, _, err := e.matchAny(l.Only, j.observe, h)
		if err != nil {
			return err
		}
		if found == nil {
			j.waive = e.mismatch(l.Only)
			j.say("", plan.Accept, "not among those that it is only for")
			return nil
		}
	}
	t := tallying{limit: l, table: rows(l.Ref(), l.Mode)}
	if pooled(l.Key) || l.Distinct != nil && l.Distinct.Field == "pool" {
		t.name = h.surely()
	}
	t.key = key(l.Key, &h.q, h.q.Recipient, t.name)
	weight, always := weigh(l, &h.q)
	counted, writes, err := t.values(h, weight)
	if err != nil {
		return err
	}
	if always {
		j.always = append(j.always, writes...)
	} else {
		j.accepted = append(j.accepted, writes...)
	}
	return e.judgeTiers(j, l, h, counted)
}

// weigh adds up what the question's events count for, and says whether they count
// whatever comes out. The events of one question are all of one half, and so all
// offences or none.
func weigh(l *plan.Limit, q *wire.Question) (weight int64, always bool) {
	always = l.Attempts
	for _, w := range l.Events {
		if slices.Contains(q.Events, w.Event) {
			weight += w.Weight
			always = always || plan.Events[w.Event].Offence
		}
	}
	return weight, always
}

// tallying is where and what a limit counts for a question.
type tallying struct {
	limit *plan.Limit
	table string // the name of its rows
	name  string // of the client, where the limit names it by its pool
	key   string
}

// values is what is counted in each of the limit's windows, this event included, and
// the writes that will count it.
func (t *tallying) values(h *hearing, weight int64) (map[plan.Duration]int64, []Write, error) {
	if t.limit.Distinct != nil {
		return t.members(h)
	}
	return t.sums(h, weight)
}

// sums counts events.
func (t *tallying) sums(h *hearing, weight int64) (map[plan.Duration]int64, []Write, error) {
	var writes []Write
	counted := map[plan.Duration]int64{}
	for _, w := range t.limit.Windows {
		length := SlotLength(w.Std())
		at := slot(h.now, length)
		// One slot into the future, for gateways whose clocks differ a little.
		n, err := h.st.Count(t.table, t.key, w.Std(), slot(h.now.Add(-w.Std()), length), at+1)
		if err != nil {
			return nil, nil, err
		}
		counted[w] = n + weight
		writes = append(writes, AddCount{
			Policy: t.table, Key: t.key, Window: w.Std(), Slot: at, N: weight,
			Expires: (at+1)*length.Milliseconds() + w.Milliseconds(),
		})
	}
	return counted, writes, nil
}

// members counts distinct values. Beyond twice the highest rate (and a few) no
// further ones are kept, so that nobody can make the count itself expensive.
func (t *tallying) members(h *hearing) (map[plan.Duration]int64, []Write, error) {
	var writes []Write
	counted := map[plan.Duration]int64{}
	windows, now := t.limit.Windows, h.now
	member := part(*t.limit.Distinct, &h.q, h.q.Recipient, t.name)
	longest := windows[len(windows)-1].Std()
	most := 2*highest(t.limit) + 16
	for _, w := range windows {
		// A member's time is only moved on after a thirty-sixth of the shortest window:
		// look back that much further, so that nothing is forgotten early.
		since := now.Add(-w.Std() - w.Std()/Slots).UnixMilli()
		until := now.Add(SlotLength(w.Std())).UnixMilli()
		n, at, err := h.st.Distinct(t.table, t.key, member, since, until, most)
		if err != nil {
			return nil, nil, err
		}
		if at == 0 {
			n++
		}
		counted[w] = n
		if writes == nil && n <= most && now.UnixMilli()-at > (windows[0].Std()/Slots).Milliseconds() {
			writes = append(writes, PutDistinct{t.table, t.key, member, now.UnixMilli(), now.Add(longest + longest/Slots).UnixMilli()})
		}
	}
	return counted, writes, nil
}

// highest is the largest count that any tier or override of a limit compares with.
func highest(l *plan.Limit) int64 {
	var out int64
	for _, t := range l.Tiers {
		for _, r := range t.Over {
			out = max(out, r.Count)
		}
	}
	for _, o := range l.Overrides {
		for _, t := range o.Over {
			for _, r := range t.Over {
				out = max(out, r.Count)
			}
		}
	}
	return out
}

// slot is the part of time that a moment falls into.
func slot(t time.Time, length time.Duration) int64 {
	return t.UnixMilli() / length.Milliseconds()
}

// judgeTiers lets every tier act whose rate is exceeded.
func (e *Engine) judgeTiers(j *judgement, l *plan.Limit, h *hearing, counted map[plan.Duration]int64) error {
	override, err := e.override(l, h)
	if err != nil {
		return err
	}
	acted := false
	for _, t := range l.Tiers {
		over := t.Over
		if override != nil {
			for _, o := range override.Over {
				if o.Tier == t.Name {
					over = o.Over
				}
			}
		}
		value, rate, exceeded := exceeds(over, counted)
		if !exceeded {
			continue
		}
		acted = true
		j.act(l, t, value, rate, h.live)
	}
	if !acted {
		j.say("", plan.Accept, "counts %s", tally{l, counted})
	}
	return nil
}

// override is the first one that the question matches, nil for none.
func (e *Engine) override(l *plan.Limit, h *hearing) (*plan.Override, error) {
	for i := range l.Overrides {
		found, _, err := e.matchAny(l.Overrides[i].Only, l.Mode == plan.Observe, h)
		if err != nil || found != nil {
			return &l.Overrides[i], err
		}
	}
	return nil, nil
}

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
func (j *judgement) act(l *plan.Limit, t plan.Tier, value int64, rate plan.Rate, live Live) {
	name := l.Ref() + "/" + t.Name
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
	limit   *plan.Limit
	counted map[plan.Duration]int64
}

func (s tally) String() string {
	var words []string
	for _, w := range s.limit.Windows {
		words = append(words, fmt.Sprintf("%d in %s", s.counted[w], w))
	}
	return strings.Join(words, ", ")
}
