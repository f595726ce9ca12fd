package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// model is a busy mail server: some Exim processes that write to a log as Exim does, and
// a rotator. It takes one small step at a time, whenever the reader asks the disk for
// something; so every order of events comes up.
type model struct {
	*logDir
	rng     *rand.Rand
	style   string
	delay   bool // compress a file only when the next is rotated
	day     int  // of names with dates
	writers []*writer
	queue   []func() // what is left of a rotation
	old     int      // numbered predecessors
	written map[string]bool
	raced   map[string]bool // lines that copytruncate may lose
	copied  int64           // how much of the log is in the copy
	races   int
	short   bool // a copy was too short for a fingerprint
	reader  *Reader
	seen    int // truncations of the file that the reader had open
}

// writer is a process. Between its looking at the log's name and its writing, anything may
// happen.
type writer struct {
	f     *os.File
	ino   uint64
	armed bool
}

var styles = []string{"rename", "copytruncate", "dateext", "exim dates"}

func newModel(t testing.TB, seed uint64) *model {
	m := &model{logDir: newLogDir(t), rng: rand.New(rand.NewPCG(seed, 9)), written: map[string]bool{}, raced: map[string]bool{}}
	m.style = styles[seed%uint64(len(styles))]
	m.delay = m.rng.IntN(3) > 0
	for range 3 {
		m.writers = append(m.writers, &writer{})
	}
	t.Cleanup(func() {
		for _, w := range m.writers {
			if w.f != nil {
				w.f.Close()
			}
		}
	})
	return m
}

func (m *model) log() string {
	if m.style == "exim dates" {
		return m.path(fmt.Sprintf("mainlog-%d", 20261101+m.day))
	}
	return m.path("mainlog")
}

// arm is what Exim does before it writes: it looks whether the file it has open is still
// the one of that name.
func (m *model) arm(w *writer) {
	info, err := os.Stat(m.log())
	if w.f != nil {
		if err == nil {
			if _, ino := identify(info); ino == w.ino {
				w.armed = true
				return
			}
		}
		w.f.Close()
	}
	w.f, err = os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	m.must(err)
	info, err = w.f.Stat()
	m.must(err)
	_, w.ino = identify(info)
	w.armed = true
}

// writeLine writes a line, now and then a long one.
func (m *model) writeLine(w *writer) {
	line := m.line() + strings.Repeat(" x", m.rng.IntN(10))
	if m.rng.IntN(20) == 0 {
		line += strings.Repeat("y", m.rng.IntN(1500))
	}
	_, err := w.f.WriteString(line + "\n")
	m.must(err)
	m.clock = m.clock.Add(10 * time.Millisecond)
	tv := syscall.NsecToTimeval(m.clock.UnixNano())
	m.must(syscall.Futimes(int(w.f.Fd()), []syscall.Timeval{tv, tv}))
	m.written[line], w.armed = true, false
	if m.copied >= 0 && m.style == "copytruncate" && len(m.queue) > 0 {
		m.raced[line] = true // until the copy is seen to have it
	}
}

// held says whether somebody is about to write to that file. To compress it then would lose
// the line, which is what logrotate's delaycompress is for.
func (m *model) held(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	_, ino := identify(info)
	return slices.ContainsFunc(m.writers, func(w *writer) bool { return w.armed && w.ino == ino })
}

// step does the next small thing.
func (m *model) step() {
	switch n := m.rng.IntN(20); {
	case n < 6 && len(m.queue) > 0:
		do := m.queue[0]
		m.queue = m.queue[1:]
		do()
	case n == 19 && len(m.queue) == 0 && m.old+m.day < 30 && m.rng.IntN(5) == 0:
		m.rotate()
	default:
		if w := m.writers[m.rng.IntN(len(m.writers))]; w.armed {
			m.writeLine(w)
		} else {
			m.arm(w)
		}
	}
}

