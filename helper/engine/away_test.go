package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/normalize"
)

// stands is a block in force.
func stands(policy string, parts ...string) engine.Standing {
	return engine.Standing{Policy: "limit." + policy, Key: normalize.Key(parts), Case: 1, Tier: "t", Rank: 1, Blocks: true}
}

// knows makes these all that is known.
func (w *world) knows(all ...engine.Standing) {
	w.live.Runtime = &engine.Runtime{Standings: new(engine.Standings).With(all)}
}

// away asks while the store is away, and compares.
func (w *world) away(what string, q wire.Question, verdict, by string) wire.Answer {
	w.t.Helper()
	a, err := w.e.Away(q, w.now, w.live)
	if err != nil || a.Verdict != verdict || a.By != by || a.LastKnown != (verdict != wire.Away) {
		w.t.Errorf("%s: %s, %v; want %s by %q", what, a, err, verdict, by)
	}
	return a
}

// TestAway: blocks that were known stay in force, whatever their keys are made of, where the policy says so.
func TestAway(t *testing.T) {
	deny := func(b *plan.Block) { b.Verdict = plan.Deny }
	named := func(name string, key []plan.Part, change ...func(*plan.Limit)) plan.Limit {
		return stolen(only(blocking(tier("t", accept, "0/1h"), deny)), append([]func(*plan.Limit){func(l *plan.Limit) { l.Name, l.Key = name, key }}, change...)...)
	}
	byAuth := []plan.Part{{Field: "auth"}}
	p := makePlan(
		plan.List{Name: "friends", Entries: []plan.Entry{{Field: "sender", Pattern: "friend@example.org"}}},
		plan.List{Name: "bulk", Entries: []plan.Entry{{Field: "sender", Pattern: "bulk@example.org"}}},
		plan.List{Name: "correspondents", Learn: []plan.Learn{{Traffic: plan.Inbound, From: "recipient", Remember: dur("60d")}}},
		named("net", []plan.Part{clientNet}, func(l *plan.Limit) { l.Except = []plan.Ref{{List: "correspondents"}, {List: "friends"}} }),
		named("owner", []plan.Part{{Field: "owner"}}), named("helo", []plan.Part{{Field: "helo"}, {Field: "sender.domain"}}),
		named("pass", byAuth, func(l *plan.Limit) { l.OnFailure = plan.Pass }),
		named("later", byAuth, func(l *plan.Limit) { l.OnFailure, l.Except = plan.DeferMail, []plan.Ref{{List: "friends"}} }),
		named("watch", byAuth, func(l *plan.Limit) { l.Mode = plan.Observe }),
		named("bulk", byAuth, func(l *plan.Limit) { l.Only = []plan.Ref{{List: "bulk"}} }),
		named("learned", byAuth, func(l *plan.Limit) { l.Only = []plan.Ref{{List: "bulk"}, {List: "correspondents"}} }),
		named("mail", byAuth, func(l *plan.Limit) { l.Tiers[0].Block.At, l.Tiers[0].Block.Verdict = plan.Mail, plan.Defer }),
	)
	w := newWorld(t, p)
	ms := w.now.UnixMilli()
	if !w.e.KnowsBlocks() {
		t.Error("it is to know no blocks")
	}
	w.knows()
	for _, bad := range []bool{false, true} {
		w.away("nobody is blocked", rcpt("bob", bad), wire.Away, "")
	}
	w.knows(stands("net", "192.0.2.0/24"))
	w.away("a network", rcpt("bob", true), plan.Deny, "limit.net/t/block")
	other := rcpt("bob", false)
	other.Client = netip.MustParseAddr("192.0.3.1")
	w.away("another network", other, wire.Away, "")
	friend := rcpt("bob", false)
	friend.Sender = "friend@example.org"
	w.away("a friend", friend, wire.Away, "")
	w.live.Runtime.Allowances = []engine.Allowance{{Field: "client", Pattern: "192.0.2.1/32", Until: ms + 1}}
	w.away("allowed", rcpt("bob", false), wire.Away, "")
	w.wait(time.Millisecond)
	w.away("no longer allowed", rcpt("bob", false), plan.Deny, "limit.net/t/block")
	w.live.Runtime.Off = []engine.Switch{{Policy: "limit.net"}}
	w.away("switched off", rcpt("bob", false), wire.Away, "")

	w.knows(stands("owner", "auth:bob"), stands("helo", "mail.example.org", "example.org"))
	w.away("an owner", rcpt("bob", false), plan.Deny, "limit.helo/t/block")
	w.away("a name", rcpt("eve", false), plan.Deny, "limit.helo/t/block")
	for _, policy := range []string{"pass", "later", "watch", "bulk"} {
		w.knows(stands(policy, "bob"))
		w.away(policy, rcpt("bob", false), wire.Away, "")
	}
	bulk := rcpt("bob", false)
	bulk.Sender = "bulk@example.org"
	w.away("of those that it is for", bulk, plan.Deny, "limit.bulk/t/block")
	w.knows(stands("learned", "bob"))
	w.away("of whom nobody knows whether it is for them", rcpt("bob", false), plan.Deny, "limit.learned/t/block")
	w.knows(stands("mail", "bob"))
	w.away("at another stage", rcpt("bob", false), wire.Away, "")
	mail := rcpt("bob", false)
	mail.Stage, mail.Recipient = plan.Mail, ""
	w.away("at its stage", mail, plan.Defer, "limit.mail/t/block")

	ends := stands("owner", "auth:bob")
	ends.Until = w.now.UnixMilli() + 1
	w.knows(ends)
	w.away("before its end", rcpt("bob", false), plan.Deny, "limit.owner/t/block")
	w.wait(time.Millisecond)
	w.away("after its end", rcpt("bob", false), wire.Away, "")
	released := stands("owner", "auth:bob")
	released.Released = 1
	w.knows(released)
	w.away("released", rcpt("bob", false), wire.Away, "")
	if newWorld(t, makePlan(named("pass", byAuth, func(l *plan.Limit) { l.OnFailure = plan.Pass }))).e.KnowsBlocks() {
		t.Error("it is to know blocks that pass")
	}
}

