package desk

import (
	"fmt"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// ByHand is what opens a case of a limit by hand, with the highest tier of it that blocks.
func ByHand(l plan.Limit, who Party, gateway, by, why string, now time.Time) (engine.OpenCase, error) {
	rank := 0
	for i, t := range l.Tiers {
		if t.Block != nil {
			rank = i + 1
		}
	}
	if rank == 0 {
		return engine.OpenCase{}, fmt.Errorf("%s: no tier of it blocks", l.Ref())
	}
	key, words, ok := who.named(l.Key)
	if !ok {
		return engine.OpenCase{}, fmt.Errorf("%s: its key is not known whole", l.Ref())
	}
	t := l.Tiers[rank-1]
	c := engine.OpenCase{
		Policy: l.Ref(), Key: key, Tier: t.Name, Rank: rank, Blocks: true, At: now.UnixMilli(), Who: words, Owner: who.keyOwner(l),
		Gateway: gateway, Notify: t.Notify, Freeze: t.Block.Queued == plan.Freeze, By: by, Why: why,
	}
	for _, w := range l.Windows {
		c.Window = max(c.Window, w.Milliseconds())
	}
	if t.Block.Until > 0 {
		c.Until = c.At + t.Block.Until.Milliseconds()
	}
	return c, nil
}

// Probation is until when lower rates hold for a case that is released now; 0 where the policy
// says nothing of that, or is not there any more.
func Probation(p *plan.Plan, c store.Case, now time.Time) int64 {
	l, _ := limitOf(p, c.Policy)
	var lasts plan.Duration
	for _, t := range l.Tiers {
		if t.Block == nil || t.Block.Probation == nil {
			continue
		}
		lasts = t.Block.Probation.Lasts
		if t.Name == c.Tier {
			break
		}
	}
	if !c.Blocks || lasts == 0 {
		return 0
	}
	return now.UnixMilli() + lasts.Milliseconds()
}
