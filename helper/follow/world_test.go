package follow

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// spy is a disk on which things happen before each question.
type spy struct {
	osDisk
	before func(op, name string) error
}

func (d *spy) ReadDir(dir string) ([]os.DirEntry, error) {
	if err := d.before("readdir", dir); err != nil {
		return nil, err
	}
	return d.osDisk.ReadDir(dir)
}

func (d *spy) Stat(name string) (os.FileInfo, error) {
	if err := d.before("stat", name); err != nil {
		return nil, err
	}
	return d.osDisk.Stat(name)
}

func (d *spy) Open(name string) (handle, error) {
	if err := d.before("open", name); err != nil {
		return nil, err
	}
	h, err := d.osDisk.Open(name)
	if err != nil {
		return nil, err
	}
	return &spiedHandle{h, d, name}, nil
}

type spiedHandle struct {
	handle
	d    *spy
	name string
}

func (h *spiedHandle) Read(b []byte) (int, error) {
	if err := h.d.before("read", h.name); err != nil {
		return 0, err
	}
	return h.handle.Read(b)
}

func (h *spiedHandle) ReadAt(b []byte, at int64) (int, error) {
	if err := h.d.before("read", h.name); err != nil {
		return 0, err
	}
	return h.handle.ReadAt(b, at)
}

func (h *spiedHandle) Stat() (os.FileInfo, error) {
	if err := h.d.before("fstat", h.name); err != nil {
		return nil, err
	}
	return h.handle.Stat()
}

// logDir is a directory in which a test plays writer and rotator. Every write is later
// than the one before.
type logDir struct {
	t     testing.TB
	dir   string
	clock time.Time
	count int
}

func newLogDir(t testing.TB) *logDir {
	return &logDir{t: t, dir: t.TempDir(), clock: time.Date(2026, 11, 22, 6, 25, 1, 1, time.UTC)}
}

func (d *logDir) path(name string) string { return filepath.Join(d.dir, name) }

func (d *logDir) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// touch gives a file the next time.
func (d *logDir) touch(path string) {
	d.clock = d.clock.Add(10 * time.Millisecond)
	d.must(os.Chtimes(path, d.clock, d.clock))
}

// line is a line that there has not been yet.
func (d *logDir) line() string {
	d.count++
	return fmt.Sprintf("%s line %d", d.clock.Format("2006-01-02 15:04:05.000"), d.count)
}

// append writes text to the end of a file.
func (d *logDir) append(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	d.must(err)
	_, err = f.WriteString(text)
	d.must(errors.Join(err, f.Close()))
	d.touch(d.path(name))
}

// write writes n new lines, and returns them.
func (d *logDir) write(name string, n int) (lines []string) {
	d.t.Helper()
	for range n {
		lines = append(lines, d.line())
		d.append(name, lines[len(lines)-1]+"\n")
	}
	return lines
}

func (d *logDir) rename(from, to string) {
	d.t.Helper()
	d.must(os.Rename(d.path(from), d.path(to)))
}

// copy copies a file; the copy has a time of its own.
func (d *logDir) copy(from, to string) {
	d.t.Helper()
	b, err := os.ReadFile(d.path(from))
	d.must(err)
	d.must(os.WriteFile(d.path(to), b, 0o640))
	d.touch(d.path(to))
}

func (d *logDir) truncate(name string) {
	d.t.Helper()
	d.must(os.Truncate(d.path(name), 0))
	d.touch(d.path(name))
}

func (d *logDir) remove(name string) {
	d.t.Helper()
	d.must(os.Remove(d.path(name)))
}

// compress makes name.gz out of name, with the same time, and lets it stand beside it.
func (d *logDir) compress(name string) {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	d.must(err)
	info, err := os.Stat(d.path(name))
	d.must(err)
	d.must(os.WriteFile(d.path(name+".gz"), gzipped(b), 0o640))
	d.must(os.Chtimes(d.path(name+".gz"), info.ModTime(), info.ModTime()))
}

func (d *logDir) gzip(name string) {
	d.t.Helper()
	d.compress(name)
	d.remove(name)
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// reader opens a reader that is closed with the test.
func (d *logDir) reader(opt Options) *Reader {
	d.t.Helper()
	if opt.Path == "" {
		opt.Path = d.path("mainlog")
	}
	r, err := Open(opt)
	d.must(err)
	d.t.Cleanup(func() { r.Close() })
	return r
}

// result is what a reader has delivered.
type result struct {
	lines []string
	gaps  []Gap
	at    Position
}

// kinds are the gaps in short.
func (r result) kinds() string {
	var all []string
	for _, g := range r.gaps {
		all = append(all, string(g.Why)+" "+filepath.Base(g.Name))
	}
	return strings.Join(all, ", ")
}

// drain reads until there is nothing more: until the end with Once, else for a while.
func (d *logDir) drain(r *Reader) (got result) {
	d.t.Helper()
	wait := time.Minute
	if r.opt.Once {
		wait = time.Hour
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for {
		b, err := r.Next(ctx)
		if err == io.EOF || errors.Is(err, context.DeadlineExceeded) {
			got.at = r.Position()
			return got
		}
		d.must(err)
		for _, l := range b.Lines {
			got.lines = append(got.lines, string(l))
		}
		got.gaps = append(got.gaps, b.Gaps...)
	}
}

// once reads from a position to the end, by a reader of its own. The position goes through
// JSON, as it does when it is stored.
func (d *logDir) once(opt Options) result {
	d.t.Helper()
	b, err := json.Marshal(opt.From)
	d.must(err)
	opt.From = Position{}
	d.must(json.Unmarshal(b, &opt.From))
	opt.Once = true
	r := d.reader(opt)
	got := d.drain(r)
	d.must(r.Close())
	return got
}

// expect compares what was delivered.
func expect(t testing.TB, got result, want []string, gaps string) {
	t.Helper()
	if !slices.Equal(got.lines, want) {
		i := 0
		for i < len(got.lines) && i < len(want) && got.lines[i] == want[i] {
			i++
		}
		t.Errorf("%d lines, want %d; from line %d on %.80q, want %.80q", len(got.lines), len(want), i, got.lines[i:min(i+3, len(got.lines))], want[i:min(i+3, len(want))])
	}
	if got.kinds() != gaps {
		t.Errorf("gaps: %q, want %q", got.kinds(), gaps)
	}
}
