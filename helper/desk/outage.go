package desk

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"exipol/generator/plan"
	"exipol/helper/owner"
	"exipol/helper/queue"
	"exipol/helper/store"
)

const (
	// outageFor is how long a store cannot be used before somebody is told, and how long it can be again before
	// that is told: what comes and goes is one outage.
	outageFor = time.Minute
	// outageAgain is how long after a mail that could not be handed to Exim the next try is.
	outageAgain = time.Minute
)

// Outages tells the site's admin, by mail, that the store cannot be used, and again that it can: once each, also
// over a restart. It needs no store for that, which all other notices do.
type Outages struct {
	o OutageOptions

	mu     sync.Mutex
	faults map[string]string // why the store could not be used, by who says so
	is     *outage           // nil: all is well
	next   time.Time         // when to try again to tell
}

// OutageOptions are those of Outages. All but File, Serve and Clock have to be set.
type OutageOptions struct {
	Plan    func() *plan.Plan // the newest
	Gateway string
	Exim    queue.Exim
	Log     Logger
	File    string                           // where an outage is remembered over a restart; "": nowhere
	Serve   func(ctx context.Context) string // what the exipold that answers Exim says is wrong with the store, "" for nothing; nil: nobody is asked
	Clock   func() time.Time                 // nil: time.Now
}

// Logger is what is needed of a *slog.Logger.
type Logger interface {
	Info(text string, args ...any)
	Warn(text string, args ...any)
}

// outage is a time in which the store could not be used.
type outage struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
	Told  time.Time `json:"told,omitzero"` // when the admin was; zero: not yet
	Over  time.Time `json:"over,omitzero"` // since when it can be used again; zero: it cannot
}

// NewOutages goes on where an earlier process stopped.
func NewOutages(o OutageOptions) *Outages {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	w := &Outages{o: o, faults: map[string]string{}}
	if o.File == "" {
		return w
	}
	b, err := os.ReadFile(o.File)
	var was outage
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	switch {
	case err == nil && !was.Since.IsZero():
		w.is = &was
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		o.Log.Warn("what was told of the store is not known", "error", err)
	}
	return w
}

// faultOf is why the store could not be used, "" where the error says nothing of that: it may be one of Exim's.
func faultOf(err error) string {
	for _, other := range []error{
		store.ErrAway, store.ErrRefused, store.ErrReadOnly, store.ErrFull, store.ErrCorrupt, store.ErrDisk, store.ErrLocked,
		store.ErrMissing, store.ErrNewer, store.ErrForeign, store.ErrNoFolder,
	} {
		if errors.Is(err, other) {
			return err.Error()
		}
	}
	return ""
}

// Saw notes what came of using the store for something, which has a name: an error, or nil.
func (w *Outages) Saw(what string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults[what] = faultOf(err); w.faults[what] == "" {
		delete(w.faults, what)
	}
}

// Tell tells what is to be told by now.
func (w *Outages) Tell(ctx context.Context) {
	said := ""
	if w.o.Serve != nil {
		said = w.o.Serve(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Clock()
	why := said
	for _, f := range w.faults { // what is seen here is clearer
		why = f
	}
	was := w.is
	var before outage
	if was != nil {
		before = *was
	}
	w.step(ctx, why, now)
	if was != w.is || was != nil && before != *w.is {
		w.remember()
	}
}

// step is for who holds mu.
func (w *Outages) step(ctx context.Context, why string, now time.Time) {
	switch {
	case why == "" && w.is == nil:
		return
	case why != "" && w.is == nil:
		w.is = &outage{Since: now, Why: why}
	case why != "":
		w.is.Over = time.Time{}
		if w.is.Told.IsZero() {
			w.is.Why = why
		}
	case w.is.Over.IsZero():
		w.is.Over = now
	}
	switch over := !w.is.Over.IsZero(); {
	case over && now.Sub(w.is.Over) < outageFor || !over && now.Sub(w.is.Since) < outageFor:
	case over && w.is.Told.IsZero():
		w.is = nil
	case over:
		if w.mail(ctx, w.is.overLetter(w.o.Plan(), w.o.Gateway, now), now) {
			w.is = nil
		}
	case w.is.Told.IsZero():
		if w.mail(ctx, w.is.letter(w.o.Plan(), w.o.Gateway, now), now) {
			w.is.Told = now
		}
	}
}

// mail hands a letter to Exim, and says whether that is done: where nobody is to be told it is.
func (w *Outages) mail(ctx context.Context, l letter, now time.Time) bool {
	if !queue.ValidAddress(w.o.Plan().Admin) {
		return true
	}
	if now.Before(w.next) {
		return false
	}
	if err := w.o.Exim.Submit(context.WithoutCancel(ctx), l.from, l.to, l.bytes()); err != nil {
		w.next = now.Add(outageAgain)
		w.o.Log.Warn("the admin cannot be told how the store is", "error", err)
		return false
	}
	w.o.Log.Info("told the admin how the store is", "subject", l.subject)
	return true
}

// remember writes down what is told; for who holds mu. Where that fails, a restart tells it again.
func (w *Outages) remember() {
	if w.o.File == "" {
		return
	}
	err := os.Remove(w.o.File)
	if w.is != nil {
		var b []byte
		if b, err = json.Marshal(w.is); err == nil {
			err = renameio.WriteFile(w.o.File, append(b, '\n'), 0o640, renameio.WithStaticPermissions(0o640))
		}
		owner.Inherit(w.o.File)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.o.Log.Warn("what is told of the store cannot be remembered", "error", err)
	}
}
