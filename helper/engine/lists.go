package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// entry is one pattern of a list.
type entry struct {
	until int64 // Unix ms: the first moment at which it no longer holds; 0: never ends
	hit   int   // its place among the list's hits
}

// set is one field's patterns of a list. A lookup costs as many map accesses as there
// are different prefix lengths or domain levels, however long the list is.
type set struct {
	prefixes map[netip.Prefix]entry
	lengths  [2][]int         // of the prefixes: IPv4, IPv6
	exact    map[string]entry // whole addresses, authenticated ids and local logins
	domains  map[string]entry
	subOf    map[string]entry // domains below this one
}

// list is a plan's list, ready to be asked.
type list struct {
	ref    string
	fields map[string]*set
	hits   []Hit // one for each entry
	learns learning
}

func newList(l plan.List) (*list, error) {
	out := &list{ref: l.Ref(), fields: map[string]*set{}, hits: make([]Hit, 0, len(l.Entries)), learns: newLearning(l)}
	for i, e := range l.Entries {
		at := entry{hit: i}
		if e.Until != "" {
			t, err := time.Parse(time.RFC3339, e.Until)
			if err != nil {
				return nil, fmt.Errorf("list %s: until: %w", l.Name, err)
			}
			at.until = t.UnixMilli()
		}
		if out.fields[e.Field] == nil {
			out.fields[e.Field] = newSet(e.Field)
		}
		if err := out.fields[e.Field].add(e.Field, e.Pattern, at); err != nil {
			return nil, fmt.Errorf("list %s: %w", l.Name, err)
		}
		out.hits = append(out.hits, Hit{out.ref, e.Field, e.Pattern})
	}
	return out, nil
}

func newSet(field string) *set {
	if field == "client" {
		return &set{prefixes: map[netip.Prefix]entry{}}
	}
	return &set{exact: map[string]entry{}, domains: map[string]entry{}, subOf: map[string]entry{}}
}

func (s *set) add(field, pattern string, e entry) error {
	switch {
	case field == "client":
		p, err := netip.ParsePrefix(pattern)
		if err != nil {
			return fmt.Errorf("client %q: %w", pattern, err)
		}
		p = p.Masked()
		later(s.prefixes, p, e)
		family := 0
		if p.Addr().Is6() {
			family = 1
		}
		for _, bits := range s.lengths[family] {
			if bits == p.Bits() {
				return nil
			}
		}
		s.lengths[family] = append(s.lengths[family], p.Bits())
	case field == "auth" || field == "user":
		later(s.exact, pattern, e)
	case pattern == "<>":
		later(s.exact, "", e)
	default:
		local, domain := splitAddress(strings.ToLower(pattern))
		parent, below := strings.CutPrefix(domain, "*.")
		switch {
		case local != "" && local != "*":
			later(s.exact, local+"@"+normalize.Domain(domain), e)
		case below:
			later(s.subOf, normalize.Domain(parent), e)
		default:
			later(s.domains, normalize.Domain(domain), e)
		}
	}
	return nil
}

// later keeps the entry that holds longer, where one is given twice.
func later[K comparable](m map[K]entry, key K, e entry) {
	if old, there := m[key]; there && (old.until == 0 || e.until != 0 && e.until < old.until) {
		return
	}
	m[key] = e
}

// splitAddress cuts an address at its last @; one without is all domain.
func splitAddress(a string) (local, domain string) {
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		return a[:i], a[i+1:]
	}
	return "", a
}

// holds finds the entry of a key that holds now; hit is its place.
func holds[K comparable](m map[K]entry, key K, now time.Time) (hit int, ok bool) {
	e, there := m[key]
	return e.hit, there && (e.until == 0 || now.UnixMilli() < e.until)
}

func (s *set) hasClient(a netip.Addr, now time.Time) (hit int, ok bool) {
	if !a.IsValid() {
		return 0, false
	}
	family := 0
	if a.Is6() {
		family = 1
	}
	for _, bits := range s.lengths[family] {
		if p, err := a.Prefix(bits); err == nil {
			if hit, ok := holds(s.prefixes, p, now); ok {
				return hit, true
			}
		}
	}
	return 0, false
}

// hasAddress compares an address as it came (in lower case), and without what does
// not tell one sender from another. So an entry for user@ also covers "user"@ and
// user+tag@, and cannot be dodged with them.
func (s *set) hasAddress(address string, now time.Time) (hit int, ok bool) {
	if hit, ok := s.hasSpelling(strings.ToLower(address), now); ok {
		return hit, true
	}
	return s.hasSpelling(normalize.Listed(address), now)
}

func (s *set) hasSpelling(address string, now time.Time) (hit int, ok bool) {
	if hit, ok := holds(s.exact, address, now); ok {
		return hit, true
	}
	if address == "" {
		return 0, false
	}
	_, domain := splitAddress(address)
	if hit, ok := holds(s.domains, domain, now); ok {
		return hit, true
	}
	for {
		dot := strings.IndexByte(domain, '.')
		if dot < 0 {
			return 0, false
		}
		domain = domain[dot+1:]
		if hit, ok := holds(s.subOf, domain, now); ok {
			return hit, true
		}
	}
}

// match compares one field of a question.
func (s *set) match(field string, q *wire.Question, now time.Time) (hit int, ok bool) {
	switch field {
	case "client":
		return s.hasClient(q.Client, now)
	case "sender":
		if knowsSender(q.Stage) {
			return s.hasAddress(q.Sender, now)
		}
	case "recipient":
		return s.hasRecipients(q, now)
	case "auth":
		if q.Auth != "" {
			return holds(s.exact, q.Auth, now)
		}
	case "user":
		if q.User != "" {
			return holds(s.exact, q.User, now)
		}
	}
	return 0, false
}

// hasRecipients wants all recipients of the message: an exempt one must not take the
// others with it.
func (s *set) hasRecipients(q *wire.Question, now time.Time) (hit int, ok bool) {
	if q.Recipient == "" {
		return 0, false
	}
	if hit, ok = s.hasAddress(q.Recipient, now); !ok {
		return 0, false
	}
	for _, other := range q.Others {
		if _, ok := s.hasAddress(other, now); !ok {
			return 0, false
		}
	}
	return hit, true
}

// knowsSender tells a null sender from one that was not given yet.
func knowsSender(stage string) bool {
	return stage != plan.Connect && stage != plan.Helo && stage != plan.Auth
}

// fields in the order in which a list is compared: what holds longest first.
var fields = []string{"client", "auth", "user", "sender", "recipient"}

// match compares a question with the entries: with those of one field, or with all
// where field is "".
func (l *list) match(field string, q *wire.Question, now time.Time) (scope, []Hit) {
	for _, f := range fields {
		if s := l.fields[f]; s != nil && (field == "" || field == f) {
			if hit, ok := s.match(f, q, now); ok {
				return scopeOf(f), l.hits[hit : hit+1 : hit+1]
			}
		}
	}
	return never, nil
}

// matchSender compares an address with the entries for senders.
func (l *list) matchSender(address string, now time.Time) ([]Hit, bool) {
	s := l.fields["sender"]
	if s == nil || address == "" {
		return nil, false
	}
	hit, ok := s.hasAddress(address, now)
	if !ok {
		return nil, false
	}
	return l.hits[hit : hit+1 : hit+1], true
}

// mismatch is for how long a list that did not match will go on not matching.
func (l *list) mismatch(field string) scope {
	out := perConnection
	for _, f := range fields {
		if l.fields[f] != nil && (field == "" || field == f) {
			out = min(out, scopeOf(f))
		}
	}
	return min(out, l.learns.mismatch(field))
}
