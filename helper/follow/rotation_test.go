package follow

import (
	"os"
	"slices"
	"testing"
	"time"
)

// step is what a test does to a directory; it returns the lines that it has written.
type step func(d *logDir) []string

func write(name string, n int) step { return func(d *logDir) []string { return d.write(name, n) } }

func do(f func(d *logDir)) step { return func(d *logDir) []string { f(d); return nil } }

var nothing = do(func(*logDir) {})

// debian is a run of logrotate with delaycompress and nocreate, with n old files there.
func debian(n int) step {
	return do(func(d *logDir) {
		for i := n; i > 1; i-- {
			d.rename("mainlog."+string(rune('0'+i))+".gz", "mainlog."+string(rune('1'+i))+".gz")
		}
		if n > 0 {
			d.gzip("mainlog.1")
			d.rename("mainlog.1.gz", "mainlog.2.gz")
		}
		d.rename("mainlog", "mainlog.1")
	})
}

// rotations are what happens to logs. In all of them, every line is read once.
var rotations = []struct {
	what  string
	path  string
	old   string
	gaps  string // that are reported when the reader is there all the time
	later string // and when it is there only now and then
	steps []step
}{
	{"nothing happens", "", "", "", "", []step{write("mainlog", 3), nothing, write("mainlog", 2)}},
	{"rename, and no new file for a while", "", "", "", "", []step{write("mainlog", 3), debian(0), nothing, write("mainlog", 2)}},
	{"rename, and the writer is late", "", "", "", "", []step{write("mainlog", 3), debian(0), write("mainlog.1", 2), write("mainlog", 2), write("mainlog.1", 1), write("mainlog", 1)}},
	{"rename again and again", "", "", "", "", []step{write("mainlog", 3), debian(0), write("mainlog", 2), debian(1), write("mainlog", 2), debian(2), write("mainlog", 2), debian(3), nothing, write("mainlog", 1)}},
	{"rename of an empty file", "", "", "", "", []step{write("mainlog", 3), debian(0), do(func(d *logDir) { d.append("mainlog", "") }), debian(1), write("mainlog", 2)}},
	{"compressed at once", "", "", "", "", []step{write("mainlog", 3), do(func(d *logDir) { d.rename("mainlog", "mainlog.1"); d.gzip("mainlog.1") }), write("mainlog", 2)}},
	{"compressed while it stands there", "", "", "", "", []step{write("mainlog", 3), debian(0), write("mainlog", 2), do(func(d *logDir) { d.compress("mainlog.1") }), write("mainlog", 2), do(func(d *logDir) { d.remove("mainlog.1") }), write("mainlog", 1)}},
	{"copytruncate", "", "", "emptied mainlog", "emptied mainlog", []step{write("mainlog", 3), do(func(d *logDir) { d.copy("mainlog", "mainlog.1") }), nothing, do(func(d *logDir) { d.truncate("mainlog") }), nothing, write("mainlog", 2)}},
	{"copytruncate, filled again at once", "", "", "emptied mainlog", "emptied mainlog", []step{write("mainlog", 3), func(d *logDir) []string {
		d.copy("mainlog", "mainlog.1")
		d.truncate("mainlog")
		return d.write("mainlog", 20)
	}, write("mainlog", 2)}},
	{"copytruncate, copy compressed", "", "", "emptied mainlog", "", []step{write("mainlog", 3), func(d *logDir) []string {
		lines := d.write("mainlog", 2)
		d.copy("mainlog", "mainlog.1")
		d.truncate("mainlog")
		d.gzip("mainlog.1")
		return lines
	}, write("mainlog", 2)}},
	{"Exim's own dates", "mainlog-%D", "", "", "", []step{write("mainlog-20261122", 3), write("mainlog-20261123", 2), write("mainlog-20261122", 1), do(func(d *logDir) { d.gzip("mainlog-20261122") }), write("mainlog-20261124", 2), write("mainlog-20270101", 2)}},
	{"the rotator's dates", "", "", "", "", []step{write("mainlog", 3), do(func(d *logDir) { d.rename("mainlog", "mainlog-20261122") }), write("mainlog", 2), do(func(d *logDir) { d.gzip("mainlog-20261122"); d.rename("mainlog", "mainlog-20261123") }), nothing, write("mainlog", 2)}},
	{"kept elsewhere", "", "old/mainlog*", "", "", []step{write("mainlog", 3), do(func(d *logDir) { d.must(os.Mkdir(d.path("old"), 0o700)); d.rename("mainlog", "old/mainlog.1") }), write("old/mainlog.1", 1), write("mainlog", 2)}},
	{"kept under another name", "", "archive-*", "", "", []step{write("mainlog", 3), do(func(d *logDir) { d.rename("mainlog", "archive-one"); d.gzip("archive-one") }), write("mainlog", 2), do(func(d *logDir) { d.rename("mainlog", "archive-eno") }), write("mainlog", 2)}},
	{"restored: all numbers are other ones", "", "", "", "", []step{write("mainlog", 3), debian(0), write("mainlog", 2), do(func(d *logDir) {
		for _, name := range []string{"mainlog", "mainlog.1"} {
			info, err := os.Stat(d.path(name))
			d.must(err)
			d.copy(name, name+".tmp")
			d.rename(name+".tmp", name)
			d.must(os.Chtimes(d.path(name), info.ModTime(), info.ModTime()))
		}
	}), write("mainlog", 2)}},
}

// TestRotations goes through every rotation with a reader that looks after every step, with
// one that is started anew for every step, and with one that is there only for some.
func TestRotations(t *testing.T) {
	for _, c := range rotations {
		run := func(t *testing.T, d *logDir, read func(Options) result, looks func(i int) bool, gaps string) {
			opt := Options{}
			if c.path != "" {
				opt.Path = d.path(c.path)
			}
			if c.old != "" {
				opt.Old = []string{d.path(c.old)}
			}
			var want []string
			var all result
			for i, s := range c.steps {
				want = append(want, s(d)...)
				if looks(i) || i == len(c.steps)-1 {
					got := read(opt)
					all.lines, all.gaps, opt.From = append(all.lines, got.lines...), append(all.gaps, got.gaps...), got.at
				}
			}
			slices.Sort(all.lines) // late lines come out of order
			slices.Sort(want)
			expect(t, all, want, gaps)
		}
		t.Run(c.what+"/there", func(t *testing.T) {
			inTime(t, func(t *testing.T, d *logDir) {
				var r *Reader
				run(t, d, func(opt Options) result {
					if r == nil {
						opt.Linger = time.Hour
						r = d.reader(opt)
					}
					return d.drain(r)
				}, func(int) bool { return true }, c.gaps)
			})
		})
		t.Run(c.what+"/started for each", func(t *testing.T) {
			inTime(t, func(t *testing.T, d *logDir) {
				run(t, d, d.once, func(int) bool { return true }, c.later)
			})
		})
		for away := 1; away < len(c.steps); away++ {
			t.Run(c.what+"/away", func(t *testing.T) {
				inTime(t, func(t *testing.T, d *logDir) {
					run(t, d, d.once, func(i int) bool { return i < 1 || i > away }, c.later)
				})
			})
		}
		t.Run(c.what+"/late", func(t *testing.T) { // never there before the end
			inTime(t, func(t *testing.T, d *logDir) {
				run(t, d, d.once, func(int) bool { return false }, "")
			})
		})
	}
}
