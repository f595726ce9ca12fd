package engine

import (
	"fmt"
	"slices"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// trafficAndStop is one of greylisting's own events (plan.NullSender or
// plan.WholeMessage) of one traffic: there it stops a message after its recipients.
type trafficAndStop struct{ traffic, event string }

// noteStop remembers where an enforced greylist may defer a message as a whole.
func (e *Engine) noteStop(a plan.Ask) {
	if a.Event != plan.NullSender && a.Event != plan.WholeMessage {
		return
	}
	for _, ref := range a.Policies {
		if g := e.greylists[ref]; g != nil && g.Mode != plan.Observe {
			e.deferring[trafficAndStop{a.Traffic, a.Event}] = true
		}
	}
}

// lastStop is the event after which a message's recipients are sure to be let in: it
// is greylisting's last chance to defer them. "" where they are sure at once.
func (e *Engine) lastStop(q *wire.Question) string {
	switch {
	case e.deferring[trafficAndStop{q.Traffic, plan.WholeMessage}]:
		return plan.WholeMessage
	case q.Sender == "" && e.deferring[trafficAndStop{q.Traffic, plan.NullSender}]:
		return plan.NullSender
	}
	return ""
}

// countsLater says whether a recipient is judged now, but counted when the message
// itself has been let in: greylisting may defer it after its recipients, and a
// deferred message must not use up anybody's rate. One that Exim will not name again
// is counted at once.
func (e *Engine) countsLater(q *wire.Question) bool {
	return q.Stage == plan.Rcpt && q.Half == plan.After && !q.Unkept && e.lastStop(q) != ""
}

// countsNow says whether this question is the one that countsLater waited for.
func (e *Engine) countsNow(q *wire.Question) bool {
	if q.Half != plan.After {
		return false
	}
	stop := e.lastStop(q)
	return stop != "" && slices.Contains(q.Events, stop)
}

// countRecipients counts the recipients of a message, if it was let in, for the
// limits that countsLater made wait, and says for how long they have nothing to count.
func (e *Engine) countRecipients(d *Decision, h *hearing) (scope, error) {
	each := *h
	q := &each.q
	q.Stage, q.Half, q.Events, q.Others = plan.Rcpt, plan.After, []string{plan.Recipient}, nil
	each.live.Explain = false
	// Each counts as if those before it had been counted, where it may open a case.
	seen := &unwritten{State: h.st, writes: make([][]Write, 1)}
	held := perConnection
	for _, ref := range e.policies(q) {
		if e.limits[ref] == nil {
			continue
		}
		if each.st = h.st; e.limits[ref].desk {
			each.st = seen
		}
		for i := range h.recipients() {
			q.Recipient = h.recipient(i)
			j, err := e.judge(ref, &each)
			if err != nil {
				return never, fmt.Errorf("%s: %w", ref, err)
			}
			held = min(held, j.waive)
			if accepts(d.Answer.Verdict) && (!j.observe || accepts(j.verdict)) {
				d.Writes = append(append(d.Writes, j.accepted...), j.opens...)
				seen.writes[0] = d.Writes
			}
		}
	}
	// What matched there was noted when they were judged, each at its RCPT.
	h.needs = each.needs
	return held, nil
}
