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
