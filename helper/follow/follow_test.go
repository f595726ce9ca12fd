package follow

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inTime runs a test on a clock that jumps whenever everybody waits.
func inTime(t *testing.T, test func(t *testing.T, d *logDir)) {
	t.Helper()
	dir := newLogDir(t)
	synctest.Test(t, func(t *testing.T) {
		dir.t = t
		test(t, dir)
	})
}

// TestTwice: a log that is given again, or a copy of it, has nothing new.
func TestTwice(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		want := d.write("mainlog", 5)
		first := d.once(Options{})
		expect(t, first, want, "")
		expect(t, d.once(Options{From: first.at}), nil, "")
		d.copy("mainlog", "elsewhere")
		second := d.once(Options{Path: d.path("elsewhere"), From: first.at})
		expect(t, second, nil, "")
		if len(second.at.Marks) != 1 || second.at.Marks[0].Offset != first.at.Marks[0].Offset {
			t.Errorf("%+v", second.at)
		}
	})
}

// crash takes the last third of the log away, as when a machine lost power, and writes n
// more lines. The first of them ends what is left of another.
func (d *logDir) crash(n int) (all []string) {
	b, err := os.ReadFile(d.path("mainlog"))
	d.must(err)
	d.truncate("mainlog")
	d.append("mainlog", string(b[:len(b)*2/3]))
	d.write("mainlog", n)
	b, err = os.ReadFile(d.path("mainlog"))
	d.must(err)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// TestGaps: what is lost, is said to be.
func TestGaps(t *testing.T) {
	for _, c := range []struct {
		what  string
		gaps  string
		steps func(d *logDir) (want []string)
	}{
		{"gone", "lost mainlog", func(d *logDir) []string { d.remove("mainlog"); return d.write("mainlog", 2) }},
		{"rotated away", "lost mainlog", func(d *logDir) []string {
			d.remove("mainlog")
			want := d.write("mainlog.1", 2)
			return append(want, d.write("mainlog", 2)...)
		}},
		{"emptied", "lost mainlog", func(d *logDir) []string { d.truncate("mainlog"); return d.write("mainlog", 9) }},
		{"a hole", "missing mainlog.3.gz", func(d *logDir) []string {
			d.rename("mainlog", "mainlog.3")
			d.gzip("mainlog.3")
			want := d.write("mainlog.1", 2)
			return append(want, d.write("mainlog", 2)...)
		}},
		{"packed in an unknown way", "unreadable mainlog.2.xz", func(d *logDir) []string {
			d.rename("mainlog", "mainlog.3")
			d.append("mainlog.2.xz", "\xfd7zXZ\x00...")
			want := d.write("mainlog.1", 2)
			return append(want, d.write("mainlog", 2)...)
		}},
		{"packed itself in an unknown way", "lost mainlog, unreadable mainlog.1.xz", func(d *logDir) []string {
			info, err := os.Stat(d.path("mainlog"))
			d.must(err)
			d.remove("mainlog")
			d.append("mainlog.1.xz", "\xfd7zXZ\x00...")
			d.must(os.Chtimes(d.path("mainlog.1.xz"), info.ModTime(), info.ModTime()))
			return d.write("mainlog", 2)
		}},
		{"broken", "unreadable mainlog.1.gz", func(d *logDir) []string {
			want := d.write("mainlog", 2000)
			b, err := os.ReadFile(d.path("mainlog"))
			d.must(err)
			z := gzipped(b)
			d.must(os.WriteFile(d.path("mainlog.1.gz"), z[:len(z)-20], 0o600))
			d.must(os.Chtimes(d.path("mainlog.1.gz"), d.clock, d.clock))
			d.remove("mainlog")
			return append(want, d.write("mainlog", 2)...)
		}},
		{"not even a beginning", "lost mainlog, unreadable mainlog.1.gz", func(d *logDir) []string {
			d.remove("mainlog")
			d.append("mainlog.1.gz", "")
			return d.write("mainlog", 2)
		}},
		{"shortened by a crash", "changed mainlog", func(d *logDir) []string { return d.crash(1) }},
		{"shortened by a crash, and written to", "changed mainlog", func(d *logDir) []string { return d.crash(90) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			inTime(t, func(t *testing.T, d *logDir) {
				d.write("mainlog", 100)
				at := d.once(Options{}).at
				want := c.steps(d)
				got := d.once(Options{From: at})
				if c.what == "broken" { // so much of it as can be unpacked
					n := len(got.lines) - 2
					if n < 1000 { // the last block is broken
						t.Errorf("only %d lines", n)
					}
					want = append(want[:n:n], want[2000:]...)
				}
				expect(t, got, want, c.gaps)
				again := d.once(Options{From: got.at})
				expect(t, again, nil, "")
			})
		})
	}
}

// TestEveryByte writes a log byte by byte; for each, a reader is started that goes on
// where the last one was. The file is rotated in the midst of a line, too.
func TestEveryByte(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		text := "2026-11-22 06:25:01 1\n\n2 \r\n\x00\xff\n"
		for _, how := range []string{"none", "rename", "copytruncate"} {
			for cut := range len(text) {
				if how == "none" && cut > 0 {
					break
				}
				sub := newLogDir(t)
				var got result
				look := func() {
					next := sub.once(Options{From: got.at})
					got = result{append(got.lines, next.lines...), append(got.gaps, next.gaps...), next.at}
				}
				name := "mainlog"
				for i := range len(text) {
					if i == cut && i > 0 && how == "rename" {
						sub.rename("mainlog", "mainlog.1")
						look()
						name = "mainlog.1" // the line is written to its end
					}
					if i == cut && how == "copytruncate" && i > 0 && text[i-1] == '\n' {
						sub.copy("mainlog", "mainlog.1")
						look()
						sub.truncate("mainlog")
						look()
					}
					sub.append(name, text[i:i+1])
					look()
					if text[i] == '\n' {
						name = "mainlog"
					}
				}
				want := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
				gaps := ""
				if how == "copytruncate" && cut > 0 && text[cut-1] == '\n' {
					gaps = "emptied mainlog"
				}
				if expect(t, got, want, gaps); t.Failed() {
					t.Fatalf("%s at %d", how, cut)
				}
			}
		}
	})
}

