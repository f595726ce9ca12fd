package helper

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

// TestGatewaysAndReleases: offences at two gateways that share a store, each with a connection of its own, while
// somebody at a third place goes on releasing. No count is lost, each case has one notice, a release makes the counting
// begin anew, and at the end all say the same.
func TestGatewaysAndReleases(t *testing.T) {
	b := newBenchBy(t, patient)
	openAgain := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), b.p.Store.Path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	o := b.options()
	o.Store, o.Plans, o.Gateway = openAgain(), filepath.Join(b.dir, "others"), "gw2"
	other, err := New(t.Context(), b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	desk := openAgain()
	release := func() (n int) {
		open, err := desk.Cases(t.Context(), store.CaseFilter{Now: b.now.Load()})
		if err != nil {
			t.Error(err)
		}
		for _, c := range open {
			if err := desk.Decide(t.Context(), store.Decision{Case: c.ID, Release: true, Who: "me", At: b.now.Add(1)}); err != nil {
				t.Error(err)
			}
		}
		return len(open)
	}
	const each = 150
	var questions [2][]string
	for i := range 2 * each {
		questions[i%2] = append(questions[i%2], b.rcpt("bob", true).String())
	}
	var gateways, at sync.WaitGroup
	stop := make(chan struct{})
	var released atomic.Int64
	at.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				released.Add(int64(release()))
			}
		}
	})
	for i, h := range []*Helper{b.Helper, other} {
		for worker := range 4 {
			gateways.Go(func() {
				for n := worker; n < each; n += 4 {
					if n > each/2 { // there is a case by now
						waitFor(t, func() bool { return released.Load() > 0 })
					}
					a, err := wire.ParseAnswer(string(h.Answer(context.Background(), []byte(questions[i][n]))))
					if err != nil || a.Verdict != plan.Accept && a.Verdict != plan.Freeze {
						t.Errorf("%s, %v", a, err)
					}
				}
			})
		}
	}
	gateways.Wait()
	close(stop)
	at.Wait()
	released.Add(int64(release()))
	if n := b.counted("limit.stolen", "bob"); n != 2*each {
		t.Errorf("%d were counted of %d", n, 2*each)
	}
	cases := b.cases()
	if n := int(released.Load()); len(cases) != n || n < 2 {
		t.Errorf("%d cases, %d released", len(cases), n)
	}
	for _, c := range cases {
		file, err := desk.Case(t.Context(), c.ID)
		if err != nil || len(file.Notices) != 1 || c.Counted < 4 || c.State != store.CaseReleased {
			t.Errorf("%+v, %v", file, err)
		}
	}
	b.now.Add(1)
	b.refresh(t.Context())
	other.refresh(t.Context())
	for range 3 {
		b.want(b.ask(b.rcpt("bob", true)), plan.Accept)
	}
	b.want(b.ask(b.rcpt("bob", true)), plan.Freeze)
	other.refresh(t.Context())
	if a, _ := wire.ParseAnswer(string(other.Answer(t.Context(), []byte(b.rcpt("bob", false).String())))); a.Verdict != plan.Freeze {
		t.Errorf("elsewhere: %s", a)
	}
}
