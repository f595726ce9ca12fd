package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rotator is one of the ways in which sites rotate their logs.
type rotator struct {
	name   string
	rotate func(w *world, n int)
}

var rotators = []rotator{
	{"rename", func(w *world, _ int) {
		w.shift()
		w.must(os.Rename(w.path("mainlog"), w.path("mainlog.1")))
	}},
	{"compress", func(w *world, _ int) {
		w.shift()
		if _, err := os.Stat(w.path("mainlog.2")); err == nil {
			w.must(gzipFile(w.path("mainlog.2")))
		}
		w.must(os.Rename(w.path("mainlog"), w.path("mainlog.1")))
	}},
	{"dated", func(w *world, n int) {
		w.must(os.Rename(w.path("mainlog"), w.path(fmt.Sprintf("mainlog-2026%04d", n))))
	}},
	{"copytruncate", func(w *world, _ int) {
		w.shift()
		b, err := os.ReadFile(w.path("mainlog"))
		w.must(err)
		w.must(os.WriteFile(w.path("mainlog.1"), b, 0o600))
		w.must(os.Truncate(w.path("mainlog"), 0))
	}},
}

// shift makes room for mainlog.1.
func (w *world) shift() {
	for n := 40; n >= 1; n-- {
		for _, ext := range []string{"", ".gz"} {
			err := os.Rename(w.path(fmt.Sprintf("mainlog.%d%s", n, ext)), w.path(fmt.Sprintf("mainlog.%d%s", n+1, ext)))
			if !errors.Is(err, os.ErrNotExist) {
				w.must(err)
			}
		}
	}
}

var errAway = errors.New("the store is away")

// TestAnything lets happen what may, in any order: lines come in pieces, files are rotated, the process is killed
// at any step of a transaction, what it kept included, the store is away, all is read again; and each event counts once.
func TestAnything(t *testing.T) {
	for seed := range uint64(8) {
		how := rotators[seed%uint64(len(rotators))]
		t.Run(fmt.Sprintf("%s/%d", how.name, seed), func(t *testing.T) {
			t.Parallel()
			anything(t, seed, how)
		})
	}
}

func anything(t *testing.T, seed uint64, how rotator) {
	w := newWorld(t, seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	said := &lines{}
	w.o.Log = said.logger()
	defer func() {
		if t.Failed() {
			t.Log(said)
		}
	}()
	kill := func() {}
	faults := 0
	steps, once := 0, 0
	w.ledger.fault = func(string) error {
		if steps++; steps != once {
			return nil
		}
		faults++
		kill()
		return errAway
	}
	w.seconds(60)
	w.flushAll() // more than the first KiB, by which copies are known
	w.must(w.once(t.Context()))
	for n := range 60 {
		w.seconds(rnd.IntN(40))
		w.flush(rnd.IntN(len(w.rest) + 1))
		switch rnd.IntN(6) {
		case 0:
			w.flushAll()
			how.rotate(w, n)
			if rnd.IntN(2) == 0 { // at once, or only with its first line
				w.seconds(1)
				w.flushAll()
			}
		case 1: // all again, with no place known
			if how.name != "copytruncate" || n%2 == 0 {
				clear(w.ledger.places)
			}
		}
		if rnd.IntN(3) > 0 {
			steps, once = 0, 1+rnd.IntN(1+rnd.IntN(6000))
			ctx, cancel := context.WithCancel(t.Context())
			kill = cancel
			err := w.once(ctx)
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errAway) {
				t.Fatal(err)
			}
			once = 0
		}
	}
	w.flushAll()
	w.must(w.once(t.Context()))
	w.check("at the end")
	if faults < 5 {
		t.Errorf("only %d faults", faults)
	}
	if w.ledger.most > mostKept+segmentLines {
		t.Errorf("%d happenings in one transaction", w.ledger.most)
	}
}

// TestMeanwhile does the same while the follower runs: Exim writes, the log is rotated, the store is away for a while now and then,
// and the process is killed and begins again.
func TestMeanwhile(t *testing.T) {
	for i, how := range rotators {
		if how.name == "copytruncate" {
			continue // what is written between the copy and the truncation is lost to everybody
		}
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, uint64(i)+100)
			var away atomic.Bool
			w.ledger.fault = func(string) error {
				if away.Load() {
					return errAway
				}
				return nil
			}
			var wg sync.WaitGroup
			stop := func() {}
			start := func() {
				ctx, cancel := context.WithCancel(t.Context())
				stop = cancel
				watcher := New(w.o)
				wg.Go(func() { _ = watcher.Run(ctx) })
			}
			defer func() { stop(); wg.Wait() }()
			rnd := rand.New(rand.NewPCG(uint64(i), 3))
			start()
			for n := range 60 {
				w.seconds(rnd.IntN(60))
				w.flush(rnd.IntN(len(w.rest) + 1))
				switch rnd.IntN(5) {
				case 0:
					w.flushAll()
					how.rotate(w, n)
				case 1:
					away.Store(!away.Load())
				case 2:
					stop()
					wg.Wait()
					start()
				}
				time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
			}
			away.Store(false)
			w.flushAll()
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && !equal(w); time.Sleep(50 * time.Millisecond) {
			}
			w.check("at the end")
		})
	}
}

func equal(w *world) bool {
	n, want := 0, 0
	for _, k := range w.ledger.counted() {
		n += k
	}
	for _, k := range w.log.Truth().Events {
		want += k
	}
	return n >= want
}

// TestAway: a store that is away for long is waited for, and said once.
func TestAway(t *testing.T) {
	w := newWorld(t, 3)
	w.seconds(100)
	w.flushAll()
	said := &lines{}
	w.o.Log = said.logger()
	var away atomic.Bool
	away.Store(true)
	tries := 0
	w.ledger.fault = func(step string) error {
		if step == "places" || !away.Load() {
			return nil
		}
		if tries++; tries == 3 {
			away.Store(false)
		}
		return errAway
	}
	w.must(w.once(t.Context()))
	w.check("")
	if got := said.count("not followed for now"); got != 1 {
		t.Errorf("said %d times:\n%s", got, said)
	}
	if got := said.count("followed again"); got != 1 {
		t.Errorf("said %d times that it is well:\n%s", got, said)
	}
}

// TestGone: a log that is not there is an error for who reads once, and waited for else.
func TestGone(t *testing.T) {
	w := newWorld(t, 4)
	if err := w.once(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watcher := New(w.o)
	done := make(chan error, 1)
	go func() { done <- watcher.Run(ctx) }()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s := watcher.Status(); len(s) == 1 && s[0].Trouble != "" {
			break
		}
	}
	w.seconds(100)
	w.flushAll()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && !equal(w); time.Sleep(10 * time.Millisecond) {
	}
	w.check("once it is there")
	if s := watcher.Status(); len(s) != 1 || s[0].Trouble != "" || s[0].Lines != w.log.Truth().Lines || s[0].Counted == 0 {
		t.Errorf("status: %+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
