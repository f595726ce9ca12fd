package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

// bench is a helper on a real store, with a clock that the test moves.
type bench struct {
	*Helper
	t     *testing.T
	p     *plan.Plan
	dir   string
	now   atomic.Int64 // Unix milliseconds
	store *faulty
	log   *lockedBuffer
	nonce int

	outside func([]string) Outside
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// faulty is a store that can be made to fail and to wait, and to be a server that is elsewhere.
type faulty struct {
	*sqlite.Store
	reads, writes atomic.Pointer[error]
	health        atomic.Pointer[store.Health]  // nil: that of the real one
	looks         atomic.Int64                  // how often it was read for an answer
	gate          atomic.Pointer[chan struct{}] // updates wait for it
	updates       atomic.Int64
	lost          atomic.Pointer[sync.WaitGroup] // the outcome of updates is never told
}

func (f *faulty) Health() store.Health {
	if h := f.health.Load(); h != nil {
		return *h
	}
	return f.Store.Health()
}

// away makes it a server that is away since then, or not away; nil errors are no errors.
func (f *faulty) away(since time.Time) {
	err := fmt.Errorf("store exipol at db1:3306: %w: connection refused", store.ErrAway)
	f.reads.Store(&err)
	f.writes.Store(&err)
	f.health.Store(&store.Health{Kind: plan.MySQL, Away: err.Error(), Since: since})
}

func (f *faulty) back() {
	f.reads.Store(nil)
	f.writes.Store(nil)
	f.health.Store(&store.Health{Kind: plan.MySQL, Host: "db1:3306", Since: time.Now()})
}

func (f *faulty) Glance(g func(engine.State) error) error {
	if f.reads.Load() != nil {
		return store.ErrAway
	}
	return f.Store.Glance(g)
}

func (f *faulty) SeeGateway(ctx context.Context, g store.Gateway) error {
	if err := f.writes.Load(); err != nil {
		return *err
	}
	return f.Store.SeeGateway(ctx, g)
}

func (f *faulty) View(ctx context.Context, g func(engine.State) error) error {
	f.looks.Add(1)
	if err := f.reads.Load(); err != nil {
		return *err
	}
	return f.Store.View(ctx, g)
}

func (f *faulty) Runtime(ctx context.Context, now int64) (engine.Runtime, error) {
	if err := f.reads.Load(); err != nil {
		return engine.Runtime{}, *err
	}
	return f.Store.Runtime(ctx, now)
}

func (f *faulty) Update(ctx context.Context, g func(engine.State) ([]engine.Write, error)) error {
	f.updates.Add(1)
	if gate := f.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := f.writes.Load(); err != nil {
		return *err
	}
	if lost := f.lost.Load(); lost != nil {
		lost.Go(func() { _ = f.Store.Update(context.Background(), g) })
		return store.ErrUnknown
	}
	return f.Store.Update(ctx, g)
}

func newBench(t *testing.T) *bench { return newBenchBy(t, testplan.New) }
func newBenchBy(t *testing.T, make func(dir string) *plan.Plan) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	b.p = make(b.dir)
	b.now.Store(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	s, err := sqlite.Open(t.Context(), b.p.Store.Path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Migrate(t.Context(), b.p.Tables); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b.store = &faulty{Store: s}
	b.restart()
	return b
}

// restart makes the helper anew, on the same files.
func (b *bench) restart() {
	b.t.Helper()
	h, err := New(b.t.Context(), b.p, b.options())
	if err != nil {
		b.t.Fatal(err)
	}
	b.Helper = h
}

func (b *bench) options() Options {
	return Options{
		Store: b.store, Plans: filepath.Join(b.dir, "plans"), Pools: filepath.Join(b.dir, "pools.json"), Outside: b.outside,
		Clock: func() time.Time { return time.UnixMilli(b.now.Load()) },
		Log:   slog.New(slog.NewTextHandler(b.log, nil)),
	}
}

func (b *bench) pass(d time.Duration) { b.now.Add(d.Milliseconds()) }

// question is a new one.
func (b *bench) question(stage, half, event string) wire.Question {
	b.nonce++
	return wire.Question{
		Plan: b.p.ID, Stage: stage, Half: half, Traffic: plan.Inbound, Events: []string{event}, Nonce: fmt.Sprintf("1.%d", b.nonce),
		Client: netip.MustParseAddr("192.0.2.1"), Helo: "h", Sender: "a@b.example", Recipient: "c@d.example",
	}
}

func (b *bench) ask(q wire.Question) wire.Answer {
	b.t.Helper()
	text := string(b.Answer(context.Background(), []byte(q.String())))
	a, err := wire.ParseAnswer(text)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func (b *bench) grey() wire.Answer {
	b.t.Helper()
	return b.ask(b.question(plan.Rcpt, plan.After, plan.Recipient))
}

func (b *bench) unknown() wire.Answer {
	b.t.Helper()
	return b.ask(b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient))
}

func (b *bench) old(line string) string {
	b.t.Helper()
	return string(b.Answer(context.Background(), []byte(line)))
}

func (b *bench) want(got wire.Answer, verdict string) {
	b.t.Helper()
	if got.Verdict != verdict {
		b.t.Fatalf("verdict %q, want %q", got.Verdict, verdict)
	}
}

func TestGreylistOverTime(t *testing.T) {
	b := newBench(t)
	b.want(b.grey(), plan.Defer)
	b.pass(time.Minute)
	b.want(b.grey(), plan.Defer)
	b.pass(5 * time.Minute)
	b.want(b.grey(), plan.Accept)
	b.pass(24 * time.Hour)
	before := b.store.updates.Load()
	b.pass(time.Minute) // after a pass, what is known changes nothing for a while
	b.grey()
	b.grey()
	if n := b.store.updates.Load() - before; n > 1 {
		t.Errorf("%d updates for a known key", n)
	}
}

// What a restarted helper finds is what the last one has answered.
func TestRestart(t *testing.T) {
	b := newBench(t)
	b.want(b.grey(), plan.Defer)
	b.restart()
	b.pass(6 * time.Minute)
	b.want(b.grey(), plan.Accept)
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to be")
		}
	}
}

