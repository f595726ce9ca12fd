package mysql

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// state is engine.Transaction over what is known, and what was written before in the same transaction.
// What it is asked for and nobody has read is noted in the memory; then missing says what to do.
type state struct {
	m *memory
	w *written // nil where nothing is written
	// missing is called after something was asked for that is not known. Where it gives no error and it is
	// not known even then, the answer is that there is nothing: a guess, with which the decision is only
	// rehearsed.
	missing func() error
	// through writes what was written so far, and forgets what is remembered of cases; nil where nothing is
	// written. guess says that this is a rehearsal that it would be too early for.
	through func() (guess bool, err error)
	// fit is why nothing more may be written.
	fit func() error

	failed error // of the first Apply that failed
}

// Seen implements engine.State.
func (st *state) Seen(policy, key string) (engine.SeenRow, bool, error) {
	k := rowKey{policy, key}
	if st.w != nil {
		if row, is := st.w.seen[k]; is {
			return row, true, nil
		}
	}
	row, known := st.m.seen[k]
	if !known {
		st.m.wanted.seen.add(k)
		if err := st.missing(); err != nil {
			return engine.SeenRow{}, false, err
		}
		row = st.m.seen[k]
	}
	return row.SeenRow, row.ok, nil
}

// Count implements engine.State.
func (st *state) Count(policy, key string, window time.Duration, from, to int64) (int64, error) {
	k, of := counterKey{policy, seconds(window), key}, stretch{from, to}
	c, known := st.m.counters[k]
	if !known || !c.holds(of) {
		st.m.wanted.counters.widen(k, of)
		if known { // what is read takes the place of what was, which may be asked for again
			st.m.wanted.counters.widen(k, c.stretch)
		}
		if err := st.missing(); err != nil {
			return 0, err
		}
		c = st.m.counters[k]
	}
	n := c.sum(of)
	if st.w != nil {
		n += st.w.sum(k, of)
	}
	return n, nil
}

// Distinct implements engine.State.
func (st *state) Distinct(policy, key, of string, since, until, most int64) (n, at int64, err error) {
	k, within := rowKey{policy, key}, stretch{since, until}
	one := memberKey{k, of}
	c, known := st.m.crowds[k]
	at, knownOne := st.m.members[one]
	if !known || !c.holds(within) || !knownOne {
		if !known || !c.holds(within) {
			st.m.wanted.crowds.widen(k, within)
			if known {
				st.m.wanted.crowds.widen(k, c.stretch)
			}
		}
		st.m.wanted.members.add(one)
		if err := st.missing(); err != nil {
			return 0, 0, err
		}
		c, at = st.m.crowds[k], st.m.members[one]
	}
	n = c.count(within)
	if st.w != nil {
		moved, err := st.moved(k, within)
		if err != nil {
			return 0, 0, err
		}
		n += moved
		if m, is := st.w.members[one]; is {
			at = m.at
		}
	}
	if !within.has(at) {
		at = 0
	}
	return min(n, most), at, nil
}

// moved is how many more members of a key are within a time than were read, for what was written since.
func (st *state) moved(k rowKey, within stretch) (n int64, err error) {
	for _, one := range st.w.crowds[k] {
		before, known := st.m.members[one]
		if !known {
			st.m.wanted.members.add(one)
			if err := st.missing(); err != nil {
				return 0, err
			}
			before = st.m.members[one]
		}
		if before != 0 && within.has(before) {
			n--
		}
		if within.has(st.w.members[one].at) {
			n++
		}
	}
	return n, nil
}

