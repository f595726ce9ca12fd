// Package follow reads a log line by line, across everything that happens to logs, and
// says after every batch of lines where to go on. Whoever stores that Position in one
// transaction with what the lines caused, has read every line once, whatever was
// killed in between.
//
// It knows rotation by rename, with the new file there at once or only with its first
// line, and with a writer that still has the old one; by copy and truncation; names
// with a date in them, whether the writer or the rotator puts it there; and
// predecessors that are compressed, now or later. A file is known again by its number
// (device and inode) if its first bytes confirm it, and by its first bytes alone where
// it was copied or compressed. What is read twice or left out all the same, because
// nobody can know better, is reported as a Gap.
//
// The log is polled. Notifications of the kernel would save some calls of stat in a second;
// but network file systems send none, their number per user is limited, their
// queue overflows, and a file that is renamed and replaced while nobody listens needs
// everything that is here anyway.
//
// What cannot be known:
//   - With copytruncate, lines that are written after the copy was made and before the
//     file was emptied are lost, unless they were read in between (Emptied). When all that
//     happened while no reader was running, and the copy is compressed, it
//     cannot be told from a rotation by rename, and is not reported.
//     The same, if the reader was stopped while it was in the first KiB of the log, ahead
//     of the end of the copy: then the copy is not known again (Lost).
//   - A line that is written to a file after its compressor has read it, or later than
//     Options.Linger after the file was replaced while this reader was running.
//   - Whether the file that was read last, and is gone without a copy, got more lines
//     (Lost); and whether a whole file came and went in between.
//   - Whether a line that lost its end when the disk was full goes on with the next:
//     they are delivered as one.
//
// Files are told apart by their first bytes, so lines should begin with the time. Dates in
// names are taken to sort as text: year, month, day.
package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// CutMark stands at the end of a line that was too long.
const CutMark = " [the rest of this line was cut]"

// Options say what to read. Only Path is necessary.
type Options struct {
	// Path is the log, as Exim's log_file_path names it: %D and %M in its last part
	// are the day and the month. Its predecessors are found beside it, if they have its
	// name and a number or date after it.
	Path string
	// Old are patterns of predecessors that have other names or stand elsewhere, as with
	// logrotate's olddir. Their last part may hold wildcards.
	Old []string
	// From is where to go on.
	From Position
	// Since is where to begin when From is zero: with the oldest file that was written to
	// since then.
	Since time.Time
	// Once ends the reading with io.EOF at the end of the newest file.
	Once bool

	Lines int // a batch has at most so many; default 4096
	Bytes int // ... and so many bytes, or one line; default 256 KiB
	Line  int // lines beyond that length are cut; default 1 MiB
	Keep  int // a batch stays valid for so many further calls of Next, for who reads ahead; default 0

	// Idle is called, if it is set, when Next has found nothing and is about to wait.
	Idle func()

	Poll     time.Duration // how soon to look again, when nothing was there; default 250 ms
	PollMost time.Duration // and when there has been nothing for a while; default 1 s
	// Linger is how long to look for late lines in a file that has been replaced; default
	// one minute.
	Linger time.Duration
	// Patience is how long something must look like a gap before it is taken for one:
	// in the midst of a rotation, things do. A predecessor that cannot be read gets twelve
	// times as long; the newest file is waited for without end. Default 5 s.
	Patience time.Duration
}

// Batch is some lines of one file.
type Batch struct {
	Lines    [][]byte // without their LF; valid until the next call of Next (but see Options.Keep)
	Cut      int      // how many of them were cut
	Name     string   // the file's
	Gaps     []Gap    // what may be missing ahead of these lines, or come twice from here on
	Position Position // where to go on after them
}

// Why is the kind of a gap.
type Why string

const (
	Lost       Why = "lost"       // the file that was read last is gone, with what came to it since
	Missing    Why = "missing"    // a predecessor is gone, as the numbers of the others tell
	Emptied    Why = "emptied"    // a file was emptied in place, perhaps some lines after it was copied
	Changed    Why = "changed"    // a file is not what it was; it is read again from its beginning
	Unreadable Why = "unreadable" // a predecessor cannot be read, or not to its end
	Unfinished Why = "unfinished" // a file that is complete ends in the midst of a line, which is left out
)

// Gap is a place where lines may be missing or, with Changed, come twice.
type Gap struct {
	Why  Why
	Name string // the file's
	Err  error  // for Unreadable
}

