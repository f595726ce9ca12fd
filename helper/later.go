package helper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

const (
	// prepareFirst is how long a server may take to be prepared before its plan is used without: a
	// database that hangs must not leave Exim without answers. What it has begun is gone on with later.
	prepareFirst = 5 * time.Second
	prepareAgain = 30 * time.Second // for a try in the background
)

// prepare brings the store to what a plan needs.
func (h *Helper) prepare(ctx context.Context, p *plan.Plan) error {
	if h.o.Prepare == nil {
		return nil
	}
	if err := h.o.Prepare(ctx, p); err != nil {
		return fmt.Errorf("plan %s: %w", p.ID, err)
	}
	return nil
}

// prepareOrLater prepares the store for a plan. While the store is away it leaves that to prepareRest, and
// gives no error: the database may be starting at the same time as this gateway, and answers are wanted now.
func (h *Helper) prepareOrLater(ctx context.Context, a *answerer) error {
	if h.distant {
		if h.unprepared() { // the store was away a moment ago
			return nil
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, prepareFirst)
		defer cancel()
	}
	err := h.prepare(ctx, a.Plan())
	switch {
	case err == nil:
		a.ready.Store(true)
	case h.passes(err):
		h.o.Log.Warn("the plan is used although the store cannot be prepared for it yet", "plan", a.Plan().ID, "error", err)
		err = nil
	}
	return err
}

// passes says whether an error of the store's may pass, without anybody's doing. Of a server that holds for one that
// does not come to it in time, too: another gateway may be changing its tables.
func (h *Helper) passes(err error) bool {
	passing := []error{store.ErrAway, store.ErrConflict, store.ErrUnknown}
	if h.distant {
		passing = append(passing, store.ErrLocked, context.DeadlineExceeded)
	}
	return slices.ContainsFunc(passing, func(other error) bool { return errors.Is(err, other) })
}

// unprepared says whether the store is still to be prepared for a plan.
func (h *Helper) unprepared() bool {
	for _, a := range h.plans.Load().all {
		if !a.ready.Load() {
			return true
		}
	}
	return false
}

// prepareRest prepares the store for the plans that it could not be prepared for before. A plan
// that it cannot be made to fit is in use by now: that is logged, once, and tried again.
func (h *Helper) prepareRest(ctx context.Context) {
	for _, a := range h.plans.Load().all {
		if a.ready.Load() {
			continue
		}
		short, cancel := context.WithTimeout(ctx, prepareAgain)
		err := h.prepare(short, a.Plan())
		cancel()
		switch {
		case ctx.Err() != nil || h.passes(err):
			return
		case err == nil:
			a.ready.Store(true)
			h.o.Log.Info("the store is prepared", "plan", a.Plan().ID)
			poke(h.rowsDue)
		case err.Error() != a.unfit:
			a.unfit = err.Error()
			h.o.Log.Error("the store cannot be prepared for a plan that is in use; exipold tries again", "error", err)
		}
	}
}
