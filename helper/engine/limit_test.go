package engine_test

import (
	"slices"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

func TestOver(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, only(tier("t", plan.Deny, "3/1h")))))
	for range 3 {
		w.want(says(plan.UnknownRecipient), accept, "")
		w.wait(time.Minute)
	}
	w.want(says(plan.UnknownRecipient), plan.Deny, "limit.l/t") // the fourth
	w.want(says(plan.UnknownRecipient, from("192.0.2.2")), accept, "")
	w.wait(2 * time.Hour)
	w.want(says(plan.UnknownRecipient), accept, "")

	zero := newWorld(t, makePlan(limit("l", plan.Connection, only(tier("t", plan.Drop, "0/1h")))))
	zero.want(says(plan.Connection), plan.Drop, "limit.l/t")
}

func TestSeveralWindows(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, only(tier("t", plan.Deny, "3/1h", "5/24h")))))
	for range 2 {
		for range 3 {
			w.want(says(plan.UnknownRecipient), map[bool]string{true: plan.Deny, false: accept}[w.count() == 5], map[bool]string{true: "limit.l/t"}[w.count() == 5])
		}
		w.wait(2 * time.Hour)
	}
	w.want(says(plan.UnknownRecipient), plan.Deny, "limit.l/t") // 1 in the hour, 7 in the day
	w.wait(25 * time.Hour)
	w.want(says(plan.UnknownRecipient), accept, "")
}

// count is all that was ever counted, in any one window of it.
func (w *world) count() int64 {
	var most int64
	for k := range w.mem.counter {
		most = max(most, w.mem.sum(k))
	}
	return most
}

func (m *memory) sum(k counterKey) (n int64) {
	for _, v := range m.counter[k] {
		n += v
	}
	return n
}

func TestWeights(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", "", only(tier("t", plan.Deny, "5/1h")), func(l *plan.Limit) {
		l.Events = []plan.WeightedEvent{{Event: plan.Connection, Weight: 1}, {Event: plan.UnknownRecipient, Weight: 3}}
	})))
	w.want(says(plan.UnknownRecipient), accept, "") // 3
	w.want(says(plan.Connection), accept, "")       // 4
	w.want(says(plan.Connection), accept, "")       // 5
	w.want(says(plan.Connection), plan.Deny, "limit.l/t")
	if n := w.count(); n != 6 {
		t.Errorf("counted %d", n)
	}
}

func TestDistinct(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, only(tier("t", plan.Deny, "2/1h")), func(l *plan.Limit) {
		l.Distinct = &plan.Part{Field: "recipient"}
	})))
	for range 10 {
		w.want(says(plan.UnknownRecipient, to("a@example.com")), accept, "")
		w.want(says(plan.UnknownRecipient, to("A+x@example.com")), accept, "")
		w.want(says(plan.UnknownRecipient, to("b@example.com")), accept, "")
	}
	w.want(says(plan.UnknownRecipient, to("c@example.com")), plan.Deny, "limit.l/t")
	w.want(says(plan.UnknownRecipient, to("a@example.com")), plan.Deny, "limit.l/t") // an old one, but still three
	if d := w.ask(says(plan.UnknownRecipient, to("a@example.com"))); len(d.Writes) != 0 {
		t.Errorf("a member that was seen just now is written again: %+v", d.Writes)
	}
	w.wait(2 * time.Hour)
	w.want(says(plan.UnknownRecipient, to("a@example.com")), accept, "")
}

// TestDistinctIsNotForgottenEarly: a member's time is not written anew within a
// thirty-sixth of the window, and yet its last event counts to its end.
func TestDistinctIsNotForgottenEarly(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, only(tier("t", plan.Deny, "1/36h")), func(l *plan.Limit) {
		l.Distinct = &plan.Part{Field: "recipient"}
	})))
	w.want(says(plan.UnknownRecipient, to("a@example.com")), accept, "")
	w.wait(time.Hour)
	if d := w.want(says(plan.UnknownRecipient, to("a@example.com")), accept, ""); len(d.Writes) != 0 {
		t.Fatalf("writes %+v", d.Writes)
	}
	w.wait(36*time.Hour - time.Millisecond)
	w.want(says(plan.UnknownRecipient, to("b@example.com")), plan.Deny, "limit.l/t")
	w.wait(2 * time.Millisecond)
	w.want(says(plan.UnknownRecipient, to("b@example.com")), accept, "")
}

