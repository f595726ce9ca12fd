package mysql

import (
	"cmp"
	"maps"
	"slices"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// querier runs queries. Its errors are the store's already.
type querier interface {
	Query(take func(scan func(dest ...any) error) error, query string, args ...any) error
}

// forUpdate ends a query whose rows nobody else is to change until the transaction ends.
const forUpdate = " FOR UPDATE"

// fetch reads all that is wanted, by one statement for each table.
func (m *memory) fetch(from querier) error {
	w := m.wanted
	m.wanted = wants{}
	for _, read := range []func(querier, *wants) error{
		m.fetchCounters, m.fetchCrowds, m.fetchMembers, m.fetchSeen, m.fetchStandings, m.fetchEvents, m.fetchArrivals, m.fetchHeld, m.fetchBounces,
	} {
		if err := read(from, &w); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) fetchSeen(from querier, w *wants) error { return m.readSeen(from, w.seen, "") }

// readSeen reads rows of seen, as last says: forUpdate or "".
func (m *memory) readSeen(from querier, keys set[rowKey], last string) error {
	for k := range keys {
		put(&m.seen, k, seenRow{})
	}
	b := among(from, "policy, key_, first_at, passed_at, passes, counted_at, expires_at, why, who", "seen", "policy = ?", "key_", last,
		func(scan func(...any) error) error {
			var k rowKey
			row := seenRow{ok: true, locked: last != ""}
			err := scan(&k.policy, &k.key, &row.First, &row.Passed, &row.Passes, &row.Counted, &row.Expires, &row.Why, &row.Who)
			put(&m.seen, k, row)
			return err
		})
	for _, k := range sorted(keys, compareRows) {
		if err := b.add(k.policy, []byte(k.key)); err != nil {
			return err
		}
	}
	return b.end()
}

func (m *memory) fetchCounters(from querier, w *wants) error {
	return m.readCounters(from, w.counters, "")
}

// window names the counters of a policy that have the same slots.
type window struct {
	policy string
	span   int64
}

// readCounters reads slots, as last says: forUpdate or "". Those of a window are read together, for as long a
// stretch as any of them needs: they are asked for at about the same time.
func (m *memory) readCounters(from querier, keys map[counterKey]stretch, last string) error {
	var windows stretches[window]
	for k, of := range keys {
		if had, is := m.counters[k]; is {
			of = of.with(had.stretch)
		}
		windows.widen(window{k.policy, k.span}, of)
	}
	for k := range keys {
		put(&m.counters, k, counter{stretch: windows[window{k.policy, k.span}]})
	}
	b := among(from, "policy, span, key_, slot, n", "counter", "policy = ? AND span = ? AND slot BETWEEN ? AND ?", "key_", last,
		func(scan func(...any) error) error {
			var k counterKey
			var s slot
			err := scan(&k.policy, &k.span, &k.key, &s.at, &s.n)
			c := m.counters[k]
			c.slots = append(c.slots, s)
			put(&m.counters, k, c)
			return err
		})
	for _, k := range sorted(keys, compareCounters) {
		of := m.counters[k].stretch
		if err := b.add(k.policy, k.span, of.from, of.to, []byte(k.key)); err != nil {
			return err
		}
	}
	return b.end()
}

func (m *memory) fetchCrowds(from querier, w *wants) error {
	var policies stretches[string]
	for k, of := range w.crowds {
		if had, is := m.crowds[k]; is {
			of = of.with(had.stretch)
		}
		policies.widen(k.policy, of)
	}
	for k := range w.crowds {
		put(&m.crowds, k, crowd{stretch: policies[k.policy]})
	}
	b := among(from, "policy, key_, seen_at", "distinct_member", "policy = ? AND seen_at BETWEEN ? AND ?", "key_", "",
		func(scan func(...any) error) error {
			var k rowKey
			var at int64
			err := scan(&k.policy, &k.key, &at)
			c := m.crowds[k]
			c.times = append(c.times, at)
			put(&m.crowds, k, c)
			return err
		})
	for _, k := range sorted(w.crowds, compareRows) {
		of := m.crowds[k].stretch
		if err := b.add(k.policy, of.from, of.to, []byte(k.key)); err != nil {
			return err
		}
	}
	if err := b.end(); err != nil {
		return err
	}
	for k := range w.crowds {
		slices.Sort(m.crowds[k].times)
	}
	return nil
}

func (m *memory) fetchMembers(from querier, w *wants) error {
	for k := range w.members {
		put(&m.members, k, 0)
	}
	b := among(from, "policy, key_, member_, seen_at", "distinct_member", "policy = ? AND key_ = ?", "member_", "",
		func(scan func(...any) error) error {
			var k memberKey
			var at int64
			err := scan(&k.policy, &k.key, &k.member, &at)
			put(&m.members, k, at)
			return err
		})
	for _, k := range sorted(w.members, compareMembers) {
		if err := b.add(k.policy, []byte(k.key), []byte(k.member)); err != nil {
			return err
		}
	}
	return b.end()
}

func (m *memory) fetchStandings(from querier, w *wants) error {
	for k := range w.standings {
		put(&m.standings, k, engine.Standing{})
	}
	b := among(from, "policy, key_, case_id, tier, ranking, blocks, since_at, until_at, released_at, cleared_at, probation_at", "standing", "policy = ?", "key_", "",
		func(scan func(...any) error) error {
			var s engine.Standing
			err := scan(&s.Policy, &s.Key, &s.Case, &s.Tier, &s.Rank, &s.Blocks, &s.Since, &s.Until, &s.Released, &s.Cleared, &s.Probation)
			put(&m.standings, rowKey{s.Policy, s.Key}, s)
			return err
		})
	for _, k := range sorted(w.standings, compareRows) {
		if err := b.add(k.policy, []byte(k.key)); err != nil {
			return err
		}
	}
	return b.end()
}

func (m *memory) fetchEvents(from querier, w *wants) error {
	for k := range w.events {
		put(&m.events, k, false)
	}
	take := func(scan func(...any) error) error {
		var k eventKey
		err := scan(&k.gateway, &k.message, &k.item)
		put(&m.events, k, true)
		return err
	}
	b := eventTable.matching("SELECT gateway, message, item", "", func(statement string, args []any) error { return from.Query(take, statement, args...) })
	for _, k := range sorted(w.events, compareEvents) {
		if err := b.add(k.gateway, k.message, []byte(k.item)); err != nil {
			return err
		}
	}
	return b.end()
}

func (m *memory) fetchArrivals(from querier, w *wants) error {
	for k := range w.arrivals {
		put(&m.arrivals, k, arrival{})
	}
	b := among(from, "gateway, message, traffic, auth, login, client, helo, sender, came_at", "arrival", "gateway = ?", "message", "",
		func(scan func(...any) error) error {
			var k messageKey
			a := arrival{ok: true}
			err := scan(&k.gateway, &k.message, &a.Traffic, &a.Auth, &a.Login, &a.Client, &a.Helo, &a.Sender, &a.Came)
			put(&m.arrivals, k, a)
			return err
		})
	for _, k := range sorted(w.arrivals, compareMessages) {
		if err := b.add(k.gateway, k.message); err != nil {
			return err
		}
	}
	return b.end()
}

// fetchHeld asks for one case after the other: a decision is about one or two.
func (m *memory) fetchHeld(from querier, w *wants) error {
	for _, id := range slices.Sorted(maps.Keys(w.held)) {
		var n int64
		if err := from.Query(func(scan func(...any) error) error { return scan(&n) }, "SELECT count(*) FROM held WHERE case_id = ? AND gone_at = 0", id); err != nil {
			return err
		}
		put(&m.held, id, n)
	}
	return nil
}

// fetchBounces asks for one owner after the other: no decision about mail goes by them.
func (m *memory) fetchBounces(from querier, w *wants) error {
	for k := range w.bounces {
		var n int64
		if err := from.Query(func(scan func(...any) error) error { return scan(&n) },
			"SELECT count(*) FROM log_event WHERE owner = ? AND kind = ? AND seen_at >= ?", []byte(k.owner), plan.Bounce, k.since); err != nil {
			return err
		}
		put(&m.bounces, k, n)
	}
	return nil
}

// sorted are a map's keys in the order of the primary key. Where rows are locked, it is the same one
// for everybody, so that no two wait for each other.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	if len(m) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Keys(m), compare)
}

func compareRows(a, b rowKey) int {
	return cmp.Or(cmp.Compare(a.policy, b.policy), cmp.Compare(a.key, b.key))
}

func compareCounters(a, b counterKey) int {
	return cmp.Or(cmp.Compare(a.policy, b.policy), cmp.Compare(a.span, b.span), cmp.Compare(a.key, b.key))
}

func compareSlots(a, b slotKey) int {
	return cmp.Or(compareCounters(a.counterKey, b.counterKey), cmp.Compare(a.slot, b.slot))
}

func compareMembers(a, b memberKey) int {
	return cmp.Or(compareRows(a.rowKey, b.rowKey), cmp.Compare(a.member, b.member))
}

func compareEvents(a, b eventKey) int {
	return cmp.Or(cmp.Compare(a.gateway, b.gateway), cmp.Compare(a.message, b.message), cmp.Compare(a.item, b.item))
}

func compareMessages(a, b messageKey) int {
	return cmp.Or(cmp.Compare(a.gateway, b.gateway), cmp.Compare(a.message, b.message))
}

func compareSamples(a, b sampleKey) int {
	return cmp.Or(compareRows(a.rowKey, b.rowKey), cmp.Compare(a.n, b.n))
}

func comparePlaces(a, b placeKey) int {
	return cmp.Or(cmp.Compare(a.gateway, b.gateway), cmp.Compare(a.log, b.log))
}
