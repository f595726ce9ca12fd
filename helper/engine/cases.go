package engine

import (
	"fmt"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/helper/normalize"
)

// unborn is the id of a case that a decision opens and that is not in the store yet.
const unborn = -1

// probation is the share of the tiers' rates that holds for the key, in percent.
func (t *tallying) probation(h *hearing) int64 {
	if h.at.UnixMilli() >= t.standing.Probation {
		return wholeRates
	}
	share := int64(wholeRates)
	for i := range t.Tiers {
		tier := &t.Tiers[i]
		if tier.Block == nil || tier.Block.Probation == nil {
			continue
		}
		if tier.Name == t.standing.Tier {
			return tier.Block.Probation.Share
		}
		share = min(share, tier.Block.Probation.Share)
	}
	return share
}

// openCase is the key's open case, 0 for none.
func (t *tallying) openCase(h *hearing) int64 {
	if !t.standing.Open(h.at.UnixMilli()) {
		return 0
	}
	return t.standing.Case
}

// open opens a case for the key, or raises the one that is open, unless that has this tier or a
// higher one.
func (j *judgement) open(t *tallying, h *hearing, tier int, value int64, rate plan.Rate, how manner) {
	at := h.at.UnixMilli()
	if t.standing.Open(at) && t.standing.Rank > tier {
		return
	}
	p := &t.Tiers[tier]
	w := OpenCase{
		Policy: t.ref, Key: t.key, Tier: p.Name, Rank: tier + 1, At: at, Until: at + t.longest.Milliseconds(),
		Who: t.who(h), Owner: t.owner(h), Gateway: h.gateway(), Counted: value, Rate: rate.String(), Notify: p.Notify,
		// A release matters until nothing before it is in the oldest slot that counts.
		Window: (t.longest + 2*SlotLength(t.longest)).Milliseconds(),
	}
	if b := p.Block; b != nil {
		w.Blocks, w.Freeze, w.Until = true, b.Queued == plan.Freeze, 0
		if b.Until > 0 {
			w.Until = at + b.Until.Milliseconds()
		}
	}
	t.standing = opened(t.standing, w)
	if how == whatever {
		j.always = append(j.always, w)
	} else {
		j.opens = append(j.opens, w)
	}
	j.say(p.Name, plan.Accept, "opens a case, or raises it: counts %d, over %s", value, rate)
}

// opened is the standing after a case was opened or raised. What is in force stays so: a tier that
// only tells somebody lifts no block, and a shorter block shortens no longer one.
func opened(s Standing, w OpenCase) Standing {
	if !s.Open(w.At) {
		return Standing{
			Policy: w.Policy, Key: w.Key, Case: unborn, Tier: w.Tier, Rank: w.Rank, Blocks: w.Blocks,
			Since: w.At, Until: w.Until, Cleared: s.Cleared, Probation: s.Probation,
		}
	}
	s.Rank = w.Rank
	switch {
	case s.Blocks && !w.Blocks:
	case w.Blocks && !s.Blocks:
		s.Tier, s.Blocks, s.Until = w.Tier, true, w.Until
	case s.Until == 0 || w.Until == 0:
		s.Tier, s.Until = w.Tier, 0
	default:
		s.Tier, s.Until = w.Tier, max(s.Until, w.Until)
	}
	return s
}

// Opens says whether something that is to be written opens or raises a case.
func Opens(writes []Write) bool {
	return slices.ContainsFunc(writes, func(w Write) bool { _, is := w.(OpenCase); return is })
}

// who is the key for people: "auth bob@example.com", "client 192.0.2.1, login bob".
func (t *tallying) who(h *hearing) string {
	var words []string
	for _, p := range t.Key {
		word := h.part(p, t.recipient, t.name)
		if p.Field == "owner" { // that says itself what it is
			words = append(words, strings.Replace(word, ":", " ", 1))
			continue
		}
		words = append(words, p.Field+" "+word)
	}
	return strings.ToValidUTF8(strings.Join(words, ", "), "?")
}

// owner is whom the key names that answers for mail, "" for nobody.
func (t *tallying) owner(h *hearing) string {
	for _, p := range t.Key {
		switch {
		case p.Field == "owner":
			return h.owner()
		case p.Field == "auth":
			return Owner(h.q.Auth, "", "")
		case p.Field == "user":
			return Owner("", h.q.User, "")
		case p.Field == "client" && h.q.Traffic == plan.Relay && p.V4 >= 32 && p.V6 >= 128:
			return Owner("", "", normalize.Client(h.q.Client, 32, 128))
		}
	}
	return ""
}

// gateway is where it happened.
func (h *hearing) gateway() string {
	if h.happened != nil {
		return h.happened.Gateway
	}
	return h.live.Gateway
}

// samples keeps an offence for the desk; counted says that it counts. They stand before the case
// that they open, which takes them as its evidence.
func (t *tallying) samples(h *hearing, weight int64, counted bool) []Write {
	if !t.desk || !counted {
		return nil
	}
	s := PutSample{
		Policy: t.ref, Key: t.key, N: t.raw % Samples, At: h.at.UnixMilli(), Gateway: h.gateway(),
		Message: h.q.Message, Address: h.q.Recipient,
		Expires: max(h.at.UnixMilli(), h.now.UnixMilli()) + (t.longest + t.longest/Slots).Milliseconds(),
	}
	if h.happened != nil {
		s.Line = sampled(h.happened.Line)
		return []Write{s}
	}
	event := t.offence(h)
	if event == "" {
		return nil
	}
	// One question may be about several recipients.
	last := 1
	if !t.each && plan.Events[event].NotSMTP && h.q.Stage == plan.NotSMTP {
		last = min(h.recipients(), Samples)
	}
	var writes []Write
	for i := range last {
		one := s
		one.Address = t.recipient
		if last > 1 {
			one.Address, one.N = h.recipient(i), (t.raw-weight+int64(i)+1)%Samples
		}
		one.Line = sampled(h.said(event, one.Address))
		writes = append(writes, one)
	}
	return writes
}

// offence is the first of the question's events that the limit counts and that is one.
func (t *tallying) offence(h *hearing) string {
	for _, w := range t.Events {
		if plan.Events[w.Event].Offence && slices.Contains(h.q.Events, w.Event) {
			return w.Event
		}
	}
	return ""
}

// said is what a question tells of an offence, for people.
func (h *hearing) said(event, recipient string) string {
	from := ""
	if h.q.Client.IsValid() {
		from = " from " + h.q.Client.String()
	}
	switch event {
	case plan.Connection:
		return "connection" + from
	case plan.HeloEvent:
		return fmt.Sprintf("HELO %s%s", h.q.Helo, from)
	case plan.InvalidRecipient:
		if h.q.Callout {
			return fmt.Sprintf("RCPT TO:<%s>%s, MAIL FROM:<%s>: its own host knows no such recipient", recipient, from, h.q.Sender)
		}
	}
	return fmt.Sprintf("RCPT TO:<%s>%s, MAIL FROM:<%s>: no such recipient", recipient, from, h.q.Sender)
}

// sampled is a line as a sample keeps it: cut where a character begins.
func sampled(line string) string {
	if len(line) <= SampleLine {
		return line
	}
	return strings.ToValidUTF8(line[:SampleLine], "")
}
