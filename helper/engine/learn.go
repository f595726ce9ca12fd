package engine

import (
	"slices"

	"exipol/generator/plan"
	"exipol/helper/normalize"
)

// learning is what a list learns, and from whom. What it learned under an earlier plan
// counts only as far as this one would learn it, too.
type learning struct {
	from               []plan.Learn
	addresses, domains bool
	longest            plan.Duration // of what is remembered
	sender, recipient  []Hit         // for a match of what was learned, one each
}

func newLearning(l plan.List) learning {
	out := learning{from: l.Learn}
	for _, learn := range l.Learn {
		out.addresses = out.addresses || learn.From == "recipient"
		out.domains = out.domains || learn.From == "recipient.domain"
		out.longest = max(out.longest, learn.Remember)
	}
	if out.any() {
		out.sender, out.recipient = []Hit{{List: l.Ref(), Field: "sender"}}, []Hit{{List: l.Ref(), Field: "recipient"}}
	}
	return out
}

func (l *learning) any() bool { return l.addresses || l.domains }

// mismatch is for how long what is not learned can be taken for unknown. A list
// grows all the time: never longer than its addresses stay the same.
func (l *learning) mismatch(field string) scope {
	switch {
	case !l.any():
	case field == "", field == "sender":
		return perMessage
	case field == "recipient":
		return perRecipient
	}
	return perConnection
}

// remembers says whether, and for how long, the list has learned the question's
// sender, or all its recipients: for a reference that names no field, the sender. There
// is no sender before MAIL, and the null sender is nobody in particular.
func (l *list) remembers(field string, h *hearing) (scope, []Hit, error) {
	switch field {
	case "", "sender":
		if !knowsSender(h.q.Stage) {
			return never, nil, nil
		}
		if known, err := l.knows(h.q.Sender, h); err != nil || !known {
			return never, nil, err
		}
		return perMessage, l.learns.sender, nil
	case "recipient":
		if h.q.Recipient == "" {
			return never, nil, nil
		}
		for i := range h.recipients() {
			if known, err := l.knows(h.recipient(i), h); err != nil || !known {
				return never, nil, err
			}
		}
		return perRecipient, l.learns.recipient, nil
	}
	return never, nil, nil
}

// knows says whether the list has learned an address, or its domain.
func (l *list) knows(address string, h *hearing) (bool, error) {
	whole, domain := learnable(address)
	if l.learns.addresses && whole != "" {
		if known, err := l.learned(whole, h); err != nil || known {
			return known, err
		}
	}
	if l.learns.domains && domain != "" {
		return l.learned("@"+domain, h)
	}
	return false, nil
}

func (l *list) learned(what string, h *hearing) (bool, error) {
	row, ok, err := h.st.Seen(l.ref, normalize.Key([]string{what}))
	return ok && h.now.UnixMilli() < row.Expires, err
}

// learnable is an address as lists learn it and compare it, and its domain; "" for
// what cannot be learned: an address without a domain, and one with an empty local
// part, which would look like all of its domain.
func learnable(address string) (whole, domain string) {
	whole = normalize.Listed(address)
	local, domain := splitAddress(whole)
	if len(domain) == len(whole) {
		return "", ""
	}
	if local == "" || domain == "" {
		return "", domain
	}
	return whole, domain
}

// learn puts into a list what this message names, if it is accepted. It has no say in
// that, and whoever is exempt from policies teaches like anybody else. Mail to the
// site's own domains, and within one domain, teaches nothing: its recipient is one of
// one's own, in whose name only a forger writes from outside. Neither does an automatic
// message: what it answers may be spam.
func (j *judgement) learn(l *list, h *hearing) error {
	switch {
	case off(h.live.Runtime, l.ref, h.now):
		j.say("", plan.Accept, "switched off at run time")
		return nil
	case h.q.Sender == "":
		j.say("", plan.Accept, "learns nothing from a null sender")
		return nil
	case h.q.Auto:
		j.say("", plan.Accept, "learns nothing from an automatic message")
		return nil
	}
	_, own := learnable(h.q.Sender)
	var done []string
	for _, from := range l.learns.from {
		if from.Traffic != h.q.Traffic {
			continue
		}
		for i := range h.recipients() {
			what, domain := learnable(h.recipient(i))
			if domain == "" || domain == own || h.q.IsOurs(i) {
				continue
			}
			if from.From == "recipient.domain" {
				what = "@" + domain
			}
			if what == "" || slices.Contains(done, what) {
				continue
			}
			done = append(done, what)
			if err := j.learnOne(l, what, from.Remember, h); err != nil {
				return err
			}
		}
	}
	j.say("", plan.Accept, "learns, if accepted: %d", len(done))
	return nil
}

// learnOne notes one address or domain, or moves its end on: never back, where
// another kind of mail is remembered for longer, unless no kind could have moved it so
// far (a clock was ahead).
func (j *judgement) learnOne(l *list, what string, remember plan.Duration, h *hearing) error {
	k := normalize.Key([]string{what})
	row, known, err := h.st.Seen(l.ref, k)
	if err != nil {
		return err
	}
	ms := h.now.UnixMilli()
	end, far := slid(row.Expires, h.now, remember)
	if end < row.Expires {
		_, far = slid(row.Expires, h.now, l.learns.longest)
		far = far && row.Expires > ms+l.learns.longest.Milliseconds()
	}
	if known = known && ms < row.Expires; known && !far {
		return nil
	}
	if !known {
		row = SeenRow{First: ms}
	}
	row.Counted, row.Expires = ms, end
	j.accepted = append(j.accepted, PutSeen{l.ref, k, row})
	return nil
}
