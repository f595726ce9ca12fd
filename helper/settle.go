package helper

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// errUndecided is an engine that goes on asking for what it was told.
var errUndecided = fmt.Errorf("%w: it asks for more and more facts", store.ErrDecision)

// patience is how long a decision may wait for the store after its asker got a
// failed answer: the question is probably asked again, and must not count twice.
const patience = 10 * time.Second

// errPanic is a fault of exipold's own. What it did before is not known.
var errPanic = fmt.Errorf("%w: it panicked", store.ErrDecision)

// resolve finds the answer, however long it takes.
func (h *Helper) resolve(a *asked, mine *repeat) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := survived(func() (engine.Decision, error) { return h.settle(ctx, a) })
	if err != nil {
		h.failed(writing, err)
		answer := h.lastKnown(a, err).String()
		if errors.Is(err, store.ErrUnknown) || errors.Is(err, errPanic) {
			// It may have been counted: whoever asks again must not count once more.
			h.repeats.finish(mine, answer)
		} else {
			h.repeats.forget(mine, answer)
		}
		return
	}
	if len(d.Writes) > 0 {
		h.trouble.ends(writing)
	}
	h.hits.add(d.Hits, a.now)
	h.repeats.finish(mine, d.Answer.String())
}

// settle decides, and comes back when all that the decision needs is found out and all
// that it writes is on disk.
func (h *Helper) settle(ctx context.Context, a *asked) (engine.Decision, error) {
	return h.patiently(ctx, a, h.settleOnce)
}

// settleOnce is one try of settle. The store's state may change meanwhile, and with it what is
// needed.
func (h *Helper) settleOnce(ctx context.Context, a *asked) (engine.Decision, error) {
	for {
		if len(a.needs) > 0 {
			if a.rounds >= lastRound {
				return engine.Decision{}, errUndecided
			}
			h.inform(ctx, a, a.needs)
			a.needs, a.unseen = nil, true
		}
		if a.unseen {
			a.unseen = false
			d, err := h.look(ctx, a)
			if err == nil {
				return d, nil
			}
			if errors.Is(err, errNeeds) {
				continue
			}
		}
		d, err := h.write(ctx, a)
		if err != nil || len(d.Needs) == 0 {
			return d, err
		}
		a.needs = d.Needs
	}
}

// write decides in the store's writer and comes back when the decision is on disk.
// A delay is reserved while the decision is made, so that no two decisions of one
// batch take the same sleeper's place; deciding once more gives it back first. Where
// the update's outcome is unknown, the writer may still be deciding when this returns.
// A decision that needs to know more than was found out writes nothing. Where it opened a case,
// its block is in force here before the answer leaves.
func (h *Helper) write(ctx context.Context, a *asked) (engine.Decision, error) {
	var made atomic.Pointer[engine.Decision]
	place := h.sleepers.place()
	known := h.live(a)
	err := h.o.Store.Update(ctx, func(st engine.State) ([]engine.Write, error) {
		place.leave()
		d, err := a.decide(st, known)
		if len(d.Needs) > 0 {
			d.Writes, d.Sleep = nil, nil
		}
		if err == nil && d.Sleep != nil {
			place.take(d.Sleep.Tier, a.now.Add(d.Sleep.For))
		}
		made.Store(&d)
		return d.Writes, err
	})
	if err != nil {
		place.giveUp()
		return engine.Decision{}, err
	}
	d := *made.Load()
	if engine.Opens(d.Writes) {
		// The next question may be one that the block is about.
		h.opened(ctx)
	}
	return d, nil
}
