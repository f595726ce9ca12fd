package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// blocking makes a tier block: by freezing, at RCPT, until somebody releases it.
func blocking(t plan.Tier, change ...func(*plan.Block)) plan.Tier {
	t.Verdict = accept
	t.Notify = []string{"notice.desk"}
	t.Block = &plan.Block{At: plan.Rcpt, Traffics: []string{plan.Submission}, Verdict: plan.Freeze}
	for _, c := range change {
		c(t.Block)
	}
	return t
}

func probation(share int64) func(*plan.Block) {
	return func(b *plan.Block) { b.Probation = &plan.Probation{Lasts: dur("24h"), Share: share} }
}

// stolen is a limit for users that write to those who do not exist.
func stolen(tiers []plan.Tier, change ...func(*plan.Limit)) plan.Limit {
	l := limit("stolen", plan.InvalidRecipient, tiers, func(l *plan.Limit) {
		l.Traffic, l.Key, l.OnFailure = plan.Submission, []plan.Part{{Field: "auth"}}, plan.LastKnown
	})
	for _, c := range change {
		c(&l)
	}
	return l
}

// user is a question of a user's.
func user(id string, events ...string) wire.Question {
	q := says(events[len(events)-1], auth(id))
	q.Traffic, q.Events = plan.Submission, events
	return q
}

// rcpt is what is asked before each recipient; bad says that nobody has that address.
func rcpt(id string, bad bool) wire.Question {
	if bad {
		return user(id, plan.Blocked, plan.InvalidRecipient)
	}
	q := user(id, plan.InvalidRecipient)
	q.Events = []string{plan.Blocked}
	return q
}

// refresh reads what is said at run time, as helpers do.
func (w *world) refresh() { w.live.Runtime = w.mem.runtime() }

// blocked asks, and compares; where a case was opened the helper reads the standings.
func (w *world) blocked(q wire.Question, verdict, by string) engine.Decision {
	w.t.Helper()
	d := w.want(q, verdict, by)
	if engine.Opens(d.Writes) {
		w.refresh()
	}
	return d
}

const blockRef = "limit.stolen/block/block"

func TestBlock(t *testing.T) {
	block := blocking(tier("block", accept, "3/1h"), probation(50))
	block.Block.AddHeader = []plan.Header{{Name: "X-A", Value: []plan.Piece{{Field: "auth"}}}}
	w := newWorld(t, makePlan(stolen(only(block))))
	w.live.Gateway = "gw1"
	for range 3 {
		w.blocked(rcpt("bob", true), accept, "")
		w.wait(time.Minute)
	}
	if len(w.mem.cases) != 0 {
		t.Fatal("a case before anything is over its rate")
	}
	d := w.blocked(rcpt("bob", true), plan.Freeze, blockRef) // acts at once
	if !slices.Equal(d.Answer.Add, []string{blockRef}) {
		t.Errorf("adds %q", d.Answer.Add)
	}
	w.blocked(rcpt("bob", false), plan.Freeze, blockRef)
	w.blocked(rcpt("eve", false), accept, "")
	w.wait(48 * time.Hour) // nothing counts any more, and still
	w.blocked(rcpt("bob", false), plan.Freeze, blockRef)
	w.blocked(rcpt("bob", true), plan.Freeze, blockRef)
	if len(w.mem.opens) != 1 {
		t.Errorf("%d writes that open a case", len(w.mem.opens))
	}
	first := w.mem.cases[0].first
	want := engine.OpenCase{
		Policy: "limit.stolen", Key: "bob", Tier: "block", Rank: 1, Blocks: true, At: start.Add(3 * time.Minute).UnixMilli(), Who: "auth bob", Owner: "auth:bob",
		Gateway: "gw1", Counted: 4, Rate: "3/1h", Notify: []string{"notice.desk"}, Window: 3800_000,
	}
	if fmt.Sprint(first) != fmt.Sprint(want) {
		t.Errorf("opens\n%+v, want\n%+v", first, want)
	}
	evidence := w.mem.cases[0].evidence
	if len(evidence) != 4 || !strings.Contains(evidence[0].Line, "RCPT TO:<bob@example.com>") || evidence[0].Gateway != "gw1" {
		t.Errorf("evidence %+v", evidence)
	}

	// Released: from zero, and at half the rate.
	w.mem.release("limit.stolen", "bob", w.now.UnixMilli(), w.now.Add(24*time.Hour).UnixMilli())
	w.refresh()
	w.blocked(rcpt("bob", false), accept, "")
	w.blocked(rcpt("bob", true), accept, "")
	w.blocked(rcpt("bob", true), plan.Freeze, blockRef)
	if len(w.mem.cases) != 2 || w.mem.cases[1].first.Rate != "1/1h" {
		t.Errorf("%d cases, the last %+v", len(w.mem.cases), w.mem.cases[len(w.mem.cases)-1].first)
	}
	if e := w.mem.cases[1].evidence; len(e) != 2 {
		t.Errorf("the evidence of before the release came along: %+v", e)
	}
	w.wait(time.Millisecond)
	w.mem.release("limit.stolen", "bob", w.now.UnixMilli(), 0)
	w.refresh()
	for range 3 {
		w.blocked(rcpt("bob", true), accept, "")
	}
	w.blocked(rcpt("bob", true), plan.Freeze, blockRef)
}

