package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"exipol/generator/plan"
	"exipol/helper/follow"
	"exipol/helper/mainlog"
	"exipol/helper/store"
)

// follower follows one log. Its goroutine reads what another has cut into lines.
type follower struct {
	log   string
	o     *Options
	clock func() time.Time // by which transactions are timed

	plan    *plan.Plan
	wants   *wants // of plan
	lines   mainlog.Options
	bounces atomic.Bool // the plan counts them
	flights *flights
	numbers numbers
	last    time.Time // of the line that was parsed last
	now     time.Time // when the batch was read
	most    int       // so many happenings are kept at once; see commit
	p       pending

	mu   sync.Mutex
	said Status
	with string // what it is in trouble with
}

// pending is what was read and not kept.
type pending struct {
	happenings []happening
	gone       []string // messages that the store may know
	position   follow.Position
	since      time.Time // when the first of it was read; zero: there is nothing
	torn       bool      // a line that syslog split has begun and not ended
}

func newFollower(log string, o *Options) *follower {
	return &follower{log: log, o: o, clock: time.Now, most: leastKept, said: Status{Log: log}}
}

// run follows the log until ctx ends.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.session(ctx); err != nil && ctx.Err() == nil {
			f.trouble(reading, err)
			sleep(ctx, retryMost)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// session goes on from the place that is stored, until ctx ends or, with Once, the log does.
func (f *follower) session(ctx context.Context) error {
	f.plan, f.lines = nil, f.o.Lines
	f.flights, f.p = newFlights(), pending{}
	from, err := f.recall(ctx)
	if err != nil {
		return err
	}
	f.use(f.o.Plan())
	o := f.o.Follow
	o.Path, o.From, o.Once = f.log, from, f.o.Once
	o.Since = f.o.Clock().Add(-lookBack)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	groups := make(chan *group, ahead)
	r := &reader{lines: f.lines, syslog: f.o.Syslog, bounces: &f.bounces, clock: f.o.Clock}
	if err := r.open(ctx, o, groups); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx, groups)
	}()
	err = f.work(ctx, groups)
	cancel()
	<-done
	return errors.Join(err, r.Close())
}

// use takes a plan.
func (f *follower) use(p *plan.Plan) {
	if p != f.plan {
		f.plan, f.wants = p, wantsOf(p)
		f.bounces.Store(f.wants.event(plan.Bounce))
	}
}

// When what was read is kept, if not for its size: what is to be counted soon, the rest not before most
// messages that came are completed, too.
const (
	quiet   = 20 * time.Millisecond // nothing more to read for so long
	soon    = 500 * time.Millisecond
	someday = 5 * time.Second
)

// work takes what was read, and keeps what it says.
func (f *follower) work(ctx context.Context, groups <-chan *group) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		var due <-chan time.Time
		if wait, ok := f.due(); ok {
			t.Reset(wait)
			due = t.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-due:
			if err := f.commit(ctx); err != nil {
				return err
			}
		case g := <-groups:
			for i := range g.n {
				if end, err := f.next(ctx, &g.all[i]); end || err != nil {
					return err
				}
			}
		}
	}
}

// next takes a segment; end says that it was the last.
func (f *follower) next(ctx context.Context, s *segment) (end bool, err error) {
	switch {
	case s.err == nil:
		return false, f.take(ctx, s)
	case s.err == io.EOF:
		return true, f.end(ctx)
	case f.o.Once || ctx.Err() != nil:
		return true, s.err
	}
	f.trouble(reading, s.err)
	return false, nil
}

// due is how long to wait for more before what there is is kept.
func (f *follower) due() (wait time.Duration, ok bool) {
	switch {
	case f.p.since.IsZero():
		return 0, false
	case f.p.torn:
		wait = time.Until(f.p.since.Add(torn))
	case len(f.p.happenings) > 0:
		wait = min(quiet, time.Until(f.p.since.Add(soon)))
	default:
		wait = time.Until(f.p.since.Add(someday))
	}
	return max(0, wait), true
}

