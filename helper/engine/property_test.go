package engine_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// TestWindows compares counting with an exact list of events, at random times: no
// event is forgotten before its window ends, and none is held longer than a
// thirty-sixth of it (or the second that a slot has at least).
func TestWindows(t *testing.T) {
	for _, window := range []string{"1s", "10s", "36s", "100s", "5m", "1h", "7h13m7s", "24h", "30d"} {
		for _, distinct := range []bool{false, true} {
			t.Run(window+" "+strconv.FormatBool(distinct), func(t *testing.T) {
				for seed := range uint64(2) {
					checkWindow(t, rand.New(rand.NewPCG(seed, 36)), dur(window).Std(), distinct)
				}
			})
		}
	}
}

func checkWindow(t *testing.T, random *rand.Rand, window time.Duration, distinct bool) {
	t.Helper()
	const most = 5
	// A shorter window beside it must not change anything.
	short := plan.Duration(max(window/7/time.Second*time.Second, time.Second))
	w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, []plan.Tier{
		{Name: "t", Verdict: plan.Deny, Over: []plan.Rate{{Count: most, Per: plan.Duration(window)}}},
		{Name: "short", Verdict: accept, Over: []plan.Rate{{Count: 1, Per: short}}},
	}, func(l *plan.Limit) {
		if distinct {
			l.Distinct = &plan.Part{Field: "recipient"}
		}
	})))
	w.wait(time.Duration(random.Int64N(int64(24 * time.Hour)))) // slots begin at any place of the window
	type event struct {
		at     time.Time
		member string
	}
	var events []event
	late := max(window/engine.Slots, time.Second)
	if distinct {
		late = window/engine.Slots + time.Millisecond
	}
	inLast := func(length time.Duration) int {
		members := map[string]bool{}
		n := 0
		for _, e := range events {
			if e.at.After(w.now.Add(-length)) {
				members[e.member] = true
				n++
			}
		}
		if distinct {
			return len(members)
		}
		return n
	}
	fired, quiet := 0, 0
	for range 300 {
		w.wait(time.Duration(random.ExpFloat64() * float64(window) / most).Truncate(time.Millisecond))
		if random.IntN(20) == 0 { // exactly at the end of an old one's window, or of its slot
			w.wait(time.Duration(random.IntN(3)-1)*time.Millisecond + late/time.Millisecond*time.Millisecond)
		}
		e := event{w.now, "u" + strconv.Itoa(random.IntN(2*most)) + "@example.com"}
		events = append(events, e)
		got := w.ask(says(plan.UnknownRecipient, to(e.member))).Answer.Verdict == plan.Deny
		if must := inLast(window) > most; must && !got {
			t.Fatalf("after %s: %d in the last %s, and nothing happens", w.now.Sub(start), inLast(window), window)
		}
		if may := inLast(window+late) > most; got && !may {
			t.Fatalf("after %s: only %d in the last %s and %s", w.now.Sub(start), inLast(window+late), window, late)
		}
		if got {
			fired++
		} else {
			quiet++
		}
	}
	if fired < 20 || quiet < 20 {
		t.Errorf("a weak test: fired %d times, and %d times not", fired, quiet)
	}
}

// TestCountersExpire: a slot's row is gone no earlier than it stops to count.
func TestCountersExpire(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		window := time.Duration(1+random.Int64N(86400*40)) * time.Second
		w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, []plan.Tier{{Name: "t", Verdict: plan.Deny, Over: []plan.Rate{{Count: 1, Per: plan.Duration(window)}}}})))
		w.wait(time.Duration(random.Int64N(int64(window))))
		d := w.ask(says(plan.UnknownRecipient))
		expires := time.UnixMilli(d.Writes[0].(engine.AddCount).Expires)
		w.now = expires.Add(-time.Millisecond)
		counts := w.ask(says(plan.UnknownRecipient)).Answer.Verdict == plan.Deny
		w.mem = newMemory()
		w.now = expires
		w.ask(says(plan.UnknownRecipient))
		if early := expires.Sub(start) < window; early {
			t.Fatalf("window %s: the row expires after %s", window, expires.Sub(start))
		}
		// It counts up to the moment before: no row lies about longer than it counts.
		if !counts {
			t.Fatalf("window %s: the row still stands when it counts no more", window)
		}
	}
}