// TestBlockEnds: by itself, and then the next offence decides.
func TestBlockEnds(t *testing.T) {
	w := newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "1/5m"), func(b *plan.Block) { b.Until, b.Verdict, b.Message = dur("1h"), plan.Deny, "no" })))))
	w.blocked(rcpt("bob", true), accept, "")
	w.blocked(rcpt("bob", true), plan.Deny, blockRef)
	w.wait(time.Hour - time.Millisecond)
	w.blocked(rcpt("bob", false), plan.Deny, blockRef)
	w.wait(time.Millisecond)
	w.blocked(rcpt("bob", false), accept, "")
	w.blocked(rcpt("bob", true), accept, "")
	w.blocked(rcpt("bob", true), plan.Deny, blockRef)
	if len(w.mem.cases) != 2 {
		t.Errorf("%d cases", len(w.mem.cases))
	}
}

// TestBlockDecidesAlone: nothing that others say stands beside it, and their offences count.
func TestBlockDecidesAlone(t *testing.T) {
	deny := tier("deny", plan.Deny, "0/1h")
	slow := tier("slow", accept, "0/1h")
	slow.Delay = &plan.Delay{Fixed: dur("5s"), Max: dur("9s")}
	slow.AddHeader = []plan.Header{{Name: "X-B", Value: []plan.Piece{{Text: "b"}}}}
	other := stolen([]plan.Tier{deny, slow}, func(l *plan.Limit) { l.Name = "other" })
	weaker := stolen(only(blocking(tier("t", accept, "0/1h"))), func(l *plan.Limit) { l.Name = "a" })
	stronger := stolen(only(blocking(tier("t", accept, "2/1h"), func(b *plan.Block) { b.Verdict = plan.Defer })), func(l *plan.Limit) { l.Name = "z" })
	w := newWorld(t, makePlan(other, weaker, stronger))
	d := w.blocked(rcpt("bob", true), plan.Freeze, "limit.a/t/block")
	if d.Answer.Delay != 0 || len(d.Answer.Add) != 0 {
		t.Errorf("others speak, too: %s", d.Answer)
	}
	w.blocked(rcpt("bob", true), plan.Freeze, "limit.a/t/block")
	w.blocked(rcpt("bob", true), plan.Defer, "limit.z/t/block")
	w.blocked(rcpt("bob", false), plan.Defer, "limit.z/t/block")
	if n := w.mem.counter[counterKey{"limit.other", "bob", time.Hour}]; n[slotOf(w.now, time.Hour)] != 3 {
		t.Errorf("the other limit has counted %v", n)
	}
	// One that observes a block changes nothing.
	p := makePlan(stolen(only(blocking(tier("block", accept, "0/1h"))), func(l *plan.Limit) { l.Mode = plan.Observe }))
	w = newWorld(t, p)
	if d := w.blocked(rcpt("bob", true), accept, ""); d.Answer.Would != plan.Freeze || d.Answer.WouldBy != blockRef || len(w.mem.cases) != 0 || len(w.mem.sample) != 0 {
		t.Errorf("observing: %s", d.Answer)
	}
}

func slotOf(at time.Time, window time.Duration) int64 {
	return at.UnixMilli() / engine.SlotLength(window).Milliseconds()
}