// torn is how long the rest of a line that syslog split is waited for: what was begun is lost
// to whoever goes on at a place in between.
const torn = 10 * time.Second

// enough says whether what was read is to be kept without waiting for more.
func (f *follower) enough() bool {
	age := time.Since(f.p.since)
	if f.p.torn && age < torn && len(f.p.happenings) < mostKept {
		return false
	}
	return len(f.p.happenings) >= f.most || len(f.p.gone) >= mostGone || f.flights.full() ||
		age > someday || len(f.p.happenings) > 0 && age > soon
}

// take takes in a segment, and keeps all where that is enough for once.
func (f *follower) take(ctx context.Context, s *segment) error {
	f.now = f.o.Clock()
	f.lines.Now = f.now
	if f.p.since.IsZero() {
		f.p.since = time.Now()
	}
	f.use(f.o.Plan())
	f.well(reading)
	for _, g := range s.gaps {
		f.gap(g)
		if g.Why == follow.Changed { // it is read again
			f.numbers, f.last = numbers{}, time.Time{}
		}
	}
	for i := range s.items {
		f.item(s, &s.items[i])
	}
	f.p.position, f.p.torn = s.position, s.torn
	f.noteRead(s.lines, s.strange)
	if f.enough() {
		return f.commit(ctx)
	}
	return nil
}

// item takes in one line.
func (f *follower) item(s *segment, it *item) {
	switch it.kind {
	case mainlog.Arrived, mainlog.FakeRejected:
		f.flights.add(it.id, it.line)
		f.arrived(it.line)
	case mainlog.Completed:
		if f.flights.gone(it.id) {
			f.p.gone = append(f.p.gone, string(it.id))
		}
	case mainlog.Failed:
		f.failed(&s.failures[it.failure], it.line)
	case mainlog.Rejected:
		f.rejected(it.line)
	case mainlog.AuthFailed:
		f.authFailed(it.line)
	}
}

// parse takes a line apart, and finds out when it was.
func (f *follower) parse(line []byte) (e mainlog.Entry, at time.Time, ok bool) {
	if e, ok = mainlog.Parse(line, f.lines); ok {
		at = f.when(&e)
	}
	return e, at, ok
}

// when is the time of a line: of an hour that comes twice the later one, if the line before was.
func (f *follower) when(e *mainlog.Entry) time.Time {
	at := e.Time
	if e.Repeated && at.Before(f.last.Add(-time.Minute)) {
		if _, end := at.ZoneBounds(); !end.IsZero() {
			_, here := at.Zone()
			_, there := end.Zone()
			if later := at.Add(time.Duration(here-there) * time.Second); later.After(f.last.Add(-time.Minute)) {
				at = later
			}
		}
	}
	f.last = at
	return at
}

// end keeps the rest.
func (f *follower) end(ctx context.Context) error {
	if f.p.since.IsZero() {
		return nil
	}
	return f.commit(ctx)
}

// place is what the store keeps of how far a log was read.
type place struct {
	Position follow.Position `json:"position"`
	Last     time.Time       `json:"last,omitzero"`
	Numbers  []second        `json:"numbers,omitempty"`
}

// recall reads the place.
func (f *follower) recall(ctx context.Context) (follow.Position, error) {
	all, err := f.o.Places.Places(ctx)
	if err != nil {
		return follow.Position{}, fmt.Errorf("place: %w", err)
	}
	f.numbers, f.last = numbers{}, time.Time{}
	for _, p := range all {
		if p.Gateway != f.o.Gateway || p.Log != store.Short(f.log) {
			continue
		}
		var was place
		if err := json.Unmarshal([]byte(p.Place), &was); err != nil {
			// Reading all again counts nothing twice.
			f.o.Log.Warn("the place in the log cannot be read; reading it again", "log", f.log, "error", err)
			return follow.Position{}, nil
		}
		f.numbers.recall(was.Numbers)
		f.last = was.Last
		return was.Position, nil
	}
	return follow.Position{}, nil
}
