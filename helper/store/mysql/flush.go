package mysql

import (
	"strings"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// flush writes all that was written, the tables in an order that is the same for everybody, and cases last: who
// opens one keeps all others from it until the commit. Samples come before them, for they take them along.
func (t *transaction) flush() error {
	for _, write := range []func() error{
		t.putCounts, t.putMembers, t.putSeen, t.insertSeen, t.putSamples, t.putArrivals, t.dropArrivals, t.putEvents, t.insertEvents, t.putPlaces, t.putCases,
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// addUp is what a counter's row does with one that is inserted.
const addUp = "n = n + VALUES(n), expires_at = GREATEST(expires_at, VALUES(expires_at))"

// putCounts adds to counters what was not added before in this attempt, and removes the slots that were made for a
// decision which turned out otherwise.
func (t *transaction) putCounts() error {
	all := map[slotKey]count{}
	for k, counts := range t.written.counts {
		for _, c := range counts {
			all[slotKey{k, c.slot}] = c
		}
	}
	b := counterTable.put(t.s, addUp)
	for _, k := range sorted(all, compareSlots) {
		c := all[k]
		delete(t.madeSlots, k)
		had, is := t.added[k]
		if is && had == c.n {
			continue
		}
		if err := b.add(k.policy, k.span, []byte(k.key), k.slot, c.n-had, c.expires); err != nil {
			return err
		}
		put(&t.added, k, c.n)
	}
	if err := b.end(); err != nil {
		return err
	}
	b = counterTable.delete(t.s, " AND n = 0")
	for _, k := range sorted(t.madeSlots, compareSlots) {
		if err := b.add(k.policy, k.span, []byte(k.key), k.slot); err != nil {
			return err
		}
	}
	t.madeSlots = nil
	return b.end()
}

// putMembers notes members, and removes those that were made for a decision which turned out otherwise.
func (t *transaction) putMembers() error {
	b := memberTable.put(t.s, "")
	for _, k := range sorted(t.written.members, compareMembers) {
		m := t.written.members[k]
		delete(t.madeMembers, k)
		if err := b.add(k.policy, []byte(k.key), []byte(k.member), m.at, m.expires); err != nil {
			return err
		}
	}
	if err := b.end(); err != nil {
		return err
	}
	b = memberTable.delete(t.s, " AND seen_at = ?", int64(nobody))
	for _, k := range sorted(t.madeMembers, compareMembers) {
		if err := b.add(k.policy, []byte(k.key), []byte(k.member)); err != nil {
			return err
		}
	}
	t.madeMembers = nil
	return b.end()
}

// absent says whether a row of seen was asked for, and was not there.
func (t *transaction) absent(k rowKey) bool {
	row, known := t.memory.seen[k]
	return known && !row.ok
}

// putSeen replaces rows, and makes those that nobody asked for.
func (t *transaction) putSeen() error { return t.eachSeen(seenTable.put(t.s, ""), false) }

// insertSeen inserts rows that were not there. Where another has inserted one meanwhile, all decisions are
// made anew.
func (t *transaction) insertSeen() error {
	err := t.eachSeen(seenTable.insert(t.s), true)
	if number(err) == erDuplicate {
		return errAgain
	}
	return err
}

func (t *transaction) eachSeen(b *bulk, absent bool) error {
	for _, k := range sorted(t.written.seen, compareRows) {
		if t.absent(k) != absent {
			continue
		}
		r := t.written.seen[k]
		if err := b.add(k.policy, []byte(k.key), r.First, r.Passed, r.Passes, r.Counted, r.Expires,
			strings.ToValidUTF8(r.Why, "?"), strings.ToValidUTF8(r.Who, "?")); err != nil {
			return err
		}
	}
	if err := b.end(); err != nil {
		return err
	}
	for k, r := range t.written.seen {
		if t.absent(k) == absent {
			put(&t.memory.seen, k, seenRow{r, true, true})
		}
	}
	return nil
}

func (t *transaction) putSamples() error {
	b := sampleTable.put(t.s, "")
	for _, k := range sorted(t.written.samples, compareSamples) {
		if err := addSample(b, t.written.samples[k]); err != nil {
			return err
		}
	}
	t.written.samples = nil // nobody reads them back
	return b.end()
}

func addSample(b *bulk, s engine.PutSample) error {
	return b.add(s.Policy, []byte(s.Key), s.N, s.At, portable.ShortName(s.Gateway), portable.ShortName(s.Message),
		portable.Raw(s.Address, portable.AddressLength), portable.Raw(s.Line, engine.SampleLine), s.Expires)
}

func (t *transaction) putArrivals() error {
	b := arrivalTable.put(t.s, "")
	for _, k := range sorted(t.written.arrivals, compareMessages) {
		p := t.written.arrivals[k]
		if p == nil {
			continue
		}
		a := p.Arrival
		raw := func(s string) []byte { return portable.Raw(s, portable.TextLength) }
		if err := b.add(k.gateway, k.message, a.Traffic, raw(a.Auth), raw(a.Login), portable.ShortName(a.Client), raw(a.Helo), raw(a.Sender), a.Came, p.Expires); err != nil {
			return err
		}
	}
	return b.end()
}

func (t *transaction) dropArrivals() error {
	b := arrivalTable.delete(t.s, "")
	for _, k := range sorted(t.written.arrivals, compareMessages) {
		if t.written.arrivals[k] != nil {
			continue
		}
		if err := b.add(k.gateway, k.message); err != nil {
			return err
		}
	}
	return b.end()
}

// putEvents notes events that nobody asked for; one that is known stays as it is.
func (t *transaction) putEvents() error {
	return t.eachEvent(eventTable.put(t.s, "seen_at = seen_at"), func(_, asked bool) bool { return !asked })
}

// insertEvents notes events that were not known. Where another has noted one meanwhile, and counted it, all
// decisions are made anew.
func (t *transaction) insertEvents() error {
	err := t.eachEvent(eventTable.insert(t.s), func(known, asked bool) bool { return asked && !known })
	if number(err) == erDuplicate {
		return errAgain
	}
	return err
}

func (t *transaction) eachEvent(b *bulk, which func(known, asked bool) bool) error {
	var done []eventKey
	for _, k := range sorted(t.written.events, compareEvents) {
		if known, asked := t.memory.events[k]; !which(known, asked) || t.attempt.noted.has(k) {
			continue
		}
		e := t.written.events[k]
		if err := b.add(k.gateway, k.message, []byte(k.item), e.Kind, []byte(store.Short(e.Owner)), e.At, e.Expires); err != nil {
			return err
		}
		done = append(done, k)
	}
	if err := b.end(); err != nil {
		return err
	}
	for _, k := range done {
		t.attempt.noted.add(k)
	}
	return nil
}

func (t *transaction) putPlaces() error {
	b := placeTable.put(t.s, "")
	for _, k := range sorted(t.written.places, comparePlaces) {
		p := t.written.places[k]
		if err := b.add(k.gateway, []byte(k.log), []byte(p.Place), p.At); err != nil {
			return err
		}
	}
	return b.end()
}

// putCases opens and raises cases, and notes held messages, one after the other. What is remembered of
// them is forgotten.
func (t *transaction) putCases() error {
	samples := sampleTable.put(t.s, "")
	for _, w := range t.written.cases {
		switch w := w.(type) {
		case engine.OpenCase:
			if err := samples.end(); err != nil {
				return err
			}
			if _, err := t.store.OpenCase(t.s, w); err != nil {
				return err
			}
			delete(t.memory.standings, rowKey{w.Policy, store.Short(w.Key)})
		case engine.PutHeld:
			if err := t.store.PutHeld(t.s, w); err != nil {
				return err
			}
			delete(t.memory.held, w.Case)
		case engine.PutSample:
			if err := addSample(samples, w); err != nil {
				return err
			}
		}
	}
	t.written.cases = nil
	return samples.end()
}
