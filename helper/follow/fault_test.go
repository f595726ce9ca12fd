package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spied opens a reader whose disk fails as fail says, which may be changed at any time.
func (d *logDir) spied(opt Options, fail *func(op, name string) error) *Reader {
	d.t.Helper()
	opt.Path = d.path("mainlog")
	r, err := open(opt, &spy{before: func(op, name string) error {
		if *fail == nil {
			return nil
		}
		if err := (*fail)(op, filepath.Base(name)); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		return nil
	}})
	d.must(err)
	d.t.Cleanup(func() { r.Close() })
	return r
}

// TestTrouble: whatever fails, and for however long, is said once; when it is over,
// nothing has been lost.
func TestTrouble(t *testing.T) {
	only := func(op, name string, err error) func(string, string) error {
		return func(o, n string) error {
			if (op == "" || o == op) && (name == "" || n == name) {
				return err
			}
			return nil
		}
	}
	for _, c := range []struct {
		what  string
		fail  func(op, name string) error
		start bool // it fails from the start, too
	}{
		{"no right to the log", only("open", "mainlog", fs.ErrPermission), true},
		{"no right to the directory", only("readdir", "", fs.ErrPermission), true},
		{"no right to anything", only("", "", fs.ErrPermission), true},
		{"a disk that cannot be read", only("read", "mainlog", syscall.EIO), true},
		{"a server that is away", only("", "", syscall.ESTALE), true},
		{"no file descriptor", only("open", "", syscall.EMFILE), true},
	} {
		for _, rotate := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, rotated %v", c.what, rotate), func(t *testing.T) {
				inTime(t, func(t *testing.T, d *logDir) {
					fail := c.fail
					r := d.spied(Options{Patience: time.Hour, Linger: time.Hour}, &fail)
					want := d.write("mainlog", 2)
					if _, err := r.Next(t.Context()); err == nil {
						t.Fatal("no error at the start")
					}
					expect(t, d.drain(r), nil, "")
					fail = nil
					expect(t, d.drain(r), want, "")
					fail = c.fail
					want = d.write("mainlog", 1)
					if rotate {
						d.rename("mainlog", "mainlog.1")
						want = append(want, d.write("mainlog", 1)...)
					}
					var got result
					for range 3 { // of these, an error is returned once at most
						got.lines = append(got.lines, d.drainTrouble(t, r)...)
					}
					fail = nil
					rest := d.drain(r)
					got.lines, got.gaps = append(got.lines, rest.lines...), append(got.gaps, rest.gaps...)
					expect(t, got, want, "")
				})
			})
		}
	}
}

// drainTrouble reads for a minute, and allows errors, but not the same twice in a row.
func (d *logDir) drainTrouble(t *testing.T, r *Reader) (lines []string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last := ""
	for {
		b, err := r.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return lines
		}
		if err != nil && err.Error() == last {
			t.Fatal("twice: ", err)
		}
		if last = ""; err != nil {
			last = err.Error()
		}
		for _, l := range b.Lines {
			lines = append(lines, string(l))
		}
	}
}

// TestPredecessorUnreadable: a predecessor is waited for a little while only.
func TestPredecessorUnreadable(t *testing.T) {
	for _, op := range []string{"open", "read"} {
		inTime(t, func(t *testing.T, d *logDir) {
			fail := func(o, name string) error {
				if o == op && name == "mainlog.1" {
					return syscall.EIO
				}
				return nil
			}
			r := d.spied(Options{}, &fail)
			want := d.write("mainlog.2", 2)
			d.write("mainlog.1", 2)
			want = append(want, d.write("mainlog", 2)...)
			if lines := d.drainTrouble(t, r); len(lines) != 2 {
				t.Errorf("%s: %q within a minute", op, lines)
			}
			lines := append(want[:2:2], d.drainTrouble(t, r)...)
			if strings.Join(lines, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: %q", op, lines)
			}
			fail = nil
			expect(t, d.once(Options{From: r.Position()}), nil, "")
		})
	}
}

