// Package helper is exipold at work: it holds the plans, asks the engine what they
// say, has the store keep what was decided, and answers. START HERE to follow a
// question: Helper.Handle, then decide.go.
//
//	server -> Handle -> wire (parse) -> plans (which one) -> engine (decide) -> store (keep) -> answer
//	                                                           |    ^
//	                                                           '----' outside (find out facts), where the engine needs any
//
// Beside that it keeps the networks of the pools (networks.go) and counts which entries
// of lists are of use (hits.go), counts what was read from Exim's log (count.go), and tells
// Exim which blocks are in force for when exipold is away (blocked.go). What it does while the store is away
// is in away.go, later.go and known.go; what those do who share a store, in gateways.go and
// cleanup.go. The package knows neither the socket (helper/server)
// nor SQL (helper/store).
package helper

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// Store is what the helper needs of a store besides the engine's state. The methods are those
// of store.Store, and described there.
type Store interface {
	engine.Store
	Now() time.Time
	Health() store.Health
	Runtime(ctx context.Context, now int64) (engine.Runtime, error)
	Cleanup(ctx context.Context, now int64, batch int) (removed int, more bool, err error)
	Lease(ctx context.Context, name, holder string, lasts time.Duration) (held bool, err error)
	Yield(ctx context.Context, name, holder string) error
	SeeGateway(ctx context.Context, g store.Gateway) error
	LeaveGateway(ctx context.Context, name string, started int64) error
	Gateways(ctx context.Context) ([]store.Gateway, error)
}

// Glancer is a Store that remembers what is asked for often. A Glance runs f once on
// that alone; its error means that f is to be run by View. What is remembered may be a
// second behind what other processes wrote: good enough for a decision that changes
// nothing, and never the base of one that does.
type Glancer interface {
	Glance(f func(engine.State) error) error
}

// Looker is a Store that reads what several ask for at a time together. A Look is a View whose f may be run more than
// once, on guesses; its last run counts.
type Looker interface {
	Look(ctx context.Context, f func(engine.State) error) error
}

// Observer is told what happens, for metrics. Its methods are called on the hot
// path and must not wait.
type Observer interface {
	Answered(stage, half, verdict string, took time.Duration)
	Failed(why string) // reading, writing, late, busy, decision or malformed
	UnknownPlan()
	Found(fact, finding string) // a fact's name; yes, no, unclear or one of SPF's results
}

// Options of a helper.
type Options struct {
	Store Store
	// Prepare is called with a new plan before it is used, to bring the store to its
	// schema, say; an error refuses the plan, unless it means that the store is away: then the plan is
	// used, and prepared by Run when the store is back. nil: nothing to do.
	Prepare func(ctx context.Context, p *plan.Plan) error
	// Plans is the directory that remembers plans over a restart; "": none does.
	Plans string
	// Outside makes what finds out facts and pools by way of a plan's DNS servers, as
	// NewOutside does; nil: nothing is found out.
	Outside func(servers []string) Outside
	// Pools is the file that remembers the pools' networks over a restart; "": none does.
	Pools string
	// Known is the file that remembers what was said at run time and which blocks are in force, for a start
	// while the store is away; "": none does.
	Known string
	// Version is exipold's, for those who share the store.
	Version string
	// Gateway is the name of this one, in cases and events: the same after a restart, and unlike that of
	// any other that shares the store; "": the host's name.
	Gateway string
	// Free says how many percent of the disk that holds a directory are free; nil: the file system does.
	Free     func(dir string) (percent int64, ok bool)
	Clock    func() time.Time // nil: the store's
	Observer Observer         // nil: nobody
	Log      *slog.Logger     // nil: slog.Default()

	RuntimeEvery time.Duration // how often the run-time entries are read; 500 ms
	CleanupEvery time.Duration // how often the store is cleaned up; 5 minutes
	PoolsEvery   time.Duration // how often the pools are resolved; 6 hours
	HitsEvery    time.Duration // how often the hits of lists are written down; 30 s
	SeenEvery    time.Duration // how often the store is told that this gateway is there; 5 s
	AgainEvery   time.Duration // how often a store that was away is tried to be prepared; 1 s
}

// Helper answers questions. It is safe for concurrent use.
type Helper struct {
	o        Options
	glancer  Glancer // nil where the store is none
	view     func(ctx context.Context, f func(engine.State) error) error
	distant  bool // the store is a server, which answers when it does: nobody waits for it where connections are accepted
	plans    atomic.Pointer[plans]
	reload   sync.Mutex // held while the plans change
	runtime  atomic.Pointer[engine.Runtime]
	said     said // how the runtime is read
	known    known
	cleaner  cleaner
	beat     sync.Mutex // held while the store is told that this gateway is there
	sleepers sleepers
	repeats  repeats
	trouble  trouble
	counters counters
	found    found
	hits     hits
	networks networks
	poolsDue chan struct{} // there may be other pools than before
	rowsDue  chan struct{} // there may be other lists than before
	started  time.Time
}