// squeeze queues what gzip does to a file.
func (m *model) squeeze(path string) {
	if _, err := os.Stat(path); err != nil || m.held(path) {
		return
	}
	later := m.queue
	b, err := os.ReadFile(path)
	m.must(err)
	info, err := os.Stat(path)
	m.must(err)
	z := gzipped(b)
	put := func(part []byte) func() {
		return func() { m.must(os.WriteFile(path+".gz", part, 0o640)) }
	}
	m.queue = append([]func(){put(nil), put(z[:len(z)/2]), put(z), func() {
		m.must(os.Chtimes(path+".gz", info.ModTime(), info.ModTime()))
	}, func() { m.must(os.Remove(path)) }}, later...)
}

// shift queues a renaming, of whichever of two names is there.
func (m *model) shift(from, to int) {
	m.queue = append(m.queue, func() {
		for _, ext := range []string{"", ".gz"} {
			err := os.Rename(m.path(fmt.Sprintf("mainlog.%d%s", from, ext)), m.path(fmt.Sprintf("mainlog.%d%s", to, ext)))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				m.t.Fatal(err)
			}
		}
	})
}

// rotate queues a rotation.
func (m *model) rotate() {
	if _, err := os.Stat(m.log()); err != nil {
		return // nothing to rotate
	}
	m.copied = -1
	if m.style == "exim dates" {
		was := m.log()
		m.day++
		m.queue = append(m.queue, func() { m.squeeze(was) })
		return
	}
	numbers := m.style != "dateext"
	to := m.path("mainlog.1")
	if numbers {
		if m.delay {
			m.queue = append(m.queue, func() { m.squeeze(m.path("mainlog.1")) })
		}
		for i := m.old; i > 0; i-- {
			m.shift(i, i+1)
		}
		m.old++
	} else {
		m.day++
		before := m.path(fmt.Sprintf("mainlog-%d", 20261101+m.day-1))
		to = m.path(fmt.Sprintf("mainlog-%d", 20261101+m.day))
		m.queue = append(m.queue, func() { m.squeeze(before) })
	}
	if m.style == "copytruncate" {
		m.copyTruncate(to)
	} else {
		m.queue = append(m.queue, func() { m.must(os.Rename(m.log(), to)) })
	}
	if !m.delay {
		m.queue = append(m.queue, func() { m.squeeze(to) })
	}
}

// copyTruncate queues a copy in two pieces and a truncation.
func (m *model) copyTruncate(to string) {
	piece := func(whole bool) func() {
		return func() {
			b, err := os.ReadFile(m.log())
			m.must(err)
			if !whole {
				b = b[:len(b)/2]
			}
			m.must(os.WriteFile(to, b, 0o640))
			m.copied = int64(len(b))
			for line := range strings.Lines(string(b)) {
				delete(m.raced, strings.TrimSuffix(line, "\n"))
			}
			m.touch(to)
		}
	}
	m.queue = append(m.queue, piece(false), piece(true), func() {
		info, err := os.Stat(m.log())
		m.must(err)
		if info.Size() > m.copied {
			m.races++
			m.short = m.short || m.copied < headSize
		}
		if r := m.reader; r != nil && len(r.open) > 0 && r.open[len(r.open)-1].pos > 0 {
			if dev, ino := identify(info); r.open[len(r.open)-1].isNode(dev, ino) {
				m.seen++
			}
		}
		m.must(os.Truncate(m.log(), 0))
		m.copied = -1
	})
}

// settle lets everything come to its end.
func (m *model) settle() {
	for len(m.queue) > 0 {
		do := m.queue[0]
		m.queue = m.queue[1:]
		do()
	}
	for _, w := range m.writers {
		if w.armed {
			m.writeLine(w)
		}
	}
}

// store is what a reader's owner keeps: lines and position in one transaction.
type store struct {
	lines map[string]int
	gaps  []string
	at    Position
}

func (s *store) commit(b Batch) {
	for _, l := range b.Lines {
		s.lines[string(l)]++
	}
	for _, g := range b.Gaps {
		s.gaps = append(s.gaps, string(g.Why)+" "+filepath.Base(g.Name))
	}
	s.at = b.Position
}

