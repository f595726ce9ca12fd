package engine

import (
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/helper/normalize"
)

// spfFact is what is asked for wherever SPF matters.
var spfFact = plan.Fact{Name: plan.SPF}

// Reasons for a deferral that are no facts.
const (
	firstContact = "first_contact" // everybody is greylisted
	unclear      = "unclear"       // nobody knows, and on_failure is defer
)

// suspect says whether a contact that has not yet waited long enough is deferred, and
// for what reasons. What must be found out for that is asked for all at once; until
// then nothing is deferred.
func (e *Engine) suspect(j *judgement, g *greylist, h *hearing, c *contact) (why []string, deferred bool, err error) {
	spared, err := e.spared(j, g, h)
	if err != nil || spared {
		return nil, false, err
	}
	missing, err := e.inquire(g, h)
	if err != nil {
		return nil, false, err
	}
	if missing {
		j.mustKnow(h)
		return nil, false, nil
	}
	if len(g.Suspicious) == 0 {
		return c.reasonsOr(firstContact), true, nil
	}
	why, doubt := holding(g, h)
	switch {
	case len(why) > 0:
		return why, true, nil
	case doubt && g.OnFailure == plan.Defer:
		return c.reasonsOr(unclear), true, nil
	}
	if j.explain {
		j.say("", plan.Accept, "nothing suspicious%s", doubts(g, h))
	}
	return nil, false, nil
}

// reasonsOr is why the contact was deferred the first time, else the one given.
func (c *contact) reasonsOr(reason string) []string {
	if why := c.reasons(); why != nil {
		return why
	}
	return []string{reason}
}

// sparedAtOnce says whether the contact is let in for what needs no finding out, and
// notes why.
func (e *Engine) sparedAtOnce(j *judgement, g *greylist, h *hearing) bool {
	if slices.Contains(g.Spare, inPoolFact) && h.pool() != "" {
		j.say("", plan.Accept, "spared: %s", inPoolFact)
		return true
	}
	for _, r := range g.Urgent {
		if hits, ok := e.lists[r.List].matchSender(h.q.From, h.now); ok && signed(h.q.From, h.q.Dkim) {
			h.hit(hits)
			j.say("", plan.Accept, "urgent, and proven by DKIM")
			return true
		}
	}
	return false
}

var inPoolFact = plan.Fact{Name: plan.InPool}

// spared says whether the contact is let in whatever else is suspicious about it, and
// notes why.
func (e *Engine) spared(j *judgement, g *greylist, h *hearing) (bool, error) {
	for _, f := range g.Spare {
		found, hits, err := e.spares(h, f)
		if err != nil {
			return false, err
		}
		if found == Yes {
			h.hit(hits)
			j.say("", plan.Accept, "spared: %s", f)
			return true, nil
		}
	}
	urgent, hits := e.urgent(g, h)
	if urgent != Yes {
		return false, nil
	}
	h.hit(hits)
	j.say("", plan.Accept, "urgent, and proven by SPF")
	return true, nil
}

// inquire asks for those facts that nobody has found out, and says whether there
// are any.
func (e *Engine) inquire(g *greylist, h *hearing) (missing bool, err error) {
	want := func(found Finding, f plan.Fact) {
		if found != Unasked {
			return
		}
		missing = true
		if f.Name == plan.SPFFail || f.Name == plan.SPFPass {
			f = spfFact
		}
		h.ask(f)
	}
	for _, f := range g.Spare {
		found, _, err := e.spares(h, f)
		if err != nil {
			return false, err
		}
		want(found, f)
	}
	for _, f := range g.Suspicious {
		want(h.find(f), f)
	}
	urgent, _ := e.urgent(g, h)
	want(urgent, spfFact)
	return missing, nil
}

// holding are the suspicious facts that hold, each reason once; doubt says that
// others may.
func holding(g *greylist, h *hearing) (why []string, doubt bool) {
	for _, f := range g.Suspicious {
		switch h.find(f) {
		case Yes:
			if s := f.String(); !slices.Contains(why, s) {
				why = append(why, s)
			}
		case Unclear:
			doubt = true
		}
	}
	return why, doubt
}

// spares is what is known of a fact that spares, and what of a list it rests on. A
// sender is in the list of spf_pass by an entry, or because the list has learned it;
// where SPF does not pass, nobody need look.
func (e *Engine) spares(h *hearing, f plan.Fact) (Finding, []Hit, error) {
	if f.Name != plan.SPFPass {
		return h.find(f), nil, nil
	}
	passes := h.spfPasses()
	if passes == No || passes == Unclear {
		return passes, nil, nil
	}
	hits, listed, err := e.lists[f.Arg].hasSender(h)
	if err != nil || !listed {
		return No, nil, err
	}
	return passes, hits, nil
}

// hasSender says whether a list has the envelope sender, written down or learned.
func (l *list) hasSender(h *hearing) ([]Hit, bool, error) {
	if hits, ok := l.matchSender(h.q.Sender, h.now); ok || !l.learns.any() {
		return hits, ok, nil
	}
	held, hits, err := l.remembers("sender", h)
	return hits, held > never, err
}

// find is what is known of a fact that is about no list.
func (h *hearing) find(f plan.Fact) Finding {
	switch f.Name {
	case plan.InPool:
		if h.pool() != "" {
			return Yes
		}
		return No
	case plan.SPFFail:
		return h.spfFails()
	}
	if h.live.Facts == nil {
		return Unasked
	}
	return h.live.Facts.Found[f]
}

// urgent says whether the envelope sender is one that must not wait, and SPF proves
// it. What a list learned is not for that.
func (e *Engine) urgent(g *greylist, h *hearing) (proven Finding, hits []Hit) {
	for _, r := range g.Urgent {
		if hits, ok := e.lists[r.List].matchSender(h.q.Sender, h.now); ok {
			return h.spfPasses(), hits
		}
	}
	return No, nil
}

// signed says whether one of the signing domains is aligned with an address, as DMARC's
// relaxed mode has it, but without a list of public suffixes: the same, or one below
// the other. A domain of one label signs for nobody.
func signed(from string, domains []string) bool {
	_, domain := splitAddress(from)
	domain = normalize.Domain(domain)
	for _, d := range domains {
		d = normalize.Domain(d)
		if strings.Contains(d, ".") && strings.Contains(domain, ".") &&
			(d == domain || strings.HasSuffix(d, "."+domain) || strings.HasSuffix(domain, "."+d)) {
			return true
		}
	}
	return false
}

// doubts names the facts that could not be found out, for reading.
func doubts(g *greylist, h *hearing) string {
	var open []plan.Fact
	for _, f := range g.Suspicious {
		if h.find(f) == Unclear {
			open = append(open, f)
		}
	}
	if len(open) == 0 {
		return ""
	}
	return "; could not find out: " + strings.Join(words(open), ", ")
}

// words are facts as answers carry them.
func words(facts []plan.Fact) []string {
	out := make([]string, len(facts))
	for i, f := range facts {
		out[i] = f.String()
	}
	return out
}
