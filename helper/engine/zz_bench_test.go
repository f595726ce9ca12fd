package engine_test

import (
	"fmt"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

func BenchmarkZZ(b *testing.B) {
	l := blocking(tier("t", accept, "1/1h"), func(b *plan.Block) { b.Verdict = plan.Deny })
	lim := stolen(only(l), func(l *plan.Limit) { l.Name = "owner" })
	e, err := engine.New(makePlan(lim))
	if err != nil {
		b.Fatal(err)
	}
	var st []engine.Standing
	for i := range 20000 {
		st = append(st, engine.Standing{Policy: "limit.owner", Key: fmt.Sprintf("user%d@example.com", i), Case: int64(i+1), Tier: "t", Rank: 1, Blocks: true})
	}
	b.Run("prepare", func(b *testing.B) {
		for b.Loop() {
			r := engine.Runtime{Standings: st}
			r.Prepare()
		}
	})
	b.Run("lastknown", func(b *testing.B) {
		r := engine.Runtime{Standings: st}
		r.Prepare()
		for b.Loop() {
			if n := len(e.LastKnown(&r, start)); n != 20000 {
				b.Fatal(n)
			}
		}
	})
}
