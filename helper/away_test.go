package helper

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/store"
	"exipol/helper/testplan"
)

// netBlocks is testplan.Desk whose block is of whole networks, by a key that Exim cannot make.
func netBlocks(dir string) *plan.Plan {
	p := testplan.Desk(dir)
	for i := range p.Limits {
		if p.Limits[i].Name == "stolen" {
			p.Limits[i].Key = []plan.Part{{Field: "client", V4: 24, V6: 64}}
		}
	}
	if err := p.Seal(); err != nil {
		panic(err) // as in testplan
	}
	return p
}

// longAway is when a store went that nobody waits for any more.
func longAway() time.Time { return time.Now().Add(-time.Minute) }

// TestAwayAnswers: while the store is away blocks that were known stay in force, of whatever key; all else is as
// on_failure says; and nobody waits.
func TestAwayAnswers(t *testing.T) {
	b := newBenchBy(t, netBlocks)
	b.store.back()
	b.restart()
	for range 4 {
		b.ask(b.rcpt("bob", true))
	}
	b.want(b.ask(b.rcpt("eve", false)), plan.Freeze) // from the same network
	b.store.away(longAway())
	begin := time.Now()
	for i := range 20 {
		a := b.ask(b.rcpt("eve", i%2 == 0))
		if a.Verdict != plan.Freeze || a.By != block || len(a.Add) != 1 || !a.LastKnown {
			t.Fatalf("what was blocked: %s", a)
		}
		other := b.rcpt("eve", i%2 == 0)
		other.Client = netip.MustParseAddr("203.0.113.1")
		b.want(b.ask(other), wire.Away)
		b.want(b.grey(), wire.Away)
	}
	if took := time.Since(begin); took > b.budget() {
		t.Errorf("60 answers took %s", took)
	}
	bounce := b.question(plan.Delivery, plan.After, plan.Bounce)
	bounce.Traffic, bounce.Auth, bounce.Message = plan.Submission, "bob", "1abcde-000001-01"
	b.want(b.ask(bounce), wire.Failed) // Exim logs that
	if s := b.Status(); s.LastKnown != 20 || s.Verdicts[wire.Away] != 40 || s.Store.Away == "" || !strings.Contains(s.Trouble, "connection refused") {
		t.Errorf("status %+v", s)
	}
	b.store.back()
	n := b.counted("limit.stolen", "192.0.2.0/24")
	if n != 4 {
		t.Errorf("%d were counted", n)
	}
	b.refresh(t.Context())
	b.want(b.grey(), plan.Defer)
}

func (b *bench) budget() time.Duration { return b.plans.Load().newest().budget }

// TestFailedWithoutBlocks: where no policy has blocks that are to stay, an answer that cannot be had is a failed
// one, and so is one that nothing is known for.
func TestFailedWithoutBlocks(t *testing.T) {
	b := newBench(t)
	b.store.away(longAway())
	b.want(b.grey(), wire.Failed)
	b = newBenchBy(t, netBlocks)
	b.store.away(longAway())
	b.restart() // there is no copy
	b.want(b.ask(b.rcpt("eve", false)), wire.Failed)
	b.want(b.ask(b.rcpt("eve", true)), wire.Failed)
}

// TestMoment: who asks while the store moves from one host to another gets a real answer, and each is counted
// once; with writers in the way as well. What may have been kept is not tried again.
func TestMoment(t *testing.T) {
	b := newBenchBy(t, patient)
	b.store.back()
	b.restart()
	for name, fault := range map[string]error{
		"away":     fmt.Errorf("store x: %w", store.ErrAway),
		"conflict": fmt.Errorf("store x: %w", store.ErrConflict),
	} {
		updates := b.store.updates.Load()
		b.store.writes.Store(&fault)
		if name == "away" {
			b.store.health.Store(&store.Health{Kind: plan.MySQL, Away: "x", Since: time.Now()})
		}
		answer := make(chan wire.Answer)
		q := b.rcpt(name, true)
		go func() { answer <- b.ask(q) }()
		waitFor(t, func() bool { return b.store.updates.Load() > updates })
		b.store.back()
		b.want(<-answer, plan.Accept)
		if n := b.counted("limit.stolen", name); n != 1 {
			t.Errorf("%s: %d were counted", name, n)
		}
	}
	unknown := fmt.Errorf("store x: %w, and %w", store.ErrUnknown, store.ErrAway)
	b.store.writes.Store(&unknown)
	b.store.health.Store(&store.Health{Kind: plan.MySQL, Away: "x", Since: time.Now()})
	updates := b.store.updates.Load()
	b.want(b.ask(b.rcpt("unknown", true)), wire.Away)
	conflict := fmt.Errorf("store x: %w", store.ErrConflict)
	b.store.back()
	b.store.writes.Store(&conflict)
	b.want(b.ask(b.rcpt("conflict", true)), wire.Away)
	if n := b.store.updates.Load() - updates; n != 1+1+conflicts {
		t.Errorf("%d updates", n)
	}
}

