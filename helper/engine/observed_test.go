package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// TestWho: the row of a first contact says for people who it was, and an observing
// greylist keeps it for two weeks, though a retry counts for a day only.
func TestWho(t *testing.T) {
	for mode, kept := range map[string]time.Duration{plan.Enforce: 24 * time.Hour, plan.Observe: engine.ObservedFor} {
		for host, want := range map[string]string{"": "192.0.2.1 (mail.test)", wire.HostNone: "192.0.2.1 (mail.test)", "mx.example": "192.0.2.1 mx.example"} {
			t.Run(mode+" "+host, func(t *testing.T) {
				w := newWorld(t, makePlan(grey(func(g *plan.Grey) { g.Mode = mode })))
				q := says(plan.Recipient, from("192.0.2.1"), func(q *wire.Question) { q.Helo, q.Host = "mail.test", host })
				d := w.ask(q)
				var rows []engine.SeenRow
				for _, write := range d.Writes {
					if put, ok := write.(engine.PutSeen); ok && put.Row.Why != "" {
						rows = append(rows, put.Row)
					}
				}
				if len(rows) != 1 || rows[0].Who != want || rows[0].Expires-rows[0].First != kept.Milliseconds() {
					t.Errorf("%+v, want one of %q, kept for %s", rows, want, kept)
				}
				w.wait(25 * time.Hour) // no retry any more, whatever is kept
				for _, write := range w.ask(q).Writes {
					if put, ok := write.(engine.PutSeen); ok && put.Row.Why != "" && put.Row.First != w.now.UnixMilli() {
						t.Errorf("after a day: %+v", put.Row)
					}
				}
			})
		}
	}
}

// TestWhoIsLocal: a client without an address or a HELO name has a word of its own.
func TestWhoIsLocal(t *testing.T) {
	w := newWorld(t, makePlan(grey()))
	d := w.ask(says(plan.Recipient, func(q *wire.Question) { q.Client, q.Helo = netip.Addr{}, "" }))
	for _, write := range d.Writes {
		if put, ok := write.(engine.PutSeen); ok && put.Row.Why != "" && put.Row.Who != "local" {
			t.Errorf("it is called %q", put.Row.Who)
		}
	}
	if len(d.Writes) == 0 {
		t.Error("no row is written")
	}
}

// TestObservedLog: a block by what the log tells would be in force while too much is counted; whoever
// only observes opens no case and blocks nobody, but says so where the block would have acted.
func TestObservedLog(t *testing.T) {
	observe := func(l *plan.Limit) { l.Mode = plan.Observe }
	warn, hold := tier("warn", accept, "1/1h"), blocking(tier("hold", accept, "2/1h"))
	warn.Notify = []string{"notice.desk"}
	stop := blocking(tier("stop", accept, "1/5m"), func(b *plan.Block) {
		b.At, b.Verdict, b.Traffics = plan.Auth, plan.Deny, []string{plan.Inbound}
	})
	slow := tier("slow", plan.Defer, "1/5m")
	crack := limit("crack", plan.AuthFailure, []plan.Tier{slow, stop}, observe, func(l *plan.Limit) {
		l.Traffic, l.Key = plan.Inbound, []plan.Part{{Field: "client", V4: 32, V6: 128}}
	})
	w := newWorld(t, makePlan(bouncy([]plan.Tier{warn, hold}, observe), crack))
	login := says(plan.Blocked, from("192.0.2.1"))
	login.Stage, login.Half, login.Traffic, login.Sender, login.Recipient = plan.Auth, plan.Before, plan.Inbound, "", ""
	would := func(q wire.Question, verdict, by string) {
		t.Helper()
		if a := w.want(q, accept, "").Answer; a.Would != verdict || a.WouldBy != by {
			t.Errorf("would %q by %q, want %q by %q", a.Would, a.WouldBy, verdict, by)
		}
	}
	for n := range 3 {
		would(rcpt("bob", false), "", "")
		w.happens(bounced("bob", n, w.now))
	}
	would(rcpt("bob", false), plan.Freeze, "limit.bouncy/hold/block")
	would(rcpt("eve", false), "", "")
	failed := bounced("", 10, w.now)
	failed.Event, failed.Traffic, failed.Sender, failed.Recipient = plan.AuthFailure, plan.Inbound, "", ""
	w.happens(failed)
	would(login, "", "")
	failed.Item = "11"
	w.happens(failed)
	would(login, plan.Deny, "limit.crack/stop/block")
	w.wait(2 * time.Hour)
	would(rcpt("bob", false), "", "")
	would(login, "", "")
	if len(w.mem.cases) != 0 {
		t.Errorf("cases: %+v", w.mem.cases)
	}
}
