package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// errEmptied means that a file was truncated, or filled anew, while it was open.
var errEmptied = errors.New("emptied while it was read")

// errChanged means that in a file, which is the one, an offset is not what it was.
var errChanged = errors.New("not the file that it was")

// source is a file that is open, and how much of it was delivered.
//
// The head of a file never changes while it is only appended to. It is looked at after
// every read, not before: so what was read is from before the file was emptied, if it
// was, or else is not used.
type source struct {
	file
	h       handle // nil if it is broken from the beginning
	in      io.Reader
	limits  limits
	offset  int64  // of the first byte that was not delivered
	pos     int64  // of the first byte that was not read
	tail    []byte // the last bytes before offset
	buf     []byte // buf[lo:hi] was read and not delivered, and there is no LF before scan
	lo, hi  int
	turns   turns
	scan    int
	skipped int64     // bytes of the line at lo that were read, and thrown away: see shorten
	over    []byte    // the last bytes before the end of what was thrown away
	kept    *Mark     // the place, as long as it is that of a copy which does not reach it
	until   time.Time // when to stop waiting for late writers, once there is a newer file
	broken  bool      // it cannot be read to its end
}

// limits bound what is delivered at once.
type limits struct {
	lines, bytes int
	line         int // longer ones are cut
	keep         int // batches are valid for so many calls
}

// turns are the buffers of batches that are still valid.
type turns struct {
	bufs  [][]byte   // those that are not being filled
	lines [][][]byte // of the batches
	call  int        // of Next
	taken bool       // this call has a buffer of its own
}

// at says which call of Next this is.
func (t *turns) at(call, keep int) {
	if t.lines == nil {
		t.bufs, t.lines = make([][]byte, keep), make([][][]byte, keep+1)
	}
	if call != t.call {
		t.call, t.taken = call, keep == 0
	}
}

func (t *turns) list() *[][]byte { return &t.lines[t.call%len(t.lines)] }

// swap gives the oldest buffer for the one that the last batches are in, once in a call.
func (t *turns) swap(buf []byte) []byte {
	if t.taken {
		return buf
	}
	t.taken = true
	oldest := &t.bufs[t.call%len(t.bufs)]
	*oldest, buf = buf, *oldest
	return buf
}

// openSource opens a file at its beginning.
func openSource(d disk, f file, l limits) (*source, error) {
	h, in, err := f.open(d)
	if err != nil {
		return nil, err
	}
	return &source{file: f, h: h, in: in, limits: l}, nil
}

// resumeSource opens a file where a mark is. Where the file is only a copy, it may end
// before: so much was not copied, and was read all the same.
func resumeSource(ctx context.Context, d disk, p pick, f file, l limits) (*source, error) {
	s, err := openSource(d, f, l)
	if err != nil {
		return nil, err
	}
	short, err := s.seek(ctx, p.mark.Offset)
	switch {
	case err != nil:
	case short && !p.same:
		s.kept = &p.mark
		return s, nil
	case short || printOf(s.tail) != p.mark.Tail:
		err = errChanged
	default:
		return s, nil
	}
	s.h.Close()
	return nil, err
}

// seek goes to an offset, which may lie behind the end.
func (s *source) seek(ctx context.Context, offset int64) (short bool, err error) {
	if s.packed == "" {
		s.pos = max(0, offset-tailSize)
	}
	b := make([]byte, 64<<10)
	for s.pos < offset {
		n, err := s.read(b[:min(int64(len(b)), offset-s.pos)])
		if err == nil {
			err = ctx.Err()
		}
		if n == 0 || err != nil {
			return true, err
		}
		s.pos += int64(n)
		s.tail = lastBytes(s.tail, b[:n])
	}
	s.offset = offset
	return false, nil
}

// read reads at pos. It is no error to be at the end; what was read before an error is
// used, and the error comes again.
func (s *source) read(b []byte) (n int, err error) {
	if s.packed != "" {
		if n, err = readFull(s.in, b); err != nil {
			err = fmt.Errorf("%s: %w", s.path, err) // a file says so itself
		}
	} else {
		n, err = s.h.ReadAt(b, s.pos)
	}
	if err == io.EOF || n > 0 {
		err = nil
	}
	return n, err
}

