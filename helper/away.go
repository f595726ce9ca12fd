package helper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
)

const (
	// briefly is for how long a store may be away before nobody waits for it any more: as long as it
	// takes to move to another host. Later a question is answered at once with what there is to say.
	briefly = time.Second
	// conflicts is how often a decision is tried again that other writers were in the way of, beyond
	// what the store tries itself.
	conflicts = 3
	// reserve is left of an answer's time for the answer itself.
	reserve = 50 * time.Millisecond
)

// patiently is decide with another try where that may help, as long as there is time for the answer.
// Nothing is tried again that may have been kept.
func (h *Helper) patiently(ctx context.Context, a *asked, decide func(context.Context, *asked) (engine.Decision, error)) (engine.Decision, error) {
	for try := 0; ; try++ {
		d, err := decide(ctx, a)
		if err == nil || !h.mayPass(err, try) {
			return d, err
		}
		pause := time.Duration(20+rand.IntN(40)) * time.Millisecond
		if time.Until(a.start.Add(a.by.budget-reserve)) < pause || !sleep(ctx, pause) {
			return d, err
		}
		a.unseen = true // what was looked at may be another now
	}
}

// mayPass says whether an error may not come again.
func (h *Helper) mayPass(err error, try int) bool {
	switch {
	case errors.Is(err, store.ErrUnknown):
		return false
	case errors.Is(err, store.ErrConflict):
		return try < conflicts
	case errors.Is(err, store.ErrAway):
		is := h.o.Store.Health()
		return is.Away == "" && try < conflicts || is.Away != "" && time.Since(is.Since) < briefly
	}
	return false
}

// sleep waits; false means that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// lastKnown is the answer where the store has failed: what is known of blocks in force, where the plan has
// such as are to stay so, and else a failed one. That it was found quickly matters: after an answer that is no
// failed one Exim asks again at its next command.
func (h *Helper) lastKnown(a *asked, failure error) wire.Answer {
	failed := wire.Answer{Verdict: wire.Failed}
	live := h.live(a)
	if !store.AtFault(failure) || a.verb != nil || a.Stage == plan.Delivery || live.Runtime == nil || !a.by.KnowsBlocks() {
		return failed
	}
	answer, err := survived(func() (wire.Answer, error) { return a.by.Away(a.Question, a.now, live) })
	if err != nil {
		h.failed(reading, err)
		return failed
	}
	if answer.Verdict == wire.Away && time.Since(a.start) > 3*a.by.budget/4 {
		return failed
	}
	if answer.LastKnown {
		h.counters.lastKnown.Add(1)
	}
	return answer
}

// survived is f whose panic is an error: it runs in a goroutine of its own, where nobody else would
// stop one from ending exipold, and the other questions with it.
func survived[T any](f func() (T, error)) (out T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack())
		}
	}()
	return f()
}
