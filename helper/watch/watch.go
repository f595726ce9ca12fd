// Package watch follows Exim's main logs and has counted what they tell: deliveries that failed for
// good, recipients and logins that were refused, and who logged in from where.
//
//	follow (lines) -> mainlog (what they say) -> whose it was (flights.go, owner.go) -> Counter
//
// A failed delivery says which message it was, not whose. So the arrivals of messages are kept in
// memory, as they are in the log, until the message is completed; those that are under way for longer
// go into the store, for eight days.
//
// What is read is kept in one transaction: what is to be counted, and the place in the log behind the
// last line of it. So whatever is killed, each line counts once; and since each event has a name that
// follows from the log alone (gateway, message, address; or the line itself), it counts once even if
// the same log is read again. Large logs are caught up with in large steps: a message that came and
// went within one of them leaves nothing in the store.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/follow"
	"exipol/helper/mainlog"
)

// Counter counts what was read. It runs f in one transaction of the store, in which count judges a
// happening by the limits of the newest plan, and comes back when all of it is on disk. Where it
// returns an error, f is run again later: nothing of it was kept, or what was is known then.
type Counter interface {
	Count(ctx context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error
}

// Places knows how far logs were read.
type Places interface {
	Places(ctx context.Context) ([]engine.PutPlace, error)
}

// Options of a watcher. Gateway, Plan, Counter and Places are necessary.
type Options struct {
	Gateway string            // the name of this host, in events and places
	Plan    func() *plan.Plan // the newest one; asked again for every batch
	Counter Counter
	Places  Places

	Logs   []string        // in place of the plan's
	Lines  mainlog.Options // how to read a line; Now is filled in
	Syslog bool            // the lines come out of a syslog, which splits long ones
	Once   bool            // end at the end of the logs
	Follow follow.Options  // how to read files; Path, From, Since, Once and the sizes are filled in

	Clock func() time.Time // this host's, by which its logs are written; nil: time.Now
	Now   func() time.Time // the store's; nil: Clock
	Log   *slog.Logger     // nil: slog.Default()
}

// Watcher follows all logs of a plan.
type Watcher struct {
	o Options

	mu        sync.Mutex
	followers map[string]*follower // by log
}

// New makes a watcher. It does nothing before Run.
func New(o Options) *Watcher {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Now == nil {
		o.Now = o.Clock
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Watcher{o: o, followers: map[string]*follower{}}
}

// look is how often the watcher looks whether the plan has changed.
const look = time.Second

// Run follows the logs until ctx ends, whichever the newest plan names; where no limit counts what is
// in a log, it rests. With Once it ends at the end of the logs, and the error is why one of them could not be
// read or counted to its end.
func (w *Watcher) Run(ctx context.Context) error {
	if w.o.Once {
		return w.once(ctx)
	}
	type running struct {
		stop context.CancelFunc
		done chan struct{}
	}
	all := map[string]running{}
	t := time.NewTicker(look)
	defer t.Stop()
	for ctx.Err() == nil {
		wanted := w.logs()
		for log, r := range all {
			if !slices.Contains(wanted, log) {
				r.stop()
				<-r.done
				w.forget(log)
				delete(all, log)
			}
		}
		for _, log := range wanted {
			if _, ok := all[log]; ok {
				continue
			}
			f, r := w.follower(log), running{done: make(chan struct{})}
			var inner context.Context
			inner, r.stop = context.WithCancel(ctx)
			all[log] = r
			go func() {
				defer close(r.done)
				f.run(inner)
			}()
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	for _, r := range all {
		r.stop()
		<-r.done
	}
	return nil
}

// once reads one log after the other to its end.
func (w *Watcher) once(ctx context.Context) error {
	var errs []error
	for _, log := range w.logs() {
		if err := w.follower(log).session(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", log, err))
		}
	}
	return errors.Join(errs...)
}

// logs are those to be followed now.
func (w *Watcher) logs() []string {
	p := w.o.Plan()
	if !Needed(p) {
		return nil
	}
	logs := w.o.Logs
	if len(logs) == 0 {
		logs = p.Mainlog
	}
	return slices.Compact(slices.Sorted(slices.Values(logs)))
}

func (w *Watcher) follower(log string) *follower {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := newFollower(log, &w.o)
	w.followers[log] = f
	return f
}

func (w *Watcher) forget(log string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followers, log)
}

// Status is how far a log was followed since the start.
type Status struct {
	Log      string    `json:"log"`
	Lines    int64     `json:"lines"`
	Counted  int64     `json:"counted"`            // events that were given to the limits
	Strange  int64     `json:"strange"`            // lines that no Exim's main log has
	Newest   time.Time `json:"newest,omitzero"`    // the log's time of the last line that was looked at closely
	Kept     time.Time `json:"kept,omitzero"`      // when the place was kept last
	Trouble  string    `json:"trouble,omitempty"`  // why it does not go on, while it does not
	LastGap  string    `json:"last_gap,omitempty"` // where lines may be missing
	Underway int       `json:"under_way"`          // messages in memory
}

// Status is how things stand, sorted by log.
func (w *Watcher) Status() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Status
	for _, f := range w.followers {
		all = append(all, f.status())
	}
	slices.SortFunc(all, func(a, b Status) int {
		if a.Log < b.Log {
			return -1
		}
		return 1
	})
	return all
}