// A failing store: failed answers where something is to be written, the others as
// ever; one line in the log; and all is well when the store is.
func TestFailingStore(t *testing.T) {
	b := newBench(t)
	b.want(b.grey(), plan.Defer)
	full := errors.New("no room left")
	b.store.writes.Store(&full)
	for range 5 {
		b.want(b.unknown(), wire.Failed)
		b.want(b.grey(), plan.Defer) // known: nothing to write
		if got := b.old("TARLIST 192.0.2.9"); got != "0" {
			t.Errorf("TARLIST: %s", got)
		}
		if got := b.old("--grey 192.0.2.9 x@y.example z@y.example"); got != "false" {
			t.Errorf("--grey: %s", got)
		}
		b.refresh(t.Context()) // reading works, which proves nothing about writing
	}
	if n := strings.Count(b.log.String(), "the store fails"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, b.log)
	}
	if b.Status().Trouble != "no room left" {
		t.Errorf("trouble %q", b.Status().Trouble)
	}
	b.store.writes.Store(nil)
	b.want(b.unknown(), plan.Accept)
	if n := strings.Count(b.log.String(), "the store is well again"); n != 1 || b.Status().Trouble != "" {
		t.Errorf("logged %d times:\n%s", n, b.log)
	}
	b.store.reads.Store(&full)
	b.store.writes.Store(&full)
	b.want(b.grey(), wire.Failed)
	b.store.reads.Store(nil)
	b.store.writes.Store(nil)
	b.want(b.grey(), plan.Defer)
	if n := b.unknown().Verdict; n != plan.Accept {
		t.Error(n)
	}
	waitFor(t, func() bool { return b.Status().Trouble == "" })
}

// What is said at run time is in force at the next look.
func TestRuntime(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := b.options()
	o.RuntimeEvery = 5 * time.Millisecond
	h, err := New(ctx, b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	b.Helper = h
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	b.want(b.grey(), plan.Defer)
	id, err := b.store.Allow(ctx, engine.Allowance{Field: "client", Pattern: "192.0.2.0/24", Why: "x", Made: 1})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.grey().Verdict == plan.Accept })
	if _, err := b.store.Disallow(ctx, id); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.grey().Verdict == plan.Defer })
	if err := b.store.SwitchOff(ctx, engine.Switch{Policy: "greylist.inbound", Why: "x", Made: 1}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.grey().Verdict == plan.Accept })
	cancel()
	<-done
}

func TestCleanup(t *testing.T) {
	b := newBench(t)
	var rows []engine.Write
	for i := range 1200 {
		rows = append(rows, engine.PutSeen{Policy: "greylist.inbound", Key: fmt.Sprint(i), Row: engine.SeenRow{First: 1, Expires: b.now.Load()}})
	}
	if err := b.store.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return rows, nil }); err != nil {
		t.Fatal(err)
	}
	b.want(b.grey(), plan.Defer)
	b.pass(time.Hour) // the one that was just seen stays
	n, err := Cleanup(t.Context(), b.store, time.UnixMilli(b.now.Load()))
	if err != nil || n != 1200 {
		t.Errorf("%d rows removed, %v", n, err)
	}
}
