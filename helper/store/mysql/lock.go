package mysql

import (
	"cmp"
	"maps"
	"slices"
)

// unlocked says whether something is about to be changed that the decision went by and that others may change, too.
func (t *transaction) unlocked(w *written) bool {
	t.memory.asked.merge(&t.memory.wanted)
	return len(t.unlockedCounters(w)) > 0 || len(t.unlockedCrowds(w)) > 0 || len(t.unlockedRows(w)) > 0
}

// unlockedCounters are such counters.
func (t *transaction) unlockedCounters(w *written) (keys set[counterKey]) {
	for k := range w.counts {
		if t.memory.asked.counters.has(k) && !t.attempt.counters.has(k) {
			keys.add(k)
		}
	}
	return keys
}

// unlockedCrowds are such keys of distinct members.
func (t *transaction) unlockedCrowds(w *written) (keys set[rowKey]) {
	for k := range w.crowds {
		if t.memory.asked.crowds.has(k) && !t.attempt.crowds.has(k) {
			keys.add(k)
		}
	}
	return keys
}

// unlockedRows are such rows of seen. One that is not there cannot be locked: see insertSeen.
func (t *transaction) unlockedRows(w *written) (keys set[rowKey]) {
	for k := range w.seen {
		if !t.memory.asked.seen.has(k) {
			continue
		}
		if row, known := t.memory.seen[k]; !known || row.ok && !row.locked {
			keys.add(k)
		}
	}
	return keys
}

// lock locks what is unlocked, and wants it to be read again: who waited for a row does not see what was
// inserted before that row meanwhile, so nothing is read while it is locked, but for single rows. Whoever was waited for may
// have opened a case.
func (t *transaction) lock(w *written) error {
	t.memory.asked.merge(&t.memory.wanted)
	counters, crowds := t.unlockedCounters(w), t.unlockedCrowds(w)
	if err := t.lockCounters(w, counters); err != nil {
		return err
	}
	if err := t.lockCrowds(w, crowds); err != nil {
		return err
	}
	if len(counters)+len(crowds) > 0 {
		mergeSet(&t.memory.wanted.standings, t.memory.asked.standings)
	}
	keys := t.unlockedRows(w)
	maps.DeleteFunc(t.memory.wanted.seen, func(k rowKey, _ struct{}) bool { return keys.has(k) })
	return t.memory.readSeen(t.s, keys, forUpdate)
}

// lockCounters locks all slots of counters, also those that have ended: so whoever counts a key, at whatever
// time, meets whoever else does. Of a counter without a row nothing can be locked: there the slots that
// are about to be written are made first, with nothing in them.
func (t *transaction) lockCounters(w *written, keys set[counterKey]) error {
	empty := maps.Clone(keys)
	if err := lockSlots(t.s, keys, func(k counterKey) { delete(empty, k) }); err != nil {
		return err
	}
	if len(empty) > 0 {
		b := counterTable.put(t.s, addUp)
		for _, k := range sorted(empty, compareCounters) {
			for _, c := range slices.SortedFunc(slices.Values(w.counts[k]), func(a, b count) int { return cmp.Compare(a.slot, b.slot) }) {
				if err := b.add(k.policy, k.span, []byte(k.key), c.slot, int64(0), c.expires); err != nil {
					return err
				}
				t.madeSlots.add(slotKey{k, c.slot})
			}
		}
		if err := b.end(); err != nil {
			return err
		}
		if err := lockSlots(t.s, empty, func(counterKey) {}); err != nil {
			return err
		}
	}
	for k := range keys {
		t.attempt.counters.add(k)
		delete(t.memory.counters, k)
		t.memory.wanted.counters.widen(k, t.memory.asked.counters[k])
	}
	return nil
}

// lockSlots locks all rows of counters, and calls found for each that has any.
func lockSlots(from querier, keys set[counterKey], found func(counterKey)) error {
	b := among(from, "policy, span, key_, count(*)", "counter", "policy = ? AND span = ?", "key_", " GROUP BY policy, span, key_"+forUpdate,
		func(scan func(...any) error) error {
			var k counterKey
			var n int64
			err := scan(&k.policy, &k.span, &k.key, &n)
			found(k)
			return err
		})
	for _, k := range sorted(keys, compareCounters) {
		if err := b.add(k.policy, k.span, []byte(k.key)); err != nil {
			return err
		}
	}
	return b.end()
}

// nobody is when a member was seen that is there only to be locked.
const nobody = -1

// lockCrowds locks all members of keys. Where there are none, the new ones are inserted first, as if
// they had never been seen.
func (t *transaction) lockCrowds(w *written, keys set[rowKey]) error {
	empty := maps.Clone(keys)
	if err := lockMembers(t.s, keys, func(k rowKey) { delete(empty, k) }); err != nil {
		return err
	}
	if len(empty) > 0 {
		b := memberTable.put(t.s, "expires_at = GREATEST(expires_at, VALUES(expires_at))")
		for _, k := range sorted(w.members, compareMembers) {
			if !empty.has(k.rowKey) {
				continue
			}
			if err := b.add(k.policy, []byte(k.key), []byte(k.member), int64(nobody), w.members[k].expires); err != nil {
				return err
			}
			t.madeMembers.add(k)
		}
		if err := b.end(); err != nil {
			return err
		}
		if err := lockMembers(t.s, empty, func(rowKey) {}); err != nil {
			return err
		}
	}
	for k := range keys {
		t.attempt.crowds.add(k)
		delete(t.memory.crowds, k)
		t.memory.wanted.crowds.widen(k, t.memory.asked.crowds[k])
	}
	for k := range t.memory.asked.members {
		if keys.has(k.rowKey) {
			t.memory.wanted.members.add(k)
		}
	}
	return nil
}

// lockMembers locks all rows of keys of distinct members, and calls found for each that has any.
func lockMembers(from querier, keys set[rowKey], found func(rowKey)) error {
	b := among(from, "policy, key_, count(*)", "distinct_member", "policy = ?", "key_", " GROUP BY policy, key_"+forUpdate,
		func(scan func(...any) error) error {
			var k rowKey
			var n int64
			err := scan(&k.policy, &k.key, &n)
			found(k)
			return err
		})
	for _, k := range sorted(keys, compareRows) {
		if err := b.add(k.policy, []byte(k.key)); err != nil {
			return err
		}
	}
	return b.end()
}
