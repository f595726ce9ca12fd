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
func (e *Engine) suspect(j *judgement, g *greylist, h *hearing, c *contact) (why []string, deferred bool) {
	if e.spared(j, g, h) {
		return nil, false
	}
	if e.inquire(g, h) {
		j.mustKnow(h)
		return nil, false
	}
	if len(g.Suspicious) == 0 {
		return c.reasonsOr(firstContact), true
	}
	why, doubt := e.holding(g, h)
	switch {
	case len(why) > 0:
		return why, true
	case doubt && g.OnFailure == plan.Defer:
		return c.reasonsOr(unclear), true
	}
	if j.explain {
		j.say("", plan.Accept, "nothing suspicious%s", e.doubts(g, h))
	}
	return nil, false
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
func (e *Engine) spared(j *judgement, g *greylist, h *hearing) bool {
	for _, f := range g.Spare {
		if e.find(h, f) != Yes {
			continue
		}
		if f.Name == plan.SPFPass {
			hits, _ := e.lists[f.Arg].matchSender(h.q.Sender, h.now)
			h.hit(hits)
		}
		j.say("", plan.Accept, "spared: %s", f)
		return true
	}
	urgent, hits := e.urgent(g, h)
	if urgent != Yes {
		return false
	}
	h.hit(hits)
	j.say("", plan.Accept, "urgent, and proven by SPF")
	return true
}

// inquire asks for those facts that nobody has found out, and says whether there
// are any.
func (e *Engine) inquire(g *greylist, h *hearing) bool {
	missing := false
	for _, facts := range [][]plan.Fact{g.Spare, g.Suspicious} {
		for _, f := range facts {
			if e.find(h, f) != Unasked {
				continue
			}
			missing = true
			if f.Name == plan.SPFFail || f.Name == plan.SPFPass {
				f = spfFact
			}
			h.ask(f)
		}
	}
	if urgent, _ := e.urgent(g, h); urgent == Unasked {
		missing = true
		h.ask(spfFact)
	}
	return missing
}

// holding are the suspicious facts that hold, each reason once; doubt says that
// others may.
func (e *Engine) holding(g *greylist, h *hearing) (why []string, doubt bool) {
	for _, f := range g.Suspicious {
		switch e.find(h, f) {
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

// find is what is known of a fact.
func (e *Engine) find(h *hearing, f plan.Fact) Finding {
	switch f.Name {
	case plan.InPool:
		if h.pool() != "" {
			return Yes
		}
		return No
	case plan.SPFFail:
		return h.spfFails()
	case plan.SPFPass:
		if _, listed := e.lists[f.Arg].matchSender(h.q.Sender, h.now); !listed {
			return No
		}
		return h.spfPasses()
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
func (e *Engine) doubts(g *greylist, h *hearing) string {
	var open []plan.Fact
	for _, f := range g.Suspicious {
		if e.find(h, f) == Unclear {
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