// TestNoFile: what has the log's name and is no file, is never read and never waited on.
func TestNoFile(t *testing.T) {
	for what, put := range map[string]func(path string) error{
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a device":    func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		t.Run(what, func(t *testing.T) {
			inTime(t, func(t *testing.T, d *logDir) {
				r := d.reader(Options{})
				d.must(put(d.path("mainlog")))
				d.must(put(d.path("mainlog.3"))) // as a predecessor, it is nothing
				if _, err := r.Next(t.Context()); !errors.Is(err, ErrNotFile) {
					t.Fatal(err)
				}
				if _, err := d.reader(Options{Once: true}).Next(t.Context()); !errors.Is(err, ErrNotFile) {
					t.Fatal(err)
				}
				expect(t, d.drain(r), nil, "")
				d.remove("mainlog")
				want := d.write("mainlog", 2)
				expect(t, d.drain(r), want, "")
				d.rename("mainlog", "mainlog.1")
				d.must(put(d.path("mainlog")))
				want = d.write("mainlog.1", 1)
				lines := d.drainTrouble(t, r)
				d.remove("mainlog")
				want = append(want, d.write("mainlog", 2)...)
				got := d.drain(r)
				got.lines = append(lines, got.lines...)
				expect(t, got, want, "")
			})
		})
	}
}

// TestCancel: a context that ends while the disk is being asked, ends Next, and nothing is
// lost by it.
func TestCancel(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		want := append(d.write("mainlog.2", 5), d.write("mainlog.1", 5)...)
		d.gzip("mainlog.2")
		want = append(want, d.write("mainlog", 5)...)
		var got result
		var cancel context.CancelFunc
		calls, at := 0, 0
		fail := func(op, name string) error {
			if calls++; calls > at {
				cancel()
			}
			return nil
		}
		r := d.spied(Options{Lines: 2}, &fail)
		for at = 0; at < 200; at++ {
			var ctx context.Context
			ctx, cancel = context.WithCancel(t.Context())
			calls = 0
			b, err := r.Next(ctx)
			if cancel(); err != nil && err != context.Canceled {
				t.Fatal(err)
			}
			for _, l := range b.Lines {
				got.lines = append(got.lines, string(l))
			}
			if len(got.lines) == len(want) {
				break
			}
		}
		expect(t, got, want, "")
	})
}

// TestFlatMemory: neither a long log nor a long line needs memory.
func TestFlatMemory(t *testing.T) {
	d := newLogDir(t)
	f, err := os.Create(d.path("mainlog"))
	d.must(err)
	block := bytes.Repeat([]byte(stamp+"1abcde-000001-AB => somebody@example.org R=dnslookup T=remote_smtp\n"), 1000)
	for range 100 {
		_, err = f.Write(block)
		d.must(err)
	}
	size := int64(len(block)) * 100
	d.must(f.Truncate(size + 64<<20)) // 64 MiB without an LF
	_, err = f.WriteAt([]byte("\nlast\n"), size+64<<20)
	d.must(errors.Join(err, f.Close()))
	r := d.reader(Options{Once: true})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	lines, cut, last := 0, 0, ""
	for {
		b, err := r.Next(t.Context())
		if err != nil {
			break
		}
		lines, cut, last = lines+len(b.Lines), cut+b.Cut, string(b.Lines[len(b.Lines)-1])
	}
	runtime.ReadMemStats(&after)
	if lines != 100_002 || cut != 1 || last != "last" {
		t.Errorf("%d lines, %d cut, the last is %.20q", lines, cut, last)
	}
	held := cap(r.open[0].buf)
	if total := after.HeapSys - min(before.HeapSys, after.HeapSys); held > 2<<20 || total > 24<<20 {
		t.Errorf("a buffer of %d bytes; the heap grew by %d", held, total)
	}
}
