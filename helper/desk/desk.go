// Package desk does the abuse desk's work on a gateway: it tells people about cases, once, sums cases up for
// those who want that now and then, and does with the messages in Exim's queue what was decided: thaws them,
// removes them, freezes what an owner's block is to hold, and sees what the queue has by now. What it
// writes to people and to webhooks, which case a message belongs to, and how a case is opened by hand
// are pure functions; around them is a thin shell that needs Exim's rights (package queue says which).
//
// All decisions stand in the store, so that a desk process that was killed goes on where it was: a
// command to Exim may be given twice, and a notice sent twice (with the same Message-ID), where it died between
// that and the store's word for it.
package desk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/queue"
	"exipol/helper/store"
)

// Options of a desk. All but Outages, Clock, Skew and HTTP have to be set.
type Options struct {
	Plan    func() *plan.Plan // the newest
	Store   store.Desk
	Gateway string
	Exim    queue.Exim
	Agent   string // how it names itself to webhooks: "exipold/1.0"
	Log     *slog.Logger
	Outages *Outages             // nil: nobody is told of a store that cannot be used
	Clock   func() time.Time     // the store's; nil: time.Now
	Skew    func() time.Duration // how far this host's clock, by which Exim notes when it froze a message, is ahead of that; nil: they are one
	HTTP    *http.Client
}

// Desk is that of one gateway.
type Desk struct {
	o     Options
	queue tries

	mu      sync.Mutex
	sent    map[string]int64  // mails and posts of which the store has no word yet: when they went out, by mail or post and id
	unsaid  []unsaid          // what came of tries that the store could not be told yet
	failing map[string]bool   // webhooks that failed in this round
	errors  map[string]string // what was logged last, by subject
	wg      sync.WaitGroup    // deliveries
	slots   chan struct{}     // for them
}

// Pauses of a running desk.
const (
	roundEvery = 2 * time.Second
	roundLimit = 5 * time.Minute // for one round, of whatever kind
)

// deliveries is how many runs of Exim deliver thawed messages at a time, each one message after the other.
const deliveries = 4

// New makes a desk. Nothing runs yet.
func New(o Options) *Desk {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = webClient()
	}
	return &Desk{o: o, queue: newTries(), sent: map[string]int64{}, failing: map[string]bool{}, errors: map[string]string{}, slots: make(chan struct{}, deliveries)}
}

// part is one of the things that a desk does, with a name for the log.
type part struct {
	name string
	do   func(context.Context) error
}

// parts of the desk. all: look at everything, although it may not be due.
func (d *Desk) parts(all bool) []part {
	return []part{
		{"queue", d.spared(func(ctx context.Context) error { return d.Queue(ctx, all) })},
		{"notices", d.spared(d.Notices)},
		{"digests", d.spared(d.Digests)},
	}
}

// spared is what has nothing to do, and no error, where no policy has anything for the desk and the store
// therefore lacks its tables. Where it has them, from policies that were, what is left is done.
func (d *Desk) spared(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := do(ctx)
		if errors.Is(err, store.ErrMissing) && !Needed(d.o.Plan()) {
			return nil
		}
		return err
	}
}

// Needed says whether a plan has any policy that opens cases.
func Needed(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Tables, func(t plan.Table) bool { return t.Name == plan.TableCase })
}

// do does a part, and notes what that says of the store.
func (d *Desk) do(ctx context.Context, p part) error {
	err := p.do(ctx)
	if d.o.Outages != nil && ctx.Err() == nil {
		d.o.Outages.Saw(p.name, err)
	}
	return err
}

// Run does all of it every two seconds until ctx ends. A webhook that hangs delays no thawing.
func (d *Desk) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if d.o.Outages != nil {
		wg.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-time.After(roundEvery):
					d.o.Outages.Tell(ctx)
				}
			}
		})
	}
	for _, p := range d.parts(false) {
		wg.Go(func() {
			for ctx.Err() == nil {
				round, cancel := context.WithTimeout(ctx, roundLimit)
				err := d.do(round, p)
				cancel()
				if ctx.Err() == nil {
					d.note(p.name, err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(roundEvery):
				}
			}
		})
	}
	wg.Wait()
}

// Once does all of it once, and waits for the deliveries that it has begun until ctx ends; they go on
// in any case.
func (d *Desk) Once(ctx context.Context) error {
	var all []error
	for _, p := range d.parts(true) {
		all = append(all, d.do(ctx, p))
	}
	if d.o.Outages != nil {
		d.o.Outages.Tell(ctx)
	}
	done := make(chan struct{})
	go func() { d.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	return errors.Join(all...)
}

// note logs an error where it is not the one that was logged last, and that it is over.
func (d *Desk) note(subject string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	d.mu.Lock()
	last := d.errors[subject]
	d.errors[subject] = text
	d.mu.Unlock()
	switch {
	case text == last:
	case err != nil:
		d.o.Log.Warn(subject, "error", text)
	default:
		d.o.Log.Info(subject + ": well again")
	}
}

func (d *Desk) now() time.Time { return d.o.Clock() }
