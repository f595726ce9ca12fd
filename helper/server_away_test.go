package helper

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/mysql"
	"exipol/internal/mysqltest"
)

// gateway is a helper at work on a real database server.
type gateway struct {
	*Helper
	b     *bench
	name  string
	store *mysql.Store
	stop  func()
}

// gatewayOn starts one.
func gatewayOn(b *bench, name string) *gateway {
	b.t.Helper()
	log := slog.New(slog.NewTextHandler(b.log, nil)).With("gateway", name)
	s, err := mysql.Open(b.t.Context(), mysql.Config{Store: b.p.Store, Gateway: name, Timeout: StoreTime(b.p), Log: log})
	if err != nil {
		b.t.Fatal(err)
	}
	// As serve does: a server that is there says so soon.
	first, cancel := context.WithTimeout(b.t.Context(), 2*time.Second)
	_ = s.Wait(first)
	cancel()
	h, err := New(b.t.Context(), b.p, Options{
		Store: s, Gateway: name, Log: log, Known: filepath.Join(b.dir, name+".json"), AgainEvery: 50 * time.Millisecond,
		Prepare: func(ctx context.Context, p *plan.Plan) error { _, err := s.Migrate(ctx, p.Tables); return err },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	g := &gateway{Helper: h, b: b, name: name, store: s}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	g.stop = sync.OnceFunc(func() { end(); <-done; _ = s.Close() })
	b.t.Cleanup(g.stop)
	return g
}

// put asks, and says how long that took.
func (g *gateway) put(q wire.Question) (wire.Answer, time.Duration) {
	g.b.t.Helper()
	begin := time.Now()
	a := g.b.at(g.Helper, q)
	return a, time.Since(begin)
}

// until waits for a verdict.
func (g *gateway) until(what string, ask func() wire.Question, verdict string) wire.Answer {
	g.b.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		a, _ := g.put(ask())
		if a.Verdict == verdict {
			return a
		}
		if time.Now().After(end) {
			g.b.t.Fatalf("%s at %s: %s, want %s; %+v", what, g.name, a, verdict, g.store.Health())
		}
	}
}

// TestServerAway: two gateways on a real server that is killed, started again, and hangs.
func TestServerAway(t *testing.T) {
	t.Parallel()
	db := mysqltest.Start(t)
	proxy := mysqltest.NewProxy(t, db.Addr())
	b := &bench{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	b.p = netBlocks(b.dir)
	b.p.Store, b.p.Timeout = db.Database(), plan.Duration(4*time.Second)
	b.p.Store.Hosts = []string{proxy.Addr()}
	if err := b.p.Seal(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("%s", b.log)
		}
	}()
	one, two := gatewayOn(b, "mx1"), gatewayOn(b, "mx2")
	bad := func() wire.Question { return b.rcpt("bob", true) }
	good := func() wire.Question { return b.rcpt("eve", false) } // of the same network
	for range 4 {
		one.put(bad())
	}
	if a, _ := one.put(good()); a.Verdict != plan.Freeze || a.LastKnown {
		t.Errorf("at once: %s", a)
	}
	two.until("the block", good, plan.Freeze)
	all, err := one.store.Gateways(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "mx1" || all[1].Name != "mx2" {
		t.Errorf("%+v, %v", all, err)
	}

	db.Kill()
	for _, g := range []*gateway{one, two} {
		waitFor(t, func() bool { return g.Status().Store.Away != "" })
	}
	waitFor(t, func() bool {
		return time.Since(one.Status().Store.Since) > briefly && time.Since(two.Status().Store.Since) > briefly
	})
	for range 10 {
		for _, g := range []*gateway{one, two} {
			for what, q := range map[string]wire.Question{"counted": bad(), "only asked": good()} {
				a, took := g.put(q)
				if a.Verdict != plan.Freeze || took > time.Second {
					t.Errorf("%s: %s, after %s", what, a, took)
				}
			}
			if a, took := g.put(b.question(plan.Rcpt, plan.After, plan.Recipient)); a.Verdict != wire.Away || took > time.Second {
				t.Errorf("a first contact: %s, after %s", a, took)
			}
		}
	}
	one.stop()
	one = gatewayOn(b, "mx1") // it starts while there is nothing
	if a, _ := one.put(good()); a.Verdict != plan.Freeze || one.Status().KnownAsOf.IsZero() {
		t.Errorf("after a restart: %s, %+v", a, one.Status())
	}

	db.Start()
	for _, g := range []*gateway{one, two} {
		waitFor(t, func() bool { return g.Status().Store.Away == "" && !g.unprepared() && g.said.fresh() })
		g.until("a first contact", func() wire.Question { return b.question(plan.Rcpt, plan.After, plan.Recipient) }, plan.Defer)
	}
	var n int64
	count := func() int64 {
		if err := one.store.View(t.Context(), func(st engine.State) (err error) {
			n, err = st.Count("limit.stolen", "192.0.2.0/24", time.Hour, 0, 1<<50)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if before := count(); before != 4 {
		t.Errorf("%d are counted", before)
	}
	two.put(bad())
	if after := count(); after != 5 {
		t.Errorf("%d are counted", after)
	}
	cases, err := one.store.Cases(t.Context(), store.CaseFilter{Now: one.store.Now().UnixMilli()})
	if err != nil || len(cases) != 1 {
		t.Fatalf("%+v, %v", cases, err)
	}
	if err := one.store.Decide(t.Context(), store.Decision{Case: cases[0].ID, Release: true, Who: "me", Why: "x", Gateway: "mx1", At: one.store.Now().UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	if got := string(one.Answer(t.Context(), []byte(RefreshQuestion))); got != Refreshed {
		t.Errorf("%q", got)
	}
	if a, _ := one.put(good()); a.Verdict != plan.Accept {
		t.Errorf("released here: %s", a)
	}
	two.until("the release", good, plan.Accept)

	// It takes connections and says nothing: no answer is late for long, and then none.
	proxy.Hang()
	waitFor(t, func() bool {
		_, took := one.put(bad())
		if took > 4*time.Second {
			t.Errorf("an answer took %s", took)
		}
		return one.Status().Store.Away != ""
	})
	proxy.Heal()
	one.until("a first contact", func() wire.Question { return b.question(plan.Rcpt, plan.After, plan.Recipient) }, plan.Defer)
}