// TestOrderDoesNotMatter: the same policies in any order of files, blocks and
// list entries give the same answers, to a long random dialogue.
func TestOrderDoesNotMatter(t *testing.T) {
	build := func(random *rand.Rand) *plan.Plan {
		lists := []any{
			plan.List{Name: "a", Entries: []plan.Entry{{Field: "sender", Pattern: "s1.test"}, {Field: "client", Pattern: "192.0.2.1/32"}, {Field: "client", Pattern: "192.0.2.0/30"}}},
			plan.List{Name: "b", Entries: []plan.Entry{{Field: "recipient", Pattern: "r1@example.com"}, {Field: "sender", Pattern: "*@*.s2.test"}}},
		}
		slow := tier("slow", accept, "3/1h")
		slow.Delay = &plan.Delay{Each: dur("1s"), Max: dur("20s")}
		slow.AddHeader = []plan.Header{{Name: "X", Value: []plan.Piece{{Text: "y"}}}}
		slower := tier("slower", accept, "3/1h")
		slower.Delay = &plan.Delay{Fixed: dur("7s"), Max: dur("20s"), Sleepers: 5}
		except := func(name string) func(*plan.Limit) {
			return func(l *plan.Limit) { l.Except = []plan.Ref{{List: name}, {Trusted: "watch"}} }
		}
		policies := append(lists,
			grey(trust), grey(trust, func(g *plan.Grey) { g.Name, g.Mode = "watch", plan.Observe }),
			limit("one", plan.Recipient, []plan.Tier{slow, tier("stop", plan.Defer, "6/1h"), tier("deny", plan.Deny, "9/1h")}, except("a")),
			limit("two", plan.Recipient, []plan.Tier{slower, tier("stop", plan.Defer, "6/1h")}, except("b"), func(l *plan.Limit) { l.Attempts = true }),
			limit("three", plan.Recipient, []plan.Tier{tier("x", plan.Deny, "4/1h")}, func(l *plan.Limit) { l.Mode, l.Distinct = plan.Observe, &plan.Part{Field: "sender"} }),
			limit("four", plan.Recipient, []plan.Tier{tier("x", plan.Freeze, "5/1h")}, func(l *plan.Limit) {
				l.Key, l.Only = []plan.Part{{Field: "sender.domain"}}, []plan.Ref{{List: "a", Field: "sender"}}
			}),
		)
		if random != nil {
			random.Shuffle(len(policies), func(i, j int) { policies[i], policies[j] = policies[j], policies[i] })
			for _, p := range policies {
				if l, ok := p.(plan.List); ok {
					random.Shuffle(len(l.Entries), func(i, j int) { l.Entries[i], l.Entries[j] = l.Entries[j], l.Entries[i] })
				}
			}
		}
		return makePlan(policies...)
	}
	dialogue := func(p *plan.Plan) (answers []string, mem *memory) {
		random := rand.New(rand.NewPCG(7, 7))
		w := newWorld(t, p)
		for range 1500 {
			w.wait(time.Duration(random.Int64N(int64(4 * time.Minute))))
			q := says(plan.Recipient,
				func(q *wire.Question) { q.Client = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + random.IntN(6))}) },
				sender([]string{"a@s1.test", "b@x.s2.test", "c@s3.test", "d@s4.test", ""}[random.IntN(5)]),
				to([]string{"r1@example.com", "r2@example.com", "postmaster@example.com"}[random.IntN(3)]))
			d := w.ask(q)
			answers = append(answers, d.Answer.String())
		}
		return answers, w.mem
	}
	want, rows := dialogue(build(nil))
	kinds := map[string]bool{}
	for _, a := range want {
		kinds[a] = true
	}
	if len(kinds) < 15 {
		t.Errorf("a weak test: only %d different answers", len(kinds))
	}
	for seed := range uint64(3) {
		got, its := dialogue(build(rand.New(rand.NewPCG(seed, 1))))
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("answer %d of shuffle %d is\n%s\nand was\n%s", i, seed, got[i], want[i])
			}
		}
		rows.reads, its.reads = nil, nil
		if !reflect.DeepEqual(rows, its) {
			t.Errorf("shuffle %d keeps other rows", seed)
		}
	}
}

