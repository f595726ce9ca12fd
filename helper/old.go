package helper

import (
	"context"
	"sync/atomic"
	"time"

	"exipol/helper/engine"
	"exipol/helper/oldverbs"
	"exipol/helper/server"
)

// oldVerb answers what Exim texts written for other helpers ask. There is no nonce
// in it: each question counts.
func (h *Helper) oldVerb(line []byte) ([]byte, server.Later) {
	h.counters.oldVerbs.Add(1)
	by := h.plans.Load().newest()
	ask, ok := by.old.Parse(line)
	if !ok {
		return []byte(ask.Failed), nil
	}
	now, start := h.o.Clock(), time.Now()
	if !h.trouble.unreadable() {
		if text, err := h.lookOld(context.Background(), ask, now); err == nil {
			return []byte(text), nil
		}
	}
	return nil, func(ctx context.Context) []byte {
		ctx, cancel := context.WithDeadline(ctx, start.Add(by.budget))
		defer cancel()
		text, err := h.writeOld(ctx, ask, now)
		if err != nil {
			if ctx.Err() != nil {
				err = h.trouble.late(start)
			}
			h.failed(writing, err)
			return []byte(ask.Failed)
		}
		return []byte(text)
	}
}

// lookOld answers where there is nothing to write.
func (h *Helper) lookOld(ctx context.Context, ask oldverbs.Ask, now time.Time) (text string, err error) {
	err = h.o.Store.View(ctx, func(st engine.State) error {
		d, err := ask.Engine.Decide(ask.Question, now, st, engine.Live{Runtime: h.runtime.Load()})
		if err == nil && ask.Update && len(d.Writes) > 0 {
			err = errWrites
		}
		if err == nil {
			text, err = ask.Answer(d, now, st)
		}
		return err
	})
	return text, err
}

// writeOld answers with the store's writer, which may still be deciding where the
// outcome is unknown.
func (h *Helper) writeOld(ctx context.Context, ask oldverbs.Ask, now time.Time) (string, error) {
	if !ask.Update {
		return h.lookOld(ctx, ask, now)
	}
	var answer atomic.Pointer[string]
	err := h.o.Store.Update(ctx, func(st engine.State) ([]engine.Write, error) {
		d, err := ask.Engine.Decide(ask.Question, now, st, engine.Live{Runtime: h.runtime.Load()})
		if err != nil {
			return nil, err
		}
		text, err := ask.Answer(d, now, st)
		answer.Store(&text)
		return d.Writes, err
	})
	if err != nil {
		return "", err
	}
	h.trouble.ends(writing)
	return *answer.Load(), nil
}