// TestObserverCountsAsIfEnforced: what it would have refused, it does not count.
func TestObserverCountsAsIfEnforced(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", plan.Recipient, only(tier("t", plan.Deny, "2/1h")), func(l *plan.Limit) { l.Mode = plan.Observe })))
	for i := range 5 {
		if a := w.want(says(plan.Recipient), accept, "").Answer; (a.Would == plan.Deny) != (i >= 2) {
			t.Errorf("%d: would %q", i+1, a.Would)
		}
	}
	if n := w.count(); n != 2 {
		t.Errorf("counted %d", n)
	}
}

// TestNoSenderYet: before MAIL nobody has the null sender.
func TestNoSenderYet(t *testing.T) {
	for event, want := range map[string]string{plan.Connection: plan.Deny, plan.HeloEvent: plan.Deny, plan.UnknownRecipient: accept} {
		w := newWorld(t, makePlan(plan.List{Name: "null", Entries: []plan.Entry{{Field: "sender", Pattern: "<>"}}},
			limit("l", event, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) { l.Except = []plan.Ref{{List: "null"}} })))
		if d := w.ask(says(event, sender(""))); d.Answer.Verdict != want {
			t.Errorf("%s: %s, want %s", event, d.Answer.Verdict, want)
		}
	}
}

// TestSleeperIsTheOneThatWins: the longest delay, whether it is limited or not.
func TestSleeperIsTheOneThatWins(t *testing.T) {
	short, long := tier("t", accept, "0/1h"), tier("t", accept, "0/1h")
	short.Delay = &plan.Delay{Fixed: dur("5s"), Max: dur("9s"), Sleepers: 3}
	long.Delay = &plan.Delay{Fixed: dur("7s"), Max: dur("9s")}
	for name, p := range map[string]*plan.Plan{
		"short first": makePlan(limit("a", plan.Recipient, only(short)), limit("b", plan.Recipient, only(long))),
		"long first":  makePlan(limit("b", plan.Recipient, only(short)), limit("a", plan.Recipient, only(long))),
		"one policy":  makePlan(limit("a", plan.Recipient, []plan.Tier{short, {Name: "u", Verdict: accept, Over: long.Over, Delay: long.Delay}})),
	} {
		if d := newWorld(t, p).ask(says(plan.Recipient)); d.Answer.Delay != 7 || d.Sleep != nil {
			t.Errorf("%s: %s sleeps %+v", name, d.Answer, d.Sleep)
		}
	}
}

