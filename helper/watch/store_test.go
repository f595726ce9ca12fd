package watch_test

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/helper/watch"
	"exipol/internal/busylog"
)

// realPlan counts all that a log tells, each for whom it is usually counted.
func realPlan(dir string) *plan.Plan {
	limit := func(name, event, traffic string, key plan.Part) plan.Limit {
		return plan.Limit{
			Name: name, Traffic: traffic, Events: []plan.WeightedEvent{{Event: event, Weight: 1}}, Key: []plan.Part{key},
			Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass, Windows: []plan.Duration{plan.Duration(24 * time.Hour)},
			Tiers: []plan.Tier{{Name: "warn", Over: []plan.Rate{{Count: 1e6, Per: plan.Duration(24 * time.Hour)}}, Verdict: plan.Accept, Notify: []string{"notice.desk"}}},
		}
	}
	auth := plan.Part{Field: "auth"}
	return &plan.Plan{
		Exim: "4.94", Layout: "custom", Source: plan.FromLog, Domains: []string{busylog.Domain}, RelayHosts: []string{busylog.Relays},
		Store: plan.Store{Kind: "sqlite", Path: filepath.Join(dir, "exipol.db")}, Tables: plan.Tables(plan.Needs{Counter: true, Desk: true, Log: true}),
		Notices: []plan.Notice{{Name: "desk", Mail: []string{"abuse@example.com"}}},
		Limits: []plan.Limit{
			limit("bounce", plan.Bounce, "", auth), limit("crack", plan.AuthFailure, plan.Inbound, plan.Part{Field: "login"}),
			limit("login", plan.Login, plan.Submission, auth), limit("rejected", plan.RejectedRecipient, "", auth),
		},
	}
}

// TestStore follows a log with the real engine and the real store. The process dies again and again, the log is rotated,
// and the limits' counts are what happened.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	p := realPlan(dir)
	s, err := sqlite.Open(t.Context(), p.Store.Path, sqlite.Options{Create: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Migrate(t.Context(), p.Tables)
	must(t, err)
	e, err := engine.New(p)
	must(t, err)
	file := filepath.Join(dir, "mainlog")
	log := busylog.New(busylog.Options{Seed: 11, Start: time.Now().UTC().Add(-3 * time.Hour).Truncate(time.Second), PerSecond: 5, Users: 200})
	follow := func(ctx context.Context) error {
		return watch.New(watch.Options{
			Gateway: "mx1", Plan: func() *plan.Plan { return p }, Counter: &helper.Counter{Store: s, Engine: e, Gateway: "mx1"}, Places: s,
			Logs: []string{file}, Once: true, Log: slog.New(slog.DiscardHandler),
		}).Run(ctx)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for n := range 25 {
		var b []byte
		for range 25 {
			b = append(b, log.Second()...)
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(t, err)
		_, err = f.Write(b)
		must(t, err)
		must(t, f.Close())
		if n%6 == 5 {
			for _, name := range []string{".3", ".2", ".1", ""} {
				_ = os.Rename(file+name, file+map[string]string{".3": ".4", ".2": ".3", ".1": ".2", "": ".1"}[name])
			}
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(60))*time.Millisecond)
		_ = follow(ctx)
		cancel()
	}
	must(t, follow(t.Context()))
	compare(t, s, log)
	places, err := s.Places(t.Context())
	must(t, err)
	if len(places) != 1 || places[0].Gateway != "mx1" || places[0].Log != file || places[0].At == 0 {
		t.Errorf("places: %+v", places)
	}
}

// compare compares what was counted with what happened.
func compare(t *testing.T, s store.Store, log *busylog.Log) {
	t.Helper()
	want := map[string]map[string]int64{}
	for event, n := range log.Truth().Events {
		name, isAuth := strings.CutPrefix(event.Who, "auth:")
		ref := map[string]string{plan.Bounce: "limit.bounce", plan.AuthFailure: "limit.crack", plan.Login: "limit.login", plan.RejectedRecipient: "limit.rejected"}[event.Event]
		if event.Event == plan.AuthFailure {
			name = name[:strings.LastIndexByte(name, ' ')] // without the address
		} else if !isAuth {
			continue
		}
		if want[ref] == nil {
			want[ref] = map[string]int64{}
		}
		want[ref][name] += int64(n)
	}
	for ref, keys := range want {
		top, err := s.Top(t.Context(), ref, 1e6, time.Now().UnixMilli())
		must(t, err)
		got := map[string]int64{}
		for _, k := range top {
			if k.Table == plan.TableCounter {
				got[k.Key] += k.N
			}
		}
		if !maps.Equal(got, keys) {
			t.Errorf("%s: %d keys, want %d", ref, len(got), len(keys))
			all := maps.Clone(keys)
			maps.Copy(all, got)
			for k := range all {
				if got[k] != keys[k] {
					t.Logf("%s %q: %d, want %d", ref, k, got[k], keys[k])
				}
			}
		}
	}
	for name, n := range want["limit.bounce"] {
		must(t, s.View(t.Context(), func(st engine.State) error {
			got, err := st.Bounces(engine.Owner(name, "", ""), time.Now().Add(-24*time.Hour).UnixMilli())
			if got != n {
				t.Errorf("%q: %d bounces, want %d", name, got, n)
			}
			return err
		}))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
