package engine

import (
	"time"

	"exipol/generator/plan"
	"exipol/helper/normalize"
)

// tallying is where and what a limit counts for one key of a question, or of a happening.
type tallying struct {
	*limit
	name      string // of the client, where the limit names it by its pool
	recipient string
	all       int64 // how many recipients the question's events are about
	nth       int   // which of the message's recipients, where each has a key of its own
	key       string
	standing  Standing // of the key, where the limit opens cases; empty where there is none
	raw       int64    // what is counted in the longest window, this included; of a share, its numerator
}

// stand finds out how the key stands.
func (t *tallying) stand(h *hearing) (err error) {
	t.standing, _, err = h.st.Standing(t.ref, t.key)
	return err
}

// otherName is the key by the relay host's address, where the question knows its id, too: the log
// has only the address. is says that there is such a key.
func (t *tallying) otherName(h *hearing) (key string, is bool) {
	q := h.q
	if q.Traffic != plan.Relay || q.Relay == "" {
		return "", false
	}
	by := *h
	by.q.Relay = ""
	key, is = by.key(t.Key, t.recipient, t.name)
	return key, is && key != t.key
}

// values is what is counted in each of the limit's windows, with weight of this event, and
// the writes that will count it. Of a share it is the percentage, rounded up; others is how many
// of what it compares with this question adds.
func (t *tallying) values(h *hearing, weight, others int64) (map[plan.Duration]int64, []Write, error) {
	if t.Distinct != nil {
		return t.members(h, weight)
	}
	counted := map[plan.Duration]int64{}
	for _, w := range t.Windows {
		n, err := t.sum(h, w.Std(), h.at, weight, others)
		if err != nil {
			return nil, nil, err
		}
		counted[w] = n
		for _, end := range t.later(h, w.Std()) {
			if n, err = t.sum(h, w.Std(), end, weight, others); err != nil {
				return nil, nil, err
			}
			counted[w] = max(counted[w], n)
		}
	}
	if weight == 0 {
		return counted, nil, nil
	}
	return counted, t.add(h, t.table, weight), nil
}

// later are the ends of further windows that hold the event, where it is read so late that
// others, which happened after it, may have been counted already: those may fill a window with it. Whoever
// asks has none.
func (t *tallying) later(h *hearing, window time.Duration) (ends []time.Time) {
	if h.happened == nil {
		return nil
	}
	last := h.at.Add(window)
	if h.now.Before(last) {
		last = h.now
	}
	length := SlotLength(window)
	for end := h.at.Add(length); end.Before(last); end = end.Add(length) {
		ends = append(ends, end)
	}
	if last.After(h.at) {
		ends = append(ends, last)
	}
	return ends
}

// sum is the value of the window that ends at some time.
func (t *tallying) sum(h *hearing, window time.Duration, end time.Time, weight, others int64) (int64, error) {
	n, err := t.inWindow(h, t.table, window, end)
	if err != nil {
		return 0, err
	}
	n += weight
	if window == t.longest {
		t.raw = max(t.raw, n)
	}
	if t.Share == nil {
		return n, nil
	}
	all, err := t.inWindow(h, t.of, window, end)
	if all += others; err != nil || all < max(t.Share.Floor, 1) {
		return 0, err
	}
	return (100*n + all - 1) / all, nil
}

// inWindow adds up the slots of a window. What was counted before a release is left out.
func (t *tallying) inWindow(h *hearing, table string, window time.Duration, end time.Time) (int64, error) {
	length := SlotLength(window)
	from, key := slot(end.Add(-window), length), t.key
	if t.freed(from-1, length) {
		key = t.afresh()
	}
	// One slot into the future, for gateways whose clocks differ a little.
	return h.st.Count(table, key, window, from, slot(end, length)+1)
}

// add counts n more in every window. While a window goes back to before a release, it is counted
// twice: for the key as ever, and for the key since then.
func (t *tallying) add(h *hearing, table string, n int64) []Write {
	writes := make([]Write, 0, 2*len(t.Windows))
	for _, w := range t.Windows {
		length := SlotLength(w.Std())
		at := slot(h.at, length)
		one := AddCount{
			Policy: table, Key: t.key, Window: w.Std(), Slot: at, N: n,
			// What is read late must be there as long as its neighbours are still being read.
			Expires: (max(at, slot(h.now, length))+1)*length.Milliseconds() + w.Milliseconds(),
		}
		writes = append(writes, one)
		if t.freed(slot(h.at.Add(-w.Std()), length)-2, length) {
			one.Key = t.afresh()
			writes = append(writes, one)
		}
	}
	return writes
}

// freed says whether the key was released in a slot after this one.
func (t *tallying) freed(after int64, length time.Duration) bool {
	return t.standing.Cleared != 0 && t.standing.Cleared/length.Milliseconds() > after
}

// afresh is the key under which is counted what happened since the last release.
func (t *tallying) afresh() string { return normalize.Since(t.key, t.standing.Cleared) }

// members counts distinct values. Beyond twice the highest rate (and a few) no
// further ones are kept, so that nobody can make the count itself expensive.
func (t *tallying) members(h *hearing, weight int64) (map[plan.Duration]int64, []Write, error) {
	var writes []Write
	counted := map[plan.Duration]int64{}
	member := ""
	if weight > 0 {
		member = h.part(*t.Distinct, t.recipient, t.name)
		if member == "" && personal(t.Distinct.Field) {
			return counted, nil, nil // nobody knows which one it is
		}
	}
	most := 2*highest(t.Limit) + 16
	last := int64(0) // when it was there
	for _, w := range t.Windows {
		n, seen, err := t.distinct(h, member, w.Std(), h.at, most, weight)
		if err != nil {
			return nil, nil, err
		}
		for _, end := range t.later(h, w.Std()) {
			more, at, err := t.distinct(h, member, w.Std(), end, most, weight)
			if err != nil {
				return nil, nil, err
			}
			n, seen = max(n, more), max(seen, at)
		}
		counted[w], last = n, max(last, seen)
	}
	shortest := t.Windows[0]
	t.raw = counted[t.Windows[len(t.Windows)-1]]
	ms := h.at.UnixMilli()
	if weight > 0 && counted[shortest] <= most && ms-last > (shortest.Std()/Slots).Milliseconds() {
		end := max(ms, h.now.UnixMilli()) + (t.longest + t.longest/Slots).Milliseconds()
		writes = append(writes, PutDistinct{t.table, t.key, member, ms, end})
	}
	return counted, writes, nil
}

// distinct counts the members of the window that ends at some time, this one included; seen is
// when it was there last.
func (t *tallying) distinct(h *hearing, member string, window time.Duration, end time.Time, most, weight int64) (n, seen int64, err error) {
	// A member's time is only moved on after a thirty-sixth of the shortest window:
	// look back that much further, so that nothing is forgotten early.
	since := max(end.Add(-window-window/Slots).UnixMilli(), t.standing.Cleared)
	n, seen, err = h.st.Distinct(t.table, t.key, member, since, end.Add(SlotLength(window)).UnixMilli(), most)
	if seen == 0 && weight > 0 {
		n++
	}
	return n, seen, err
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
