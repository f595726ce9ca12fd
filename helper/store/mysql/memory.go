package mysql

import (
	"sort"

	"exipol/helper/engine"
)

// memory is what is known of the store, as it was read or as this process wrote it, and what
// was asked for besides. One goroutine at a time.
type memory struct {
	seen      map[rowKey]seenRow
	counters  map[counterKey]counter
	crowds    map[rowKey]crowd
	members   map[memberKey]int64 // when it was seen; 0: never
	standings map[rowKey]engine.Standing
	events    map[eventKey]bool
	arrivals  map[messageKey]arrival
	held      map[int64]int64
	bounces   map[bouncesKey]int64

	wanted wants // and not known
	asked  wants // ever
}

// seenRow is a row of seen; ok is false for none. locked says that nobody else can change it until
// the transaction ends.
type seenRow struct {
	engine.SeenRow
	ok, locked bool
}

// counter is a stretch of a counter's slots.
type counter struct {
	stretch
	slots []slot
}

type slot struct{ at, n int64 }

func (c counter) sum(of stretch) (n int64) {
	for _, s := range c.slots {
		if of.has(s.at) {
			n += s.n
		}
	}
	return n
}

// crowd is the members of a key within a stretch of time.
type crowd struct {
	stretch
	times []int64 // when each was seen; sorted
}

func (c crowd) count(within stretch) int64 {
	from := sort.Search(len(c.times), func(i int) bool { return c.times[i] >= within.from })
	to := sort.Search(len(c.times), func(i int) bool { return c.times[i] > within.to })
	return int64(max(to-from, 0))
}

// arrival is a row of arrival; ok is false for none.
type arrival struct {
	engine.Arrival
	ok bool
}

// forget empties it, and wants all that was ever asked for.
func (m *memory) forget() {
	asked := m.asked
	*m = memory{}
	m.wanted.merge(&asked)
}

// take takes over what is wanted from another, which was read for this one, too.
func (m *memory) take(from *memory, w *wants) {
	takeAll(&m.seen, from.seen, w.seen)
	takeAll(&m.counters, from.counters, w.counters)
	takeAll(&m.crowds, from.crowds, w.crowds)
	takeAll(&m.members, from.members, w.members)
	takeAll(&m.standings, from.standings, w.standings)
	takeAll(&m.events, from.events, w.events)
	takeAll(&m.arrivals, from.arrivals, w.arrivals)
	takeAll(&m.held, from.held, w.held)
	takeAll(&m.bounces, from.bounces, w.bounces)
}

func takeAll[K comparable, V, W any](to *map[K]V, from map[K]V, wanted map[K]W) {
	for k := range wanted {
		put(to, k, from[k])
	}
}
