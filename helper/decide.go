package helper

import (
	"bytes"
	"context"
	"errors"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/server"
)

// Why a decision is not the last word: there is something to write, or to find out, or the store was not
// asked.
var (
	errWrites = errors.New("there is something to write")
	errNeeds  = errors.New("there is something to find out")
	errUnseen = errors.New("the store was not asked")
)

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
// be found out or written down first, or waits for the store, is answered later.
func (h *Helper) Handle(line []byte) ([]byte, server.Later) {
	switch {
	case bytes.HasPrefix(line, []byte("v=")):
		return h.question(line)
	case bytes.HasPrefix(line, []byte(controlPrefix)):
		return h.control(line)
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

	verb   func(engine.State, engine.Live) (engine.Decision, error) // decides an old verb; nil: the plan does
	unseen bool                                                     // the store is to be looked into before anything is written
	needs  []plan.Fact                                              // what the last decision needs to know
	facts  *engine.Facts                                            // what was found out
	rounds int                                                      // how often
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
	d, err := h.first(a)
	switch err {
	case nil:
		return h.done(a, d), nil
	case errUnseen:
		return nil, func(ctx context.Context) []byte { return h.wary(ctx, a) }
	}
	return nil, func(ctx context.Context) []byte { return h.slow(ctx, a) }
}

// first is the look where connections are accepted: they must not wait for a store that is in trouble, or
// elsewhere.
func (h *Helper) first(a *asked) (engine.Decision, error) {
	switch {
	case h.distant:
		return h.glance(a)
	case h.trouble.unreadable():
		return engine.Decision{}, errUnseen
	}
	return h.look(context.Background(), a)
}

// decide asks the engine.
func (a *asked) decide(st engine.State, live engine.Live) (engine.Decision, error) {
	if a.verb != nil {
		return a.verb(st, live)
	}
	return a.by.Decide(a.Question, a.now, st, live)
}

// live is what the decision is to know besides the plan and the store.
func (h *Helper) live(a *asked) engine.Live {
	return engine.Live{
		Runtime: h.runtime.Load(), Sleeping: h.sleeping(a.now), Facts: a.facts, Pool: a.by.pool,
		Gateway: h.o.Gateway, Free: a.by.free, Failure: a.by.failure,
	}
}

// look decides from what is known, if there is nothing to find out and nothing to
// write.
func (h *Helper) look(ctx context.Context, a *asked) (engine.Decision, error) {
	d, err := h.glance(a)
	if err == errUnseen {
		return h.see(ctx, a)
	}
	return d, err
}

// see is look at the store itself.
func (h *Helper) see(ctx context.Context, a *asked) (d engine.Decision, err error) {
	live := h.live(a)
	if err = h.view(ctx, func(st engine.State) (err error) { d, err = a.decide(st, live); return err }); err != nil {
		return d, err
	}
	return d, a.open(d)
}

// glance is look at what is remembered of the store; the error errUnseen means that this is not
// enough. So it is where a server has said nothing for a while and nothing is known against somebody: he may
// be blocked by now. Who was blocked stays so.
func (h *Helper) glance(a *asked) (d engine.Decision, err error) {
	if h.glancer == nil {
		return d, errUnseen
	}
	live := h.live(a)
	if h.glancer.Glance(func(st engine.State) (err error) { d, err = a.decide(st, live); return err }) != nil {
		return d, errUnseen
	}
	if h.distant && d.Answer.Verdict == plan.Accept && !h.said.fresh() {
		return d, errUnseen
	}
	return d, a.open(d)
}

// open says what of a decision is still to be done, nil for nothing.
func (a *asked) open(d engine.Decision) error {
	switch {
	case len(d.Needs) > 0:
		a.needs = d.Needs
		return errNeeds
	case len(d.Writes) > 0 || d.Sleep != nil:
		return errWrites
	}
	return nil
}

// wary answers where the store was not asked yet: because it could not be read of late, which may be over, or because
// that takes its time.
func (h *Helper) wary(ctx context.Context, a *asked) []byte {
	short, cancel := context.WithDeadline(ctx, a.start.Add(a.by.budget))
	defer cancel()
	look := h.look
	if h.distant { // what is remembered was not enough
		look = h.see
	}
	if d, err := look(short, a); err == nil {
		return h.done(a, d)
	}
	return h.slow(ctx, a)
}

// slow answers with what must be found out and with the store's writer, within the
// plan's budget. Whoever asks the
// same again gets the same answer, also one that came too late for the first time.
func (h *Helper) slow(ctx context.Context, a *asked) []byte {
	mine, earlier := h.repeats.begin(a.key, a.now)
	if earlier != nil {
		return h.await(ctx, a, earlier)
	}
	go h.resolve(a, mine)
	return h.await(ctx, a, mine)
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

// done counts, tells the observer and prints the answer.
func (h *Helper) done(a *asked, d engine.Decision) []byte {
	h.hits.add(d.Hits, a.now)
	h.observe(a, d.Answer.Verdict)
	return []byte(d.Answer.String())
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
