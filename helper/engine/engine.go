// Package engine makes the decisions: what a plan says to a question, given what
// the store knows. It does no I/O of its own, keeps no state and knows no clock;
// the same question, plan, state and time give the same decision.
package engine

import (
	"fmt"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// Engine answers questions by one plan. It is safe for concurrent use.
type Engine struct {
	plan       *plan.Plan
	lists      map[string]list
	forwarders *set
	greylists  map[string]*plan.Grey
	limits     map[string]*plan.Limit
	concerned  map[occasion][]string // refs of the policies, sorted
}

// occasion is an event in one half of a stage, for one traffic.
type occasion struct{ stage, half, traffic, event string }

// New prepares a plan. The error is a plan that no correct exipol builds: a
// reference to a policy or a list that is not in it, say.
func New(p *plan.Plan) (*Engine, error) {
	e := &Engine{
		plan:       p,
		lists:      map[string]list{},
		forwarders: newSet("client"),
		greylists:  map[string]*plan.Grey{},
		limits:     map[string]*plan.Limit{},
		concerned:  map[occasion][]string{},
	}
	for _, l := range p.Lists {
		made, err := newList(l)
		if err != nil {
			return nil, err
		}
		e.lists[l.Name] = made
	}
	for _, f := range p.Forwarders {
		if err := e.forwarders.add("client", f, time.Time{}); err != nil {
			return nil, fmt.Errorf("forwarders: %w", err)
		}
	}
	for i := range p.Greylists {
		e.greylists[p.Greylists[i].Ref()] = &p.Greylists[i]
	}
	for i := range p.Limits {
		e.limits[p.Limits[i].Ref()] = &p.Limits[i]
	}
	for _, s := range p.Stages {
		for half, asks := range map[string][]plan.Ask{plan.Before: s.Before, plan.After: s.After} {
			for _, a := range asks {
				e.concerned[occasion{s.Name, half, a.Traffic, a.Event}] = a.Policies
			}
		}
	}
	return e, e.references()
}

// references proves that everything that the plan names is in it.
func (e *Engine) references() error {
	known := func(refs []plan.Ref) error {
		for _, r := range refs {
			switch {
			case r.Trusted != "":
				if g := e.greylists["greylist."+r.Trusted]; g == nil || g.Trust == nil {
					return fmt.Errorf("greylist %q trusts nobody in this plan", r.Trusted)
				}
			case e.lists[r.List] == nil:
				return fmt.Errorf("no list %q in this plan", r.List)
			}
		}
		return nil
	}
	for ref, g := range e.greylists {
		if err := known(g.Except); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	for ref, l := range e.limits {
		if err := counts(l); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		refs := slices.Concat(l.Only, l.Except)
		for _, o := range l.Overrides {
			refs = append(refs, o.Only...)
		}
		if err := known(refs); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	for at, refs := range e.concerned {
		for _, ref := range refs {
			if e.greylists[ref] == nil && e.limits[ref] == nil {
				return fmt.Errorf("stage %s asks for %q, which is not in this plan", at.stage, ref)
			}
		}
	}
	return nil
}

// counts proves that each rate of a limit has its window: one without would never
// be exceeded.
func counts(l *plan.Limit) error {
	if len(l.Windows) == 0 {
		return fmt.Errorf("no window to count in")
	}
	var rates []plan.Rate
	for _, t := range l.Tiers {
		rates = append(rates, t.Over...)
	}
	for _, o := range l.Overrides {
		for _, t := range o.Over {
			rates = append(rates, t.Over...)
		}
	}
	for _, r := range rates {
		if !slices.Contains(l.Windows, r.Per) {
			return fmt.Errorf("nothing is counted for %s", r)
		}
	}
	return nil
}

// Plan is the plan that the engine answers by.
func (e *Engine) Plan() *plan.Plan { return e.plan }

// Live is what a decision needs to know that is in no plan and no table.
type Live struct {
	Runtime *Runtime // what was said at run time and holds now; nil for nothing
	// Sleeping is how many delays of a tier ("limit.tarpit/slow") are running on this
	// gateway; nil for none.
	Sleeping func(tier string) int
	Explain  bool // fill in Decision.Reasons
}

// Decision is an answer, what it costs, and why.
type Decision struct {
	Answer  wire.Answer
	Writes  []Write  // must be on disk before the answer is sent; none where nothing changes
	Sleep   *Sleep   // the delay that the answer causes, nil for none
	Reasons []Reason // every policy that was judged, in the order of the plan, if Live.Explain
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
	by       string // ref, or ref/tier: who wants the verdict
	delay    time.Duration
	delayBy  string
	sleepers int      // of the tier that wants the delay
	add      []string // tiers that add headers
	always   []Write  // counted whatever comes out
	accepted []Write  // counted only where the mail is finally accepted
	waive    scope    // for how long this policy will have nothing to say
	explain  bool
	reasons  []Reason
}

// Decide judges a question. It reads from st only; the caller applies the writes
// in the transaction that st belongs to. An error is an error of st's.
func (e *Engine) Decide(q wire.Question, now time.Time, st State, live Live) (Decision, error) {
	var all []judgement
	waive := perConnection
	later := e.countsLater(&q)
	for _, ref := range e.policies(q) {
		j, err := e.judge(ref, &q, now, st, live)
		if err != nil {
			return Decision{}, fmt.Errorf("%s: %w", ref, err)
		}
		if later && e.limits[ref] != nil {
			j.accepted = nil
		}
		waive = min(waive, j.waive)
		all = append(all, j)
	}
	d := decide(all)
	if slices.Contains(q.Events, plan.NullSender) {
		held, err := e.countRecipients(&d, q, now, st, live)
		if err != nil {
			return Decision{}, err
		}
		waive = min(waive, held)
	}
	if q.Half == plan.After {
		d.Answer.Waive = waiver(waive)
	}
	return d, nil
}

// countsLater says whether a recipient of a null sender's message is judged now, but
// counted when the message itself has been let in: greylisting defers it after its
// recipients, and a deferred message must not use up anybody's rate.
func (e *Engine) countsLater(q *wire.Question) bool {
	if q.Stage != plan.Rcpt || q.Half != plan.After || q.Sender != "" {
		return false
	}
	for _, ref := range e.concerned[occasion{plan.Predata, plan.After, q.Traffic, plan.NullSender}] {
		if g := e.greylists[ref]; g != nil && g.Mode != plan.Observe {
			return true
		}
	}
	return false
}

// countRecipients counts the recipients of a null sender's message that was let in,
// for the limits that countsLater made wait, and says for how long they have nothing
// to count.
func (e *Engine) countRecipients(d *Decision, q wire.Question, now time.Time, st State, live Live) (scope, error) {
	held := perConnection
	recipients := append([]string{q.Recipient}, q.Others...)
	q.Stage, q.Half, q.Events, q.Others = plan.Rcpt, plan.After, []string{plan.Recipient}, nil
	if !e.countsLater(&q) {
		return held, nil
	}
	live.Explain = false
	for _, ref := range e.policies(q) {
		if e.limits[ref] == nil {
			continue
		}
		for _, q.Recipient = range recipients {
			j, err := e.judge(ref, &q, now, st, live)
			if err != nil {
				return never, fmt.Errorf("%s: %w", ref, err)
			}
			held = min(held, j.waive)
			if accepts(d.Answer.Verdict) && (!j.observe || accepts(j.verdict)) {
				d.Writes = append(d.Writes, j.accepted...)
			}
		}
	}
	return held, nil
}

// accepts says whether mail with this verdict is let in.
func accepts(verdict string) bool { return verdict == plan.Accept || verdict == plan.Freeze }

// policies are those that the question's events concern, each once, in order.
func (e *Engine) policies(q wire.Question) []string {
	var refs []string
	for _, event := range q.Events {
		refs = append(refs, e.concerned[occasion{q.Stage, q.Half, q.Traffic, event}]...)
	}
	if len(q.Events) > 1 {
		slices.Sort(refs)
		refs = slices.Compact(refs)
	}
	return refs
}

// judge asks one policy.
func (e *Engine) judge(ref string, q *wire.Question, now time.Time, st State, live Live) (judgement, error) {
	var except []plan.Ref
	var mode string
	g, l := e.greylists[ref], e.limits[ref]
	if g != nil {
		except, mode = g.Except, g.Mode
	} else {
		except, mode = l.Except, l.Mode
	}
	j := judgement{ref: ref, observe: mode == plan.Observe, verdict: plan.Accept, explain: live.Explain}
	why, held, err := e.exempt(ref, except, j.observe, q, now, st, live.Runtime)
	if err != nil {
		return j, err
	}
	if held > never {
		j.waive = held
		j.say("", plan.Accept, "%s", why)
		return j, nil
	}
	if g != nil {
		err = e.judgeGrey(&j, g, q, now, st)
	} else {
		err = e.judgeLimit(&j, l, q, now, st, live)
	}
	return j, err
}

// exempt says whether, why and for how long a policy has nothing to do with a
// question.
func (e *Engine) exempt(ref string, except []plan.Ref, observing bool, q *wire.Question, now time.Time, st State, r *Runtime) (string, scope, error) {
	if off(r, ref, now) {
		return "switched off at run time", perConnection, nil
	}
	if q.Traffic == plan.Inbound && e.forwarders.hasClient(q.Client, now) {
		return "the client is one of the site's forwarders", perConnection, nil
	}
	if held, a := allowed(r, ref, q, now); held > never {
		return fmt.Sprintf("allowed at run time (entry %d: %s)", a.ID, a.Why), held, nil
	}
	return e.matchAny(except, observing, q, now, st)
}

// matchAny finds the first of the references that matches. Whom an observing policy
// trusts is for observing policies only.
func (e *Engine) matchAny(refs []plan.Ref, observing bool, q *wire.Question, now time.Time, st State) (string, scope, error) {
	for _, r := range refs {
		if r.Trusted == "" {
			if held := e.lists[r.List].match(r.Field, q, now); held > never {
				return "in list." + r.List, held, nil
			}
			continue
		}
		g := e.greylists["greylist."+r.Trusted]
		if g.Mode == plan.Observe && !observing {
			continue // an observing policy changes nobody's verdict
		}
		row, ok, err := st.Seen(trustRow(g), key(g.Trust.Key, q))
		if err != nil {
			return "", never, err
		}
		if ok && trusted(g.Trust, row, now) {
			return "trusted by greylist." + r.Trusted, scopeOfKey(g.Trust.Key), nil
		}
	}
	return "", never, nil
}

// decide lets the strongest verdict win, and counts.
func decide(all []judgement) Decision {
	d := Decision{Answer: wire.Answer{Verdict: plan.Accept}}
	a := &d.Answer
	for _, j := range all {
		d.Reasons = append(d.Reasons, j.reasons...)
		switch {
		case j.observe:
			if (j.verdict != plan.Accept || j.delay > 0) && stronger(j.verdict, a.Would) {
				a.Would, a.WouldBy = j.verdict, j.by
				if j.verdict == plan.Accept {
					a.Would, a.WouldBy = "delay", j.delayBy
				}
			}
			continue
		case stronger(j.verdict, a.Verdict):
			a.Verdict, a.By = j.verdict, j.by
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
	accepted := accepts(a.Verdict)
	if !accepted {
		// A header goes to the whole message, and the other recipients of a message
		// should not carry what was said of one that was refused.
		a.Add = nil
	}
	for _, j := range all {
		d.Writes = append(d.Writes, j.always...)
		if accepted && (!j.observe || accepts(j.verdict)) {
			d.Writes = append(d.Writes, j.accepted...)
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

// rows is the name under which a policy's rows are kept: an observing policy has
// rows of its own.
func rows(ref, mode string) string {
	if mode == plan.Observe {
		return "observe:" + ref
	}
	return ref
}