// TestAcceptLoop: where the store is elsewhere nothing is asked of it where connections are accepted.
func TestAcceptLoop(t *testing.T) {
	b := newBench(t)
	b.want(b.grey(), plan.Defer)
	b.store.back()
	b.restart()
	looks := b.store.looks.Load()
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Sender = "new@b.example"
	answer, later := b.Handle([]byte(q.String()))
	if answer != nil || later == nil || b.store.looks.Load() != looks {
		t.Fatalf("%q", answer)
	}
	if a, _ := wire.ParseAnswer(string(later(t.Context()))); a.Verdict != plan.Defer {
		t.Errorf("%s", a)
	}
	b.pass(6 * time.Minute)
	for i := range 3 {
		q.Nonce = fmt.Sprintf("2.%d", i)
		b.want(b.ask(q), plan.Accept)
	}
	looks = b.store.looks.Load()
	q.Nonce = "2.9"
	b.refresh(t.Context())
	if answer, later := b.Handle([]byte(q.String())); later != nil || !strings.Contains(string(answer), "verdict=accept") || b.store.looks.Load() != looks {
		t.Errorf("what is remembered: %q", answer)
	}
	q.Nonce = "2.10"
	b.said.read.Add(-freshFor.Milliseconds())
	if _, later := b.Handle([]byte(q.String())); later == nil {
		t.Error("a server that has said nothing for a while is believed")
	}
	_, later = b.Handle([]byte("TARLIST 192.0.2.9"))
	if got := string(later(t.Context())); later == nil || got != "1" {
		t.Errorf("TARLIST: %q", got)
	}
}

// TestFlapping: a store that comes and goes is logged a few times, and how it is in the end.
func TestFlapping(t *testing.T) {
	b := newBench(t)
	away := fmt.Errorf("store x: %w", store.ErrAway)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				b.trouble.begins(reading, away)
				b.trouble.ends(reading)
			}
		})
	}
	all.Wait()
	b.trouble.begins(reading, away)
	count := func() (fails, well int) {
		log := b.log.String()
		return strings.Count(log, "the store fails"), strings.Count(log, "well again")
	}
	if fails, well := count(); fails+well != tellMost {
		t.Errorf("logged %d times that it fails, %d that it is well", fails, well)
	}
	told := &b.trouble.told[reading]
	for i := range told.when { // some minutes later
		told.when[i] = told.when[i].Add(-tellEvery)
	}
	b.trouble.settle()
	if fails, well := count(); fails != well+1 || !strings.Contains(b.log.String(), "changes=") {
		t.Errorf("logged %d times that it fails, %d that it is well:\n%s", fails, well, b.log)
	}
}

// TestUnasked: a store that was away is well again when the heartbeat says so, though nobody asks anything; one that has no
// room for what a question was to write is not.
func TestUnasked(t *testing.T) {
	b := newBench(t)
	for _, fault := range []error{store.ErrAway, store.ErrReadOnly} {
		b.store.writes.Store(&fault)
		b.want(b.unknown(), wire.Failed)
		b.seen(t.Context())
		if b.Status().Trouble == "" {
			t.Error("nothing is found")
		}
		b.store.writes.Store(nil)
		b.seen(t.Context())
		if got := b.Status().Trouble; got != "" {
			t.Errorf("trouble %q", got)
		}
	}
	full := error(store.ErrFull)
	b.store.writes.Store(&full)
	b.seen(t.Context())
	if b.Status().Trouble == "" {
		t.Error("the heartbeat finds nothing")
	}
	b.want(b.unknown(), wire.Failed)
	b.store.writes.Store(nil)
	b.seen(t.Context())
	if b.Status().Trouble == "" {
		t.Error("the heartbeat ends what a question has found")
	}
	b.want(b.unknown(), plan.Accept)
	if got := b.Status().Trouble; got != "" {
		t.Errorf("trouble %q", got)
	}
}