func TestSince(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		d.write("mainlog.2", 3)
		d.gzip("mainlog.2")
		since := d.clock.Add(time.Millisecond)
		want := append(d.write("mainlog.1", 2), d.write("mainlog", 2)...)
		expect(t, d.once(Options{Since: since}), want, "")
		expect(t, d.once(Options{Since: d.clock.Add(time.Hour)}), want[2:], "")
	})
}

// TestLate: for late lines in a file that has been replaced, Linger counts from the last.
func TestLate(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		r := d.reader(Options{Linger: 90 * time.Second})
		want := d.write("mainlog", 2)
		expect(t, d.drain(r), want, "")
		d.rename("mainlog", "mainlog.1")
		want = d.write("mainlog", 2)
		expect(t, d.drain(r), want, "") // which takes a minute
		expect(t, d.drain(r), nil, "")
		if len(r.open) != 1 || len(r.Position().Marks) != 1 {
			t.Errorf("%d files are open; %+v", len(r.open), r.Position())
		}
		d.write("mainlog.1", 1)
		expect(t, d.drain(r), nil, "")
	})
}

// TestUnfinished: a last line without its end waits as long as there is hope.
func TestUnfinished(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		r := d.reader(Options{})
		want := d.write("mainlog", 2)
		d.append("mainlog", "half a line")
		expect(t, d.drain(r), want, "")
		d.rename("mainlog", "mainlog.1")
		want = d.write("mainlog", 2)
		expect(t, d.drain(r), want, "")
		got := d.drain(r)
		expect(t, got, nil, "unfinished mainlog")
	})
}

// TestBounds: batches keep to their bounds, long lines are cut, whatever the buffers are.
func TestBounds(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		const longest = 100
		var text strings.Builder
		var want []string
		for _, n := range []int{0, 1, 99, 100, 101, 102, 1000, 5, 100, 12345, 0, 20, 300, 7} {
			line := strings.Repeat("x", n)
			text.WriteString(line + "\n")
			if n > longest {
				line = line[:longest] + CutMark
			}
			want = append(want, line)
		}
		d.append("mainlog", text.String())
		d.append("packed.1", text.String())
		d.gzip("packed.1")
		for _, name := range []string{"mainlog", "packed"} {
			for _, size := range []int{1, 2, 3, 50, 99, 100, 101, 102, 200, 1 << 20} {
				for _, lines := range []int{1, 3, 100} {
					opt := Options{Path: d.path(name), Line: longest, Bytes: size, Lines: lines, Once: true}
					var got result
					for {
						r := d.reader(opt)
						b, err := r.Next(t.Context())
						if err == io.EOF {
							break
						}
						d.must(err)
						total, cut := 0, 0
						for _, l := range b.Lines {
							got.lines = append(got.lines, string(l))
							total += len(l)
							if strings.HasSuffix(string(l), CutMark) {
								cut++
							}
						}
						if len(b.Lines) > lines || len(b.Lines) > 1 && total > size || b.Cut != cut {
							t.Fatalf("%d lines with %d bytes, %d cut, want at most %d with %d", len(b.Lines), total, b.Cut, lines, size)
						}
						if !reflect.DeepEqual(b.Position, r.Position()) {
							t.Fatal("two positions")
						}
						opt.From = b.Position // every batch by a new reader
						d.must(r.Close())
					}
					if expect(t, got, want, ""); t.Failed() {
						t.Fatalf("%s by %d", name, size)
					}
				}
			}
		}
	})
}

// TestWaits: the absent log is waited for; the caller may give up at any time, and nothing
// is lost by that.
func TestWaits(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		r := d.reader(Options{Path: d.path("none/mainlog")})
		if _, err := r.Next(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		expect(t, d.drain(r), nil, "") // it is said only once
		if _, err := d.reader(Options{Once: true}).Next(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		d.must(os.Mkdir(d.path("none"), 0o700))
		go func() {
			time.Sleep(10 * time.Second)
			d.write("none/mainlog", 1)
		}()
		start := time.Now()
		b, err := r.Next(t.Context())
		if err != nil || len(b.Lines) != 1 || time.Since(start) > 11*time.Second {
			t.Fatal(b.Lines, err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		d.write("none/mainlog", 1)
		if _, err := r.Next(ctx); err != context.Canceled {
			t.Error(err)
		}
		if b, err := r.Next(t.Context()); err != nil || len(b.Lines) != 1 {
			t.Error(b.Lines, err)
		}
	})
}

// TestBackOff: an idle reader looks four times in the first second, and once in those after.
func TestBackOff(t *testing.T) {
	inTime(t, func(t *testing.T, d *logDir) {
		d.write("mainlog", 1)
		stats := 0
		r, err := open(Options{Path: d.path("mainlog")}, &spy{before: func(op, _ string) error {
			if op == "stat" {
				stats++
			}
			return nil
		}})
		d.must(err)
		defer r.Close()
		d.drain(r)
		if stats < 55 || stats > 75 {
			t.Errorf("%d times in a minute", stats)
		}
	})
}