// TestAwayFreezes: what a block would let in, frozen, is not let in where another policy wants it deferred; one
// that refuses does so in any case. How many messages are held nobody knows; how full the disk is is known.
func TestAwayFreezes(t *testing.T) {
	careful := func(l *plan.Limit) {
		l.Name, l.OnFailure, l.Except = "careful", plan.DeferMail, []plan.Ref{{List: "friends"}}
	}
	freeze := stolen(only(blocking(tier("t", accept, "0/1h"), func(b *plan.Block) { b.Most, b.Free = 1, 10 })))
	freeze.Tiers[0].Block.AddHeader = []plan.Header{{Name: "X", Value: []plan.Piece{{Text: "x"}}}}
	w := newWorld(t, makePlan(plan.List{Name: "friends", Entries: []plan.Entry{{Field: "auth", Pattern: "eve"}}},
		freeze, stolen(only(tier("t", plan.Deny, "9/1h")), careful)))
	w.knows(stands("stolen", "bob"), stands("stolen", "eve"))
	if a := w.away("before anything is counted", rcpt("bob", false), plan.Freeze, "limit.stolen/t/block"); !slices.Equal(a.Add, []string{a.By}) {
		t.Errorf("adds %q", a.Add)
	}
	w.away("deferred", rcpt("bob", true), wire.Away, "")
	w.away("not deferred", rcpt("eve", true), plan.Freeze, "limit.stolen/t/block")
	w.live.Runtime.Off = []engine.Switch{{Policy: "limit.careful"}}
	w.away("nobody wants it deferred any more", rcpt("bob", true), plan.Freeze, "limit.stolen/t/block")
	w.live.Free = func() (int64, bool) { return 9, true }
	w.away("a full disk", rcpt("bob", false), plan.Defer, plan.GuardRef("limit.stolen", "t"))

	freeze.Tiers[0].Block.Verdict = plan.Deny
	w = newWorld(t, makePlan(freeze, stolen(only(tier("t", plan.Deny, "9/1h")), careful, func(l *plan.Limit) { l.Except = nil })))
	w.knows(stands("stolen", "bob"))
	w.away("refused", rcpt("bob", true), plan.Deny, "limit.stolen/t/block")
}

// TestAwayAsEver: where nothing is counted and nothing but blocks is asked about, the answer is the same with
// the store and without.
func TestAwayAsEver(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 5))
	keys := [][]plan.Part{{{Field: "auth"}}, {{Field: "owner"}}, {clientNet}, {clientIP, {Field: "auth"}}, {{Field: "helo"}}, {{Field: "recipient"}}, {{Field: "sender.domain"}}}
	verdicts := []string{plan.Freeze, plan.Defer, plan.Deny}
	blocked := 0
	for range 300 {
		var policies []any
		for i := range 1 + random.IntN(3) {
			block := blocking(tier("t", accept, "5/1h"), func(b *plan.Block) { b.Verdict = verdicts[random.IntN(len(verdicts))] })
			policies = append(policies, stolen(only(block), func(l *plan.Limit) {
				l.Name, l.Key = fmt.Sprint("l", i), keys[random.IntN(len(keys))]
				if random.IntN(5) == 0 {
					l.Mode = plan.Observe
				}
			}))
		}
		w := newWorld(t, makePlan(policies...))
		var all []engine.Standing
		for i := range policies {
			for _, part := range []string{"bob", "auth:bob", "192.0.2.0/24", "mail.example.org", "bob@example.com", "example.org"} {
				if random.IntN(3) == 0 {
					s := stands(fmt.Sprint("l", i), part)
					s.Until = []int64{0, w.now.UnixMilli(), w.now.UnixMilli() + 1}[random.IntN(3)]
					all = append(all, s)
				}
			}
		}
		w.knows(all...)
		for _, id := range []string{"bob", "eve"} {
			q := rcpt(id, false)
			want := w.decide(q).Answer
			got, err := w.e.Away(q, w.now, w.live)
			if want.Verdict == accept {
				want = wire.Answer{Verdict: wire.Away}
			} else {
				blocked++
				want = wire.Answer{Verdict: want.Verdict, By: want.By, Add: want.Add, LastKnown: true}
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s, %v; with the store %s", got, err, want)
			}
		}
	}
	if blocked < 50 {
		t.Errorf("only %d were blocked", blocked)
	}
}