func TestWhatIsCounted(t *testing.T) {
	deny := func(event string) plan.Limit {
		return limit("deny", event, only(tier("t", plan.Deny, "0/1h")))
	}
	freeze := limit("freeze", plan.Message, only(tier("t", plan.Freeze, "0/1h")))
	discard := limit("discard", plan.Recipient, only(tier("t", plan.Discard, "0/1h")))
	attempts := func(l *plan.Limit) { l.Attempts = true }
	quiet := func(event string, change ...func(*plan.Limit)) plan.Limit {
		return limit("l", event, only(tier("t", accept, "1000/1h")), change...)
	}
	for name, c := range map[string]struct {
		plan  *plan.Plan
		event string
		want  bool
	}{
		"accepted recipient":               {makePlan(quiet(plan.Recipient)), plan.Recipient, true},
		"greylisted recipient":             {makePlan(quiet(plan.Recipient), grey()), plan.Recipient, false},
		"greylisted recipient, attempts":   {makePlan(quiet(plan.Recipient, attempts), grey()), plan.Recipient, true},
		"denied recipient":                 {makePlan(quiet(plan.Recipient), deny(plan.Recipient)), plan.Recipient, false},
		"denied recipient, attempts":       {makePlan(quiet(plan.Recipient, attempts), deny(plan.Recipient)), plan.Recipient, true},
		"discarded recipient":              {makePlan(quiet(plan.Recipient), discard), plan.Recipient, false},
		"denied message":                   {makePlan(quiet(plan.Message), deny(plan.Message)), plan.Message, false},
		"frozen message":                   {makePlan(quiet(plan.Message), freeze), plan.Message, true},
		"frozen, and denied":               {makePlan(quiet(plan.Message), freeze, deny(plan.Message)), plan.Message, false},
		"denied connection":                {makePlan(quiet(plan.Connection), deny(plan.Connection)), plan.Connection, true},
		"denied HELO":                      {makePlan(quiet(plan.HeloEvent), deny(plan.HeloEvent)), plan.HeloEvent, true},
		"denied unknown recipient":         {makePlan(quiet(plan.UnknownRecipient), deny(plan.UnknownRecipient)), plan.UnknownRecipient, true},
		"forwarder's offence":              {makePlan(quiet(plan.UnknownRecipient, func(l *plan.Limit) { l.Traffic = plan.Inbound })), "forwarder", false},
		"another traffic's":                {makePlan(quiet(plan.Recipient, func(l *plan.Limit) { l.Traffic = plan.Submission })), plan.Recipient, false},
		"observer denies, another accepts": {makePlan(quiet(plan.Recipient), limit("o", plan.Recipient, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) { l.Mode = plan.Observe })), plan.Recipient, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.plan)
			q := says(c.event)
			if c.event == "forwarder" {
				q = says(plan.UnknownRecipient, from("2001:db8:f::1"))
			}
			w.ask(q)
			n := int64(0)
			for k := range w.mem.counter {
				if k.policy == "limit.l" {
					n += w.mem.sum(k)
				}
			}
			if (n == 1) != c.want || n > 1 {
				t.Errorf("counted %d", n)
			}
		})
	}
}

// TestRefusedIsNotCounted: a limit on recipients lets its number through and no more,
// however often the client tries; with attempts it stays shut as long as he does.
func TestRefusedIsNotCounted(t *testing.T) {
	for _, attempts := range []bool{false, true} {
		w := newWorld(t, makePlan(limit("l", plan.Recipient, only(tier("t", plan.Defer, "10/1h")), func(l *plan.Limit) { l.Attempts = attempts })))
		passed := 0
		for range 3 * 60 { // a try a minute, for three hours
			if w.ask(says(plan.Recipient)).Answer.Verdict == accept {
				passed++
			}
			w.wait(time.Minute)
		}
		if want := map[bool][2]int{false: {28, 30}, true: {10, 10}}[attempts]; passed < want[0] || passed > want[1] {
			t.Errorf("attempts = %v: %d passed, want %v", attempts, passed, want)
		}
	}
}

func TestOverrides(t *testing.T) {
	bulk := plan.List{Name: "bulk", Entries: []plan.Entry{{Field: "auth", Pattern: "bulk"}, {Field: "auth", Pattern: "both"}}}
	vip := plan.List{Name: "vip", Entries: []plan.Entry{{Field: "auth", Pattern: "vip"}, {Field: "auth", Pattern: "both"}}}
	w := newWorld(t, makePlan(bulk, vip, limit("l", plan.UnknownRecipient,
		[]plan.Tier{tier("slow", plan.Defer, "1/1h"), tier("stop", plan.Deny, "2/1h")}, func(l *plan.Limit) {
			l.Key = []plan.Part{{Field: "auth"}}
			l.Overrides = []plan.Override{
				{Name: "bulk", Only: []plan.Ref{{List: "bulk"}}, Over: []plan.OverrideTier{{Tier: "slow", Over: []plan.Rate{rate("3/24h")}}}},
				{Name: "vip", Only: []plan.Ref{{List: "vip"}}, Over: []plan.OverrideTier{{Tier: "slow", Over: []plan.Rate{rate("9/1h")}}, {Tier: "stop", Over: []plan.Rate{rate("9/1h")}}}},
			}
		})))
	for who, want := range map[string][]string{
		"alice": {accept, plan.Defer, plan.Deny, plan.Deny},
		"bulk":  {accept, accept, plan.Deny, plan.Deny}, // stop keeps its own rate
		"vip":   {accept, accept, accept, accept},
		"both":  {accept, accept, plan.Deny, plan.Deny}, // the first override decides
	} {
		for i, verdict := range want {
			if d := w.ask(says(plan.UnknownRecipient, auth(who))); d.Answer.Verdict != verdict {
				t.Errorf("%s, %d: %s, want %s; %s", who, i+1, d.Answer.Verdict, verdict, reasons(d))
			}
		}
	}
}

