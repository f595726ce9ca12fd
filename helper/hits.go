package helper

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
)

// How often each entry of a list matched, and when last, is kept in the store for the
// lists' report: a row of the table seen for each entry. It is counted in memory and
// written down now and then, so a crash loses some of it.
const (
	hitsKept = 400 * 24 * time.Hour // after the last hit, or after the last plan that had the entry
	hitsSlot = hitsKept / engine.Slots
	mostHits = 10000 // entries that get a row before they match, and entries that are counted between two writings
	hitBatch = 500   // rows of one update
)

// HitRows is the name of the rows that hold a list's hits ("list.friends.hits"); for
// run-time entries the list is "allow".
func HitRows(list string) string { return list + ".hits" }

// HitKey is the key of an entry's row. What a list has learned has no pattern.
func HitKey(field, pattern string) string {
	if pattern == "" {
		return field
	}
	return normalize.Key([]string{field + " " + pattern})
}

// hits are those that are not written down yet.
type hits struct {
	mu     sync.RWMutex
	counts map[engine.Hit]*hit
}

type hit struct{ n, last atomic.Int64 }

// add counts; it is called on the hot path.
func (c *hits) add(all []engine.Hit, now time.Time) {
	for _, h := range all {
		c.more(h, 1, now.UnixMilli())
	}
}

func (c *hits) more(h engine.Hit, n, at int64) {
	c.mu.RLock()
	one := c.counts[h]
	if one != nil {
		one.count(n, at)
	}
	c.mu.RUnlock()
	if one != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[engine.Hit]*hit{}
	}
	if c.counts[h] == nil {
		if len(c.counts) >= mostHits {
			return
		}
		c.counts[h] = &hit{}
	}
	c.counts[h].count(n, at)
}

// count may be called by several at once: of two moments the earlier may then stay.
func (h *hit) count(n, at int64) {
	h.n.Add(n)
	h.last.Store(max(h.last.Load(), at))
}

// counted is what one entry has to be written down.
type counted struct {
	engine.Hit
	n, last int64
}

// take gives what was counted, and begins anew.
func (c *hits) take() []counted {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []counted
	for h, one := range c.counts {
		all = append(all, counted{h, one.n.Load(), one.last.Load()})
	}
	c.counts = nil
	return all
}

// flush writes down what was counted. What cannot be written now is for the next time.
func (h *Helper) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	all := h.hits.take()
	for len(all) > 0 {
		batch := all[:min(hitBatch, len(all))]
		if err := h.writeHits(ctx, batch, h.o.Clock()); err != nil {
			h.failed(writing, err)
			for _, c := range all {
				h.hits.more(c.Hit, c.n, c.last)
			}
			return
		}
		h.trouble.ends(writing)
		all = all[len(batch):]
	}
}

// keepRows makes the rows of each plan that is taken.
func (h *Helper) keepRows(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.rowsDue:
			h.makeRows(ctx, h.Plan())
		}
	}
}

// makeRows sees to it that each entry of a plan's lists has a row: one that never
// matches shows since when it is known.
func (h *Helper) makeRows(ctx context.Context, p *plan.Plan) {
	var all []counted
	for _, l := range p.Lists {
		for _, e := range l.Entries {
			if len(all) < mostHits {
				all = append(all, counted{Hit: engine.Hit{List: l.Ref(), Field: e.Field, Pattern: e.Pattern}})
			}
		}
	}
	for len(all) > 0 && ctx.Err() == nil {
		batch := all[:min(hitBatch, len(all))]
		if err := h.writeHits(ctx, batch, h.o.Clock()); err != nil {
			h.failed(writing, err)
			return
		}
		all = all[len(batch):]
	}
}

// writeHits adds to the rows, and makes those that are missing.
func (h *Helper) writeHits(ctx context.Context, batch []counted, now time.Time) error {
	return h.o.Store.Update(ctx, func(st engine.State) ([]engine.Write, error) {
		var writes []engine.Write
		for _, c := range batch {
			policy, key := HitRows(c.List), HitKey(c.Field, c.Pattern)
			row, known, err := st.Seen(policy, key)
			if err != nil {
				return nil, err
			}
			if !known || row.Expires <= now.UnixMilli() {
				row = engine.SeenRow{First: now.UnixMilli()}
			}
			row.Passes += c.n
			row.Counted = max(row.Counted, c.last)
			expires := now.Add(hitsKept).UnixMilli()
			if c.n == 0 && expires-row.Expires < hitsSlot.Milliseconds() {
				continue // there, and for long enough
			}
			row.Expires = expires
			writes = append(writes, engine.PutSeen{Policy: policy, Key: key, Row: row})
		}
		return writes, nil
	})
}