func (g Gap) String() string {
	switch g.Why {
	case Lost:
		return g.Name + ": the file that was read last is gone; lines may be missing"
	case Missing:
		return g.Name + ": the file that came after it is gone; its lines are missing"
	case Emptied:
		return g.Name + ": emptied in place (copytruncate?); lines that were written after it was copied are missing"
	case Changed:
		return g.Name + ": this file has changed (after a crash?), and is read again from its beginning"
	case Unfinished:
		return g.Name + ": ends in the midst of a line, which was left out"
	}
	return fmt.Sprintf("%v; its lines are missing", g.Err)
}

// Reader follows one log. It may be used by one goroutine at a time, and has none of
// its own.
type Reader struct {
	opt    Options
	names  family
	disk   disk
	from   Position  // where to go on while no file is open
	open   []*source // oldest first; the last is being read, the others may still get late lines
	gaps   []Gap     // not delivered yet
	reset  bool      // a file was emptied, and that has been reported
	doubts doubts    // what looks like a gap, and perhaps is none
	sick   doubts    // files that cannot be read to their end
	calls  int       // of Next
	trials int       // polls without success
	told   string    // the trouble that was reported last
}

// Open makes a reader. It touches no file yet: a log that is not there is waited for.
func Open(opt Options) (*Reader, error) { return open(opt, osDisk{}) }

func open(opt Options, d disk) (*Reader, error) {
	names, err := newFamily(opt.Path, opt.Old)
	if err != nil {
		return nil, err
	}
	orDefault(&opt.Lines, 4096)
	orDefault(&opt.Bytes, 256<<10)
	orDefault(&opt.Line, 1<<20)
	orDefault(&opt.Poll, 250*time.Millisecond)
	orDefault(&opt.PollMost, time.Second)
	orDefault(&opt.Linger, time.Minute)
	orDefault(&opt.Patience, 5*time.Second)
	r := &Reader{opt: opt, names: names, disk: d, from: opt.From, doubts: doubts{}, sick: doubts{}}
	if len(r.from.Marks) == 0 && r.from.After.IsZero() {
		r.from.After = opt.Since
	}
	return r, nil
}

func orDefault[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// Close closes all files. The reader must not be used afterwards.
func (r *Reader) Close() error {
	var errs []error
	for _, s := range r.open {
		errs = append(errs, s.close())
	}
	r.open = nil
	return errors.Join(errs...)
}

// restart closes all files, to look for them again where they are now.
func (r *Reader) restart() {
	r.from = r.Position()
	for _, s := range r.open {
		for i, m := range r.from.Marks {
			if m.head == nil && m.Head.begins(s.head) {
				r.from.Marks[i].head = s.head
			}
		}
	}
	_ = r.Close() // nothing was written to them
}

// Position is where to go on after all that was delivered.
func (r *Reader) Position() Position {
	var marks []Mark
	var after time.Time
	for _, s := range r.open {
		if m := s.mark(); m.Offset > 0 {
			marks, after = append(marks, m), s.mod
		}
	}
	if len(marks) == 0 {
		return r.from // files in which nothing was read are found again from there
	}
	return Position{after, marks}
}

// Next waits for lines. A batch without lines reports a gap.
//
// An error is not the end, but for that of the context: Next may be called again, and
// tries again. While the trouble stays the same, it does so silently. With Once, every
// call that meets trouble returns it, and the end is io.EOF.
func (r *Reader) Next(ctx context.Context) (Batch, error) {
	r.calls++
	for {
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		b, state, err := r.round(ctx)
		if err := ctx.Err(); err != nil && len(b.Lines) == 0 {
			return Batch{}, err
		}
		switch {
		case err != nil && (state == stuck || !r.opt.Once) && (r.opt.Once || r.told != err.Error()):
			r.told = err.Error()
			return Batch{}, err
		case err != nil:
		case len(b.Lines) > 0 || len(r.gaps) > 0:
			b.Gaps, b.Position = r.gaps, r.Position()
			r.gaps, r.told, r.trials = nil, "", 0
			clear(r.sick)
			return b, nil
		case state == again:
			continue
		case state == atEnd && r.opt.Once:
			return Batch{}, io.EOF
		case state == atEnd:
			r.told = ""
		}
		if r.opt.Idle != nil {
			r.opt.Idle()
		}
		if err := r.sleep(ctx); err != nil {
			return Batch{}, err
		}
	}
}

// sleep waits, a little longer every time.
func (r *Reader) sleep(ctx context.Context) error {
	wait := min(r.opt.Poll<<min(r.trials, 20), r.opt.PollMost)
	if wait <= 0 { // shifted out
		wait = r.opt.PollMost
	}
	r.trials++
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
