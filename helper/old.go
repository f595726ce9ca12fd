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
	o := &oldAsked{asked: asked{Question: ask.Question, by: by, now: h.o.Clock(), start: time.Now()}, ask: ask}
	o.verb = o.decideVerb
	d, err := h.first(&o.asked)
	if err == nil {
		h.hits.add(d.Hits, o.now)
		return []byte(o.text.Load().(string)), nil
	}
	o.unseen = err == errUnseen
	return nil, func(ctx context.Context) []byte {
		ctx, cancel := context.WithDeadline(ctx, o.start.Add(by.budget))
		defer cancel()
		d, err := h.settle(ctx, &o.asked)
		if err != nil {
			if ctx.Err() != nil {
				err = h.trouble.late(o.start)
			}
			h.failed(writing, err)
			return []byte(ask.Failed)
		}
		if len(d.Writes) > 0 {
			h.trouble.ends(writing)
		}
		h.hits.add(d.Hits, o.now)
		return []byte(o.text.Load().(string))
	}
}

// oldAsked is an old verb on its way through the helper.
type oldAsked struct {
	asked
	ask  oldverbs.Ask
	text atomic.Value // the last decision's answer; the writer may still be deciding when nobody waits any more
}

// decideVerb asks the engine that knows the verb's policy only, and prints what it says
// while the state is there that it was decided from. One that only looks writes nothing.
func (o *oldAsked) decideVerb(st engine.State, live engine.Live) (engine.Decision, error) {
	live.Sleeping = nil // nobody delays an answer to an old verb
	var d engine.Decision
	var err error
	if o.ask.Engine != nil { // else it is about what is stored, and not about a policy
		d, err = o.ask.Engine.Decide(o.Question, o.now, st, live)
	}
	if err != nil || len(d.Needs) > 0 {
		return d, err
	}
	text, err := o.ask.Answer(d, o.now, st)
	if err != nil {
		return d, err
	}
	o.text.Store(text)
	if d.Sleep = nil; !o.ask.Update {
		d.Writes = nil
	}
	return d, nil
}