// New makes a helper that answers by p, and by the plans that were in use before.
func New(ctx context.Context, p *plan.Plan, o Options) (*Helper, error) {
	if o.Clock == nil {
		o.Clock = o.Store.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.RuntimeEvery <= 0 {
		o.RuntimeEvery = 500 * time.Millisecond
	}
	if o.CleanupEvery <= 0 {
		o.CleanupEvery = 5 * time.Minute
	}
	if o.PoolsEvery <= 0 {
		o.PoolsEvery = 6 * time.Hour
	}
	if o.HitsEvery <= 0 {
		o.HitsEvery = 30 * time.Second
	}
	if o.SeenEvery <= 0 {
		o.SeenEvery = 5 * time.Second
	}
	if o.AgainEvery <= 0 {
		o.AgainEvery = time.Second
	}
	if o.Gateway == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("this gateway has no name: %w", err)
		}
		o.Gateway = name
	}
	if o.Free == nil {
		o.Free = diskFree
	}
	h := &Helper{o: o, started: o.Clock(), poolsDue: make(chan struct{}, 1), rowsDue: make(chan struct{}, 1)}
	h.glancer, _ = o.Store.(Glancer)
	h.view = o.Store.View
	if l, is := o.Store.(Looker); is {
		h.view = l.Look
	}
	h.distant = o.Store.Health().Kind == plan.MySQL
	h.cleaner.init(&h.o)
	h.known.init()
	h.repeats.init()
	h.trouble.log = o.Log
	h.plans.Store(&plans{})
	h.recall()
	for _, old := range remembered(o.Plans, &h.o) {
		// The store may be a new one, without the tables that only the old plan needs.
		if err := h.prepareOrLater(ctx, old); err != nil {
			o.Log.Warn("an earlier plan is left out", "error", err)
			continue
		}
		old.outside = h.outsideFor(old.Plan())
		h.plans.Store(h.plans.Load().with(old))
	}
	if err := h.take(ctx, p); err != nil {
		return nil, err
	}
	h.givePools(h.plans.Load().all[1:])
	h.refresh(ctx)
	h.goByKnown()
	return h, nil
}

// Plan is the newest plan.
func (h *Helper) Plan() *plan.Plan { return h.plans.Load().newest().Plan() }

// Take makes p the newest plan. Where p cannot be used, nothing changes.
func (h *Helper) Take(ctx context.Context, p *plan.Plan) error {
	h.reload.Lock()
	defer h.reload.Unlock()
	if !h.plans.Load().newest().Plan().Store.Same(p.Store) {
		return fmt.Errorf("plan %s: its store (%s %s) is not the one in use: restart exipold to change it", p.ID, p.Store.Kind, p.Store)
	}
	return h.take(ctx, p)
}

// take is Take without a look at which store the plan names: at the start it is the
// one that was opened, whatever the remembered plans say.
func (h *Helper) take(ctx context.Context, p *plan.Plan) error {
	a, err := newAnswerer(p, &h.o)
	if err != nil {
		return fmt.Errorf("plan %s: %w", p.ID, err)
	}
	if err := h.prepareOrLater(ctx, a); err != nil {
		return err
	}
	a.outside = h.outsideFor(p)
	h.settlePools(a)
	h.plans.Store(h.plans.Load().with(a))
	poke(h.poolsDue)
	poke(h.rowsDue)
	if err := h.plans.Load().remember(h.o.Plans); err != nil {
		// The plan is good and in use; only a restart would not know the older ones.
		h.o.Log.Warn("cannot remember the plans", "error", err)
	}
	return nil
}

// Reload reads a plan file and takes it. Where it is bad the plans stay as they
// were; the error is logged, too.
func (h *Helper) Reload(ctx context.Context, file string) error {
	p, err := ReadPlan(file)
	if err == nil {
		err = h.Take(ctx, p)
	}
	if err != nil {
		h.counters.badPlans.Add(1)
		h.o.Log.Error("the new plan is refused, the old one stays", "file", file, "plan", h.Plan().ID, "error", err)
		return err
	}
	h.refresh(ctx)
	h.seen(ctx)
	h.o.Log.Info("plan taken", "plan", p.ID)
	return nil
}

// Run does what is to be done besides answering, until ctx ends: it reads the
// run-time entries, prepares a store that was away, tells it that this gateway is there, cleans up,
// resolves the pools, and keeps count of what lists are of use.
func (h *Helper) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { every(ctx, h.o.RuntimeEvery, h.refresh) })
	wg.Go(func() { every(ctx, h.o.AgainEvery, h.prepareRest) })
	wg.Go(func() { h.keepKnown(ctx) })
	wg.Go(func() { h.keepSeen(ctx) })
	wg.Go(func() { every(ctx, h.o.CleanupEvery, h.cleanup) })
	wg.Go(func() { h.keepPools(ctx) })
	wg.Go(func() { h.keepRows(ctx) })
	wg.Go(func() { every(ctx, h.o.HitsEvery, h.flush) })
	wg.Wait()
	h.flush(context.WithoutCancel(ctx))
}

// poke wakes who waits for a channel of one place.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func every(ctx context.Context, d time.Duration, f func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f(ctx)
		}
	}
}
