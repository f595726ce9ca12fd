// Bench measures exipold from end to end, beside what it is compared with: a loop in
// C that does nothing but accept and answer, a plain Go echo server, and Debian's
// greylistd; and a real Exim with policies beside the same Exim without. All of it in
// one run, in rounds in which everybody has a turn, so that what is compared met the
// same machine: a ratio is formed within a round, and the median of the rounds is
// shown with the smallest and the largest.
//
//	go run ./internal/bench              about three minutes
//	go run ./internal/bench -rounds 15   longer, and steadier
//	go run ./internal/bench -only lists  what lists and pools cost that are long
//	go run ./internal/bench -only log    how fast a main log is followed
//	go run ./internal/bench -only day    what greylisting keeps out, and who waits for it
//	go run ./internal/bench -only database   lookups on MariaDB, and beside a clean-up of a million rows
//
// Nothing is measured that is not checked: each answer must be the right one. The
// program fails where something does not work, never for being slow.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds     int
	slice      time.Duration
	eximRounds int
	eximSlice  time.Duration
	keys       int
	fill       time.Duration
	peerKeys   int
	only       string
	seed       uint64
	daySize    float64
	logSize    int
	logRounds  int
	exipold    string
}

// bench is one run.
type bench struct {
	o        options
	dir      string
	exe      string // this program
	cleanups []func()
	failed   bool
	left     []string // what was left out, and why
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "go-echo" {
		fmt.Fprintln(os.Stderr, "go-echo:", serveEcho(os.Args[2]))
		os.Exit(1)
	}
	if len(os.Args) > 2 {
		var err error
		switch {
		case os.Args[1] == "count-log":
			err = countLog(os.Args[2])
		case os.Args[1] == "write-log" && len(os.Args) == 6:
			err = writeLog(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
		default:
			err = flag.ErrHelp
		}
		if err == nil {
			return
		}
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
	}
	b := &bench{}
	flag.IntVar(&b.o.rounds, "rounds", 5, "rounds of questions on the socket")
	flag.DurationVar(&b.o.slice, "slice", 400*time.Millisecond, "how long each load of a round lasts")
	flag.IntVar(&b.o.eximRounds, "exim-rounds", 4, "rounds of sessions with Exim")
	flag.DurationVar(&b.o.eximSlice, "exim-slice", 700*time.Millisecond, "how long each of them lasts")
	flag.IntVar(&b.o.keys, "keys", 1000000, "new keys to fill exipold with, for its memory")
	flag.DurationVar(&b.o.fill, "fill", 30*time.Second, "how long to fill a server over its socket; exipold gets the rest from another process")
	flag.IntVar(&b.o.peerKeys, "greylistd-keys", 250000, "the most to fill greylistd with; its memory is extrapolated to -keys")
	flag.StringVar(&b.o.only, "only", "socket,memory,exim", "the parts to run; there are also lists, long ones, log, a main log, day, a day of mail replayed to greylisters, and database, a store of kind mysql")
	flag.Uint64Var(&b.o.seed, "seed", 1, "which day of mail")
	flag.Float64Var(&b.o.daySize, "day-size", 1, "how much mail it has")
	flag.IntVar(&b.o.logSize, "log-size", 1024, "MiB of main log")
	flag.IntVar(&b.o.logRounds, "log-rounds", 5, "rounds of reading it")
	flag.StringVar(&b.o.exipold, "exipold", "", "an exipold to measure, in place of one built from this tree")
	flag.Parse()
	os.Exit(b.main())
}

func (b *bench) main() (code int) {
	defer func() {
		if r := recover(); r != nil && r != errGaveUp {
			panic(r)
		}
		for _, f := range slices.Backward(b.cleanups) {
			f()
		}
		if b.failed {
			code = 1
		}
	}()
	b.run()
	return 0
}

func (b *bench) run() {
	// Each client is a thread that waits in system calls; none should wait for
	// another's processor, nor for a collection.
	runtime.GOMAXPROCS(mostClients + 8)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30)
	var err error
	if b.exe, err = os.Executable(); err != nil {
		b.Fatalf("find this program: %v", err)
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		b.Fatalf("make a folder: %v", err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(b.dir) })
	// Exim's user has to get to the socket.
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // as above
		b.Fatalf("open the folder: %v", err)
	}
	started := time.Now()
	b.buildExipold()
	fmt.Printf("# exipol, measured\n\n%s\n", machine())
	for _, part := range []struct {
		name string
		run  func()
	}{{"socket", b.socket}, {"memory", b.memory}, {"exim", b.exim}, {"lists", b.lists}, {"log", b.log}, {"day", b.day}, {"database", b.database}} {
		if slices.Contains(strings.Split(b.o.only, ","), part.name) {
			b.logf("part %s", part.name)
			part.run()
			runtime.GC()
		}
	}
	for _, what := range b.left {
		fmt.Printf("\nLeft out: %s\n", what)
	}
	fmt.Printf("\n%d rounds of %s on the socket, %d of %s with Exim; %s in all; load average at the end %s.\n",
		b.o.rounds, b.o.slice, b.o.eximRounds, b.o.eximSlice, time.Since(started).Round(time.Second), loadAverage())
}

// leaveOut notes what cannot be measured here.
func (b *bench) leaveOut(format string, args ...any) {
	b.left = append(b.left, fmt.Sprintf(format, args...))
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// What follows makes a bench what a bed of eximtest needs of a test.

var errGaveUp = errors.New("gave up")

// Helper does nothing.
func (b *bench) Helper() {}

// Name is the program's.
func (b *bench) Name() string { return "bench" }

// Failed says whether anything went wrong.
func (b *bench) Failed() bool { return b.failed }

// Cleanup has f called at the end, the latest first.
func (b *bench) Cleanup(f func()) { b.cleanups = append(b.cleanups, f) }

// Logf says something on standard error.
func (b *bench) Logf(format string, args ...any) { b.logf(format, args...) }

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// Errorf notes a failure.
func (b *bench) Errorf(format string, args ...any) {
	b.failed = true
	b.logf(format, args...)
}

// Fatalf ends the run.
func (b *bench) Fatalf(format string, args ...any) {
	b.Errorf(format, args...)
	panic(errGaveUp)
}
