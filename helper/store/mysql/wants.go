package mysql

// rowKey names a row of seen or of standing, and all members of one key in distinct_member.
type rowKey struct{ policy, key string }

// counterKey names the slots of one window of a counter; span is the window in seconds.
type counterKey struct {
	policy string
	span   int64
	key    string
}

// slotKey names a row of counter.
type slotKey struct {
	counterKey
	slot int64
}

// memberKey names a row of distinct_member.
type memberKey struct {
	rowKey
	member string
}

// eventKey names a row of log_event, messageKey one of arrival; both as the columns hold it.
type (
	eventKey   struct{ gateway, message, item string }
	messageKey struct{ gateway, message string }
)

// bouncesKey is a question for an owner's bounces.
type bouncesKey struct {
	owner string
	since int64
}

// stretch is a part of a line of numbers, both ends included.
type stretch struct{ from, to int64 }

func (s stretch) holds(o stretch) bool { return s.from <= o.from && o.to <= s.to }
func (s stretch) has(n int64) bool     { return s.from <= n && n <= s.to }

// with is the shortest stretch that holds both.
func (s stretch) with(o stretch) stretch { return stretch{min(s.from, o.from), max(s.to, o.to)} }

// set is a set whose zero value can be added to.
type set[K comparable] map[K]struct{}

func (s *set[K]) add(k K) {
	if *s == nil {
		*s = set[K]{}
	}
	(*s)[k] = struct{}{}
}

func (s set[K]) has(k K) bool {
	_, is := s[k]
	return is
}

// stretches has a stretch for each of some keys.
type stretches[K comparable] map[K]stretch

func (s stretches[K]) has(k K) bool {
	_, is := s[k]
	return is
}

// widen has the stretch of a key hold this one, too.
func (s *stretches[K]) widen(k K, by stretch) {
	if had, is := (*s)[k]; is {
		by = by.with(had)
	}
	if *s == nil {
		*s = stretches[K]{}
	}
	(*s)[k] = by
}

// put is an assignment to an entry of a map that may not be made yet.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// wants is what decisions ask for.
type wants struct {
	seen      set[rowKey]
	counters  stretches[counterKey] // of slots
	crowds    stretches[rowKey]     // of the times when members were seen
	members   set[memberKey]
	standings set[rowKey]
	events    set[eventKey]
	arrivals  set[messageKey]
	held      set[int64]
	bounces   set[bouncesKey]
}

// size is how many things are wanted.
func (w *wants) size() int {
	return len(w.seen) + len(w.counters) + len(w.crowds) + len(w.members) + len(w.standings) + len(w.events) + len(w.arrivals) + len(w.held) + len(w.bounces)
}

// merge adds all that another wants.
func (w *wants) merge(o *wants) {
	mergeSet(&w.seen, o.seen)
	mergeStretches(&w.counters, o.counters)
	mergeStretches(&w.crowds, o.crowds)
	mergeSet(&w.members, o.members)
	mergeSet(&w.standings, o.standings)
	mergeSet(&w.events, o.events)
	mergeSet(&w.arrivals, o.arrivals)
	mergeSet(&w.held, o.held)
	mergeSet(&w.bounces, o.bounces)
}

func mergeSet[K comparable](to *set[K], from set[K]) {
	for k := range from {
		to.add(k)
	}
}

func mergeStretches[K comparable](to *stretches[K], from stretches[K]) {
	for k, s := range from {
		to.widen(k, s)
	}
}
