package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// Live is what a decision needs to know that is in no plan and no table.
type Live struct {
	Runtime *Runtime // what was said at run time and holds now; nil for nothing
	// Sleeping is how many delays of a tier ("limit.tarpit/slow") are running on this
	// gateway; nil for none.
	Sleeping func(tier string) int
	Facts    *Facts                         // what was found out so far; nil for nothing
	Pool     func(client netip.Addr) string // the named pool that an address belongs to, "" for none; nil: no pool has addresses
	Gateway  string                         // the name of this one
	// Failure says of which class a failed delivery is that a question tells of, and what makes it
	// unique within its message, as whoever reads the log does; nil: class other, and the address.
	Failure func(q wire.Question) (class, item string)
	Free    func() (percent int64, ok bool) // how much of the spool's disk is free; nil, or !ok: nobody knows
	Explain bool                            // fill in Decision.Reasons
}

// Decision is an answer, what it costs, and why.
type Decision struct {
	Answer  wire.Answer
	Writes  []Write  // must be on disk before the answer is sent; none where nothing changes
	Sleep   *Sleep   // the delay that the answer causes, nil for none
	Reasons []Reason // every policy that was judged, in the order of the plan, if Live.Explain
	// Needs is what must be found out before this decision is good for anything: decide
	// again with these in Live.Facts. None where the decision holds.
	Needs []plan.Fact
	Hits  []Hit // entries of lists that matched, each once, for the lists' report; read only
}

// Sleep is a delay that counts against a tier's sleepers.
type Sleep struct {
	Tier string
	For  time.Duration
}

// Reason is what one policy (or one of its tiers) said, for `exipold ask` and the
// debug log.
type Reason struct {
	Policy  string // Ref
	Tier    string // "" for a greylist and for a policy that did not act
	Verdict string
	Observe bool
	Text    string // plain English: "seen 4m12s ago, may retry in 48s"
}

// judgement is what one policy says, before the strongest wins.
type judgement struct {
	ref      string
	observe  bool
	verdict  string
	by       string   // ref, or ref/tier: who wants the verdict
	why      []string // what made it suspicious
	delay    time.Duration
	delayBy  string
	sleepers int      // of the tier that wants the delay
	add      []string // tiers that add headers
	always   []Write  // counted whatever comes out
	accepted []Write  // counted only where the mail is finally accepted
	opens    []Write  // cases to open where it is, or where it would be but for this policy's own block
	blocked  blocked  // what a block that is in force says
	waive    scope    // for how long this policy will have nothing to say
	explain  bool
	reasons  []Reason
}

// Decide judges a question. It reads from st only; the caller applies the writes
// in the transaction that st belongs to. An error is an error of st's.
func (e *Engine) Decide(q wire.Question, now time.Time, st State, live Live) (Decision, error) {
	if q.Stage == plan.Delivery {
		return e.delivery(&q, now, st, live)
	}
	h := &hearing{q: q, now: now, at: now, st: st, live: live}
	var all []judgement
	waive := perConnection
	later := e.countsLater(&q)
	for _, ref := range e.policies(&q) {
		j, err := e.judge(ref, h)
		if err != nil {
			return Decision{}, fmt.Errorf("%s: %w", ref, err)
		}
		if later && e.limits[ref] != nil {
			if j.accepted = nil; accepts(j.verdict) {
				j.opens = nil
			}
		}
		waive = min(waive, j.waive)
		all = append(all, j)
	}
	d := decide(all)
	if e.countsNow(&q) {
		held, err := e.countRecipients(&d, h)
		if err != nil {
			return Decision{}, err
		}
		waive = min(waive, held)
	}
	if q.Half == plan.After {
		d.Answer.Waive = waiver(waive)
	}
	d.Needs, d.Hits = h.needs, h.hits
	return d, nil
}

// accepts says whether mail with this verdict is let in.
func accepts(verdict string) bool { return verdict == plan.Accept || verdict == plan.Freeze }

