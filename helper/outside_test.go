package helper

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/dns"
	"exipol/helper/engine"
	"exipol/internal/dnstest"
)

// world is an outside that a test makes up.
type world struct {
	mu       sync.Mutex
	gathered int
	left     atomic.Int64  // of the time for an answer, when Gather was called, in ms
	gate     chan struct{} // Gather waits for it, or until its time is over
	finding  engine.Finding
	pools    map[string][]netip.Prefix
	err      error // of Resolve
	resolved int
	asked    plan.Pool // of Resolve
	panics   bool      // Resolve does
}

func (w *world) Gather(ctx context.Context, q wire.Question, needs []plan.Fact, have *engine.Facts) *engine.Facts {
	w.mu.Lock()
	w.gathered++
	gate := w.gate
	w.mu.Unlock()
	if end, ok := ctx.Deadline(); ok {
		w.left.Store(time.Until(end).Milliseconds())
	}
	select {
	case <-gate:
	case <-ctx.Done():
		return have // what is missing is for the helper to see
	}
	out := engine.Facts{Found: map[plan.Fact]engine.Finding{}}
	if have != nil {
		out.SPF = have.SPF
		for f, is := range have.Found {
			out.Found[f] = is
		}
	}
	for _, f := range needs {
		if f.Name == plan.SPF {
			out.SPF, out.SPFDomain = "fail", "b.example"
		} else {
			out.Found[f] = w.finding
		}
	}
	return &out
}

func (w *world) Resolve(_ context.Context, p plan.Pool) ([]netip.Prefix, []string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolved++
	w.asked = p
	if w.panics {
		panic("a record that nobody thought of")
	}
	return w.pools[p.Name], []string{"exists:x"}, w.err
}

func (w *world) Stats() dns.Stats { return dns.Stats{Asked: 7} }

func (w *world) times() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gathered
}

// open is a gate that keeps nobody.
func open() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// suspicious makes the bench's greylist one for clients without reverse DNS.
func (b *bench) suspicious(w Outside, change func(p *plan.Plan)) {
	b.t.Helper()
	g := &b.p.Greylists[0]
	g.Suspicious = []plan.Fact{{Name: plan.NoReverseDNS}}
	g.Trust = nil
	b.p.Limits[1].Except = nil
	if change != nil {
		change(b.p)
	}
	if err := b.p.Seal(); err != nil {
		b.t.Fatal(err)
	}
	b.outside = func([]string) Outside { return w }
	b.restart()
}

// Facts decide, are gathered only where something is left to decide, and once for a
// question, however often it is asked.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		finding engine.Finding
		verdict string
		why     string
	}{
		{engine.Yes, plan.Defer, "no_reverse_dns"},
		{engine.No, plan.Accept, ""},
		{engine.Unclear, plan.Accept, ""},
	} {
		b, w := newBench(t), &world{gate: open(), finding: c.finding}
		b.suspicious(w, nil)
		q := b.question(plan.Rcpt, plan.After, plan.Recipient)
		for range 3 {
			got := b.ask(q)
			b.want(got, c.verdict)
			if why := strings.Join(got.Why, ","); why != c.why {
				t.Errorf("finding %d: why %q", c.finding, why)
			}
		}
		if n := w.times(); n != 1 {
			t.Errorf("finding %d: facts were gathered %d times", c.finding, n)
		}
		b.pass(6 * time.Minute)
		b.want(b.grey(), plan.Accept)
		before := w.times()
		if c.finding == engine.Yes && before != 1 {
			t.Errorf("a retry in time is let in with no more facts: %d", before)
		}
	}
}

// Where nothing can be found out, there is an answer all the same, and on_failure holds.
func TestNoFacts(t *testing.T) {
	for onFailure, verdict := range map[string]string{plan.Pass: plan.Accept, plan.DeferMail: plan.Defer} {
		b := newBench(t)
		b.suspicious(nil, func(p *plan.Plan) { p.Greylists[0].OnFailure = onFailure })
		b.Helper.plans.Load().newest().outside = nil
		b.want(b.grey(), verdict)
		if got := b.Status().Facts["no_reverse_dns"]["unclear"]; got != 1 {
			t.Errorf("%s: found %v", onFailure, b.Status().Facts)
		}
	}
}

// A silent outside costs its share of an answer's time, and leaves the store its own;
// nobody waits for it where connections are accepted, and those who ask the same
// meanwhile get the same answer.
func TestSilentOutside(t *testing.T) {
	b, w := newBench(t), &world{}
	b.suspicious(w, func(p *plan.Plan) {
		p.Greylists[0].OnFailure = plan.DeferMail
		p.Timeout = plan.Duration(1500 * time.Millisecond) // 400 ms for an answer
	})
	line := []byte(b.question(plan.Rcpt, plan.After, plan.Recipient).String())
	answer, later := b.Handle(line)
	if answer != nil || later == nil {
		t.Fatalf("the accepting goroutine has an answer: %s", answer)
	}
	answers := make(chan string, 8)
	for range cap(answers) {
		go func() { answers <- string(b.Answer(context.Background(), line)) }()
	}
	first := string(later(t.Context()))
	for range cap(answers) {
		if got := <-answers; got != first {
			t.Errorf("%s, then %s", first, got)
		}
	}
	if a, err := wire.ParseAnswer(first); err != nil || a.Verdict != plan.Defer || strings.Join(a.Why, ",") != "unclear" {
		t.Errorf("%s, %v", first, err)
	}
	if n, left := w.times(), w.left.Load(); n != 1 || left > 200 {
		t.Errorf("gathered %d times, with %d ms of 400", n, left)
	}
	if b.Status().Failures != 0 {
		t.Errorf("%d failures\n%s", b.Status().Failures, b.log)
	}
}

