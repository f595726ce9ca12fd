package helper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/testplan"
)

const block = "limit.stolen/block/block"

// rcpt is what is asked before a recipient of a user's; bad says that nobody has that address.
func (b *bench) rcpt(id string, bad bool) wire.Question {
	q := b.question(plan.Rcpt, plan.Before, plan.Blocked)
	q.Traffic, q.Auth = plan.Submission, id
	if bad {
		q.Events = append(q.Events, plan.InvalidRecipient)
	}
	return q
}

func (b *bench) cases() []store.Case {
	b.t.Helper()
	all, err := b.store.Cases(b.t.Context(), store.CaseFilter{All: true, Now: b.now.Load()})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func (b *bench) counted(policy, key string) int64 {
	b.t.Helper()
	var n int64
	err := b.store.View(b.t.Context(), func(st engine.State) (err error) {
		n, err = st.Count(policy, key, time.Hour, 0, 1<<50)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) blockedFile() string {
	b.t.Helper()
	text, err := os.ReadFile(b.p.Blocked)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// patient is a plan with time enough for any machine.
func patient(dir string) *plan.Plan {
	p := testplan.Desk(dir)
	p.Timeout = plan.Duration(time.Minute)
	if err := p.Seal(); err != nil {
		panic(err) // as in testplan
	}
	return p
}

// TestParallelOffences: hundreds at once, each asked twice as Exim does where an answer is slow: one
// case, one notice, no count lost, and what is over the rate is frozen.
func TestParallelOffences(t *testing.T) {
	b := newBenchBy(t, patient)
	const offences = 300
	var questions []string
	for range offences {
		questions = append(questions, b.rcpt("bob", true).String())
	}
	var frozen, accepted atomic.Int64
	var all sync.WaitGroup
	for _, q := range questions {
		all.Go(func() {
			first := string(b.Answer(context.Background(), []byte(q)))
			if again := string(b.Answer(context.Background(), []byte(q))); again != first {
				t.Errorf("asked again: %q, was %q", again, first)
			}
			if a, _ := wire.ParseAnswer(first); a.Verdict == plan.Freeze && a.By == block {
				frozen.Add(1)
			} else if a.Verdict == plan.Accept {
				accepted.Add(1)
			}
		})
		all.Go(func() { b.Answer(context.Background(), []byte(q)) })
	}
	all.Wait()
	if n := b.counted("limit.stolen", "bob"); n != offences {
		t.Errorf("%d were counted of %d", n, offences)
	}
	if accepted.Load() != 3 || frozen.Load() != offences-3 {
		t.Errorf("%d accepted, %d frozen", accepted.Load(), frozen.Load())
	}
	cases := b.cases()
	if len(cases) != 1 || cases[0].Owner != "auth:bob" || cases[0].Counted != 4 {
		t.Fatalf("%+v", cases)
	}
	file, err := b.store.Case(t.Context(), cases[0].ID)
	if err != nil || len(file.Notices) != 1 || len(file.Evidence) != 4 {
		t.Errorf("%+v, %v", file, err)
	}
}

// TestBlockHere: in force before the answer leaves, elsewhere at the next reading, after a restart, and
// until somebody releases it, on every gateway.
func TestBlockHere(t *testing.T) {
	b := newBenchBy(t, testplan.Desk)
	o := b.options()
	o.Plans, o.Gateway = filepath.Join(b.dir, "others"), "gw2"
	other, err := New(t.Context(), b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := func() string {
		a, _ := wire.ParseAnswer(string(other.Answer(t.Context(), []byte(b.rcpt("bob", false).String()))))
		return a.Verdict
	}
	if got := b.blockedFile(); got != "" {
		t.Errorf("the file begins with %q", got)
	}
	for range 4 {
		b.ask(b.rcpt("bob", true))
	}
	a := b.ask(b.rcpt("bob", false))
	if a.Verdict != plan.Freeze || a.By != block || len(a.Add) != 1 {
		t.Errorf("the next command: %s", a)
	}
	line := wire.BlockedKey("limit.stolen", "bob") + ": " + a.String() + "\n"
	if got := b.blockedFile(); got != line {
		t.Errorf("the file:\n%s, want\n%s", got, line)
	}
	if info, err := os.Stat(b.p.Blocked); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if got := elsewhere(); got != plan.Accept {
		t.Errorf("elsewhere, before it was read: %s", got)
	}
	other.refresh(t.Context())
	if got := elsewhere(); got != plan.Freeze {
		t.Errorf("elsewhere: %s", got)
	}
	b.restart()
	b.want(b.ask(b.rcpt("bob", false)), plan.Freeze)
	if got := b.blockedFile(); got != line {
		t.Errorf("after a restart:\n%s", got)
	}
	held := b.question(plan.Data, plan.After, plan.Held)
	held.Traffic, held.Auth, held.Message, held.Hold = plan.Submission, "bob", "1abcde-000001-01", block
	b.want(b.ask(held), plan.Accept)
	id := b.cases()[0].ID
	if file, err := b.store.Case(t.Context(), id); err != nil || len(file.Held) != 1 || file.Held[0].Message != held.Message {
		t.Errorf("%+v, %v", file.Held, err)
	}
	err = b.store.Decide(t.Context(), store.Decision{Case: id, Release: true, Who: "me", Why: "a mistake", Gateway: "gw2", At: b.now.Load(), Probation: b.now.Load() + 1000})
	if err != nil {
		t.Fatal(err)
	}
	b.refresh(t.Context())
	b.want(b.ask(b.rcpt("bob", false)), plan.Accept)
	if got := b.blockedFile(); got != "" {
		t.Errorf("released, and the file has %q", got)
	}
	b.want(b.ask(b.rcpt("bob", true)), plan.Accept)
	b.want(b.ask(b.rcpt("bob", true)), plan.Freeze) // half of three, rounded down, is one
}

// TestNoFile: where the file cannot be written all else goes on, and it is said once.
func TestNoFile(t *testing.T) {
	b := newBenchBy(t, func(dir string) *plan.Plan {
		p := testplan.Desk(dir)
		p.Blocked = filepath.Join(dir, "nowhere", "blocked")
		if err := p.Seal(); err != nil {
			t.Fatal(err)
		}
		return p
	})
	for range 4 {
		b.ask(b.rcpt("bob", true))
		b.refresh(t.Context())
	}
	b.want(b.ask(b.rcpt("bob", false)), plan.Freeze)
	if n := strings.Count(b.log.String(), "Exim will not know"); n != 1 {
		t.Errorf("said %d times:\n%s", n, b.log)
	}
	if err := os.Mkdir(filepath.Dir(b.p.Blocked), 0o755); err != nil {
		t.Fatal(err)
	}
	b.refresh(t.Context())
	if got := b.blockedFile(); strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

// TestGuardedSpool: with less room than the policy wants, what would be frozen is deferred.
func TestGuardedSpool(t *testing.T) {
	b := newBenchBy(t, testplan.Desk)
	var free, looks atomic.Int64
	free.Store(50)
	o := b.options()
	o.Free = func(dir string) (int64, bool) { looks.Add(1); return free.Load(), dir == b.p.Spool }
	h, err := New(t.Context(), b.p, o)
	if err != nil {
		t.Fatal(err)
	}
	b.Helper = h
	for range 5 {
		b.ask(b.rcpt("bob", true))
	}
	free.Store(9)
	b.want(b.ask(b.rcpt("bob", false)), plan.Freeze) // still remembered
	b.pass(roomFor)
	if a := b.ask(b.rcpt("bob", false)); a.Verdict != plan.Defer || a.By != "limit.stolen/block/guard" || len(a.Add) != 0 {
		t.Errorf("a full spool: %s", a)
	}
	if n := looks.Load(); n != 2 {
		t.Errorf("the disk was asked %d times", n)
	}
	if percent, ok := diskFree(b.dir); !ok || percent < 0 || percent > 100 {
		t.Errorf("the disk: %d%%, %v", percent, ok)
	}
}

// TestRefreshes: no older reading comes after a newer one, however many read at once.
func TestRefreshes(t *testing.T) {
	b := newBenchBy(t, patient)
	var all sync.WaitGroup
	for i := range 40 {
		id := fmt.Sprint("user", i)
		var questions []string
		for range 4 {
			questions = append(questions, b.rcpt(id, true).String())
		}
		last := b.rcpt(id, false).String()
		all.Go(func() {
			for _, q := range questions {
				b.Answer(context.Background(), []byte(q))
			}
			if a, _ := wire.ParseAnswer(string(b.Answer(context.Background(), []byte(last)))); a.Verdict != plan.Freeze {
				t.Errorf("%s: %s", id, a)
			}
		})
	}
	all.Wait()
	if n := strings.Count(b.blockedFile(), "\n"); n != 40 {
		t.Errorf("%d lines in the file", n)
	}
}

// TestForeignHands: what somebody else did to the file is mended at the next reading, and what has not
// changed is not written again.
func TestForeignHands(t *testing.T) {
	b := newBenchBy(t, testplan.Desk)
	for range 4 {
		b.ask(b.rcpt("bob", true))
	}
	want := b.blockedFile()
	before, err := os.Stat(b.p.Blocked)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.refresh(t.Context())
		b.pass(blockedAgain)
	}
	if after, err := os.Stat(b.p.Blocked); err != nil || !os.SameFile(before, after) {
		t.Errorf("written again: %v", err)
	}
	for _, hand := range []func() error{
		func() error { return os.Remove(b.p.Blocked) },
		func() error { return os.WriteFile(b.p.Blocked, nil, 0o640) },
	} {
		if err := hand(); err != nil {
			t.Fatal(err)
		}
		b.refresh(t.Context())
		if got := b.blockedFile(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestBlockEnds: what ends by itself leaves the file at the next reading, though nobody has changed anything.
func TestBlockEnds(t *testing.T) {
	b := newBenchBy(t, func(dir string) *plan.Plan {
		p := testplan.Desk(dir)
		for i := range p.Limits {
			for j := range p.Limits[i].Tiers {
				if block := p.Limits[i].Tiers[j].Block; block != nil {
					block.Until = plan.Duration(3 * time.Second)
				}
			}
		}
		if err := p.Seal(); err != nil {
			panic(err) // as in testplan
		}
		return p
	})
	for range 4 {
		b.ask(b.rcpt("bob", true))
	}
	b.pass(2 * time.Second)
	b.refresh(t.Context())
	if got := b.blockedFile(); strings.Count(got, "\n") != 1 {
		t.Errorf("before the end: %q", got)
	}
	b.pass(time.Second)
	b.refresh(t.Context())
	if got := b.blockedFile(); got != "" {
		t.Errorf("after the end: %q", got)
	}
}

// TestOtherPolicies: a new plan that has the policy no more leaves nothing of its blocks in the file, and says so once.
func TestOtherPolicies(t *testing.T) {
	b := newBenchBy(t, testplan.Desk)
	for range 4 {
		b.ask(b.rcpt("bob", true))
	}
	p := testplan.Desk(b.dir)
	for i := range p.Limits {
		if p.Limits[i].Name == "stolen" {
			p.Limits[i].Name = "thieves"
		}
	}
	for i := range p.Stages {
		for _, asks := range [][]plan.Ask{p.Stages[i].Before, p.Stages[i].After} {
			for j := range asks {
				for k, ref := range asks[j].Policies {
					if ref == "limit.stolen" {
						asks[j].Policies[k] = "limit.thieves"
					}
				}
			}
		}
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := b.Take(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.refresh(t.Context())
	}
	if got := b.blockedFile(); got != "" {
		t.Errorf("%q", got)
	}
	if n := strings.Count(b.log.String(), "policies=limit.stolen"); n != 1 {
		t.Errorf("said %d times:\n%s", n, b.log)
	}
}
