package helper

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

func TestUnknownPlan(t *testing.T) {
	b := newBench(t)
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Plan = "00ff"
	b.want(b.ask(q), plan.Defer)
	if n := b.Status().UnknownPlan; n != 1 {
		t.Errorf("unknown plans: %d", n)
	}
}

// vary makes another plan of the bench's.
func (b *bench) vary(delay time.Duration) *plan.Plan {
	p := testplan.New(b.dir)
	p.Greylists[0].Delay = plan.Duration(delay)
	if err := p.Seal(); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// Questions are answered by the plan that they name, also after a restart; the
// oldest plans are dropped.
func TestPlansSideBySide(t *testing.T) {
	b := newBench(t)
	old := b.p
	b.want(b.grey(), plan.Defer)
	b.pass(time.Minute)
	next := b.vary(30 * time.Second)
	file := filepath.Join(b.dir, "plan.json")
	b.write(file, next)
	if err := b.Reload(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if got := b.Status().Plans; !slices.Equal(got, []string{next.ID, old.ID}) {
			t.Fatalf("plans %v", got)
		}
		q := b.question(plan.Rcpt, plan.After, plan.Recipient)
		q.Plan = old.ID
		b.want(b.ask(q), plan.Defer)
	}
	check()
	b.p = next
	b.restart()
	check()
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Plan = next.ID
	b.want(b.ask(q), plan.Accept)
	for i := range 2 * keepPlans {
		time.Sleep(2 * time.Millisecond) // the files' times keep the order
		if err := b.Take(t.Context(), b.vary(time.Duration(i+100)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	held := b.Status().Plans
	if len(held) != keepPlans {
		t.Errorf("%d plans held", len(held))
	}
	if files := planFiles(filepath.Join(b.dir, "plans")); len(files) != keepPlans {
		t.Errorf("%d plan files", len(files))
	}
	b.p = b.Plan()
	b.restart()
	if got := b.Status().Plans; !slices.Equal(got, held) {
		t.Errorf("plans after a restart %v, before %v", got, held)
	}
}

func (b *bench) write(file string, p *plan.Plan) {
	b.t.Helper()
	text, err := p.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// A bad new plan changes nothing, says why, and an earlier plan that is damaged on
// disk does not keep the helper from starting.
func TestBadPlan(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(b.dir, "plan.json")
	good, err := b.vary(time.Second).Encode()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := b.vary(time.Second)
	elsewhere.Store.Path += "2"
	lost := b.vary(time.Second)
	lost.Stages[0].Before[0].Policies = []string{"limit.lost"}
	for name, text := range map[string][]byte{
		"edited": bytes.Replace(good, []byte("enforce"), []byte("observe"), 1),
		"cut":    good[:len(good)/2],
		"empty":  nil,
		"store":  encode(t, elsewhere),
		"policy": encode(t, lost),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Reload(t.Context(), file); err == nil {
			t.Errorf("%s: taken", name)
		}
		if b.Plan().ID != b.p.ID {
			t.Errorf("%s: the old plan is gone", name)
		}
		b.want(b.grey(), plan.Defer)
	}
	if n := strings.Count(b.log.String(), "the new plan is refused"); n != 5 || b.Status().RefusedPlans != 5 {
		t.Errorf("refused %d times in the log, counted %d", n, b.Status().RefusedPlans)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "plans", "beef.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if !strings.Contains(b.log.String(), "an earlier plan is left out") {
		t.Error("nothing said of the damaged file")
	}
}

// After a restart on another store the earlier plans still answer: it gets the tables
// that only they need.
func TestOtherStoreAfterRestart(t *testing.T) {
	b := newBench(t)
	old := b.p
	next := testplan.New(b.dir)
	next.Store.Path = filepath.Join(b.dir, "other.db")
	next.Greylists, next.Stages = nil, next.Stages[:1]
	next.Limits[1].Except = nil
	next.Tables = plan.Tables(plan.Needs{Counter: true})
	if err := next.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := b.Take(t.Context(), next); err == nil || !strings.Contains(err.Error(), "restart exipold") {
		t.Errorf("another store while running: %v", err)
	}
	s, err := sqlite.Open(t.Context(), next.Store.Path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b.store = &faulty{Store: s}
	b.p = next
	o := b.options()
	o.Prepare = func(ctx context.Context, p *plan.Plan) error {
		_, err := s.Migrate(ctx, p.Tables)
		return err
	}
	if b.Helper, err = New(t.Context(), next, o); err != nil {
		t.Fatal(err)
	}
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Plan = old.ID
	b.want(b.ask(q), plan.Defer)
	if s := b.Status(); s.Trouble != "" || len(s.Plans) != 2 {
		t.Errorf("plans %v, trouble %q", s.Plans, s.Trouble)
	}
	// One that the store cannot be made to fit is left out.
	o.Prepare = func(_ context.Context, p *plan.Plan) error {
		if p.ID == old.ID {
			return errors.New("it does not fit")
		}
		return nil
	}
	if b.Helper, err = New(t.Context(), next, o); err != nil {
		t.Fatal(err)
	}
	if s := b.Status(); len(s.Plans) != 1 || !strings.Contains(b.log.String(), "it does not fit") {
		t.Errorf("plans %v\n%s", s.Plans, b.log)
	}
}

func TestNoPlanFile(t *testing.T) {
	if _, err := ReadPlan(filepath.Join(t.TempDir(), "plan.json")); err == nil || !strings.Contains(err.Error(), "exipol build writes it") {
		t.Errorf("%v", err)
	}
}

func encode(t *testing.T, p *plan.Plan) []byte {
	t.Helper()
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