// Mail waits for DNS for two seconds at most, however long the timeout; and the store
// has its share of a short one.
func TestFactsTime(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		3 * time.Second: 1200 * time.Millisecond, 30 * time.Second: 2 * time.Second, time.Minute: 2 * time.Second, 1500 * time.Millisecond: 200 * time.Millisecond,
	} {
		p := *newBench(t).p
		p.Timeout = plan.Duration(timeout)
		a, err := newAnswerer(&p, &Options{})
		if err != nil || a.facts != want {
			t.Errorf("timeout %s: facts may take %s of %s, want %s, %v", timeout, a.facts, a.budget, want, err)
		}
	}
}

// A fault of exipold's own, while it finds something out or decides, costs one question
// its answer and not exipold its life; whoever asks again gets the same.
func TestPanicBehindAnAnswer(t *testing.T) {
	b := newBench(t)
	b.suspicious(broken{&world{}}, nil)
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	for range 2 {
		b.want(b.ask(q), wire.Failed)
	}
	if n := strings.Count(b.log.String(), "nobody thought of this client"); n != 1 || !strings.Contains(b.log.String(), "outside_test.go") {
		t.Errorf("logged %d times:\n%s", n, b.log)
	}
	if s := b.Status(); s.Failures != 1 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}

// broken is an outside that panics.
type broken struct{ *world }

func (broken) Gather(context.Context, wire.Question, []plan.Fact, *engine.Facts) *engine.Facts {
	panic("nobody thought of this client")
}

// Many at once wait for a slow outside together, not one after the other, and a known
// sender waits for none of them.
func TestManyWaitTogether(t *testing.T) {
	b, w := newBench(t), &world{gate: make(chan struct{}), finding: engine.Yes}
	b.suspicious(w, func(p *plan.Plan) { p.Timeout = plan.Duration(time.Minute) })
	done := make(chan wire.Answer, 100)
	for i := range cap(done) {
		q := b.question(plan.Rcpt, plan.After, plan.Recipient)
		q.Sender = fmt.Sprintf("a%d@b.example", i)
		go func() { done <- b.ask(q) }()
	}
	waitFor(t, func() bool { return w.times() == cap(done) }) // all are asked for before any is told
	b.want(b.ask(b.question(plan.Connect, plan.Before, plan.Connection)), plan.Accept)
	close(w.gate)
	for range cap(done) {
		b.want(<-done, plan.Defer)
	}
	if got := b.Status().Facts["no_reverse_dns"]["yes"]; got != 100 {
		t.Errorf("found %d", got)
	}
}

// An engine that asks for ever gets no answer, and ends.
func TestEndlessNeeds(t *testing.T) {
	b := newBench(t)
	n := 0
	a := &asked{by: b.plans.Load().newest(), now: time.Unix(1, 0), start: time.Now(), needs: []plan.Fact{{Name: plan.DNSWL}}}
	a.verb = func(engine.State, engine.Live) (engine.Decision, error) {
		n++
		return engine.Decision{Needs: []plan.Fact{{Name: plan.DNSList, Arg: fmt.Sprint(n)}}}, nil
	}
	if _, err := b.settle(t.Context(), a); !errors.Is(err, errUndecided) {
		t.Errorf("%v", err)
	}
}

// The real thing: a client whose name leads back to it, one without, a dead server; and
// a new plan that asks another server.
func TestFactsFromDNS(t *testing.T) {
	good := dnstest.Start(t, `
		192.0.2.1 PTR mail.b.example
		mail.b.example A 192.0.2.1`)
	bad := dnstest.Start(t)
	bad.Behave("*", dnstest.Dead)
	b := newBench(t)
	b.suspicious(nil, func(p *plan.Plan) { p.DNS, p.Timeout = []string{good.Address()}, plan.Duration(10*time.Second) })
	b.outside = func(servers []string) Outside { return NewOutside(servers, nil, nil) }
	b.restart()
	b.want(b.grey(), plan.Accept)
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Client = netip.MustParseAddr("198.51.100.9")
	b.want(b.ask(q), plan.Defer)
	if b.Status().DNS.Asked == 0 {
		t.Error("DNS was not asked")
	}
	next := *b.p
	next.DNS, next.Timeout = []string{bad.Address()}, plan.Duration(1500*time.Millisecond)
	if err := next.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := b.Take(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	q = b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Client, q.Plan = netip.MustParseAddr("198.51.100.10"), next.ID
	b.want(b.ask(q), plan.Accept)
	if bad.Total() == 0 {
		t.Error("the new plan's server was not asked")
	}
	// Who asks by the old plan still gets an answer from its server.
	q = b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Client = netip.MustParseAddr("198.51.100.11")
	b.want(b.ask(q), plan.Defer)
}
