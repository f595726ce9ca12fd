package helper

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"exipol/helper/store"
)

// side is what a store fails at. One that can be read may still be one that cannot be
// written to.
type side int

const (
	reading side = iota
	writing
	sides
)

func (s side) String() string { return [sides]string{"reading", "writing"}[s] }

// failed notes that there was no answer to be had, and whose fault that was.
func (h *Helper) failed(what side, err error) {
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, store.ErrClosed):
		return // we are closing
	case errors.Is(err, errOverrun):
		h.complain("late", err)
	case errors.Is(err, store.ErrBusy):
		h.complain("busy", err)
	case !store.AtFault(err):
		h.complain("decision", err)
	default:
		h.counters.failures.Add(1)
		h.observeFailure(what.String())
		h.trouble.begins(what, err)
	}
}

// complainEvery is how often a failure of one kind is logged that is not the store's.
const complainEvery = time.Minute

// complain notes a failure that is not the store's own. It says nothing of the next
// question, and under a flood there are many: the log gets one a minute.
func (h *Helper) complain(why string, err error) {
	h.counters.failures.Add(1)
	h.observeFailure(why)
	if h.trouble.may(why, time.Now()) {
		h.o.Log.Error("a question was answered with failed", "why", why, "error", err)
	}
}

// trouble logs a failing store once for each side, and once when that is well again. One that comes and
// goes is logged now and then only.
type trouble struct {
	log  *slog.Logger
	bad  [sides]atomic.Bool // looked at on the hot path
	mu   sync.Mutex
	last [sides]string
	full [sides]bool          // a question has found no room
	told [sides]told          // the log
	said map[string]time.Time // when complaints of a kind were logged

	wrote atomic.Pointer[time.Time] // when the store wrote last
}

// told is what the log says of a side.
type told struct {
	bad     bool
	changes int         // since it was told
	when    []time.Time // it was told of late, at most tellMost
}

// Of each side the log has tellMost lines within tellEvery at most.
const (
	tellMost  = 6
	tellEvery = 5 * time.Minute
)

// unreadable says whether reading is in trouble.
func (t *trouble) unreadable() bool { return t.bad[reading].Load() }

func (t *trouble) begins(at side, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full[at] = errors.Is(err, store.ErrFull)
	t.begin(at, err)
}

// begin is for who holds mu.
func (t *trouble) begin(at side, err error) {
	t.last[at] = err.Error()
	if !t.bad[at].Swap(true) {
		t.told[at].changes++
		t.tell(at, time.Now())
	}
}

// unasked notes what came of something small that the store was to do without anybody's question. Where a question has
// found no room, that this was done proves nothing.
func (t *trouble) unasked(at side, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, store.ErrClosed):
	case err != nil:
		t.begin(at, err)
	case !t.full[at]:
		t.end(at)
	}
}

// tell logs how a side is, where the log does not know; for who holds mu.
func (t *trouble) tell(at side, now time.Time) {
	l, bad := &t.told[at], t.bad[at].Load()
	if l.bad == bad {
		return
	}
	l.when = slices.DeleteFunc(l.when, func(then time.Time) bool { return now.Sub(then) >= tellEvery })
	if len(l.when) >= tellMost {
		return
	}
	var more []any
	if l.changes > 1 {
		more = []any{"changes", l.changes}
	}
	l.bad, l.changes, l.when = bad, 0, append(l.when, now)
	if bad {
		t.log.Error("the store fails: what cannot be decided is answered as on_failure says until it is well", append([]any{"at", at, "error", t.last[at]}, more...)...)
	} else {
		t.log.Info("the store is well again", append([]any{"at", at}, more...)...)
	}
}

// settle logs what was not logged when it happened.
func (t *trouble) settle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := range sides {
		t.tell(at, time.Now())
	}
}

// late says why a question that was asked at start has no answer yet.
func (t *trouble) late(start time.Time) error {
	if wrote := t.wrote.Load(); wrote != nil && wrote.After(start) {
		return errOverrun
	}
	return errLate
}

// ends notes that the store did what it may have failed at.
func (t *trouble) ends(at side) {
	if at == writing {
		now := time.Now()
		t.wrote.Store(&now)
	}
	if !t.bad[at].Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(at)
}

// end is for who holds mu.
func (t *trouble) end(at side) {
	if t.bad[at].Swap(false) {
		t.last[at], t.full[at] = "", false
		t.told[at].changes++
		t.tell(at, time.Now())
	}
}

// may says whether a complaint is to be logged.
func (t *trouble) may(why string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.said[why]; ok && now.Sub(at) < complainEvery {
		return false
	}
	if t.said == nil {
		t.said = map[string]time.Time{}
	}
	t.said[why] = now
	return true
}

// text is the last errors while there is trouble.
func (t *trouble) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last[reading] == t.last[writing] {
		return t.last[reading]
	}
	return strings.Trim(t.last[writing]+"; "+t.last[reading], "; ")
}
