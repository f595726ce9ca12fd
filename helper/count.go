package helper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/mainlog"
	"exipol/helper/watch"
)

// Count runs f in one transaction of the store. In it, count judges a happening by the newest plan
// and applies at once what that writes, so that the next one sees it; f may write more. Count comes
// back when all of it is on disk, and where a case was opened, when its block is in force
// here. An error is one of the store's, or f's own, and then nothing was kept. f may be run more than once.
func (h *Helper) Count(ctx context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error {
	a := h.plans.Load().newest()
	now := h.o.Clock()
	live := engine.Live{Runtime: h.runtime.Load(), Pool: a.pool, Gateway: h.o.Gateway}
	out, err := countAll(ctx, h.o.Store, a.Engine, now, live, f)
	if err != nil {
		return err
	}
	h.hits.add(out.Hits, now)
	if engine.Opens(out.Writes) {
		h.opened(ctx)
	}
	return nil
}

// Counter counts what was read from logs as a Helper does, in a process that answers no questions.
type Counter struct {
	Store  Store
	Engine *engine.Engine
	// Gateway is the name of this one.
	Gateway string
	Clock   func() time.Time // nil: the store's
}

// Count is Helper.Count. What was said at run time is read from the store each time. No pool
// has addresses that its plan does not give.
func (c *Counter) Count(ctx context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error {
	clock := c.Clock
	if clock == nil {
		clock = c.Store.Now
	}
	now := clock()
	said, err := c.Store.Runtime(ctx, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("what was said at run time: %w", err)
	}
	said.Prepare()
	_, err = countAll(ctx, c.Store, c.Engine, now, engine.Live{Runtime: &said, Gateway: c.Gateway}, f)
	return err
}

// tolerance is how far a gateway's clock may be off before what its log says is corrected.
const tolerance = time.Second

// skew is how far this host's clock, by which its log is written, is ahead of the store's, by which is
// counted; 0 where that is next to nothing. What was logged long ago is corrected by what the clock is off now: what it was off
// then nobody knows, and a clock that is off stays so more often than not.
func skew(s Store) time.Duration {
	if off := s.Health().Skew; off.Abs() > tolerance {
		return off
	}
	return 0
}

// countAll is what both have in common. The outcome holds the cases that were opened, and no
// other writes.
func countAll(ctx context.Context, s Store, e *engine.Engine, now time.Time, live engine.Live, f func(engine.Transaction, func(engine.Happening) error) error) (engine.Outcome, error) {
	var out engine.Outcome
	off := skew(s)
	err := s.Batch(ctx, func(tx engine.Transaction) error {
		out = engine.Outcome{}
		return f(tx, func(hp engine.Happening) error {
			hp.At = hp.At.Add(-off)
			one, err := e.Count(hp, now, tx, live)
			if err != nil {
				return err
			}
			if err := tx.Apply(one.Writes); err != nil {
				return err
			}
			if engine.Opens(one.Writes) {
				out.Writes = one.Writes
			}
			out.Hits = append(out.Hits, one.Hits...)
			return nil
		})
	})
	return out, err
}

// bounceOf reads what Exim tells of a failed delivery as whoever follows the log would: the class,
// and the name of the event.
func bounceOf(p *plan.Plan) func(wire.Question) (class, item string) {
	return func(q wire.Question) (class, item string) {
		judged := mainlog.Judge([]byte(q.Text))
		_, domain, _ := cutLast(q.Recipient, "@")
		if judged.Class == mainlog.NoSuchDomain && judged.Stage == mainlog.NoStage && slices.Contains(p.Domains, strings.ToLower(domain)) {
			judged.Class = mainlog.NoSuchUser // the domain is the site's own: none of its routers wanted the address
		}
		return judged.Class.String(), watch.BounceItem(q.Recipient, "")
	}
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