// Standing implements engine.State.
func (st *state) Standing(policy, key string) (engine.Standing, bool, error) {
	k := rowKey{policy, store.Short(key)}
	if st.w != nil && st.w.opens(k) {
		if guess, err := st.through(); guess || err != nil {
			s := st.m.standings[k] // the key's last release stays, so that what is asked for next is guessed right
			s.Policy, s.Key = policy, key
			return s, s.Case != 0, err
		}
	}
	s, known := st.m.standings[k]
	if !known {
		st.m.wanted.standings.add(k)
		if err := st.missing(); err != nil {
			return engine.Standing{}, false, err
		}
		s = st.m.standings[k]
	}
	s.Policy, s.Key = policy, key
	return s, s.Case != 0, nil
}

// Held implements engine.State.
func (st *state) Held(id int64) (int64, error) {
	if st.w != nil && st.w.holds(id) {
		if guess, err := st.through(); guess || err != nil {
			return 0, err
		}
	}
	n, known := st.m.held[id]
	if !known {
		st.m.wanted.held.add(id)
		if err := st.missing(); err != nil {
			return 0, err
		}
		n = st.m.held[id]
	}
	return n, nil
}

// Known implements engine.State.
func (st *state) Known(gateway, message, item string) (bool, error) {
	k := eventKey{portable.ShortName(gateway), portable.ShortName(message), store.Short(item)}
	if st.w != nil {
		if _, is := st.w.events[k]; is {
			return true, nil
		}
	}
	return st.counted(k)
}

// counted says whether an event was known before the transaction.
func (st *state) counted(k eventKey) (bool, error) {
	is, known := st.m.events[k]
	if !known {
		st.m.wanted.events.add(k)
		if err := st.missing(); err != nil {
			return false, err
		}
		is = st.m.events[k]
	}
	return is, nil
}

// Bounces implements engine.State.
func (st *state) Bounces(owner string, since int64) (int64, error) {
	k := bouncesKey{store.Short(owner), since}
	n, known := st.m.bounces[k]
	if !known {
		st.m.wanted.bounces.add(k)
		if err := st.missing(); err != nil {
			return 0, err
		}
		n = st.m.bounces[k]
	}
	if st.w == nil {
		return n, nil
	}
	for _, at := range st.w.bounces(k) {
		before, err := st.counted(at)
		if err != nil {
			return 0, err
		}
		if !before {
			n++
		}
	}
	return n, nil
}

// Arrival implements engine.State.
func (st *state) Arrival(gateway, message string) (engine.Arrival, bool, error) {
	k := messageKey{portable.ShortName(gateway), portable.ShortName(message)}
	if st.w != nil {
		if put, is := st.w.arrivals[k]; is {
			if put == nil {
				return engine.Arrival{}, false, nil
			}
			return stored(put.Arrival), true, nil
		}
	}
	a, known := st.m.arrivals[k]
	if !known {
		st.m.wanted.arrivals.add(k)
		if err := st.missing(); err != nil {
			return engine.Arrival{}, false, err
		}
		a = st.m.arrivals[k]
	}
	return a.Arrival, a.ok, nil
}

// stored is an arrival as it is read back.
func stored(a engine.Arrival) engine.Arrival {
	for _, s := range []*string{&a.Auth, &a.Login, &a.Helo, &a.Sender} {
		*s = string(portable.Raw(*s, portable.TextLength))
	}
	a.Client = portable.ShortName(a.Client)
	return a
}

// Apply implements engine.Transaction. After an error the whole batch fails, whatever f makes of it.
func (st *state) Apply(writes []engine.Write) error {
	if st.failed != nil {
		return st.failed
	}
	if st.failed = st.fit(); st.failed != nil {
		return st.failed
	}
	for _, w := range writes {
		if st.failed = portable.CheckWrite(w); st.failed != nil {
			return st.failed
		}
	}
	for _, w := range writes {
		st.w.add(w)
	}
	return nil
}

// guarded runs f, whose panic is an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: it panicked: %v\n%s", store.ErrDecision, p, debug.Stack())
		}
	}()
	return f()
}

// errAgain means that a transaction has to be run again from its beginning, as something turned
// out that it should have known, or locked, then.
var errAgain = errors.New("the transaction must begin again")