func TestOnly(t *testing.T) {
	list := plan.List{Name: "x", Entries: []plan.Entry{{Field: "sender", Pattern: "example.org"}, {Field: "client", Pattern: "192.0.2.128/25"}}}
	for field, c := range map[string]struct{ listed, other, waive string }{
		"":       {plan.Deny, accept, wire.WaiveMessage},
		"sender": {plan.Deny, accept, wire.WaiveMessage},
		"client": {accept, accept, wire.WaiveConnection},
		"auth":   {accept, accept, wire.WaiveConnection},
	} {
		w := newWorld(t, makePlan(list, limit("l", plan.Recipient, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) {
			l.Only = []plan.Ref{{List: "x", Field: field}}
		})))
		d := w.ask(says(plan.Recipient))
		o := w.ask(says(plan.Recipient, sender("a@example.net")))
		if d.Answer.Verdict != c.listed || o.Answer.Verdict != c.other || o.Answer.Waive != c.waive || len(o.Writes) > 0 {
			t.Errorf("%q: %s and %s, waives %s, writes %+v", field, d.Answer.Verdict, o.Answer.Verdict, o.Answer.Waive, o.Writes)
		}
	}
}

func TestOnlyTrusted(t *testing.T) {
	w := newWorld(t, makePlan(grey(trust), limit("l", plan.Recipient, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) {
		l.Only = []plan.Ref{{Trusted: "inbound"}}
	})))
	// Not trusted yet, but with the next message perhaps: nothing is waived.
	if d := w.want(says(plan.Recipient), later, ref); d.Answer.Waive != wire.WaiveNo {
		t.Errorf("waives %s", d.Answer.Waive)
	}
	for range 3 {
		w.wait(time.Hour)
		w.want(says(plan.Recipient), accept, "")
	}
	w.want(says(plan.Recipient), plan.Deny, "limit.l/t")
}

func TestDelays(t *testing.T) {
	delay := func(name string, d plan.Delay, over string) plan.Tier {
		x := tier(name, accept, over)
		x.Delay = &d
		return x
	}
	each := plan.Delay{Each: dur("2s"), Max: dur("9s")}
	for name, c := range map[string]struct {
		tiers []plan.Tier
		want  []int64
		by    string
	}{
		"each":          {only(delay("slow", each, "2/1h")), []int64{0, 0, 6, 8, 9, 9}, "limit.l/slow"},
		"each, at once": {only(delay("slow", each, "0/1h")), []int64{2, 4, 6, 8, 9, 9}, "limit.l/slow"},
		"fixed":         {only(delay("slow", plan.Delay{Fixed: dur("5s"), Max: dur("9s")}, "2/1h")), []int64{0, 0, 5, 5}, "limit.l/slow"},
		"fixed, max":    {only(delay("slow", plan.Delay{Fixed: dur("50s"), Max: dur("9s")}, "0/1h")), []int64{9}, "limit.l/slow"},
		"the largest":   {[]plan.Tier{delay("a", plan.Delay{Fixed: dur("5s"), Max: dur("9s")}, "0/1h"), delay("b", plan.Delay{Fixed: dur("7s"), Max: dur("9s")}, "0/1h"), delay("c", plan.Delay{Fixed: dur("6s"), Max: dur("9s")}, "0/1h")}, []int64{7}, "limit.l/b"},
		"most counted":  {only(delay("slow", plan.Delay{Each: dur("1s"), Max: dur("1m")}, "1/1h")), []int64{0, 2, 3}, "limit.l/slow"},
		"sleepers":      {only(delay("slow", plan.Delay{Fixed: dur("5s"), Max: dur("9s"), Sleepers: 1}, "0/1h")), []int64{5, 0, 0}, "limit.l/slow"},
		"some sleepers": {only(delay("slow", plan.Delay{Fixed: dur("5s"), Max: dur("9s"), Sleepers: 3}, "0/1h")), []int64{5, 5, 5, 0}, "limit.l/slow"},
		"no such limit": {only(delay("slow", plan.Delay{Fixed: dur("5s"), Max: dur("9s"), Sleepers: 0}, "0/1h")), []int64{5, 5, 5, 5}, "limit.l/slow"},
		"enormous step": {only(delay("slow", plan.Delay{Each: dur("9000d"), Max: dur("9s")}, "0/1h")), []int64{9, 9}, "limit.l/slow"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, c.tiers)))
			asleep := map[string]int{}
			w.live.Sleeping = func(tier string) int { return asleep[tier] }
			for i, want := range c.want {
				d := w.ask(says(plan.UnknownRecipient))
				by := c.by
				if want == 0 {
					by = ""
				}
				if d.Answer.Delay != want || d.Answer.DelayBy != by || d.Answer.Verdict != accept {
					t.Errorf("%d: %s, delay %d by %q, want %d by %q", i+1, d.Answer.Verdict, d.Answer.Delay, d.Answer.DelayBy, want, by)
				}
				if d.Sleep != nil {
					asleep[d.Sleep.Tier]++
					if d.Sleep.Tier != d.Answer.DelayBy || d.Sleep.For != time.Duration(d.Answer.Delay)*time.Second {
						t.Errorf("%d: sleeps %+v", i+1, d.Sleep)
					}
				}
				if limited := c.tiers[0].Delay.Sleepers > 0; (d.Sleep != nil) != (limited && want > 0) {
					t.Errorf("%d: sleeps %+v", i+1, d.Sleep)
				}
			}
		})
	}
}

