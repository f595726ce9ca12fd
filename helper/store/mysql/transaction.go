package mysql

import (
	"context"
	"fmt"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// transaction is what a group of requests does in one transaction. It outlives the attempts to run it:
// what was asked for in one is read, and locked, at the beginning of the next.
//
// Round trips are what costs, so the decisions are rehearsed: each is run on what is known; what it asks for beside that
// is noted, and answered with nothing. Then all that was noted is read, what they are about to change is locked, and they are
// run again, until nothing was asked for that was not known, and nothing is to be changed that is not locked. That
// last run counts. Mostly it is the second.
//
// What a decision goes by is locked where it is going to change it:
//
//   - Counters: all slots of the key. So whoever counts a key next, at whichever gateway, sees this count, and each
//     threshold is crossed by one.
//   - Distinct members: all of the key.
//   - Rows of seen: those that are there. Of two who insert the same one, the second begins again; so it is with events of the log.
//
// Tables come in this order and rows in the order of their keys, for everybody, so that no two wait for each other; where one
// turns out later than that, a deadlock is possible, which costs one of them another attempt.
type transaction struct {
	store    *Store
	requests []*request
	ctx      context.Context // of a batch's caller; nil for updates

	memory

	// Of this attempt:
	s *session
	attempt

	// Of this run of the requests:
	written         // what they write,
	sure    written // and what they write whatever row of seen was guessed to be missing
	guesses int     // how often nothing was the answer for want of knowledge
	real    bool    // something was written in the middle of it: it is no rehearsal any more
	broken  error   // why the attempt cannot go on
}

// attempt is what was done so far in one attempt.
type attempt struct {
	counters    set[counterKey]   // are locked,
	crowds      set[rowKey]       // and these keys of distinct members
	madeSlots   set[slotKey]      // only to be locked
	madeMembers set[memberKey]    // likewise
	added       map[slotKey]int64 // to counters
	noted       set[eventKey]
}

// runs is the most runs of the requests in one attempt. Decisions ask for more when they know more, but not for ever.
const runs = 16

// run is one attempt; it is the body of Store.transact.
func (t *transaction) run(s *session) error {
	last := t.written
	t.s, t.attempt, t.real, t.broken = s, attempt{}, false, nil
	t.memory.forget()
	for _, r := range t.requests {
		r.unbind()
	}
	if t.memory.wanted.size() > 0 {
		if err := t.learn(&last); err != nil {
			return err
		}
	}
	for range runs {
		t.rehearse()
		done := t.guesses == 0 && !t.unlocked(&t.written)
		switch {
		case t.broken != nil:
			return t.broken
		case done && t.bind():
			return t.flush()
		case t.real:
			return errAgain
		case done: // but a caller has given up
			continue
		}
		if err := t.learn(&t.sure); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: it asks for more and more", store.ErrDecision)
}

// learn locks what is about to be written, and reads what is wanted.
func (t *transaction) learn(w *written) error {
	if err := t.lock(w); err != nil {
		return err
	}
	return t.memory.fetch(t.s)
}

// rehearse runs all requests, one after another. Each sees what those before it write.
func (t *transaction) rehearse() {
	t.written, t.sure, t.guesses = written{}, written{}, 0
	for _, r := range t.requests {
		if r.gone() {
			continue
		}
		if r.batch != nil {
			t.performBatch(r)
		} else {
			t.perform(r)
		}
		if t.broken != nil {
			return
		}
	}
}

func (t *transaction) state() *state {
	return &state{m: &t.memory, w: &t.written, missing: t.missing, through: t.through, fit: t.fit}
}

// perform runs one update. An error of its own is kept for its caller, and takes nobody with it; but
// what it makes of a guess is no error.
func (t *transaction) perform(r *request) {
	guesses, rows := t.guesses, len(t.memory.wanted.seen)
	var writes []engine.Write
	r.err = guarded(func() (err error) {
		writes, err = r.decide(t.state())
		return err
	})
	for _, w := range writes {
		if r.err == nil {
			r.err = portable.CheckWrite(w)
		}
	}
	if r.err != nil || t.broken != nil {
		if t.guesses > guesses {
			r.err = nil
		}
		return
	}
	r.writes = writes
	for _, w := range writes {
		t.written.add(w)
		if len(t.memory.wanted.seen) == rows {
			t.sure.add(w)
		}
	}
}

// performBatch runs a batch, which is alone. Its error ends the transaction.
func (t *transaction) performBatch(r *request) {
	st := t.state()
	err := guarded(func() error { return r.batch(st) })
	switch {
	case t.broken != nil:
	case t.fit() != nil:
		t.broken = t.fit()
	case t.guesses > 0:
	case err != nil:
		t.broken = err
	default:
		t.broken = st.failed
	}
	if len(t.memory.wanted.seen) == 0 {
		t.sure = t.written
	}
}

// missing is what states do about what is not known. What is no rehearsal any more reads it where
// nothing has to be locked before.
func (t *transaction) missing() error {
	switch w := &t.memory.wanted; {
	case !t.real:
		t.guesses++
	case len(w.standings)+len(w.held) == w.size():
		t.memory.asked.merge(w)
		t.broken = t.memory.fetch(t.s)
	default:
		t.broken = errAgain
	}
	return t.broken
}

// through writes what was written so far, and forgets what is remembered of cases, so that they are read again.
func (t *transaction) through() (guess bool, err error) {
	early := t.guesses > 0 || t.unlocked(&t.written)
	switch {
	case early && !t.real:
		t.guesses++
		return true, nil
	case early || !t.bind():
		t.broken = errAgain
	default:
		t.real = true
		t.broken = t.flush()
	}
	return false, t.broken
}

// fit is why a batch may not write any more.
func (t *transaction) fit() error {
	if t.ctx == nil {
		return nil
	}
	return t.ctx.Err()
}

// bind keeps the callers from giving up: from now on it is not in our hands what becomes of what they
// wrote. It is false where one has given up, who is left out then.
func (t *transaction) bind() bool {
	all := true
	for _, r := range t.requests {
		if !r.bind() && !r.left {
			r.left, all = true, false
		}
	}
	return all
}
