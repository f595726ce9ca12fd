package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/follow"
	"exipol/helper/mainlog"
	"exipol/helper/store"
)

// follower follows one log. Its goroutine reads what another has cut into lines.
type follower struct {
	log string
	o   *Options

	plan    *plan.Plan
	wants   *wants // of plan
	lines   mainlog.Options
	joiner  mainlog.Joiner
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
}

func newFollower(log string, o *Options) *follower {
	return &follower{log: log, o: o, most: leastKept, said: Status{Log: log}}
}

const (
	// segment is the most lines of which the last has a place: what is kept at once is whole ones.
	segment = 256
	// chunk is how many bytes are asked for at once.
	chunk = 128 << 10
	// ahead is how many segments are read ahead.
	ahead = 16
	// longest is the most bytes of a line; Exim's have 8 KiB.
	longest = 60000
	// lookBack is how far back a new follower begins: a message that came then may fail now.
	lookBack = keepArrival
)

// segmentOf is a batch, or why there is none.
type segmentOf struct {
	follow.Batch
	err error
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
	f.joiner = mainlog.Joiner{Options: f.lines}
	f.flights, f.p = newFlights(), pending{}
	from, err := f.recall(ctx)
	if err != nil {
		return err
	}
	o := f.o.Follow
	o.Path, o.From, o.Once = f.log, from, f.o.Once
	o.Since = f.o.Clock().Add(-lookBack)
	o.Lines, o.Bytes, o.Line, o.Keep = segment, chunk, longest, ahead+2
	r, err := follow.Open(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	segments := make(chan segmentOf, ahead)
	done := make(chan struct{})
	go func() {
		defer close(done)
		readAhead(ctx, r, segments)
	}()
	err = f.work(ctx, segments)
	cancel()
	<-done
	return errors.Join(err, r.Close())
}

// readAhead reads until ctx ends or, with Once, the first error or the end.
func readAhead(ctx context.Context, r *follow.Reader, to chan<- segmentOf) {
	for ctx.Err() == nil {
		b, err := r.Next(ctx)
		select {
		case to <- segmentOf{b, err}:
		case <-ctx.Done():
		}
	}
}

// When what was read is kept, if not for its size: what is to be counted soon, the rest not before most
// messages that came are completed, too.
const (
	quiet   = 20 * time.Millisecond // nothing more to read for so long
	soon    = 500 * time.Millisecond
	someday = 5 * time.Second
)

// work reads segments and keeps what they say.
func (f *follower) work(ctx context.Context, segments <-chan segmentOf) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		var due <-chan time.Time
		if wait, ok := f.due(); ok {
			t.Reset(wait)
			due = t.C
		}
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-due:
			err = f.commit(ctx)
		case s := <-segments:
			switch {
			case s.err == io.EOF:
				return f.end(ctx)
			case s.err != nil && (f.o.Once || ctx.Err() != nil):
				return s.err
			case s.err != nil:
				f.trouble(reading, s.err)
			default:
				err = f.take(ctx, &s.Batch)
			}
		}
		if err != nil {
			return err
		}
	}
}

// due is how long to wait for more before what there is is kept.
func (f *follower) due() (wait time.Duration, ok bool) {
	switch {
	case f.p.since.IsZero():
		return 0, false
	case f.joiner.Waiting() > 0:
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
	if f.joiner.Waiting() > 0 && age < torn && len(f.p.happenings) < mostKept {
		return false
	}
	return len(f.p.happenings) >= f.most || len(f.p.gone) >= mostGone || f.flights.full() ||
		age > someday || len(f.p.happenings) > 0 && age > soon
}

// take reads a segment, and keeps all where that is enough for once.
func (f *follower) take(ctx context.Context, b *follow.Batch) error {
	f.now = f.o.Clock()
	f.lines.Now = f.now
	if f.p.since.IsZero() {
		f.p.since = time.Now()
	}
	if p := f.o.Plan(); p != f.plan {
		f.plan, f.wants = p, wantsOf(p)
	}
	f.well(reading)
	for _, g := range b.Gaps {
		f.gap(g)
		if g.Why == follow.Changed { // it is read again
			f.numbers, f.last = numbers{}, time.Time{}
		}
	}
	strange := f.read(b.Lines)
	f.p.position = b.Position
	f.noteRead(len(b.Lines), strange)
	if f.enough() {
		return f.commit(ctx)
	}
	return nil
}

// read looks at lines, in the order of the log, and returns how many are none of an Exim's.
func (f *follower) read(lines [][]byte) (strange int) {
	for _, line := range lines {
		if f.o.Syslog {
			var whole bool
			if line, whole = f.joiner.Add(line); !whole {
				continue
			}
		}
		kind, id, ok := mainlog.Skim(line, &f.lines)
		if !ok {
			strange++
			continue
		}
		switch kind {
		case mainlog.Arrived, mainlog.FakeRejected:
			if len(id) > 0 {
				f.flights.add(id, line)
				f.arrived(line)
			}
		case mainlog.Completed:
			if f.flights.gone(id) {
				f.p.gone = append(f.p.gone, string(id))
			}
		case mainlog.Failed:
			f.failed(id, line)
		case mainlog.Rejected:
			f.rejected(line)
		case mainlog.AuthFailed:
			f.authFailed(line)
		}
	}
	return strange
}

// parse takes a line apart, and finds out when it was: an hour that comes twice is the later one if
// the line before was.
func (f *follower) parse(line []byte) (e mainlog.Entry, at time.Time, ok bool) {
	e, ok = mainlog.Parse(line, f.lines)
	if !ok {
		return e, at, false
	}
	at = e.Time
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
	return e, at, true
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
