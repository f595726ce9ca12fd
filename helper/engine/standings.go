package engine

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"exipol/helper/normalize"
)

// Standings are how keys stand, of those that a block concerns, or did lately. They never change:
// With makes others, which takes a moment however many there are. nil are none.
type Standings struct {
	most  map[standingKey]Standing
	newer map[standingKey]Standing // what is not so in most; one without a case is gone
	n     int
}

// standingKey names a standing.
type standingKey struct{ policy, key string }

// fewNewer is how many standings may be newer before all are put together, besides a part of them.
const fewNewer = 64

// With are the standings with these in place of what they had of the same keys. One that concerns
// nobody (see Matters) is left out.
func (s *Standings) With(changed []Standing) *Standings {
	if s == nil {
		s = &Standings{}
	}
	out := &Standings{most: s.most, newer: make(map[standingKey]Standing, len(s.newer)+len(changed)), n: s.n}
	for k, st := range s.newer {
		out.newer[k] = st
	}
	for _, st := range changed {
		k := standingKey{st.Policy, st.Key}
		if _, had := out.Find(st.Policy, st.Key); had {
			out.n--
		}
		if st.Matters() {
			out.n++
		} else {
			st = Standing{}
		}
		out.newer[k] = st
	}
	if len(out.newer) > fewNewer+len(out.most)/16 {
		all := make(map[standingKey]Standing, out.n)
		for st := range out.All() {
			all[standingKey{st.Policy, st.Key}] = st
		}
		out.most, out.newer = all, nil
	}
	return out
}

// Find is how a key stands with a policy.
func (s *Standings) Find(policy, key string) (Standing, bool) {
	if s.Len() == 0 {
		return Standing{}, false
	}
	k := standingKey{policy, key}
	st, ok := s.newer[k]
	if !ok {
		st, ok = s.most[k]
	}
	return st, ok && st.Case != 0
}

// All are all of them, in no order.
func (s *Standings) All() iter.Seq[Standing] {
	return func(yield func(Standing) bool) {
		if s == nil {
			return
		}
		for k, st := range s.most {
			if _, changed := s.newer[k]; !changed && !yield(st) {
				return
			}
		}
		for _, st := range s.newer {
			if st.Case != 0 && !yield(st) {
				return
			}
		}
	}
}

// Len is how many there are.
func (s *Standings) Len() int {
	if s == nil {
		return 0
	}
	return s.n
}

// Blocks is how many standings there are.
func (r *Runtime) Blocks() int {
	if r == nil {
		return 0
	}
	return r.Standings.Len()
}

// NextEnd is when the first of the blocks in force ends, Unix milliseconds; 0: none does by itself.
func (r *Runtime) NextEnd(now time.Time) (end int64) {
	for s := range r.Standings.All() {
		if s.Until != 0 && s.InForce(now.UnixMilli()) && (end == 0 || s.Until < end) {
			end = s.Until
		}
	}
	return end
}

// Same says whether two readings say the same. It may say no where they do.
func (r *Runtime) Same(other *Runtime) bool {
	return r.Standings == other.Standings && slices.Equal(r.Allowances, other.Allowances) && slices.Equal(r.Off, other.Off)
}

// Adrift are the policies, sorted, of blocks in force that this plan does nothing about: it has no such
// policy any more, or one without a block, or one whose key is made of something else.
func (e *Engine) Adrift(r *Runtime, now time.Time) (policies []string) {
	found := map[string]bool{}
	for s := range r.Standings.All() {
		if s.InForce(now.UnixMilli()) && !found[s.Policy] && !e.limits[s.Policy].keeps(&s) {
			found[s.Policy] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// keeps says whether the limit may have made a standing.
func (l *limit) keeps(s *Standing) bool {
	if l == nil || l.blockOf(s) == nil {
		return false
	}
	parts, whole := normalize.Split(s.Key)
	if !whole {
		return true // nobody can tell
	}
	if len(parts) != len(l.Key) {
		return false
	}
	for i, p := range l.Key {
		kind, _, owner := strings.Cut(parts[i], ":")
		switch p.Field {
		case "owner":
			if !owner || kind != "auth" && kind != "user" && kind != "relay" {
				return false
			}
		case "auth", "user":
			if owner && kind == p.Field { // it was an owner's
				return false
			}
		}
	}
	return true
}
