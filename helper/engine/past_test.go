package engine_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// recall has a greylist remember a contact of the past, and says whether there was anything to remember.
func (w *world) recall(t *testing.T, past engine.Past) bool {
	t.Helper()
	writes, err := w.e.Recall("greylist.inbound", past, w.now, w.mem, engine.Live{})
	if err != nil {
		t.Fatal(err)
	}
	w.mem.apply(t, w.now, writes)
	return len(writes) > 0
}

// What is recalled is what the greylist would have kept, had it been asked then: its own rows are the same.
func TestRecallIsWhatWouldBe(t *testing.T) {
	for name, retried := range map[string]bool{"waits": false, "passed": true} {
		t.Run(name, func(t *testing.T) {
			there, later := newWorld(t, makePlan(grey())), newWorld(t, makePlan(grey()))
			q := says(plan.Recipient, from("192.0.2.7"), sender("Alice+x@Example.org"), to("bob@local.test"))
			past := engine.Past{Client: netip.MustParsePrefix("192.0.2.7/32"), Sender: "alice@example.org", Recipient: "BOB@local.test", First: there.now.UnixMilli(), Passed: retried}
			there.ask(q)
			if retried {
				there.wait(10 * time.Minute)
				there.ask(q)
			}
			past.Last = there.now.UnixMilli()
			later.now = there.now
			later.wait(time.Hour)
			if !later.recall(t, past) || later.recall(t, past) {
				t.Error("once, and not twice")
			}
			for _, row := range []string{"192.0.2.0/24|alice@example.org|bob@local.test"} {
				want, _, _ := there.mem.Seen("greylist.inbound", row)
				got, _, _ := later.mem.Seen("greylist.inbound", row)
				if got.Expires != want.Expires || got.First != want.First || got.Passed != want.Passed {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
			want := map[bool]string{true: plan.Accept, false: plan.Accept}[retried] // the retry after an hour passes
			if d := later.ask(q); d.Answer.Verdict != want {
				t.Errorf("%s", d.Answer.Verdict)
			}
		})
	}
}

// What the greylist knows itself stays, and grows.
func TestRecallMerges(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	q := says(plan.Recipient, from("192.0.2.7"), sender("a@b.example"), to("c@d.example"))
	w.want(q, plan.Defer, "greylist.inbound")
	began := w.now
	past := engine.Past{Client: netip.MustParsePrefix("192.0.2.0/24"), Sender: "a@b.example", Recipient: "c@d.example", First: began.Add(-time.Hour).UnixMilli(), Last: began.Add(-time.Hour).UnixMilli()}
	if !w.recall(t, past) {
		t.Error("it has waited for longer than was known")
	}
	w.want(q, plan.Accept, "")
	if w.recall(t, past) {
		t.Error("who passed need not be told that he waits")
	}
	old := past
	old.First, old.Last = 1, 2
	if w.recall(t, old) {
		t.Error("what would have been forgotten by now")
	}
	future := past
	future.Sender, future.First, future.Last, future.Passed = "x@b.example", began.Add(time.Hour).UnixMilli(), began.Add(time.Hour).UnixMilli(), true
	if !w.recall(t, future) {
		t.Error("a clock that was ahead")
	}
	row, _, _ := w.mem.Seen("greylist.inbound", "192.0.2.0/24|x@b.example|c@d.example")
	if row.First != w.now.UnixMilli() || row.Passed != w.now.UnixMilli() {
		t.Errorf("%+v", row)
	}
}

func TestVouch(t *testing.T) {
	w := newWorld(t, makePlan(grey(trust)))
	vouch := func(passes, last int64) bool {
		writes, err := w.e.Vouch("greylist.inbound", netip.MustParsePrefix("192.0.2.7/32"), passes, last, w.now, w.mem, engine.Live{})
		if err != nil {
			t.Fatal(err)
		}
		w.mem.apply(t, w.now, writes)
		return len(writes) > 0
	}
	q := says(plan.Recipient, from("192.0.2.9"), sender("a@b.example"), to("c@d.example"))
	if !vouch(1, w.now.UnixMilli()) || vouch(1, w.now.UnixMilli()) {
		t.Error("once, and not twice")
	}
	w.want(q, plan.Defer, "greylist.inbound")
	if !vouch(0, 0) || vouch(0, 0) {
		t.Error("once, and not twice")
	}
	w.want(q, plan.Accept, "")
	w.wait(400 * 24 * time.Hour)
	if vouch(9, 1) {
		t.Error("long ago")
	}
}

// A network says nothing of an address, and a contact nothing of a HELO name.
func TestPastThatIsUnlike(t *testing.T) {
	p := makePlan(
		grey(func(g *plan.Grey) {
			g.Name, g.Key = "ip", []plan.Part{{Field: "client", V4: 32, V6: 128}, {Field: "sender"}}
		}),
		grey(func(g *plan.Grey) { g.Name, g.Key = "helo", []plan.Part{{Field: "helo"}, {Field: "sender"}} }),
		limit("logins", plan.Recipient, only(tier("t", plan.Defer, "1/1h"))),
		limit("named", plan.UnknownRecipient, only(tier("t", plan.Defer, "1/1h")), func(l *plan.Limit) { l.Key = append(l.Key, plan.Part{Field: "helo"}) }),
	)
	w := newWorld(t, p)
	e, err := engine.New(p)
	if err != nil {
		t.Fatal(err)
	}
	past := engine.Past{Client: netip.MustParsePrefix("192.0.2.0/24"), Sender: "a@b", Recipient: "c@d", First: w.now.UnixMilli()}
	for _, ref := range []string{"greylist.ip", "greylist.helo"} {
		if _, err := e.Recall(ref, past, w.now, w.mem, engine.Live{}); !errors.Is(err, engine.ErrUnlike) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	past.Client = netip.MustParsePrefix("2001:db8::1/128")
	if _, err := e.Recall("greylist.ip", past, w.now, w.mem, engine.Live{}); err != nil {
		t.Error(err)
	}
	if _, err := e.Vouch("greylist.ip", past.Client, 1, 1, w.now, w.mem, engine.Live{}); !errors.Is(err, engine.ErrUnlike) {
		t.Errorf("who trusts nobody: %v", err)
	}
	for _, ref := range []string{"limit.logins", "limit.named"} {
		if _, err := e.Offended(ref, past.Client.Addr(), w.now, w.now, w.mem, engine.Live{}); !errors.Is(err, engine.ErrUnlike) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := e.Recall("greylist.none", past, w.now, w.mem, engine.Live{}); err == nil || errors.Is(err, engine.ErrUnlike) {
		t.Errorf("%v", err)
	}
}

// What is counted of the past is what would have been counted then.
func TestOffendedIsWhatWouldBe(t *testing.T) {
	p := makePlan(limit("tarpit", plan.UnknownRecipient, only(tier("t", plan.Defer, "2/1h", "5/4h"))))
	there, later := newWorld(t, p), newWorld(t, p)
	e, err := engine.New(p)
	if err != nil {
		t.Fatal(err)
	}
	q := says(plan.UnknownRecipient, from("192.0.2.7"))
	later.now = there.now.Add(50 * time.Minute)
	for range 2 {
		there.ask(q)
		writes, err := e.Offended("limit.tarpit", q.Client, there.now, later.now, later.mem, engine.Live{})
		if err != nil || len(writes) == 0 {
			t.Fatalf("%v, %v", writes, err)
		}
		later.mem.apply(t, later.now, writes)
		there.wait(time.Minute)
	}
	there.now = later.now
	for _, w := range []*world{there, later} {
		w.want(q, plan.Defer, "limit.tarpit/t")
		w.wait(65 * time.Minute)
		w.want(q, plan.Accept, "")
	}
	if writes, err := e.Offended("limit.tarpit", q.Client, later.now.Add(-5*time.Hour), later.now, later.mem, engine.Live{}); len(writes) != 0 || err != nil {
		t.Errorf("long ago: %v, %v", writes, err)
	}
}