// policies are those that the question's events concern, each once, in order.
func (e *Engine) policies(q *wire.Question) []string {
	if len(q.Events) == 1 {
		return e.concerned[occasion{q.Stage, q.Half, q.Traffic, q.Events[0]}]
	}
	var refs []string
	for _, event := range q.Events {
		refs = append(refs, e.concerned[occasion{q.Stage, q.Half, q.Traffic, event}]...)
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// judge asks one policy, or lets a list learn.
func (e *Engine) judge(ref string, h *hearing) (judgement, error) {
	j := judgement{ref: ref, verdict: plan.Accept, explain: h.live.Explain}
	if l := e.learners[ref]; l != nil {
		return j, j.learn(l, h)
	}
	var except []plan.Ref
	var mode string
	g, l := e.greylists[ref], e.limits[ref]
	if g != nil {
		except, mode = g.Except, g.Mode
	} else {
		except, mode = l.Except, l.Mode
		if h.q.Hold != "" {
			if err := j.held(l, h); err != nil {
				return j, err
			}
		}
	}
	j.observe = mode == plan.Observe
	exempt, err := e.exempt(&j, except, h)
	switch {
	case err != nil || exempt:
	case g != nil:
		err = e.judgeGrey(&j, g, h)
	default:
		err = e.judgeLimit(&j, l, h)
		j.obeyBlock()
	}
	return j, err
}

// decide lets the strongest verdict win, and counts. A block that is in force decides alone.
func decide(all []judgement) Decision {
	d := Decision{Answer: wire.Answer{Verdict: plan.Accept}}
	a := &d.Answer
	var why, wouldWhy []string
	alone := false
	for i := range all {
		alone = alone || all[i].blocked.by != "" && !all[i].observe
	}
	for i := range all {
		j := &all[i]
		d.Reasons = append(d.Reasons, j.reasons...)
		switch {
		case alone && !j.observe && j.blocked.by == "":
			continue
		case j.observe:
			if (j.verdict != plan.Accept || j.delay > 0) && stronger(j.verdict, a.Would) {
				a.Would, a.WouldBy, wouldWhy = j.verdict, j.by, j.why
				if j.verdict == plan.Accept {
					a.Would, a.WouldBy = "delay", j.delayBy
				}
			}
			continue
		case stronger(j.verdict, a.Verdict):
			a.Verdict, a.By, why = j.verdict, j.by, j.why
		}
		if j.delay.Milliseconds() > a.Delay*1000 {
			a.Delay, a.DelayBy = int64(j.delay/time.Second), j.delayBy
			d.Sleep = nil
			if j.sleepers > 0 {
				d.Sleep = &Sleep{Tier: j.delayBy, For: time.Duration(a.Delay) * time.Second}
			}
		}
		a.Add = append(a.Add, j.add...)
	}
	a.Why = why
	if len(why) == 0 {
		a.Why = wouldWhy
	}
	accepted := accepts(a.Verdict)
	if !accepted {
		// A header goes to the whole message, and the other recipients of a message
		// should not carry what was said of one that was refused.
		a.Add = nil
	}
	for i := range all {
		j := &all[i]
		d.Writes = append(d.Writes, j.always...)
		if accepted && (!j.observe || accepts(j.verdict)) {
			d.Writes = append(d.Writes, j.accepted...)
		}
		if accepted || j.blocked.by != "" && j.by == a.By {
			d.Writes = append(d.Writes, j.opens...)
		}
	}
	return d
}

// stronger says whether verdict a wins over b; "" is weaker than any.
func stronger(a, b string) bool {
	if b == "" || b == "delay" {
		return true
	}
	return slices.Index(plan.VerdictOrder, a) < slices.Index(plan.VerdictOrder, b)
}

func waiver(s scope) string {
	switch s {
	case perConnection:
		return wire.WaiveConnection
	case perMessage:
		return wire.WaiveMessage
	}
	return wire.WaiveNo
}

// say notes a reason, which costs nothing where nobody wants to know.
func (j *judgement) say(tier, verdict, format string, args ...any) {
	if j.explain {
		j.reasons = append(j.reasons, Reason{Policy: j.ref, Tier: tier, Verdict: verdict, Observe: j.observe, Text: fmt.Sprintf(format, args...)})
	}
}

// mustKnow notes that the judgement waits for facts.
func (j *judgement) mustKnow(h *hearing) {
	if j.explain {
		j.say("", plan.Accept, "must find out: %s", strings.Join(words(h.needs), ", "))
	}
}

// rows is the name under which a policy's rows are kept: an observing policy has
// rows of its own.
func rows(ref, mode string) string {
	if mode == plan.Observe {
		return "observe:" + ref
	}
	return ref
}
