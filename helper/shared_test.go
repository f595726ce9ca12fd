package helper

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

// beside makes another gateway that shares the bench's store, with a plan of its own.
func (b *bench) beside(name string, p *plan.Plan) *Helper {
	b.t.Helper()
	s, err := sqlite.Open(b.t.Context(), b.p.Store.Path, sqlite.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	o := b.options()
	o.Store, o.Gateway, o.Plans = s, name, filepath.Join(b.dir, name)
	h, err := New(b.t.Context(), p, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// at asks another gateway.
func (b *bench) at(h *Helper, q wire.Question) wire.Answer {
	b.t.Helper()
	a, err := wire.ParseAnswer(string(h.Answer(b.t.Context(), []byte(q.String()))))
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// TestPlansOnOneStore: two gateways of different plans share a store. Each Exim is answered by the plan that it names,
// where that is known, and else by the newest; and what one has seen the other knows.
func TestPlansOnOneStore(t *testing.T) {
	b := newBench(t)
	old, next := b.p, b.vary(30*time.Second)
	other := b.beside("mx2", next)
	by := func(p *plan.Plan, sender string) wire.Question {
		q := b.question(plan.Rcpt, plan.After, plan.Recipient)
		q.Plan, q.Sender = p.ID, sender
		return q
	}
	for _, sender := range []string{"a@x.example", "b@x.example"} {
		b.want(b.ask(by(old, sender)), plan.Defer)
	}
	b.pass(time.Minute)
	b.want(b.ask(by(old, "a@x.example")), plan.Defer)
	b.want(b.at(other, by(next, "a@x.example")), plan.Accept) // its delay is shorter
	// Each is asked by the other's plan. Neither has had it.
	b.want(b.ask(by(next, "b@x.example")), plan.Defer)
	b.want(b.at(other, by(old, "b@x.example")), plan.Accept)
	if b.Status().UnknownPlan != 1 || other.Status().UnknownPlan != 1 {
		t.Errorf("unknown plans: %d, %d", b.Status().UnknownPlan, other.Status().UnknownPlan)
	}
	// The first one takes the new plan; Exims that were started before go on by the old one.
	if err := b.Take(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	q := by(old, "c@x.example")
	b.want(b.ask(q), plan.Defer)
	b.pass(time.Minute)
	b.want(b.ask(by(old, "c@x.example")), plan.Defer)
	b.want(b.ask(by(next, "c@x.example")), plan.Accept)
	// Offences add up under one name, whichever plan counts them.
	for i := range 3 {
		q := b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient)
		if q.Plan = old.ID; i == 1 {
			q.Plan = next.ID
			b.at(other, q)
			continue
		}
		b.ask(q)
	}
	var n int64
	if err := b.store.View(t.Context(), func(st engine.State) (err error) {
		n, err = st.Count("limit.tarpit", "192.0.2.1", 4*time.Hour, 0, 1<<50)
		return err
	}); err != nil || n != 3 {
		t.Errorf("%d are counted, %v", n, err)
	}
}

// TestRefreshQuestion: what a command has just said is in force when exipold has answered that it has read it.
func TestRefreshQuestion(t *testing.T) {
	b := newBench(t)
	b.want(b.grey(), plan.Defer)
	if err := b.store.SwitchOff(t.Context(), engine.Switch{Policy: "greylist.inbound", Why: "x", Made: 1}); err != nil {
		t.Fatal(err)
	}
	if got := b.old(RefreshQuestion); got != Refreshed {
		t.Errorf("%q", got)
	}
	b.want(b.grey(), plan.Accept)
	full := error(store.ErrDisk)
	b.store.reads.Store(&full)
	if got := b.old(RefreshQuestion); !strings.HasPrefix(got, "error: ") {
		t.Errorf("%q", got)
	}
	if got := b.old("exipold nonsense\n"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("%q", got)
	}
}

// TestSeen: a gateway is known by its name, with its plans, from the start on and after a new plan.
func TestSeen(t *testing.T) {
	b := newBench(t)
	o := b.options()
	o.Gateway, o.Version, o.SeenEvery = "mx1", "1.5", time.Hour
	h, err := New(t.Context(), b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	seen := func() (g store.Gateway) {
		all, err := b.store.Gateways(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g = range all {
			if g.Name == "mx1" {
				return g
			}
		}
		return store.Gateway{}
	}
	waitFor(t, func() bool { return seen().Name != "" })
	if g := seen(); g.Version != "1.5" || !slices.Equal(g.Plans, []string{b.p.ID}) || g.Started != b.now.Load() || time.Since(time.UnixMilli(g.Seen)).Abs() > time.Minute {
		t.Errorf("%+v", g)
	}
	next := b.vary(time.Second)
	file := filepath.Join(b.dir, "plan.json")
	b.write(file, next)
	if err := h.Reload(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if g := seen(); !slices.Equal(g.Plans, []string{next.ID, b.p.ID}) {
		t.Errorf("%+v", g)
	}
	cancel()
	<-done
}

// TestTwins: two exipolds of one name are found out, each once; one that was started again is no twin.
func TestTwins(t *testing.T) {
	b := newBench(t)
	o := b.options()
	o.Gateway = "mx1"
	start := func() *Helper {
		b.pass(time.Second)
		h, err := New(t.Context(), b.p, o)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	said := func() int { return strings.Count(b.log.String(), "has this gateway's name") }
	beat := func(h *Helper, tw *twin) {
		h.lookForTwin(t.Context(), tw)
		h.seen(t.Context())
		at := b.store.Now()
		waitFor(t, func() bool { return b.store.Now().Sub(at) >= 2*time.Millisecond }) // Seen moves on
	}
	var first, second, third twin
	one := start()
	for range 3 {
		beat(one, &first)
	}
	two := start() // one is ending, and says once more that it is there
	two.seen(t.Context())
	one.seen(t.Context())
	for range 3 {
		beat(two, &second)
	}
	if said() != 0 {
		t.Fatalf("%s", b.log)
	}
	three := start()
	three.seen(t.Context())
	for range 5 {
		beat(two, &second)
		beat(three, &third)
	}
	if said() != 2 {
		t.Errorf("said %d times:\n%s", said(), b.log)
	}
}

// ahead is a store by whose clock this host's is ahead.
type ahead struct {
	Store
	skew time.Duration
}

func (a ahead) Health() store.Health { return store.Health{Skew: a.skew} }

// TestSkew: two gateways, whose clocks are ten minutes apart, have logged three bounces within a minute: by the store's clock
// they are counted into one window, and no event of the one that is ahead is taken for one that has not happened.
func TestSkew(t *testing.T) {
	p := testplan.Desk(t.TempDir())
	for i := range p.Limits {
		if l := &p.Limits[i]; l.Name == "bouncy" {
			l.Windows = []plan.Duration{plan.Duration(5 * time.Minute)}
			l.Tiers[0].Over[0].Per = l.Windows[0]
		}
	}
	s, err := sqlite.Open(t.Context(), p.Store.Path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.Migrate(t.Context(), p.Tables); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(p)
	if err != nil {
		t.Fatal(err)
	}
	for i, off := range []time.Duration{10 * time.Minute, 0, 500 * time.Millisecond} {
		c := Counter{Store: ahead{s, off}, Engine: e, Gateway: []string{"mx1", "mx2", "mx3"}[i]}
		err := c.Count(t.Context(), func(_ engine.Transaction, count func(engine.Happening) error) error {
			return count(engine.Happening{
				Event: plan.Bounce, Class: "no_such_user", Traffic: plan.Submission, At: time.Now().Add(off / time.Minute * time.Minute).Add(-20 * time.Second),
				Gateway: c.Gateway, Message: "1abcde-000001-01", Item: "x", Auth: "bob", Sender: "bob@example.com", Recipient: "x@remote.example",
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	window := 5 * time.Minute
	length := engine.SlotLength(window).Milliseconds()
	now := time.Now().UnixMilli()
	var n int64
	if err := s.View(t.Context(), func(st engine.State) (err error) {
		n, err = st.Count("limit.bouncy", "auth:bob", window, (now-time.Minute.Milliseconds())/length, now/length)
		return err
	}); err != nil || n != 3 {
		t.Errorf("%d of 3 are counted in the last minute, %v", n, err)
	}
}
