package engine

import (
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// KnowsBlocks says whether the plan has blocks that are to stay in force while the store is away.
func (e *Engine) KnowsBlocks() bool {
	for _, l := range e.limits {
		if l.staysKnown() {
			return true
		}
	}
	return false
}

// staysKnown says whether the limit's blocks stay in force, as they were known last, while nobody can be
// asked about them.
func (l *limit) staysKnown() bool {
	return l.blocks && l.Mode != plan.Observe && l.OnFailure == plan.LastKnown && l.Engine == plan.EngineHelper
}

// Away is what is left to say to a question where the store cannot be asked: the strongest of the blocks
// in force that live.Runtime knows, of the policies whose blocks stay in force then; whatever their keys are made of.
// Where there is none, or where it would let mail in that another policy of the question wants deferred
// (on_failure), the verdict is wire.Away.
//
// Nothing is counted, and what only the store knows is taken for unknown: whom greylists trust and what lists have
// learned exempts nobody, and a block freezes however many messages it holds.
func (e *Engine) Away(q wire.Question, now time.Time, live Live) (wire.Answer, error) {
	live.Facts, live.Sleeping, live.Explain = nil, nil, false
	nobody := &absent{}
	h := &hearing{q: q, now: now, at: now, st: nobody, live: live, away: nobody}
	var all []judgement
	defers := false
	for _, ref := range e.policies(&q) {
		if l := e.limits[ref]; l != nil && l.staysKnown() {
			j, err := e.judge(ref, h)
			if err != nil {
				return wire.Answer{}, err
			}
			all = append(all, j)
			continue
		}
		wanted, err := e.wantsDeferred(ref, h)
		if err != nil {
			return wire.Answer{}, err
		}
		defers = defers || wanted
	}
	a := decide(all).Answer
	if a.Verdict == plan.Accept || accepts(a.Verdict) && defers {
		return wire.Answer{Verdict: wire.Away}, nil
	}
	a.LastKnown = true
	return a, nil
}

// wantsDeferred says whether a policy wants the question deferred while the store is away.
func (e *Engine) wantsDeferred(ref string, h *hearing) (bool, error) {
	var except []plan.Ref
	switch g, l := e.greylists[ref], e.limits[ref]; {
	case g != nil && g.OnFailure == plan.DeferMail && g.Mode != plan.Observe:
		if neverGreylisted(&h.q) || h.q.Sender == "" && h.q.Stage == plan.Rcpt {
			return false, nil
		}
		except = g.Except
	case l != nil && l.OnFailure == plan.DeferMail && l.Mode != plan.Observe:
		except = l.Except
	default:
		return false, nil
	}
	exempt, err := e.exempt(&judgement{ref: ref}, except, h)
	return !exempt, err
}

// absent is the state of a store that cannot be asked: nothing is known. It notes that somebody would have
// liked to know something.
type absent struct{ asked bool }

func (a *absent) Seen(string, string) (SeenRow, bool, error) {
	a.asked = true
	return SeenRow{}, false, nil
}

func (a *absent) Count(string, string, time.Duration, int64, int64) (int64, error) {
	a.asked = true
	return 0, nil
}

func (a *absent) Distinct(string, string, string, int64, int64, int64) (n, at int64, err error) {
	a.asked = true
	return 0, 0, nil
}

func (a *absent) Standing(string, string) (Standing, bool, error) {
	a.asked = true
	return Standing{}, false, nil
}

func (a *absent) Known(string, string, string) (bool, error) {
	a.asked = true
	return false, nil
}

func (a *absent) Arrival(string, string) (Arrival, bool, error) {
	a.asked = true
	return Arrival{}, false, nil
}

func (a *absent) Held(int64) (int64, error) {
	a.asked = true
	return 0, nil
}

func (a *absent) Bounces(string, int64) (int64, error) {
	a.asked = true
	return 0, nil
}