// TestTiersAddUp: the longest delay and every header, but no header where the mail is
// refused: it would go to the message's other recipients.
func TestTiersAddUp(t *testing.T) {
	slow := tier("slow", accept, "0/1h")
	slow.Delay = &plan.Delay{Fixed: dur("5s"), Max: dur("9s")}
	slow.AddHeader = []plan.Header{{Name: "X-A", Value: []plan.Piece{{Text: "a"}}}}
	hold := tier("hold", plan.Freeze, "1/1h")
	hold.AddHeader = []plan.Header{{Name: "X-B", Value: []plan.Piece{{Text: "b"}}}}
	stop := tier("stop", plan.Deny, "2/1h")
	for name, tiers := range map[string][]plan.Tier{"in order": {slow, hold, stop}, "turned round": {stop, hold, slow}} {
		w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, tiers)))
		w.want(says(plan.UnknownRecipient), accept, "")
		a := w.want(says(plan.UnknownRecipient), plan.Freeze, "limit.l/hold").Answer
		slices.Sort(a.Add)
		if a.Delay != 5 || a.DelayBy != "limit.l/slow" || !slices.Equal(a.Add, []string{"limit.l/hold", "limit.l/slow"}) {
			t.Errorf("%s: %+v", name, a)
		}
		if a := w.want(says(plan.UnknownRecipient), plan.Deny, "limit.l/stop").Answer; a.Add != nil || a.Delay != 5 {
			t.Errorf("%s, refused: %+v", name, a)
		}
	}
}

// TestStrongestWins: of all pairs of verdicts, whatever the policies are called.
func TestStrongestWins(t *testing.T) {
	for i, strong := range plan.VerdictOrder {
		for _, weak := range plan.VerdictOrder[i:] {
			for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
				w := newWorld(t, makePlan(limit(names[0], plan.Recipient, only(tier("t", strong, "0/1h"))), limit(names[1], plan.Recipient, only(tier("t", weak, "0/1h")))))
				by := "limit." + names[0] + "/t"
				switch strong {
				case accept:
					by = ""
				case weak:
					by = "limit.a/t" // the first by name
				}
				w.want(says(plan.Recipient), strong, by)
			}
		}
	}
}

