package engine

import (
	"slices"
	"time"

	"exipol/generator/plan"
)

// limit is a plan's limit, with what is worth finding out once.
type limit struct {
	*plan.Limit
	ref     string
	table   string        // the name of its rows
	of      string        // and of those of what it compares with; "" where it counts a share of nothing
	longest time.Duration // of its windows
	pooled  bool          // it names clients by client.pool
	each    bool          // for whom it counts, or what, differs between the recipients of a message
	desk    bool          // it opens cases
	blocks  bool          // a tier blocks
	fromLog bool          // it counts something that no question tells of
	looks   bool          // it counts only what no question tells of, and has a tier that acts at a command
}

func newLimit(p *plan.Limit) *limit {
	l := &limit{Limit: p, ref: p.Ref(), table: rows(p.Ref(), p.Mode), pooled: pooled(p.Key), each: perRecipientKey(p.Key)}
	if p.Share != nil {
		l.of = l.table + ".of"
	}
	if p.Distinct != nil {
		one := []plan.Part{*p.Distinct}
		l.pooled, l.each = l.pooled || pooled(one), l.each || perRecipientKey(one)
	}
	for _, w := range p.Windows {
		l.longest = max(l.longest, w.Std())
	}
	acts := false
	for i := range p.Tiers {
		t := &p.Tiers[i]
		l.desk = l.desk || t.Desk() && p.Mode != plan.Observe
		l.blocks = l.blocks || t.Block != nil
		acts = acts || t.Verdict != plan.Accept || t.Delay != nil || len(t.AddHeader) > 0 || t.Block != nil && p.Mode == plan.Observe
	}
	fromLog := func(w plan.WeightedEvent) bool { return plan.Events[w.Event].Log }
	l.fromLog = slices.ContainsFunc(p.Events, fromLog)
	l.looks = acts && !slices.ContainsFunc(p.Events, func(w plan.WeightedEvent) bool { return !fromLog(w) })
	return l
}

// judgeLimit compares what was counted, with this event, to the tiers' rates, and lets a
// block that is in force act.
func (e *Engine) judgeLimit(j *judgement, l *limit, h *hearing) error {
	blocked := h.happened == nil && slices.Contains(h.q.Events, plan.Blocked)
	// Before MAIL there is little to compare; whoever is blocked was of those it is for.
	if len(l.Only) > 0 && !(blocked && !knowsSender(h.q.Stage)) {
		among, err := e.among(l, j.observe, h)
		if err != nil {
			return err
		}
		if !among {
			j.waive = e.mismatch(l.Only)
			j.say("", plan.Accept, "not among those that it is only for")
			return nil
		}
	}
	t := tallying{limit: l, recipient: h.q.Recipient, all: h.times()}
	if l.pooled {
		t.name = h.surely()
	}
	if !l.each || h.q.Stage != plan.NotSMTP || len(h.q.Others) == 0 {
		return e.judgeKey(j, &t, h, blocked)
	}
	// A message that came without SMTP names its recipients all at once: each is judged as if
	// those before it had been counted.
	seen := &unwritten{State: h.st}
	each := *h
	each.st = seen
	for i := range h.recipients() {
		t.recipient, t.all, t.nth = h.recipient(i), 1, i
		if err := e.judgeKey(j, &t, &each, blocked); err != nil {
			return err
		}
		seen.writes = [][]Write{j.always, j.accepted, j.opens}
	}
	return nil
}

// among says whether the question is of those that the limit is only for. Where the store would have
// to say so and is away, it is: whoever is blocked was.
func (e *Engine) among(l *limit, observing bool, h *hearing) (bool, error) {
	if h.away != nil {
		h.away.asked = false
	}
	found, _, err := e.matchAny(l.Only, observing, h)
	return found != nil || h.away != nil && h.away.asked, err
}

