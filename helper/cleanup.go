package helper

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"exipol/helper/store"
)

// Cleaning is done in batches, each an update like any other, with a pause in which others go
// first. One process does it at a time for all that share the store: it has a lease.
const (
	cleanLease = 30 * time.Second // asked for anew before each batch; who dies leaves it to others after that
	cleanBatch = 500
	cleanLeast = 25
	// A batch that takes longer than slowBatch makes the next half as large, one that takes less
	// than quickBatch makes it grow.
	slowBatch  = 200 * time.Millisecond
	quickBatch = 50 * time.Millisecond
	// The pause after a batch is pauseShare times as long as that took, at least leastPause. While replicas lag or
	// others are in the way it is slowPause, and after slowMost such pauses in a row the rest is left for another time.
	pauseShare = 2
	leastPause = 20 * time.Millisecond
	slowPause  = 2 * time.Second
	slowMost   = 15
)

// ErrCleaning is the error of Cleanup where another process cleans the store up.
var ErrCleaning = errors.New("another process cleans the store up already")

// cleaner removes what has expired from a store.
type cleaner struct {
	store  Store
	holder string        // of the lease
	lasts  time.Duration // of it
	sleep  func(ctx context.Context, d time.Duration) bool

	holds   atomic.Bool // the lease
	rounds  atomic.Int64
	removed atomic.Int64
}

func (c *cleaner) init(o *Options) {
	c.store, c.holder, c.lasts, c.sleep = o.Store, holder(o.Gateway), cleanLease, sleep
}

// holder is the name of this process for leases: no other has it, though it may be called the same gateway.
func holder(gateway string) string {
	const most = 200
	return cmp.Or(gateway[:min(len(gateway), most)], "exipold") + "/" + rand.Text()[:12]
}

// cleanup does a round. Where another process does, or the store is away, it does nothing.
func (h *Helper) cleanup(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.o.CleanupEvery)
	defer cancel()
	before := h.cleaner.removed.Load()
	err := h.cleaner.round(ctx, h.o.Clock())
	n := h.cleaner.removed.Load() - before
	switch {
	case err == nil && n > 0:
		h.trouble.ends(writing)
		h.o.Log.Debug("cleaned up", "rows", n)
	case err == nil || errors.Is(err, ErrCleaning) || errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, store.ErrConflict):
		h.o.Log.Debug("the clean-up is left for another time", "error", err)
	default:
		h.failed(writing, err)
	}
}

// Cleanup removes all that has expired at now, and says how many rows that were. The error ErrCleaning means that
// somebody else is at it.
func Cleanup(ctx context.Context, s Store, now time.Time) (removed int, err error) {
	c := cleaner{}
	c.init(&Options{Store: s, Gateway: "exipold-cleanup"})
	err = c.round(ctx, now)
	return int(c.removed.Load()), err
}

// round removes what has expired at now, if the lease can be had, and gives that back.
func (c *cleaner) round(ctx context.Context, now time.Time) (err error) {
	if err := c.lease(ctx); err != nil {
		return err
	}
	defer func() {
		c.holds.Store(false)
		// Where this fails, the lease ends by itself.
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = c.store.Yield(short, store.CleanupLease, c.holder)
	}()
	c.rounds.Add(1)
	batch, slow := cleanBatch, 0
	for {
		retries := c.store.Health().Retries
		begin := time.Now()
		n, more, err := c.store.Cleanup(ctx, now.UnixMilli(), batch)
		took := time.Since(begin)
		c.removed.Add(int64(n))
		contended := errors.Is(err, store.ErrConflict)
		if err != nil && !contended || err == nil && !more {
			return err
		}
		health := c.store.Health()
		pause := max(leastPause, pauseShare*took)
		switch {
		case contended || health.Slow || health.Retries > retries:
			batch = max(cleanLeast, batch/2)
			pause = max(slowPause, pause)
			if slow++; slow >= slowMost {
				return err
			}
		case took > slowBatch:
			batch, slow = max(cleanLeast, batch/2), 0
		case took < quickBatch:
			batch, slow = min(cleanBatch, batch+batch/2), 0
		default:
			slow = 0
		}
		// No pause may be so long that the lease ends meanwhile.
		if !c.sleep(ctx, min(pause, c.lasts/3)) {
			return ctx.Err()
		}
		if err := c.lease(ctx); err != nil {
			return err
		}
	}
}

// lease takes the lease, or prolongs it.
func (c *cleaner) lease(ctx context.Context) error {
	held, err := c.store.Lease(ctx, store.CleanupLease, c.holder, c.lasts)
	c.holds.Store(held && err == nil)
	switch {
	case err != nil:
		return fmt.Errorf("clean up: %w", err)
	case !held:
		return ErrCleaning
	}
	return nil
}
