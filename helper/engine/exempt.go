package engine

import (
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
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
	case "client", "auth", "user":
		return perConnection
	case "sender":
		return perMessage
	}
	return perRecipient
}

// exempt says whether a policy has nothing to do with a question, and notes why and
// for how long.
func (e *Engine) exempt(j *judgement, except []plan.Ref, h *hearing) (bool, error) {
	r := h.live.Runtime
	if off(r, j.ref, h.now) {
		j.waive = perConnection
		j.say("", plan.Accept, "switched off at run time")
		return true, nil
	}
	if h.q.Traffic == plan.Inbound {
		if _, forwards := e.forwarders.hasClient(h.q.Client, h.now); forwards {
			j.waive = perConnection
			j.say("", plan.Accept, "the client is one of the site's forwarders")
			return true, nil
		}
	}
	if held, i := allowed(r, j.ref, &h.q, h.now); held > never {
		h.hit(r.hits[i : i+1 : i+1])
		j.waive = held
		if a := &r.Allowances[i]; j.explain {
			j.say("", plan.Accept, "allowed at run time (entry %d: %s)", a.ID, a.Why)
		}
		return true, nil
	}
	found, held, err := e.matchAny(except, j.observe, h)
	if found == nil || err != nil {
		return false, err
	}
	j.waive = held
	if j.explain {
		j.say("", plan.Accept, "%s", reading(*found))
	}
	return true, nil
}

// reading is what a reference that matched says of the question.
func reading(r plan.Ref) string {
	switch {
	case r.Trusted != "":
		return "trusted by greylist." + r.Trusted
	case r.Pool != "":
		return "in pool." + r.Pool
	}
	return "in list." + r.List
}

// matchAny finds the first of the references that matches, nil for none. Whom an
// observing policy trusts is for observing policies only.
func (e *Engine) matchAny(refs []plan.Ref, observing bool, h *hearing) (*plan.Ref, scope, error) {
	unsure := false
	for i := range refs {
		r := &refs[i]
		held := never
		var err error
		switch {
		case r.Trusted != "":
			g := e.greylists["greylist."+r.Trusted]
			if g.Mode == plan.Observe && !observing {
				continue // an observing policy changes nobody's verdict
			}
			var maybe bool
			held, maybe, err = g.trusts(h)
			unsure = unsure || maybe
		case r.Pool != "":
			if h.pool() == r.Pool {
				held = perConnection
			}
		default:
			held, err = e.lists[r.List].matchRef(r.Field, h)
		}
		if err != nil || held > never {
			return r, held, err
		}
	}
	if unsure {
		h.ask(spfFact)
	}
	return nil, never, nil
}

// matchRef compares a question with a list's entries, and then with what the list
// has learned.
func (l *list) matchRef(field string, h *hearing) (scope, error) {
	held, hits := l.match(field, &h.q, h.now)
	if held == never && l.learns.any() {
		var err error
		if held, hits, err = l.remembers(field, h); err != nil {
			return never, err
		}
	}
	if held > never {
		h.hit(hits)
	}
	return held, nil
}

// mismatch is for how long a question that none of the references matched will not
// be matched by them. Trust may come with the next message.
func (e *Engine) mismatch(refs []plan.Ref) scope {
	out := perConnection
	for _, r := range refs {
		switch {
		case r.Trusted != "":
			return never
		case r.Pool != "": // the client stays the same
		default:
			out = min(out, e.lists[r.List].mismatch(r.Field))
		}
	}
	return out
}

// allowed says whether, and for how long, a run-time entry exempts the question from a
// policy, and which one.
func allowed(r *Runtime, policy string, q *wire.Question, now time.Time) (held scope, at int) {
	if r == nil {
		return never, 0
	}
	for i := range r.Allowances {
		a := &r.Allowances[i]
		if a.Policy != "" && a.Policy != policy || a.Until != 0 && now.UnixMilli() >= a.Until {
			continue
		}
		if _, ok := r.set(i).match(a.Field, q, now); ok {
			return scopeOf(a.Field), i
		}
	}
	return never, 0
}

// Prepare makes what was said at run time quick to compare with questions. Whoever
// shares a Runtime between goroutines prepares it first.
func (r *Runtime) Prepare() {
	r.sets = make([]*set, len(r.Allowances))
	r.hits = make([]Hit, len(r.Allowances))
	for i, a := range r.Allowances {
		r.sets[i] = newSet(a.Field)
		// `exipold allow` refuses a bad pattern; one from elsewhere matches nothing.
		_ = r.sets[i].add(a.Field, a.Pattern, entry{})
		r.hits[i] = Hit{"allow", a.Field, a.Pattern}
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