// judgeKey judges for one key.
func (e *Engine) judgeKey(j *judgement, t *tallying, h *hearing, blocked bool) error {
	l := t.limit
	whole := false
	if t.key, whole = h.key(l.Key, t.recipient, t.name); !whole {
		j.say("", plan.Accept, "nobody to count it for")
		return nil
	}
	if h.away != nil {
		return j.ifBlocked(t, h, blocked)
	}
	weight, always := t.weigh(h)
	others := t.others(h)
	looks := blocked && l.looks && (h.q.Stage == plan.Rcpt || h.q.Stage == plan.NotSMTP || j.observe)
	if l.desk && (weight > 0 || others > 0 || looks) {
		if err := t.stand(h); err != nil {
			return err
		}
		if h.happened != nil && h.at.UnixMilli() < t.standing.Cleared {
			j.say("", plan.Accept, "happened before somebody released it")
			return nil
		}
	}
	if others > 0 {
		j.accepted = append(j.accepted, t.add(h, l.of, others)...)
		if err := j.compareByAddress(t, h, others); err != nil {
			return err
		}
	}
	switch {
	case weight > 0:
		counted, writes, err := t.values(h, weight, others)
		if err != nil {
			return err
		}
		writes = append(writes, t.samples(h, weight, len(writes) > 0)...)
		how := ifAccepted
		if always {
			how = whatever
			j.always = append(j.always, writes...)
		} else {
			j.accepted = append(j.accepted, writes...)
		}
		if err := e.judgeTiers(j, t, h, counted, how); err != nil {
			return err
		}
	case looks:
		if err := e.look(j, t, h); err != nil {
			return err
		}
	}
	return j.ifBlocked(t, h, blocked)
}

// ifBlocked lets a block act that is in force, where that is asked.
func (j *judgement) ifBlocked(t *tallying, h *hearing, asked bool) error {
	if !asked || !t.blocks {
		return nil
	}
	return j.inForce(t, h)
}

// compareByAddress counts what a limit compares with by a relay host's address, too, where it counts
// what only the log tells: that knows no ids.
func (j *judgement) compareByAddress(t *tallying, h *hearing, others int64) error {
	other, is := t.otherName(h)
	if !is || !t.fromLog {
		return nil
	}
	second := *t
	if second.key = other; t.desk {
		if err := second.stand(h); err != nil {
			return err
		}
	}
	j.accepted = append(j.accepted, second.add(h, t.of, others)...)
	return nil
}

// look judges by what is counted now and adds nothing: what counts is read from the log, and
// this is the next recipient of who it is about.
func (e *Engine) look(j *judgement, t *tallying, h *hearing) error {
	counted, _, err := t.values(h, 0, 0)
	if err != nil {
		return err
	}
	if other, is := t.otherName(h); is {
		second := *t
		second.key = other
		if t.desk {
			if err := second.stand(h); err != nil {
				return err
			}
		}
		more, _, err := second.values(h, 0, 0)
		if err != nil {
			return err
		}
		for w, n := range more {
			counted[w] = max(counted[w], n)
		}
	}
	return e.judgeTiers(j, t, h, counted, looking)
}

// weigh adds up what the question's events count for, and says whether they count
// whatever comes out. The events of one question are all of one half, and so all
// offences or none.
func (t *tallying) weigh(h *hearing) (weight int64, always bool) {
	l, q := t.limit, &h.q
	always = l.Attempts
	for _, w := range l.Events {
		// The host that a callout asked says nothing to those who did not want it asked.
		if !slices.Contains(q.Events, w.Event) || w.Event == plan.InvalidRecipient && q.Callout && l.Callout == 0 {
			continue
		}
		weight += w.Weight * t.timesOf(h, w.Event)
		always = always || plan.Events[w.Event].Offence
	}
	return weight, always
}

// others is how many of what the limit compares with happened.
func (t *tallying) others(h *hearing) int64 {
	if s := t.limit.Share; s != nil && slices.Contains(h.q.Events, s.Event) {
		return t.timesOf(h, s.Event)
	}
	return 0
}

// timesOf is how often an event of the question happened for the key.
func (t *tallying) timesOf(h *hearing, event string) int64 {
	switch event {
	case plan.Recipient, plan.UnknownRecipient, plan.InvalidRecipient:
		return t.all
	}
	if t.nth > 0 { // there is one message, and it counted for the first
		return 0
	}
	return 1
}

// times is how often an event that is about recipients happened: at RCPT once; where a
// message came without SMTP, as often as there are recipients.
func (h *hearing) times() int64 {
	if h.q.Stage != plan.NotSMTP {
		return 1
	}
	return max(h.q.Count, int64(h.recipients()))
}
