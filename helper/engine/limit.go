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
func (e *Engine) judgeLimit(j *judgement, l *plan.Limit, q *wire.Question, now time.Time, st State, live Live) error {
	if len(l.Only) > 0 {
		_, held, err := e.matchAny(l.Only, j.observe, q, now, st)
		if err != nil {
			return err
		}
		if held == never {
			j.waive = e.mismatch(l.Only)
			j.say("", plan.Accept, "not among those that it is only for")
			return nil
		}
	}
	weight, always := weigh(l, q)
	k := key(l.Key, q)
	counted, err := e.values(j, l, q, now, st, k, weight, always)
	if err != nil {
		return err
	}
	return e.judgeTiers(j, l, q, now, st, live, counted)
}

// mismatch is for how long a question that none of the references matched will not
// be matched by them. Trust may come with the next message.
func (e *Engine) mismatch(refs []plan.Ref) scope {
	out := perConnection
	for _, r := range refs {
		if r.Trusted != "" {
			return never
		}
		out = min(out, e.lists[r.List].mismatch(r.Field))
	}
	return out
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

// values is what is counted in each of the limit's windows, this event included;
// the writes that will count it are left in j.
func (e *Engine) values(j *judgement, l *plan.Limit, q *wire.Question, now time.Time, st State, k string, weight int64, always bool) (map[plan.Duration]int64, error) {
	sum := sums
	if l.Distinct != nil {
		sum = members
	}
	counted, writes, err := sum(l, q, now, st, k, weight)
	if always {
		j.always = append(j.always, writes...)
	} else {
		j.accepted = append(j.accepted, writes...)
	}
	return counted, err
}

// sums counts events.
func sums(l *plan.Limit, _ *wire.Question, now time.Time, st State, k string, weight int64) (map[plan.Duration]int64, []Write, error) {
	var writes []Write
	counted := map[plan.Duration]int64{}
	table := rows(l.Ref(), l.Mode)
	for _, w := range l.Windows {
		length := SlotLength(w.Std())
		at := slot(now, length)
		// One slot into the future, for gateways whose clocks differ a little.
		n, err := st.Count(table, k, w.Std(), slot(now.Add(-w.Std()), length), at+1)
		if err != nil {
			return nil, nil, err
		}
		counted[w] = n + weight
		writes = append(writes, AddCount{
			Policy: table, Key: k, Window: w.Std(), Slot: at, N: weight,
			Expires: (at+1)*length.Milliseconds() + w.Milliseconds(),
		})
	}
	return counted, writes, nil
}

// members counts distinct values. Beyond twice the highest rate (and a few) no
// further ones are kept, so that nobody can make the count itself expensive.
func members(l *plan.Limit, q *wire.Question, now time.Time, st State, k string, _ int64) (map[plan.Duration]int64, []Write, error) {
	var writes []Write
	counted := map[plan.Duration]int64{}
	table, member := rows(l.Ref(), l.Mode), part(*l.Distinct, q)
	longest := l.Windows[len(l.Windows)-1].Std()
	most := 2*highest(l) + 16
	for _, w := range l.Windows {
		// A member's time is only moved on after a thirty-sixth of the shortest window:
		// look back that much further, so that nothing is forgotten early.
		since := now.Add(-w.Std() - w.Std()/Slots).UnixMilli()
		until := now.Add(SlotLength(w.Std())).UnixMilli()
		n, at, err := st.Distinct(table, k, member, since, until, most)
		if err != nil {
			return nil, nil, err
		}
		if at == 0 {
			n++
		}
		counted[w] = n
		if writes == nil && n <= most && now.UnixMilli()-at > (l.Windows[0].Std()/Slots).Milliseconds() {
			writes = append(writes, PutDistinct{table, k, member, now.UnixMilli(), now.Add(longest + longest/Slots).UnixMilli()})
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
func (e *Engine) judgeTiers(j *judgement, l *plan.Limit, q *wire.Question, now time.Time, st State, live Live, counted map[plan.Duration]int64) error {
	override, err := e.override(l, q, now, st)
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
		j.act(l, t, value, rate, live)
	}
	if !acted {
		j.say("", plan.Accept, "counts %s", tally{l, counted})
	}
	return nil
}

// override is the first one that the question matches, nil for none.
func (e *Engine) override(l *plan.Limit, q *wire.Question, now time.Time, st State) (*plan.Override, error) {
	for i := range l.Overrides {
		_, held, err := e.matchAny(l.Overrides[i].Only, l.Mode == plan.Observe, q, now, st)
		if err != nil || held > never {
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
