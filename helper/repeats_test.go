package helper

import (
	"fmt"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// A question that is asked twice counts once, also while the first is worked on,
// and gets the same answer.
func TestRepeatedQuestion(t *testing.T) {
	b := newBench(t)
	q := b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient)
	gate := make(chan struct{})
	b.store.gate.Store(&gate)
	answers := make(chan wire.Answer, 8)
	for range cap(answers) {
		go func() { answers <- b.ask(q) }()
	}
	waitFor(t, func() bool { return b.store.updates.Load() > 0 })
	b.store.gate.Store(nil)
	close(gate)
	first := <-answers
	for range cap(answers) - 1 {
		if got := <-answers; got.String() != first.String() {
			t.Errorf("%v, then %v", first, got)
		}
	}
	b.want(b.ask(q), first.Verdict)
	if n := b.store.updates.Load(); n != 1 {
		t.Errorf("%d updates", n)
	}
	if got := b.old("TARLIST 192.0.2.1\n"); got != "2" {
		t.Errorf("counted %s with TARLIST's own, want 2", got)
	}
	b.pass(61 * time.Second)
	b.ask(q)
	if got := b.old("TARLIST 192.0.2.1\n"); got != "4" {
		t.Errorf("counted %s a minute later, want 4", got)
	}
}

// An answer that comes too late is a failed one; asked again, the question gets the
// answer that was found meanwhile, and has counted once.
func TestLateAnswer(t *testing.T) {
	b := newBench(t)
	b.p.Timeout = plan.Duration(time.Second + 200*time.Millisecond)
	if err := b.p.Seal(); err != nil {
		t.Fatal(err)
	}
	b.restart()
	gate := make(chan struct{})
	b.store.gate.Store(&gate)
	q := b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient)
	b.want(b.ask(q), wire.Failed)
	close(gate)
	waitFor(t, func() bool { return b.ask(q).Verdict == plan.Accept })
	if got := b.old("TARLIST 192.0.2.1"); got != "2" {
		t.Errorf("counted %s with TARLIST's own, want 2", got)
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	var r repeats
	r.init()
	r.most = 2000
	now := time.Unix(0, 0)
	for i := range 3 * r.most {
		now = now.Add(time.Microsecond)
		mine, earlier := r.begin(r.key(fmt.Appendf(nil, "%d", i)), now)
		if earlier != nil {
			t.Fatal("two questions are taken for one")
		}
		r.finish(mine, "x")
	}
	if len(r.known) > r.most || len(r.queue) > 2*r.most+1024 {
		t.Errorf("%d known, queue of %d", len(r.known), len(r.queue))
	}
	last := r.key(fmt.Appendf(nil, "%d", 3*r.most-1))
	if r.find(last, now) == nil || r.find(last, now.Add(repeatFor)) != nil {
		t.Error("the last one is not known, or known too long")
	}
	r.begin(r.key([]byte("new")), now.Add(time.Hour))
	if len(r.known) != 1 {
		t.Errorf("%d known after an hour", len(r.known))
	}
}

// No more sleep than allowed, also where many questions are decided at once.
func TestSleepers(t *testing.T) {
	b := newBench(t)
	b.unknown()
	b.unknown()
	gate := make(chan struct{})
	b.store.gate.Store(&gate)
	delayed := make(chan int64, 20)
	var questions []wire.Question
	for range cap(delayed) {
		questions = append(questions, b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient))
	}
	for _, q := range questions {
		go func() { delayed <- b.ask(q).Delay }()
	}
	waitFor(t, func() bool { return b.store.updates.Load() == 22 })
	b.store.gate.Store(nil)
	close(gate)
	var sleeping []int64
	for range cap(delayed) {
		if d := <-delayed; d > 0 {
			sleeping = append(sleeping, d)
		}
	}
	if len(sleeping) != 1 {
		t.Fatalf("delays %v, want one", sleeping)
	}
	if got := b.Status().Sleepers; got["limit.tarpit/slow"] != 1 {
		t.Errorf("sleepers %v", got)
	}
	b.pass(26 * time.Second)
	if d := b.unknown().Delay; d != 25 {
		t.Errorf("delay %d when nobody sleeps any more, want 25", d)
	}
	if d := b.unknown().Delay; d != 0 {
		t.Errorf("delay %d beside a sleeper", d)
	}
	b.pass(5 * time.Hour)
	if d := b.unknown().Delay; d != 0 {
		t.Errorf("delay %d after four hours", d)
	}
}