// lines are whole lines that are there, within limits, and how many of them were cut;
// none at the end. They are valid until the next call of Next, or for as many as is asked for.
func (s *source) lines(ctx context.Context, call int) (lines [][]byte, cut int, err error) {
	s.turns.at(call, s.limits.keep)
	for {
		lines, cut = s.take()
		if len(lines) > 0 || s.kept != nil || s.broken {
			return lines, cut, nil
		}
		n, err := s.fill()
		if err == nil && n > 0 {
			err = ctx.Err()
		}
		if n == 0 || err != nil {
			return nil, 0, err
		}
	}
}

// take cuts lines out of the buffer.
func (s *source) take() (lines [][]byte, cut int) {
	out := s.turns.list()
	lines = (*out)[:0]
	begin, size := s.lo, 0
	for len(lines) < s.limits.lines {
		i := bytes.IndexByte(s.buf[s.scan:s.hi], '\n')
		if i < 0 {
			s.scan = s.hi
			break
		}
		end := s.scan + i
		line := s.buf[s.lo:end]
		long := s.skipped > 0 || len(line) > s.limits.line
		if long {
			line = slices.Concat(line[:s.limits.line], []byte(CutMark))
		}
		if size += len(line); size > s.limits.bytes && len(lines) > 0 {
			break
		}
		if long {
			cut++
		}
		if s.skipped > 0 {
			s.tail = append(s.tail[:0], s.over...)
			begin = s.lo + s.limits.line
		}
		lines = append(lines, line)
		s.offset += s.skipped + int64(end+1-s.lo)
		s.lo, s.scan, s.skipped = end+1, end+1, 0
	}
	if s.lo > begin {
		s.tail = lastBytes(s.tail, s.buf[begin:s.lo])
	}
	s.shorten()
	*out = lines
	return lines, cut
}

// shorten throws away what has been read of a line beyond the length that is delivered.
func (s *source) shorten() {
	keep := s.lo + s.limits.line
	if s.scan < s.hi || s.hi <= keep {
		return
	}
	if s.skipped == 0 {
		s.over = lastBytes(append(s.over[:0], s.tail...), s.buf[s.lo:keep])
	}
	s.over = lastBytes(s.over, s.buf[keep:s.hi])
	s.skipped += int64(s.hi - keep)
	s.hi, s.scan = keep, keep
}

// fill reads more into the buffer.
func (s *source) fill() (n int, err error) {
	s.room()
	room := s.buf[s.hi : s.hi+s.limits.bytes]
	n, err = s.read(room)
	if err == nil && s.packed == "" {
		err = s.verify(n)
	}
	if err != nil {
		return 0, err
	}
	if have := int64(len(s.head)); s.pos+int64(n) > have && have < headSize {
		s.head = append(s.head, room[have-s.pos : n][:min(headSize-have, s.pos+int64(n)-have)]...)
	}
	s.pos += int64(n)
	s.hi += n
	return n, nil
}

// room makes room for a read, in a buffer that no valid batch is in.
func (s *source) room() {
	rest := s.buf[s.lo:s.hi]
	s.buf = s.turns.swap(s.buf)
	if need := len(rest) + s.limits.bytes; len(s.buf) < need {
		s.buf = make([]byte, need)
	}
	s.hi = copy(s.buf, rest)
	s.scan, s.lo = s.scan-s.lo, 0
}

// verify makes sure, after a read of n bytes at pos, that the file was not emptied.
func (s *source) verify(n int) error {
	var b [headSize]byte
	got, err := s.h.ReadAt(b[:len(s.head)], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(b[:got], s.head) {
		return errEmptied
	}
	info, err := s.h.Stat()
	if err != nil {
		return err
	}
	if info.Size() < s.pos+int64(n) {
		return errEmptied
	}
	s.mod = info.ModTime()
	return nil
}

// unfinished is how much of a last line was read that does not end.
func (s *source) unfinished() int64 { return s.skipped + int64(s.hi-s.lo) }

// linger sets how long late writers are waited for, from now on: not at all if nobody
// has written for that long.
func (s *source) linger(most time.Duration) {
	s.until = time.Now()
	if s.until.Sub(s.mod) < most {
		s.until = s.until.Add(most)
	}
}

// finished says whether nothing can come any more.
func (s *source) finished() bool {
	return s.packed != "" || s.kept != nil || s.broken || !time.Now().Before(s.until)
}

func (s *source) close() error {
	if s.h == nil {
		return nil
	}
	return s.h.Close()
}

// mark is where the source is.
func (s *source) mark() Mark {
	if s.kept != nil {
		return *s.kept
	}
	head := s.head[:min(int64(len(s.head)), s.offset)]
	return Mark{s.path, s.dev, s.ino, s.offset, printOf(head), printOf(s.tail), nil}
}
