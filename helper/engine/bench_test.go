package engine_test

import (
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// quiet is a store that knows one row and notes nothing.
type quiet struct {
	engine.State
	row engine.SeenRow
}

func (s quiet) Seen(string, string) (engine.SeenRow, bool, error) { return s.row, true, nil }

func (quiet) Count(string, string, time.Duration, int64, int64) (int64, error) { return 0, nil }

func (quiet) Distinct(string, string, string, int64, int64, int64) (n, at int64, err error) {
	return 0, 0, nil
}

func benchDecide(b *testing.B, p *plan.Plan, q wire.Question) {
	e, err := engine.New(p)
	if err != nil {
		b.Fatal(err)
	}
	var st engine.State = quiet{row: engine.SeenRow{First: 1, Passed: start.UnixMilli() - 1, Passes: 1, Counted: start.UnixMilli(), Expires: start.UnixMilli() + dur("36d").Milliseconds()}}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := e.Decide(q, start, st, engine.Live{}); err != nil || len(d.Writes) > 0 || d.Answer.Verdict != accept {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkKnownKey is a key that passed.
func BenchmarkKnownKey(b *testing.B) { benchDecide(b, makePlan(grey(trust)), says(plan.Recipient)) }

// BenchmarkExempt is a client that a list exempts.
func BenchmarkExempt(b *testing.B) {
	friends := plan.List{Name: "friends", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.0/24"}}}
	g := grey(func(g *plan.Grey) { g.Except = []plan.Ref{{List: "friends"}} })
	benchDecide(b, makePlan(friends, g), says(plan.Recipient))
}

// BenchmarkLimit is an offence that a limit without a desk counts.
func BenchmarkLimit(b *testing.B) {
	slow := tier("slow", accept, "5/4h")
	slow.Delay = &plan.Delay{Each: dur("2s"), Max: dur("25s")}
	e, err := engine.New(makePlan(limit("tarpit", plan.UnknownRecipient, only(slow))))
	if err != nil {
		b.Fatal(err)
	}
	q := says(plan.UnknownRecipient)
	var st engine.State = quiet{}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := e.Decide(q, start, st, engine.Live{}); err != nil || len(d.Writes) != 1 {
			b.Fatal(d, err)
		}
	}
}
