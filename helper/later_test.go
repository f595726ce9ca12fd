package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// TestStartAway: exipold starts while the store is away, by what it knew before, answers, and prepares
// the store when it is there.
func TestStartAway(t *testing.T) {
	b := newBenchBy(t, netBlocks)
	file := filepath.Join(b.dir, "known.json")
	o := b.options()
	o.Known, o.AgainEvery = file, 5*time.Millisecond
	start := func() (stop func()) {
		t.Helper()
		h, err := New(t.Context(), b.p, o)
		if err != nil {
			t.Fatal(err)
		}
		b.Helper = h
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.Run(ctx); close(done) }()
		return func() { cancel(); <-done }
	}
	b.store.back()
	stop := start()
	for range 4 {
		b.ask(b.rcpt("bob", true))
	}
	if _, err := b.store.Allow(t.Context(), engine.Allowance{Field: "auth", Pattern: "eve", Why: "x", Made: 1}); err != nil {
		t.Fatal(err)
	}
	if err := b.store.SwitchOff(t.Context(), engine.Switch{Policy: "limit.rate", Why: "x", Made: 1}); err != nil {
		t.Fatal(err)
	}
	b.refresh(t.Context())
	stop()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("the copy: %v, %v", info, err)
	}

	b.store.away(longAway())
	var prepared atomic.Int64
	o.Prepare = func(context.Context, *plan.Plan) error {
		if err := b.store.reads.Load(); err != nil {
			return *err
		}
		prepared.Add(1)
		return nil
	}
	b.pass(90 * time.Second)
	next := netBlocks(b.dir)
	next.Timeout = plan.Duration(4 * time.Second)
	if err := next.Seal(); err != nil {
		t.Fatal(err)
	}
	b.p = next // the other is remembered
	stop = start()
	b.want(b.ask(b.rcpt("bob", false)), plan.Freeze)
	b.want(b.ask(b.rcpt("eve", false)), wire.Away)
	if s := b.Status(); len(s.Plans) != 2 || time.UnixMilli(b.now.Load()).Sub(s.KnownAsOf) != 90*time.Second {
		t.Errorf("status %+v", s)
	}
	if log := b.log.String(); !strings.Contains(log, "age=1m30s blocks=1 allowed=1 off=1") || strings.Count(log, "cannot be prepared for it yet") != 1 {
		t.Errorf("%s", log)
	}
	b.store.back()
	waitFor(t, func() bool { return prepared.Load() == 2 && b.Status().KnownAsOf.IsZero() })
	b.want(b.ask(b.rcpt("bob", true)), plan.Freeze)
	stop()

	// It does not hold that it had ended meanwhile, nor for another store.
	b.store.away(longAway())
	elsewhere := netBlocks(b.dir)
	elsewhere.Store.Path += "2"
	if err := elsewhere.Seal(); err != nil {
		t.Fatal(err)
	}
	b.p, o.Plans = elsewhere, ""
	stop = start()
	b.want(b.ask(b.rcpt("bob", true)), wire.Failed)
	stop()
	if !strings.Contains(b.log.String(), "of another store than") {
		t.Errorf("%s", b.log)
	}
}

// TestStartRefused: a store that the plan does not fit, or that refuses exipold, refuses the plan, also where it
// is elsewhere; and one that says so only when it is back is heard, once.
func TestStartRefused(t *testing.T) {
	b := newBench(t)
	o := b.options()
	var fault atomic.Pointer[error]
	say := func(err error) { err = fmt.Errorf("store x: %w", err); fault.Store(&err) }
	var tries atomic.Int64
	o.Prepare = func(context.Context, *plan.Plan) error { tries.Add(1); return *fault.Load() }
	o.AgainEvery = time.Millisecond
	b.store.back()
	for _, err := range []error{store.ErrForeign, store.ErrNewer, store.ErrRefused, store.ErrMissing} {
		say(err)
		if _, got := New(t.Context(), b.p, o); !errors.Is(got, err) {
			t.Errorf("%v is %v", err, got)
		}
	}
	say(store.ErrAway)
	h, err := New(t.Context(), b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	say(store.ErrForeign)
	n := tries.Load()
	waitFor(t, func() bool { return tries.Load() > n+3 })
	cancel()
	<-done
	if n := strings.Count(b.log.String(), "cannot be prepared for a plan that is in use"); n != 1 {
		t.Errorf("said %d times:\n%s", n, b.log)
	}
}

// TestHangingStart: a database that takes a connection and says nothing keeps nobody from being
// answered for long.
func TestHangingStart(t *testing.T) {
	b := newBench(t)
	b.store.back()
	o := b.options()
	o.Prepare = func(ctx context.Context, _ *plan.Plan) error { <-ctx.Done(); return ctx.Err() }
	h, err := New(t.Context(), b.p, o)
	if err != nil || !h.unprepared() {
		t.Errorf("%v", err)
	}
}

// TestReloadAway: a new plan is taken while the store is away.
func TestReloadAway(t *testing.T) {
	b := newBench(t)
	b.store.back()
	o := b.options()
	o.Prepare = func(context.Context, *plan.Plan) error {
		if err := b.store.reads.Load(); err != nil {
			return *err
		}
		return nil
	}
	h, err := New(t.Context(), b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	b.store.away(longAway())
	next := b.vary(time.Second)
	if err := h.Take(t.Context(), next); err != nil || h.Plan().ID != next.ID || !h.unprepared() {
		t.Errorf("%v", err)
	}
	b.store.back()
	h.prepareRest(t.Context())
	if h.unprepared() {
		t.Error("it is not prepared")
	}
}
