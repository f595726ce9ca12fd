package helper

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/server"
	"exipol/helper/store"
)

// errWrites ends a look at the store that turns out to have something to write.
var errWrites = errors.New("there is something to write")

// Why there was no answer in time: the store did nothing meanwhile, or it did for
// others what it could.
var (
	errLate    = errors.New("no answer in time: the store does not move")
	errOverrun = errors.New("no answer in time: too many questions wait for the store")
)

// failedAnswer is the answer where there is none.
var failedAnswer = wire.Answer{Verdict: wire.Failed}.String()

// Handle answers one question of any of the protocols on the socket; it is the
// server's handler. Known keys change nothing and are answered at once; what must
// be written down first, or waits for the store, is answered later.
func (h *Helper) Handle(line []byte) ([]byte, server.Later) {
	switch {
	case bytes.HasPrefix(line, []byte("v=")):
		return h.question(line)
	case bytes.HasPrefix(line, []byte(controlPrefix)):
		return h.control(line), nil
	default:
		return h.oldVerb(line)
	}
}

// Answer is Handle, all of it.
func (h *Helper) Answer(ctx context.Context, line []byte) []byte {
	answer, later := h.Handle(line)
	if later != nil {
		return later(ctx)
	}
	return answer
}

// asked is a question on its way through the helper.
type asked struct {
	wire.Question
	by    *answerer
	key   repeatKey
	now   time.Time // by the helper's clock
	start time.Time
}

// question answers Exim's generated text.
func (h *Helper) question(line []byte) ([]byte, server.Later) {
	h.counters.questions.Add(1)
	a := &asked{start: time.Now(), now: h.o.Clock()}
	var err error
	if a.Question, err = wire.ParseQuestion(line); err != nil {
		h.counters.malformed.Add(1)
		h.o.Log.Debug("a question that cannot be read", "error", err)
		h.observeFailure("malformed")
		return []byte(failedAnswer), nil
	}
	a.key = h.repeats.key(line)
	if earlier := h.repeats.find(a.key, a.now); earlier != nil {
		return h.again(a, earlier)
	}
	known := false
	if a.by, known = h.plans.Load().find(a.Plan); !known {
		h.counters.unknownPlan.Add(1)
		if h.o.Observer != nil {
			h.o.Observer.UnknownPlan()
		}
	}
	if h.trouble.unreadable() {
		// Accepting connections must not wait for a store that is in trouble.
		return nil, func(ctx context.Context) []byte { return h.wary(ctx, a) }
	}
	answer, err := h.look(context.Background(), a)
	if err != nil {
		return nil, func(ctx context.Context) []byte { return h.slow(ctx, a) }
	}
	return h.done(a, answer), nil
}

// look answers from what is known, if there is nothing to write.
func (h *Helper) look(ctx context.Context, a *asked) (wire.Answer, error) {
	var d engine.Decision
	decide := func(st engine.State) (err error) {
		d, err = a.by.Decide(a.Question, a.now, st, engine.Live{Runtime: h.runtime.Load(), Sleeping: h.sleeping(a.now)})
		return err
	}
	err := errWrites
	if h.glancer != nil {
		err = h.glancer.Glance(decide)
	}
	if err != nil {
		err = h.o.Store.View(ctx, decide)
	}
	if err == nil && (len(d.Writes) > 0 || d.Sleep != nil) {
		err = errWrites
	}
	return d.Answer, err
}

// wary answers while the store cannot be read: a look may work nevertheless.
func (h *Helper) wary(ctx context.Context, a *asked) []byte {
	short, cancel := context.WithDeadline(ctx, a.start.Add(a.by.budget))
	defer cancel()
	if answer, err := h.look(short, a); err == nil {
		return h.done(a, answer)
	}
	return h.slow(ctx, a)
}

// slow answers with the store's writer, within the plan's budget. Whoever asks the
// same again gets the same answer, also one that came too late for the first time.
func (h *Helper) slow(ctx context.Context, a *asked) []byte {
	mine, earlier := h.repeats.begin(a.key, a.now)
	if earlier != nil {
		return h.await(ctx, a, earlier)
	}
	go h.resolve(a, mine)
	return h.await(ctx, a, mine)
}

// patience is how long a decision may wait for the store after its asker got a
// failed answer: the question is probably asked again, and must not count twice.
const patience = 10 * time.Second

// resolve finds the answer, however long it takes.
func (h *Helper) resolve(a *asked, mine *repeat) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := h.write(ctx, a)
	if err != nil {
		h.failed(writing, err)
		if errors.Is(err, store.ErrUnknown) {
			// It may have been counted: whoever asks again must not count once more.
			h.repeats.finish(mine, failedAnswer)
		} else {
			h.repeats.forget(mine, failedAnswer)
		}
		return
	}
	if len(d.Writes) > 0 {
		h.trouble.ends(writing)
	}
	h.repeats.finish(mine, d.Answer.String())
}

// write decides in the store's writer and comes back when the decision is on disk.
// A delay is reserved while the decision is made, so that no two decisions of one
// batch take the same sleeper's place; deciding once more gives it back first. Where
// the update's outcome is unknown, the writer may still be deciding when this returns.
func (h *Helper) write(ctx context.Context, a *asked) (engine.Decision, error) {
	var made atomic.Pointer[engine.Decision]
	place := h.sleepers.place()
	err := h.o.Store.Update(ctx, func(st engine.State) ([]engine.Write, error) {
		place.leave()
		d, err := a.by.Decide(a.Question, a.now, st, engine.Live{Runtime: h.runtime.Load(), Sleeping: h.sleeping(a.now)})
		if err == nil && d.Sleep != nil {
			place.take(d.Sleep.Tier, a.now.Add(d.Sleep.For))
		}
		made.Store(&d)
		return d.Writes, err
	})
	if err != nil {
		place.giveUp()
		return engine.Decision{}, err
	}
	return *made.Load(), nil
}

// again answers a question that was asked before.
func (h *Helper) again(a *asked, earlier *repeat) ([]byte, server.Later) {
	h.counters.repeats.Add(1)
	select {
	case <-earlier.done:
		return []byte(earlier.answer), nil
	default:
	}
	a.by, _ = h.plans.Load().find(a.Plan)
	return nil, func(ctx context.Context) []byte { return h.await(ctx, a, earlier) }
}

// await waits for an answer that is being found.
func (h *Helper) await(ctx context.Context, a *asked, r *repeat) []byte {
	ctx, cancel := context.WithDeadline(ctx, a.start.Add(a.by.budget))
	defer cancel()
	text := failedAnswer
	select {
	case <-r.done:
		text = r.answer
	case <-ctx.Done():
		h.failed(writing, h.trouble.late(a.start))
	}
	answer, _ := wire.ParseAnswer(text)
	h.observe(a, answer.Verdict)
	return []byte(text)
}

// done tells the observer and prints the answer.
func (h *Helper) done(a *asked, answer wire.Answer) []byte {
	h.observe(a, answer.Verdict)
	return []byte(answer.String())
}

func (h *Helper) observe(a *asked, verdict string) {
	if h.o.Observer != nil {
		h.o.Observer.Answered(a.Stage, a.Half, verdict, time.Since(a.start))
	}
	h.counters.verdict(verdict)
}

func (h *Helper) observeFailure(why string) {
	if h.o.Observer != nil {
		h.o.Observer.Failed(why)
	}
}

func (h *Helper) sleeping(now time.Time) func(string) int {
	return func(tier string) int { return h.sleepers.count(tier, now) }
}
