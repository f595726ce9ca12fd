package watch

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/follow"
	"exipol/internal/busylog"
)

const gateway = "mx1.example.net"

// testPlan counts all that a log tells.
func testPlan() *plan.Plan {
	limit := func(name, event, traffic string) plan.Limit {
		return plan.Limit{Name: name, Traffic: traffic, Events: []plan.WeightedEvent{{Event: event, Weight: 1}}, Windows: []plan.Duration{plan.Duration(day)}}
	}
	return &plan.Plan{
		Source: plan.FromLog, Domains: []string{"+local_domains", busylog.Domain}, RelayHosts: []string{busylog.Relays},
		Limits: []plan.Limit{
			limit("bounce", plan.Bounce, ""), limit("rejected", plan.RejectedRecipient, ""),
			limit("login", plan.Login, plan.Submission), limit("crack", plan.AuthFailure, plan.Inbound),
		},
	}
}

// world is a directory with a log that a busy Exim writes, and a ledger.
type world struct {
	t      testing.TB
	dir    string
	log    *busylog.Log
	ledger *ledger
	plan   *plan.Plan
	rest   []byte // written by Exim, and not on disk yet
	o      Options
}

func newWorld(t testing.TB, seed uint64) *world {
	start := time.Now().UTC().Add(-3 * time.Hour).Truncate(time.Second)
	w := &world{t: t, dir: t.TempDir(), ledger: newLedger(), plan: testPlan(),
		log: busylog.New(busylog.Options{Seed: seed, Start: start, PerSecond: 5, Users: 300, Long: seed%2 == 1, Spaced: seed%3 == 1})}
	w.o = Options{
		Gateway: gateway, Plan: func() *plan.Plan { return w.plan }, Counter: w.ledger, Places: w.ledger, Logs: []string{w.path("mainlog")},
		Follow: follow.Options{Poll: time.Millisecond, PollMost: 5 * time.Millisecond, Patience: 30 * time.Millisecond, Linger: 20 * time.Millisecond},
		Log:    slog.New(slog.DiscardHandler),
	}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// seconds lets some time pass for Exim.
func (w *world) seconds(n int) {
	for range n {
		w.rest = append(w.rest, w.log.Second()...)
	}
}

// flush brings so many bytes of what Exim wrote to disk.
func (w *world) flush(n int) {
	w.t.Helper()
	f, err := os.OpenFile(w.path("mainlog"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	w.must(err)
	_, err = f.Write(w.rest[:n])
	w.must(err)
	w.must(f.Close())
	w.rest = append(w.rest[:0], w.rest[n:]...)
}

func (w *world) flushAll() { w.flush(len(w.rest)) }

// once follows to the end.
func (w *world) once(ctx context.Context) error {
	o := w.o
	o.Once = true
	return New(o).Run(ctx)
}

// check compares what was counted with what happened.
func (w *world) check(when string) {
	w.t.Helper()
	compare(w.t, when, w.ledger.counted(), w.log.Truth().Events)
}

func compare(t testing.TB, when string, got, want map[busylog.Event]int) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	bad := 0
	all := maps.Clone(want)
	maps.Copy(all, got)
	for e := range all {
		if got[e] != want[e] {
			if bad++; bad <= 5 {
				t.Errorf("%s: %+v: %d times, want %d", when, e, got[e], want[e])
			}
		}
	}
	t.Fatalf("%s: %d kinds of events of %d are wrong", when, bad, len(want))
}

func gzipFile(from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(from+".tmp", out.Bytes(), 0o600); err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.Chtimes(from+".tmp", info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	if err := os.Rename(from+".tmp", from+".gz"); err != nil {
		return err
	}
	return os.Remove(from)
}

// TestTruth: tens of thousands of lines, with everything in them that wants to be another, and each event
// is counted once for the right owner; also when all is read again, and by one who knows no place.
func TestTruth(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			w.seconds(2000)
			w.flushAll()
			w.must(w.once(t.Context()))
			w.check("at first")
			truth := w.log.Truth()
			for _, e := range []string{plan.Bounce, plan.Login, plan.AuthFailure, plan.RejectedRecipient} {
				if truth.Count(e) < 100 {
					t.Errorf("only %d of %s in this log", truth.Count(e), e)
				}
			}
			if n := int(truth.Lines); n < 40000 {
				t.Errorf("only %d lines", n)
			}
			clear(w.ledger.places)
			w.must(w.once(t.Context()))
			w.check("read twice")
			w.seconds(500)
			w.flushAll()
			w.must(w.once(t.Context()))
			w.check("later")
		})
	}
}

// TestFewWrites: catching up stores no message that came and went.
func TestFewWrites(t *testing.T) {
	w := newWorld(t, 1)
	w.seconds(3000)
	w.flushAll()
	w.must(w.once(t.Context()))
	w.check("")
	if came := int(w.log.Truth().Arrivals); w.ledger.puts > came/10 {
		t.Errorf("%d of %d arrivals were stored", w.ledger.puts, came)
	}
	if w.ledger.most > mostKept+segmentLines {
		t.Errorf("%d happenings in one transaction", w.ledger.most)
	}
}

// size is how long the log is.
func (w *world) size() int64 {
	info, err := os.Stat(w.path("mainlog"))
	w.must(err)
	return info.Size()
}

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.all.Bytes(), []byte(text))
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
