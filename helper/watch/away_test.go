package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/mysql"
	"exipol/helper/store/sqlite"
	"exipol/helper/watch"
	"exipol/internal/busylog"
	"exipol/internal/mysqltest"
)

// faint is a store in which transactions fail as those of a server do: before anything is kept, or when all of
// it is and nobody can say so.
type faint struct {
	*sqlite.Store
	mu     sync.Mutex
	rnd    *rand.Rand
	before int // transactions that failed and were not kept
	after  int // and such as were
}

func (f *faint) fault() (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before+f.after >= 8 { // each takes the follower a while
		return nil, nil
	}
	switch f.rnd.IntN(4) {
	case 0:
		f.after++
		return nil, fmt.Errorf("store x: %w: %w: connection lost", store.ErrUnknown, store.ErrAway)
	case 1:
		f.before++
		return []error{fmt.Errorf("store x: %w", store.ErrAway), fmt.Errorf("store x: %w", store.ErrConflict)}[f.rnd.IntN(2)], nil
	}
	return nil, nil
}

func (f *faint) Batch(ctx context.Context, do func(engine.Transaction) error) error {
	before, after := f.fault()
	if before != nil {
		return before
	}
	if err := f.Store.Batch(ctx, do); err != nil {
		return err
	}
	return after
}

// TestFaintStore: each event is counted once although transactions fail, and although of some that were kept
// nobody knows that.
func TestFaintStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := realPlan(dir)
	s, err := sqlite.Open(t.Context(), p.Store.Path, sqlite.Options{Create: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Migrate(t.Context(), p.Tables)
	must(t, err)
	e, err := engine.New(p)
	must(t, err)
	weak := &faint{Store: s, rnd: rand.New(rand.NewPCG(5, 5))}
	said := &strings.Builder{}
	file := filepath.Join(dir, "mainlog")
	log := busylog.New(busylog.Options{Seed: 12, Start: time.Now().UTC().Add(-3 * time.Hour).Truncate(time.Second), PerSecond: 5, Users: 200})
	for range 10 {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(t, err)
		for range 40 {
			_, err = f.Write(log.Second())
			must(t, err)
		}
		must(t, f.Close())
		must(t, watch.New(watch.Options{
			Gateway: "mx1", Plan: func() *plan.Plan { return p }, Counter: &helper.Counter{Store: weak, Engine: e, Gateway: "mx1"}, Places: weak,
			Logs: []string{file}, Once: true, Log: slog.New(slog.NewTextHandler(said, nil)),
		}).Run(t.Context()))
	}
	if weak.before == 0 || weak.after == 0 {
		t.Errorf("%d transactions failed, %d were kept in secret", weak.before, weak.after)
	}
	compare(t, s, log)
	if begun, over := strings.Count(said.String(), "not followed for now"), strings.Count(said.String(), "followed again"); begun == 0 || begun != over {
		t.Errorf("said %d times that it stops and %d times that it goes on", begun, over)
	}
}

// TestServerKilled: a server that is killed again and again, and that loses the word of commits, while a log is caught up with
// and grows: each event is counted once, by one follower that nobody starts again.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	db := mysqltest.Start(t)
	proxy := mysqltest.NewProxy(t, db.Addr())
	dir := t.TempDir()
	p := realPlan(dir)
	p.Store = db.Database()
	p.Store.Hosts = []string{proxy.Addr()}
	quiet := slog.New(slog.DiscardHandler)
	s, err := mysql.Open(t.Context(), mysql.Config{Store: p.Store, Gateway: "mx1", Log: quiet})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	must(t, s.Wait(t.Context()))
	_, err = s.Migrate(t.Context(), p.Tables)
	must(t, err)
	e, err := engine.New(p)
	must(t, err)
	file := filepath.Join(dir, "mainlog")
	log := busylog.New(busylog.Options{Seed: 13, Start: time.Now().UTC().Add(-3 * time.Hour).Truncate(time.Second), PerSecond: 5, Users: 100})
	write := func() {
		t.Helper()
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(t, err)
		for range 60 {
			_, err = f.Write(log.Second())
			must(t, err)
		}
		must(t, f.Close())
	}
	write()
	w := watch.New(watch.Options{
		Gateway: "mx1", Plan: func() *plan.Plan { return p }, Counter: &helper.Counter{Store: s, Engine: e, Gateway: "mx1"}, Places: s,
		Logs: []string{file}, Log: quiet, Now: s.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	until := func(what string, ok func(watch.Status) bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
			all := w.Status()
			if len(all) == 1 && ok(all[0]) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", what, all)
			}
		}
	}
	for range 3 {
		kept := w.Status()
		proxy.LoseCommit(mysqltest.Unanswered)
		write()
		db.Kill()
		until("it notices", func(st watch.Status) bool { return st.Trouble != "" })
		db.Start()
		until("it goes on", func(st watch.Status) bool { return st.Trouble == "" && (len(kept) == 0 || st.Kept.After(kept[0].Kept)) })
	}
	write()
	size, err := os.Stat(file)
	must(t, err)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) { // until the place is the end of the log
		places, err := s.Places(t.Context())
		if err == nil && len(places) == 1 && strings.Contains(places[0].Place, fmt.Sprintf(`"offset":%d`, size.Size())) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %v; the log has %d bytes", places, err, size.Size())
		}
	}
	compare(t, s, log)
}