// play lets a reader follow a model. It crashes now and then, before or after it has stored
// a batch, and the disk fails now and then.
func (m *model) play(t *testing.T, ctx context.Context) (s *store, crashed bool) {
	s = &store{lines: map[string]int{}}
	quiet := false
	pace := []int{2, 10, 30, 60, 75}[m.rng.IntN(5)] // percent
	crashed, errs := m.rng.IntN(2) == 0, m.rng.IntN(3) == 0
	crashes := crashed
	d := &spy{before: func(op, name string) error {
		if quiet {
			return nil
		}
		for m.rng.IntN(100) < pace {
			m.step()
		}
		if errs && m.rng.IntN(300) == 0 {
			return &os.PathError{Op: op, Path: name, Err: syscall.EIO}
		}
		return nil
	}}
	opt := Options{Path: m.path("mainlog"), Linger: 100 * time.Hour, Patience: 20 * time.Minute, Bytes: 1 + m.rng.IntN(3000), Lines: 1 + m.rng.IntN(20)}
	if m.style == "exim dates" {
		opt.Path = m.path("mainlog-%D")
	}
	var r *Reader
	defer func() { r.Close() }()
	for i := 0; ; i++ {
		if r == nil || crashes && m.rng.IntN(6) == 0 {
			if r != nil {
				r.Close()
				for range m.rng.IntN(60) {
					m.step()
				}
			}
			opt.From = s.at
			var err error
			r, err = open(opt, d)
			m.must(err)
			m.reader = r
		}
		if m.count > 400 && !quiet {
			m.settle()
			quiet, crashes = true, false
		}
		wait := time.Minute
		if quiet {
			wait = 2 * opt.Patience
		}
		within, cancel := context.WithTimeout(ctx, wait)
		b, err := r.Next(within)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && quiet:
			return s, crashed
		case err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, syscall.EIO) && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errUnsettled):
			t.Fatal(err)
		case err == nil && (!crashes || m.rng.IntN(6) > 0):
			s.commit(b)
		case err == nil:
			r.Close()
			r = nil // before it was stored
		}
	}
}

// TestModel demands every line exactly once. It tries as many logs as some seconds allow,
// or as FOLLOW_SEEDS says.
func TestModel(t *testing.T) {
	least, until := 8, time.Now().Add(6*time.Second)
	if n, err := strconv.Atoi(os.Getenv("FOLLOW_SEEDS")); err == nil {
		least, until = n, time.Now()
	}
	seeds, rotated, races := 0, 0, 0
	for ; !t.Failed() && (seeds < least || time.Now().Before(until)); seeds++ {
		m := newModel(t, uint64(seeds))
		synctest.Test(t, func(t *testing.T) {
			m.t = t
			s, crashed := m.play(t, t.Context())
			m.check(t, uint64(seeds), s, crashed)
		})
		rotated, races = rotated+m.old+m.day, races+m.races
	}
	t.Logf("%d logs, %d rotations, %d races", seeds, rotated, races)
	if rotated < seeds || races == 0 {
		t.Error("nothing was tried")
	}
}

func (m *model) check(t *testing.T, seed uint64, s *store, crashed bool) {
	missing, emptied := 0, 0
	for line := range m.written {
		switch n := s.lines[line]; {
		case n == 1:
		case n == 0 && m.raced[line]:
			missing++
		default:
			t.Errorf("%d times: %.60s", n, line)
		}
	}
	for line := range s.lines {
		if !m.written[line] {
			t.Errorf("never written: %.60s", line)
		}
	}
	for _, g := range s.gaps {
		if strings.HasPrefix(g, "emptied ") && m.style == "copytruncate" {
			emptied++
		} else if !(strings.HasPrefix(g, "lost ") && m.short && crashed) {
			t.Errorf("a gap is reported: %s", g)
		}
	}
	if emptied < m.seen && !crashed {
		t.Errorf("it was emptied %d times while it was read, and that is said %d times; %d lines are missing", m.seen, emptied, missing)
	}
	if t.Failed() {
		t.Logf("seed %d: %s, delay %v; gaps %v; %d lines, %d rotations", seed, m.style, m.delay, s.gaps, len(m.written), m.old+m.day)
	}
}