// TestObserversChangeNothing: beside any enforced policy, an observer's judgement
// shows in the log alone.
func TestObserversChangeNothing(t *testing.T) {
	slow := tier("t", plan.Drop, "0/1h")
	slow.Delay = &plan.Delay{Fixed: dur("5s"), Max: dur("9s"), Sleepers: 1}
	slow.AddHeader = []plan.Header{{Name: "X-A", Value: []plan.Piece{{Text: "a"}}}}
	observe := func(l *plan.Limit) { l.Mode = plan.Observe }
	enforced := limit("b", plan.Recipient, only(tier("t", plan.Defer, "1/1h")))
	w := newWorld(t, makePlan(enforced))
	o := newWorld(t, makePlan(enforced, limit("a", plan.Recipient, only(slow), observe), limit("c", plan.Recipient, only(tier("x", plan.Deny, "0/1h")), observe)))
	for range 3 {
		want, got := w.ask(says(plan.Recipient)), o.ask(says(plan.Recipient))
		if got.Answer.Would != plan.Drop || got.Answer.WouldBy != "limit.a/t" || got.Sleep != nil {
			t.Errorf("would %s by %s, sleeps %v", got.Answer.Would, got.Answer.WouldBy, got.Sleep)
		}
		got.Answer.Would, got.Answer.WouldBy = "", ""
		if got.Answer.String() != want.Answer.String() {
			t.Errorf("%s\nand without observers\n%s", got.Answer, want.Answer)
		}
	}
	for k := range o.mem.counter {
		if k.policy != "limit.b" && k.policy != "observe:limit.a" && k.policy != "observe:limit.c" {
			t.Errorf("%d in the rows of %s", o.mem.sum(k), k.policy)
		}
	}

	// One that would only delay says so.
	slow.Verdict = accept
	w = newWorld(t, makePlan(limit("a", plan.Recipient, only(slow), observe)))
	if a := w.ask(says(plan.Recipient)).Answer; a.Would != "delay" || a.WouldBy != "limit.a/t" || a.Delay != 0 {
		t.Errorf("%+v", a)
	}
}