// TestGuard: a block that freezes defers before it fills the disk.
func TestGuard(t *testing.T) {
	w := newWorld(t, makePlan(stolen(only(blocking(tier("block", accept, "0/1h"), func(b *plan.Block) { b.Most, b.Free = 2, 10 })))))
	free, ok := int64(10), true
	w.live.Free = func() (int64, bool) { return free, ok }
	w.blocked(rcpt("bob", true), plan.Freeze, blockRef)
	guard := plan.GuardRef("limit.stolen", "block")
	free = 9
	w.blocked(rcpt("bob", true), plan.Defer, guard)
	w.blocked(rcpt("bob", false), plan.Defer, guard)
	w.blocked(rcpt("eve", true), plan.Defer, guard) // at once; and the case is open nevertheless
	if len(w.mem.cases) != 2 {
		t.Errorf("%d cases", len(w.mem.cases))
	}
	ok = false // nobody knows
	w.blocked(rcpt("bob", false), plan.Freeze, blockRef)
	for i := range 2 {
		q := user("bob", plan.Held)
		q.Stage, q.Half, q.Hold, q.Message = plan.Data, plan.After, blockRef, fmt.Sprint("id", i)
		w.blocked(q, accept, "")
		q.Hold = "limit.other/block/block"
		w.blocked(q, accept, "")
	}
	if len(w.mem.held) != 2 || w.mem.held[[2]string{"", "id0"}].Case != 1 {
		t.Fatalf("held: %v", w.mem.held)
	}
	w.blocked(rcpt("bob", false), plan.Defer, guard)
	w.blocked(rcpt("eve", false), plan.Freeze, blockRef) // each case has its own
}

// TestStagesOfBlocks: a block is in force at its stage, for its traffic.
func TestStagesOfBlocks(t *testing.T) {
	at := func(stage string) func(*plan.Block) {
		return func(b *plan.Block) {
			b.At, b.Verdict, b.Traffics = stage, plan.Deny, []string{plan.Inbound, plan.Relay}
		}
	}
	crack := limit("crack", plan.AuthFailure, only(blocking(tier("t", accept, "0/1h"), at(plan.Auth))))
	guess := limit("guess", plan.UnknownRecipient, only(blocking(tier("t", accept, "0/1h"), at(plan.Connect), func(b *plan.Block) { b.Traffics = b.Traffics[:1] })))
	w := newWorld(t, makePlan(crack, guess))
	w.happens(engine.Happening{Event: plan.AuthFailure, Traffic: plan.Inbound, At: w.now, Item: "1", Client: netip.MustParseAddr("192.0.2.1"), Login: "bob"})
	ask := func(stage, traffic string) wire.Question {
		q := says(plan.Connection)
		q.Stage, q.Events, q.Traffic, q.Sender, q.Recipient = stage, []string{plan.Blocked}, traffic, "", ""
		return q
	}
	w.blocked(ask(plan.Auth, plan.Inbound), plan.Deny, "limit.crack/t/block")
	w.blocked(ask(plan.Auth, plan.Relay), plan.Deny, "limit.crack/t/block")
	w.blocked(ask(plan.Connect, plan.Inbound), accept, "")
	w.blocked(ask(plan.Rcpt, plan.Inbound), accept, "")
	w.blocked(says(plan.UnknownRecipient), accept, "") // it opens a case, but is in force from the next connection
	if len(w.mem.cases) != 2 {
		t.Fatalf("%d cases", len(w.mem.cases))
	}
	w.blocked(ask(plan.Connect, plan.Inbound), plan.Deny, "limit.guess/t/block")
	w.blocked(ask(plan.Connect, plan.Relay), accept, "")
}

// TestExemptFromBlocks: whoever is exempt from a policy is so from its blocks.
func TestExemptFromBlocks(t *testing.T) {
	friends := plan.List{Name: "friends", Entries: []plan.Entry{{Field: "auth", Pattern: "eve"}}}
	w := newWorld(t, makePlan(friends, stolen(only(blocking(tier("block", accept, "0/1h"))), func(l *plan.Limit) { l.Except = []plan.Ref{{List: "friends"}} })))
	w.blocked(rcpt("eve", true), accept, "")
	w.blocked(rcpt("bob", true), plan.Freeze, blockRef)
	w.live.Runtime.Off = []engine.Switch{{Policy: "limit.stolen"}}
	w.blocked(rcpt("bob", true), accept, "")
	w.refresh()
	w.live.Runtime.Allowances = []engine.Allowance{{ID: 1, Field: "auth", Pattern: "bob"}}
	w.blocked(rcpt("bob", false), accept, "")
	if lines := w.e.LastKnown(w.live.Runtime, w.now); len(lines) != 0 {
		t.Errorf("allowed, and blocked while exipold is away: %q", lines)
	}
	w.refresh()
	if lines := w.e.LastKnown(w.live.Runtime, w.now); len(lines) != 1 || lines[0] != wire.BlockedKey("limit.stolen", "bob")+": v=1 verdict=freeze by="+blockRef+" waive=no end=1" {
		t.Errorf("while exipold is away: %q", lines)
	}
}

