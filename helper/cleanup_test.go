package helper

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

// rows is a store with rows to be removed, of which a test decides how each batch goes.
type rows struct {
	Store
	left    int
	batch   func(n int) (took time.Duration, err error) // how the n-th goes; nil: well
	health  store.Health
	batches []int
	pauses  []time.Duration
	leases  int
	lost    int // from that lease on another has it; 0: none has
	yielded []string
}

func (r *rows) Health() store.Health { return r.health }

func (r *rows) Lease(_ context.Context, name, holder string, lasts time.Duration) (bool, error) {
	r.leases++
	if name != store.CleanupLease || holder == "" || lasts != cleanLease {
		return false, fmt.Errorf("lease %s for %s, for %s", name, holder, lasts)
	}
	return r.lost == 0 || r.leases < r.lost, nil
}

func (r *rows) Yield(_ context.Context, name, holder string) error {
	r.yielded = append(r.yielded, name)
	return nil
}

func (r *rows) Cleanup(ctx context.Context, now int64, batch int) (int, bool, error) {
	r.batches = append(r.batches, batch)
	if r.batch != nil {
		took, err := r.batch(len(r.batches))
		time.Sleep(took)
		if err != nil {
			return 0, false, err
		}
	}
	n := min(r.left, batch)
	r.left -= n
	return n, r.left > 0, nil
}

func (r *rows) clean(t *testing.T) (*cleaner, error) {
	t.Helper()
	c := &cleaner{}
	c.init(&Options{Store: r, Gateway: "mx1"})
	c.sleep = func(ctx context.Context, d time.Duration) bool {
		r.pauses = append(r.pauses, d)
		return ctx.Err() == nil
	}
	return c, c.round(t.Context(), time.Now())
}

// TestPacedCleanup: small batches, with pauses that grow with what a batch takes; fewer rows at a time while that is slow,
// more again when it is not; the lease before each.
func TestPacedCleanup(t *testing.T) {
	const slow = slowBatch + 20*time.Millisecond
	r := &rows{left: 3000, batch: func(n int) (time.Duration, error) {
		if n == 2 || n == 3 {
			return slow, nil
		}
		return 0, nil
	}}
	c, err := r.clean(t)
	if err != nil || r.left != 0 || c.removed.Load() != 3000 || c.rounds.Load() != 1 {
		t.Errorf("%v, %d rows left", err, r.left)
	}
	if want := []int{500, 500, 250, 125, 187, 280, 420, 500, 500}; !slices.Equal(r.batches, want) {
		t.Errorf("batches of %v, want %v", r.batches, want)
	}
	for i, pause := range r.pauses {
		if isSlow := i == 1 || i == 2; pause < leastPause || (pause >= pauseShare*slow) != isSlow || pause > 10*time.Second {
			t.Errorf("pause %d is %s", i+1, pause)
		}
	}
	if r.leases != len(r.batches) || len(r.yielded) != 1 || c.holds.Load() {
		t.Errorf("%d leases for %d batches, given back %d times", r.leases, len(r.batches), len(r.yielded))
	}
}

// TestDeferringCleanup: while replicas lag, or others are in the way, the pauses are long and the batches get
// small; after a while the rest is left for another time, which is no failure.
func TestDeferringCleanup(t *testing.T) {
	conflict := fmt.Errorf("store x: %w", store.ErrConflict)
	for name, r := range map[string]*rows{
		"slow":      {left: 1e6, health: store.Health{Slow: true}},
		"conflicts": {left: 1e6, batch: func(int) (time.Duration, error) { return 0, conflict }},
	} {
		_, err := r.clean(t)
		if err != nil && !errors.Is(err, store.ErrConflict) || len(r.batches) != slowMost || len(r.yielded) != 1 {
			t.Errorf("%s: %v after %d batches", name, err, len(r.batches))
		}
		if last := r.batches[len(r.batches)-1]; last != cleanLeast || slices.Min(r.pauses) != slowPause {
			t.Errorf("%s: a batch of %d, pauses %v", name, last, r.pauses)
		}
	}
	// One conflict in between is none.
	r := &rows{left: 2000, batch: func(n int) (time.Duration, error) {
		if n == 2 {
			return 0, conflict
		}
		return 0, nil
	}}
	if _, err := r.clean(t); err != nil || r.left != 0 {
		t.Errorf("%v, %d rows left", err, r.left)
	}
}

