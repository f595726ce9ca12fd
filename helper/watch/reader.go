package watch

import (
	"context"
	"sync/atomic"
	"time"

	"exipol/helper/follow"
	"exipol/helper/mainlog"
)

// The log is read, cut and sifted by one goroutine, while another makes out of what is left whose it is: two
// processors, and most bytes are looked at by one of them only, while it has them at hand.

const (
	// segmentLines is the most lines of which the last has a place: what is kept at once is whole segments.
	segmentLines = 256
	// chunk is how many bytes are asked for at once.
	chunk = 64 << 10
	// together is the most segments that are handed over at once: fewer, and the two wait for
	// each other more than they read.
	together = 8
	// ahead is how many times that is read ahead.
	ahead = 2
	// longest is the most bytes of a line; Exim's have 8 KiB.
	longest = 60000
	// lookBack is how far back a new follower begins: a message that came then may fail now.
	lookBack = keepArrival
)

// segment is what some lines in a row tell, or why there are none.
type segment struct {
	items    []item
	failures []mainlog.Entry // those of items that failed, taken apart
	lines    int
	strange  int  // of them, that are no lines of Exim's main log
	torn     bool // a line that syslog split has begun and not ended
	position follow.Position
	gaps     []follow.Gap
	err      error
}

// item is a line of which something may follow.
type item struct {
	kind     mainlog.Kind
	id, line []byte
	failure  int // its place in segment.failures; -1
}

// reader reads ahead.
type reader struct {
	*follow.Reader
	lines   mainlog.Options
	syslog  bool
	joiner  mainlog.Joiner
	bounces *atomic.Bool // failures are to be taken apart
	clock   func() time.Time
	ring    [ahead + 2]group
	turn    int
}

// group are segments in a row.
type group struct {
	all [together]segment
	n   int
}

// open opens the log. What is read goes to to.
func (r *reader) open(ctx context.Context, o follow.Options, to chan<- *group) (err error) {
	o.Lines, o.Bytes, o.Line, o.Keep = segmentLines, chunk, longest, (ahead+2)*together
	o.Idle = func() { r.hand(ctx, to) }
	r.joiner.Options = r.lines
	r.Reader, err = follow.Open(o)
	return err
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context, to chan<- *group) {
	for ctx.Err() == nil {
		b, err := r.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		g := &r.ring[r.turn]
		s := &g.all[g.n]
		g.n++
		*s = segment{items: s.items[:0], failures: s.failures[:0], lines: len(b.Lines), position: b.Position, gaps: b.Gaps, err: err}
		r.sift(s, b.Lines)
		if g.n == together || err != nil {
			r.hand(ctx, to)
		}
	}
}

// hand hands over what there is.
func (r *reader) hand(ctx context.Context, to chan<- *group) {
	g := &r.ring[r.turn]
	if g.n == 0 {
		return
	}
	select {
	case to <- g:
	case <-ctx.Done():
		return // the others may still be in use
	}
	r.turn = (r.turn + 1) % len(r.ring)
	r.ring[r.turn].n = 0
}

// sift leaves out the lines that tell nothing of use, which are most.
func (r *reader) sift(s *segment, lines [][]byte) {
	r.lines.Now = r.clock()
	bounces := r.bounces.Load()
	for _, line := range lines {
		if r.syslog {
			var whole bool
			if line, whole = r.joiner.Add(line); !whole {
				continue
			}
		}
		kind, id, ok := mainlog.Skim(line, &r.lines)
		if !ok {
			s.strange++
			continue
		}
		switch kind {
		case mainlog.Arrived, mainlog.FakeRejected, mainlog.Completed:
			if len(id) > 0 {
				s.items = append(s.items, item{kind, id, line, -1})
			}
		case mainlog.Failed:
			if len(id) > 0 && bounces {
				e, _ := mainlog.Parse(line, r.lines)
				s.items = append(s.items, item{kind, id, line, len(s.failures)})
				s.failures = append(s.failures, e)
			}
		case mainlog.Rejected, mainlog.AuthFailed:
			s.items = append(s.items, item{kind, id, line, -1})
		}
	}
	s.torn = r.joiner.Waiting() > 0
}
