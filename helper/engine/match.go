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

// scope says for how long a match holds within one connection: what is compared
// decides. A waiver rests on it.
type scope int

const (
	never         scope = iota // it did not match
	perRecipient               // the recipient was compared
	perMessage                 // the sender was compared
	perConnection              // the client or the authenticated id was compared
)

// scopeOf is how long a match of a list's field holds.
func scopeOf(field string) scope {
	switch field {
	case "client", "auth":
		return perConnection
	case "sender":
		return perMessage
	}
	return perRecipient
}

// set is one field's patterns of a list, each with the moment from which it no
// longer holds (zero: never ends). A lookup costs as many map accesses as there are
// different prefix lengths or domain levels, however long the list is.
type set struct {
	prefixes  map[netip.Prefix]time.Time
	lengths   [2][]int             // of the prefixes: IPv4, IPv6
	exact     map[string]time.Time // whole addresses and authenticated ids
	domains   map[string]time.Time
	subOf     map[string]time.Time // domains below this one
	addresses bool                 // compare as addresses rather than as they are
}

// list is a plan's list, ready to be asked.
type list map[string]*set // by field

func newList(l plan.List) (list, error) {
	out := list{}
	for _, e := range l.Entries {
		var until time.Time
		if e.Until != "" {
			t, err := time.Parse(time.RFC3339, e.Until)
			if err != nil {
				return nil, fmt.Errorf("list %s: until: %w", l.Name, err)
			}
			until = t
		}
		if out[e.Field] == nil {
			out[e.Field] = newSet(e.Field)
		}
		if err := out[e.Field].add(e.Field, e.Pattern, until); err != nil {
			return nil, fmt.Errorf("list %s: %w", l.Name, err)
		}
	}
	return out, nil
}

func newSet(field string) *set {
	return &set{
		prefixes:  map[netip.Prefix]time.Time{},
		exact:     map[string]time.Time{},
		domains:   map[string]time.Time{},
		subOf:     map[string]time.Time{},
		addresses: field == "sender" || field == "recipient",
	}
}

func (s *set) add(field, pattern string, until time.Time) error {
	switch {
	case field == "client":
		p, err := netip.ParsePrefix(pattern)
		if err != nil {
			return fmt.Errorf("client %q: %w", pattern, err)
		}
		p = p.Masked()
		later(s.prefixes, p, until)
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
	case field == "auth":
		later(s.exact, pattern, until)
	case pattern == "<>":
		later(s.exact, "", until)
	default:
		local, domain := splitAddress(strings.ToLower(pattern))
		parent, below := strings.CutPrefix(domain, "*.")
		switch {
		case local != "" && local != "*":
			later(s.exact, local+"@"+normalize.Domain(domain), until)
		case below:
			later(s.subOf, normalize.Domain(parent), until)
		default:
			later(s.domains, normalize.Domain(domain), until)
		}
	}
	return nil
}

// later keeps the entry that holds longer, where one is given twice.
func later[K comparable](m map[K]time.Time, key K, until time.Time) {
	if old, there := m[key]; there && (old.IsZero() || !until.IsZero() && until.Before(old)) {
		return
	}
	m[key] = until
}

// splitAddress cuts an address at its last @; one without is all domain.
func splitAddress(a string) (local, domain string) {
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		return a[:i], a[i+1:]
	}
	return "", a
}

func holds[K comparable](m map[K]time.Time, key K, now time.Time) bool {
	until, there := m[key]
	return there && (until.IsZero() || now.Before(until))
}

func (s *set) hasClient(a netip.Addr, now time.Time) bool {
	if !a.IsValid() {
		return false
	}
	family := 0
	if a.Is6() {
		family = 1
	}
	for _, bits := range s.lengths[family] {
		if p, err := a.Prefix(bits); err == nil && holds(s.prefixes, p, now) {
			return true
		}
	}
	return false
}