// TestWaiversNeverCost: whatever is counted, is not waived; and before the site's own
// ACL nothing is.
func TestWaiversNeverCost(t *testing.T) {
	friends := plan.List{Name: "friends", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.0/24"}}}
	exempt := func(l *plan.Limit) { l.Except = []plan.Ref{{List: "friends"}} }
	exemptGrey := grey(func(g *plan.Grey) { g.Except = []plan.Ref{{List: "friends"}} })
	counts := func(name, event string, change ...func(*plan.Limit)) plan.Limit {
		return limit(name, event, only(tier("t", plan.Deny, "1000/1h")), change...)
	}
	for name, c := range map[string]struct {
		plan *plan.Plan
		q    wire.Question
		want string
	}{
		"all exempt":             {makePlan(friends, exemptGrey, counts("l", plan.Recipient, exempt)), says(plan.Recipient), wire.WaiveConnection},
		"one counts":             {makePlan(friends, exemptGrey, counts("l", plan.Recipient)), says(plan.Recipient), wire.WaiveNo},
		"an observer counts":     {makePlan(friends, exemptGrey, counts("l", plan.Recipient, func(l *plan.Limit) { l.Mode = plan.Observe })), says(plan.Recipient), wire.WaiveNo},
		"before":                 {makePlan(friends, counts("l", plan.UnknownRecipient, exempt)), says(plan.UnknownRecipient), wire.WaiveNo},
		"another event counts":   {makePlan(friends, exemptGrey, counts("l", plan.UnknownRecipient)), says(plan.Recipient), wire.WaiveConnection},
		"a passed triplet":       {makePlan(grey()), says(plan.Recipient), wire.WaiveNo},
		"message and connection": {makePlan(friends, exemptGrey, plan.List{Name: "s", Entries: []plan.Entry{{Field: "sender", Pattern: "example.org"}}}, counts("l", plan.Recipient, func(l *plan.Limit) { l.Except = []plan.Ref{{List: "s"}} })), says(plan.Recipient), wire.WaiveMessage},
		"recipient and client":   {makePlan(friends, exemptGrey, plan.List{Name: "r", Entries: []plan.Entry{{Field: "recipient", Pattern: "example.com"}}}, counts("l", plan.Recipient, func(l *plan.Limit) { l.Except = []plan.Ref{{List: "r"}} })), says(plan.Recipient), wire.WaiveNo},
		"only for others":        {makePlan(plan.List{Name: "r", Entries: []plan.Entry{{Field: "recipient", Pattern: "example.net"}}}, counts("l", plan.Recipient, func(l *plan.Limit) { l.Only = []plan.Ref{{List: "r"}} })), says(plan.Recipient), wire.WaiveNo},
		"distinct counts":        {makePlan(counts("l", plan.Recipient, func(l *plan.Limit) { l.Distinct = &plan.Part{Field: "recipient"} })), says(plan.Recipient), wire.WaiveNo},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.plan)
			for range 2 {
				if d := w.ask(c.q); d.Answer.Waive != c.want && (d.Answer.Waive != "" || c.want != wire.WaiveNo) {
					t.Errorf("waives %q, want %q; %s", d.Answer.Waive, c.want, reasons(d))
				}
				w.wait(time.Hour)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	ok := limit("l", plan.Recipient, only(tier("t", plan.Deny, "1/1h")))
	for name, damage := range map[string]func(*plan.Plan){
		"list":     func(p *plan.Plan) { p.Limits[0].Except = []plan.Ref{{List: "nobody"}} },
		"only":     func(p *plan.Plan) { p.Limits[0].Only = []plan.Ref{{List: "nobody"}} },
		"override": func(p *plan.Plan) { p.Limits[0].Overrides = []plan.Override{{Only: []plan.Ref{{List: "nobody"}}}} },
		"trusted":  func(p *plan.Plan) { p.Limits[0].Except = []plan.Ref{{Trusted: "inbound"}} },
		"greylist": func(p *plan.Plan) { p.Greylists[0].Except = []plan.Ref{{Trusted: "nobody"}} },
		"stage": func(p *plan.Plan) {
			p.Stages[slices.Index(plan.StageOrder, plan.Rcpt)].After[0].Policies = []string{"limit.nobody"}
		},
		"no windows": func(p *plan.Plan) { p.Limits[0].Windows = nil },
		"another":    func(p *plan.Plan) { p.Limits[0].Windows = []plan.Duration{dur("2h")} },
		"client": func(p *plan.Plan) {
			p.Lists = []plan.List{{Name: "x", Entries: []plan.Entry{{Field: "client", Pattern: "x"}}}}
		},
		"until": func(p *plan.Plan) {
			p.Lists = []plan.List{{Name: "x", Entries: []plan.Entry{{Field: "auth", Pattern: "x", Until: "soon"}}}}
		},
		"forwarder":  func(p *plan.Plan) { p.Forwarders = []string{"x"} },
		"pool":       func(p *plan.Plan) { p.Greylists[0].Except = []plan.Ref{{Pool: "nobody"}} },
		"suspicious": func(p *plan.Plan) { p.Greylists[0].Suspicious = []plan.Fact{{Name: "ugly"}} },
		"spf_pass": func(p *plan.Plan) {
			p.Greylists[0].Suspicious = []plan.Fact{{Name: plan.SPFPass, Arg: "known"}}
			p.Lists = []plan.List{knownList}
		},
		"spared": func(p *plan.Plan) { p.Greylists[0].Spare = []plan.Fact{noName} },
		"spare":  func(p *plan.Plan) { p.Greylists[0].Spare = []plan.Fact{{Name: plan.SPFPass, Arg: "nobody"}} },
		"urgent": func(p *plan.Plan) { p.Greylists[0].Urgent = []plan.Ref{{List: "nobody"}} },
		"not learned": func(p *plan.Plan) {
			p.Lists = []plan.List{{Name: "x"}}
			p.Stages[slices.Index(plan.StageOrder, plan.Rcpt)].After[0].Policies = []string{"list.x"}
		},
		"override rate": func(p *plan.Plan) {
			p.Limits[0].Overrides = []plan.Override{{Over: []plan.OverrideTier{{Tier: "t", Over: []plan.Rate{rate("1/2h")}}}}}
		},
	} {
		p := makePlan(ok, grey())
		damage(p)
		if _, err := engine.New(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