// TestLostLease: who loses the lease goes no further, and one that another has is no failure.
func TestLostLease(t *testing.T) {
	r := &rows{left: 5000, lost: 4}
	c, err := r.clean(t)
	if !errors.Is(err, ErrCleaning) || len(r.batches) != 3 || c.removed.Load() != 1500 {
		t.Errorf("%v after %v", err, r.batches)
	}
	b := newBench(t)
	r = &rows{Store: b.store, left: 1, lost: 1}
	b.cleaner.store = r
	b.cleanup(t.Context())
	if len(r.batches) != 0 || len(r.yielded) != 0 || b.Status().Failures != 0 || b.log.String() != "" {
		t.Errorf("%v\n%s", r.batches, b.log)
	}
	r.lost = 0
	b.cleanup(t.Context())
	if s := b.Status().Cleanup; s.Rounds != 1 || s.Removed != 1 || s.Now {
		t.Errorf("%+v", s)
	}
}

// TestCleanupFails: a store that cannot be written to is a failure of the store.
func TestCleanupFails(t *testing.T) {
	b := newBench(t)
	full := fmt.Errorf("store x: %w", store.ErrFull)
	b.cleaner.store = &rows{Store: b.store, left: 1, batch: func(int) (time.Duration, error) { return 0, full }}
	b.cleanup(t.Context())
	if s := b.Status(); s.Failures != 1 || !strings.Contains(s.Trouble, "no room left") {
		t.Errorf("%+v", s)
	}
}

// counting is a real store in which a test sees who cleans.
type counting struct {
	*sqlite.Store
	cleaning *atomic.Int64
	most     *atomic.Int64
	hold     func()
}

func (c *counting) Cleanup(ctx context.Context, now int64, batch int) (int, bool, error) {
	c.most.Store(max(c.most.Load(), c.cleaning.Add(1)))
	defer c.cleaning.Add(-1)
	if c.hold != nil {
		c.hold()
	}
	return c.Store.Cleanup(ctx, now, batch)
}

// TestOneCleaner: of two gateways that share a store one cleans up at a time; when it is done the other can, and when it
// dies, too.
func TestOneCleaner(t *testing.T) {
	b := newBench(t)
	put := func(n int) {
		var all []engine.Write
		for i := range n {
			all = append(all, engine.PutSeen{Policy: "greylist.inbound", Key: fmt.Sprint(i), Row: engine.SeenRow{First: 1, Expires: b.now.Load()}})
		}
		if err := b.store.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return all, nil }); err != nil {
			t.Fatal(err)
		}
	}
	var cleaning, most atomic.Int64
	gateway := func(name string) *Helper {
		s, err := sqlite.Open(t.Context(), b.p.Store.Path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		o := b.options()
		o.Store, o.Gateway, o.Plans = &counting{Store: s, cleaning: &cleaning, most: &most}, name, filepath.Join(b.dir, name)
		h, err := New(t.Context(), b.p, o)
		if err != nil {
			t.Fatal(err)
		}
		h.cleaner.sleep = func(context.Context, time.Duration) bool { return true }
		return h
	}
	one, two := gateway("mx1"), gateway("mx2")
	put(1200)
	// mx2 comes while mx1 is at it.
	one.cleaner.store.(*counting).hold = func() { two.cleanup(t.Context()) }
	one.cleanup(t.Context())
	one.cleaner.store.(*counting).hold = nil
	if a, b := one.Status().Cleanup, two.Status().Cleanup; a.Removed != 1200 || b.Rounds != 0 {
		t.Errorf("%+v, %+v", a, b)
	}
	put(10)
	two.cleanup(t.Context())
	if s := two.Status().Cleanup; s.Removed != 10 {
		t.Errorf("%+v", s)
	}
	// One that died with the lease leaves it when that ends.
	put(10)
	dead := cleaner{}
	dead.init(&Options{Store: one.o.Store, Gateway: "mx3"})
	dead.lasts = time.Second
	if err := dead.lease(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.cleanup(t.Context())
	if s := one.Status().Cleanup; s.Rounds != 1 {
		t.Errorf("it does not heed another's lease: %+v", s)
	}
	waitFor(t, func() bool { one.cleanup(t.Context()); return one.Status().Cleanup.Removed == 1210 })
	// All at once.
	put(3000)
	var all sync.WaitGroup
	for _, h := range []*Helper{one, two} {
		all.Go(func() {
			for range 5 {
				h.cleanup(t.Context())
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d cleaned at a time", most.Load())
	}
	if s := one.Status(); s.Trouble != "" || two.Status().Trouble != "" {
		t.Errorf("%+v", s)
	}
}

// TestCleanupNeverBlocks: a question is answered while a batch hangs.
func TestCleanupNeverBlocks(t *testing.T) {
	b := newBench(t)
	let := make(chan struct{})
	held := make(chan struct{})
	b.cleaner.store = &rows{Store: b.store, left: 1, batch: func(int) (time.Duration, error) { close(held); <-let; return 0, nil }}
	done := make(chan struct{})
	go func() { b.cleanup(t.Context()); close(done) }()
	<-held
	b.want(b.grey(), plan.Defer)
	close(let)
	<-done
}