// TestTiersOfADesk: each tier opens or raises once, tells its own receivers, and what is in force
// stays so.
func TestTiersOfADesk(t *testing.T) {
	warn := tier("warn", accept, "1/1h")
	warn.Notify = []string{"notice.desk", plan.NotifyOwner}
	last := tier("last", accept, "5/1h")
	last.Notify = []string{"notice.desk"}
	w := newWorld(t, makePlan(stolen([]plan.Tier{warn, blocking(tier("block", accept, "3/1h")), last})))
	for i := range 8 {
		d := w.ask(rcpt("bob", true))
		if engine.Opens(d.Writes) {
			w.refresh()
		}
		if blocked := d.Answer.Verdict == plan.Freeze; blocked != (i >= 3) {
			t.Errorf("offence %d: %s", i+1, d.Answer)
		}
	}
	if len(w.mem.cases) != 1 || len(w.mem.opens) != 3 {
		t.Fatalf("%d cases by %d writes", len(w.mem.cases), len(w.mem.opens))
	}
	if c := w.mem.cases[0]; fmt.Sprint(c.tiers) != "[warn block last]" || len(c.notices) != 4 {
		t.Errorf("%v, %v", c.tiers, c.notices)
	}
	// Over all of them at once: a case with all three.
	w = newWorld(t, makePlan(stolen([]plan.Tier{warn, blocking(tier("block", accept, "3/1h")), last}, func(l *plan.Limit) { l.Events[0].Weight = 9 })))
	w.blocked(rcpt("bob", true), plan.Freeze, blockRef)
	if c := w.mem.cases; len(c) != 1 || fmt.Sprint(c[0].tiers) != "[warn block last]" {
		t.Errorf("%+v", c)
	}
	w.blocked(rcpt("bob", false), plan.Freeze, blockRef)
}

// TestBlockOfAccepted: a limit of accepted recipients opens a case where its own block refuses
// the one too many, and not where somebody else refuses it.
func TestBlockOfAccepted(t *testing.T) {
	block := blocking(tier("stop", accept, "2/1h"), func(b *plan.Block) { b.Verdict, b.Traffics = plan.Deny, []string{plan.Inbound} })
	rate := limit("rate", plan.Recipient, only(block))
	other := limit("other", plan.Recipient, only(tier("t", plan.Defer, "2/1h")))
	w := newWorld(t, makePlan(rate, other))
	for range 2 {
		w.blocked(says(plan.Recipient), accept, "")
	}
	w.blocked(says(plan.Recipient), plan.Deny, "limit.rate/stop/block")
	if len(w.mem.cases) != 1 {
		t.Errorf("%d cases", len(w.mem.cases))
	}
	w = newWorld(t, makePlan(rate, limit("other", plan.Recipient, only(tier("t", plan.Defer, "1/1h")))))
	for range 9 {
		w.ask(says(plan.Recipient))
	}
	if len(w.mem.cases) != 0 {
		t.Error("a case for what was never accepted")
	}
}

// TestProbationOfOverrides: it is a share of the rates that hold for whom it is about, and it ends.
func TestProbationOfOverrides(t *testing.T) {
	bulk := plan.List{Name: "bulk", Entries: []plan.Entry{{Field: "auth", Pattern: "bulk"}}}
	w := newWorld(t, makePlan(bulk, stolen(only(blocking(tier("block", accept, "2/1h"), probation(50))), func(l *plan.Limit) {
		l.Overrides = []plan.Override{{Name: "bulk", Only: []plan.Ref{{List: "bulk"}}, Over: []plan.OverrideTier{{Tier: "block", Over: []plan.Rate{rate("7/1h")}}}}}
	})))
	until := w.now.Add(time.Minute)
	for _, step := range []struct{ bob, bulk int }{{2, 7}, {1, 3}, {2, 7}} {
		for id, free := range map[string]int{"bob": step.bob, "bulk": step.bulk} {
			for range free {
				w.blocked(rcpt(id, true), accept, "")
			}
			w.blocked(rcpt(id, true), plan.Freeze, blockRef)
			w.wait(time.Millisecond)
			w.mem.release("limit.stolen", id, w.now.UnixMilli(), until.UnixMilli())
		}
		w.refresh()
		if step.bob == 1 {
			w.wait(time.Minute) // it is over
		}
	}
}
