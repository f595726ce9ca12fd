package portable

import (
	"slices"
	"strings"
	"testing"

	"exipol/helper/engine"
)

func blocking(keys ...string) (list []engine.Standing) {
	for i, key := range keys {
		list = append(list, engine.Standing{Policy: "limit.x", Key: key, Case: int64(i + 1), Blocks: true, Since: 1})
	}
	return list
}

// commit is a transaction that made the changes of these numbers.
func commit(s *Store, first, last int64, keys ...string) {
	s.Committed(&Changes{first: first, last: last, all: blocking(keys...)})
}

// expect compares what is remembered: the number of the last change, and the keys.
func expect(t *testing.T, s *Store, last int64, keys string) {
	t.Helper()
	if got := keysOf(s.stood.all); s.stood.last != last || got != keys {
		t.Errorf("change %d: %q; want %d: %q", s.stood.last, got, last, keys)
	}
}

func keysOf(all *engine.Standings) string {
	var keys []string
	for st := range all.All() {
		keys = append(keys, st.Key)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func holds(keys ...string) *engine.Standings { return new(engine.Standings).With(blocking(keys...)) }

// What is committed while the table is read is taken in after it, if it is what comes next.
func TestCommittedWhileReading(t *testing.T) {
	s := new(Store)
	commit(s, 5, 5, "early") // nothing is remembered that it could change
	expect(t, s, 0, "")
	age := s.stood.begin()
	commit(s, 8, 8, "c") // after what is read, and before it was
	commit(s, 9, 10, "d", "e")
	if got := keysOf(s.stood.end(age, 7, holds("a", "b"))); got != "a b c d e" {
		t.Errorf("read: %q", got)
	}
	expect(t, s, 10, "a b c d e")
	// Others have made change 11: nothing fits before the table is read again.
	commit(s, 12, 12, "x")
	expect(t, s, 10, "a b c d e")
	age = s.stood.begin()
	commit(s, 14, 14, "y") // nor does this
	if got := keysOf(s.stood.end(age, 12, holds("x"))); got != "x" {
		t.Errorf("read again: %q", got)
	}
	expect(t, s, 12, "x")
	if s.stood.reading != 0 || s.stood.missed != nil {
		t.Errorf("%+v", &s.stood)
	}
}

// Of two readings, the newer one counts, whichever ends first; each caller gets no older one.
func TestReadingsAtOnce(t *testing.T) {
	s := new(Store)
	older, newer := s.stood.begin(), s.stood.begin()
	commit(s, 4, 4, "c")
	if got := keysOf(s.stood.end(newer, 3, holds("a", "b"))); got != "a b c" {
		t.Errorf("the newer: %q", got)
	}
	if got := keysOf(s.stood.end(older, 2, holds("a"))); got != "a b c" {
		t.Errorf("the older: %q", got)
	}
	expect(t, s, 4, "a b c")
}

// Where rows went, the table is read again: what they said has ended, but should not be remembered for ever.
func TestRemovedStandings(t *testing.T) {
	s := new(Store)
	s.stood.end(s.stood.begin(), 3, holds("a", "b"))
	s.Committed(&Changes{first: 4, last: 5, all: blocking("c"), removed: true})
	expect(t, s, 3, "a b") // and known to be old, as the table is at 5
	if _, known := s.stood.knows(5); known {
		t.Error("rows were removed, and nobody looks")
	}
	s.Committed(&Changes{}) // one that changed no standing
	expect(t, s, 3, "a b")
}

// What was read at a host that is not in use any more is for its caller alone.
func TestForget(t *testing.T) {
	s := new(Store)
	s.stood.end(s.stood.begin(), 30, holds("a"))
	age := s.stood.begin()
	s.Forget()
	if got := keysOf(s.stood.end(age, 31, holds("a", "b"))); got != "a b" {
		t.Errorf("read: %q", got)
	}
	expect(t, s, 0, "")
	// The other host counts anew.
	s.stood.end(s.stood.begin(), 2, holds("z"))
	expect(t, s, 2, "z")
}