// hasAddress compares an address as it came (in lower case), and without what does
// not tell one sender from another. So an entry for user@ also covers "user"@ and
// user+tag@, and cannot be dodged with them.
func (s *set) hasAddress(address string, now time.Time) bool {
	return s.hasSpelling(strings.ToLower(address), now) || s.hasSpelling(normalize.Listed(address), now)
}

func (s *set) hasSpelling(address string, now time.Time) bool {
	if holds(s.exact, address, now) {
		return true
	}
	if address == "" {
		return false
	}
	_, domain := splitAddress(address)
	if holds(s.domains, domain, now) {
		return true
	}
	for {
		dot := strings.IndexByte(domain, '.')
		if dot < 0 {
			return false
		}
		domain = domain[dot+1:]
		if holds(s.subOf, domain, now) {
			return true
		}
	}
}

// match compares one field of a question.
func (s *set) match(field string, q *wire.Question, now time.Time) bool {
	switch field {
	case "client":
		return s.hasClient(q.Client, now)
	case "sender":
		return knowsSender(q.Stage) && s.hasAddress(q.Sender, now)
	case "recipient":
		return s.hasRecipients(q, now)
	case "auth":
		return q.Auth != "" && holds(s.exact, q.Auth, now)
	}
	return false
}

// hasRecipients wants all recipients of the message: an exempt one must not take the
// others with it.
func (s *set) hasRecipients(q *wire.Question, now time.Time) bool {
	if q.Recipient == "" || !s.hasAddress(q.Recipient, now) {
		return false
	}
	for _, other := range q.Others {
		if !s.hasAddress(other, now) {
			return false
		}
	}
	return true
}

// knowsSender tells a null sender from one that was not given yet.
func knowsSender(stage string) bool { return stage != plan.Connect && stage != plan.Helo }

// fields in the order in which a list is compared: what holds longest first.
var fields = []string{"client", "auth", "sender", "recipient"}

// match compares a question with the list: with one field of it, or with all where
// field is "".
func (l list) match(field string, q *wire.Question, now time.Time) scope {
	for _, f := range fields {
		if s := l[f]; s != nil && (field == "" || field == f) && s.match(f, q, now) {
			return scopeOf(f)
		}
	}
	return never
}

// mismatch is for how long a list that did not match will go on not matching.
func (l list) mismatch(field string) scope {
	out := perConnection
	for _, f := range fields {
		if l[f] != nil && (field == "" || field == f) {
			out = min(out, scopeOf(f))
		}
	}
	return out
}

// allowed says whether a run-time entry exempts the question from a policy.
func allowed(r *Runtime, policy string, q *wire.Question, now time.Time) (scope, *Allowance) {
	if r == nil {
		return never, nil
	}
	for i := range r.Allowances {
		a := &r.Allowances[i]
		if a.Policy != "" && a.Policy != policy || a.Until != 0 && now.UnixMilli() >= a.Until {
			continue
		}
		if r.set(i).match(a.Field, q, now) {
			return scopeOf(a.Field), a
		}
	}
	return never, nil
}

// Prepare makes what was said at run time quick to compare with questions. Whoever
// shares a Runtime between goroutines prepares it first.
func (r *Runtime) Prepare() {
	r.sets = make([]*set, len(r.Allowances))
	for i, a := range r.Allowances {
		r.sets[i] = newSet(a.Field)
		// `exipold allow` refuses a bad pattern; one from elsewhere matches nothing.
		_ = r.sets[i].add(a.Field, a.Pattern, time.Time{})
	}
}

// set is an allowance's pattern, prepared.
func (r *Runtime) set(i int) *set {
	if r.sets == nil {
		r.Prepare()
	}
	return r.sets[i]
}

// off says whether a policy is switched off at run time.
func off(r *Runtime, policy string, now time.Time) bool {
	if r == nil {
		return false
	}
	for _, s := range r.Off {
		if s.Policy == policy && (s.Until == 0 || now.UnixMilli() < s.Until) {
			return true
		}
	}
	return false
}