// TestWaiversAreHonest: were a waived question asked after all, within the scope of
// the waiver, it would cost nothing and change nothing.
func TestWaiversAreHonest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	lists := []plan.List{
		{Name: "client", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.1/32"}}},
		{Name: "mixed", Entries: []plan.Entry{{Field: "sender", Pattern: "s1.test"}, {Field: "client", Pattern: "192.0.2.2/32"}}},
		{Name: "grows", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.4/32"}}, Learn: []plan.Learn{{Traffic: plan.Submission, From: "recipient", Remember: dur("60d")}}},
		{Name: "rcpt", Entries: []plan.Entry{{Field: "recipient", Pattern: "r1@example.com"}, {Field: "sender", Pattern: "s2.test"}}},
	}
	refs := []plan.Ref{{List: "client"}, {List: "mixed"}, {List: "mixed", Field: "sender"}, {List: "rcpt"}, {List: "rcpt", Field: "recipient"}, {Trusted: "inbound"},
		{List: "grows"}, {List: "grows", Field: "recipient"}, {Pool: "big"}}
	keys := [][]plan.Part{{clientNet}, {{Field: "pool"}}, {clientIP, {Field: "sender.domain"}}, {{Field: "recipient"}}, {{Field: "helo"}}}
	waived := map[string]int{}
	for range 300 {
		some := func() (out []plan.Ref) {
			for range random.IntN(3) {
				out = append(out, refs[random.IntN(len(refs))])
			}
			return out
		}
		g := grey(trust, func(g *plan.Grey) { g.Trust.Key, g.Trust.After = keys[random.IntN(len(keys))], 1 })
		for _, r := range some() {
			if r.Trusted == "" {
				g.Except = append(g.Except, r)
			}
		}
		policies := []any{lists[0], lists[1], lists[2], lists[3], plan.Pool{Name: "big"}, g}
		for i := range random.IntN(3) {
			policies = append(policies, limit("l"+strconv.Itoa(i), plan.Recipient, only(tier("t", plan.Deny, "3/1h")), func(l *plan.Limit) {
				l.Only, l.Except, l.Attempts = some(), some(), random.IntN(2) == 0
			}))
		}
		w := newWorld(t, makePlan(policies...))
		w.live.Pool = func(a netip.Addr) string { return map[byte]string{3: "big"}[a.As4()[3]] }
		w.truth = func(q wire.Question) engine.Facts {
			return engine.Facts{SPF: map[string]string{"a@s1.test": "pass", "c@s3.test": "pass"}[q.Sender], SPFDomain: strings.TrimLeft(q.Sender, "ac@")}
		}
		for _, known := range []string{"c@s3.test", "r2@example.com"} {
			w.mem.seen[[2]string{"list.grows", known}] = engine.SeenRow{First: 1, Expires: 1 << 50}
		}
		for range 100 {
			q := says(plan.Recipient,
				func(q *wire.Question) {
					q.Client, q.Helo = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + random.IntN(4))}), "h"+strconv.Itoa(random.IntN(2))
				},
				sender([]string{"a@s1.test", "b@s2.test", "c@s3.test", ""}[random.IntN(4)]),
				to("r"+strconv.Itoa(random.IntN(3))+"@example.com"))
			d := w.ask(q)
			waived[d.Answer.Waive]++
			if d.Answer.Waive == wire.WaiveNo {
				w.wait(time.Duration(random.Int64N(int64(20 * time.Minute))))
				continue
			}
			w.wait(wire.WaiveSeconds * time.Second)
			next := q
			next.Recipient = "r" + strconv.Itoa(random.IntN(3)) + "@example.com"
			if d.Answer.Waive == wire.WaiveConnection {
				next.Sender, next.Helo = "n@s"+strconv.Itoa(random.IntN(4))+".test", "h"+strconv.Itoa(random.IntN(2))
			}
			then := w.decide(next)
			// (Whoever is trusted by his domain may also earn trust for his net; that can wait.)
			then.Writes = slices.DeleteFunc(then.Writes, func(w engine.Write) bool {
				put, ok := w.(engine.PutSeen)
				return ok && put.Policy == ref+".trusted"
			})
			if then.Answer.Verdict != accept || len(then.Writes) > 0 || then.Answer.Delay > 0 {
				t.Fatalf("%+v\nwas answered %s\n%s\nbut\n%+v\nwould be\n%s\n%s, and write %+v", q, d.Answer, reasons(d), next, then.Answer, reasons(then), then.Writes)
			}
		}
	}
	for _, kind := range []string{wire.WaiveNo, wire.WaiveMessage, wire.WaiveConnection} {
		if waived[kind] < 100 {
			t.Errorf("a weak test: %v", waived)
		}
	}
}
