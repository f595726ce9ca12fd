package engine

import (
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// actsAtOnce says whether a block that comes into force by a question acts on it: at its own
// stage, and for those of MAIL and RCPT at what follows of the same message.
func actsAtOnce(b *plan.Block, q *wire.Question) bool {
	if !slices.Contains(b.Traffics, q.Traffic) {
		return false
	}
	switch b.At {
	case plan.Mail:
		return q.Stage == plan.Mail || q.Stage == plan.Rcpt || q.Stage == plan.Data
	case plan.Rcpt:
		return q.Stage == plan.Rcpt || q.Stage == plan.Data || q.Stage == plan.NotSMTP
	}
	return q.Stage == b.At
}

// actsAt says whether a block that is in force acts on a question.
func actsAt(b *plan.Block, q *wire.Question) bool {
	return slices.Contains(b.Traffics, q.Traffic) && (q.Stage == b.At || b.At == plan.Rcpt && q.Stage == plan.NotSMTP)
}

// blockOf is the block of a standing's tier. Where a tier of that name does not block any more
// (the plan has changed), it is that of the highest tier up to the same rank that does; nil for none.
func (l *limit) blockOf(s *Standing) *plan.Tier {
	for i := range l.Tiers {
		if t := &l.Tiers[i]; t.Name == s.Tier && t.Block != nil {
			return t
		}
	}
	for i := min(s.Rank, len(l.Tiers)) - 1; i >= 0; i-- {
		if l.Tiers[i].Block != nil {
			return &l.Tiers[i]
		}
	}
	return nil
}

// inForce lets the key's block act, where one is in force. What this process remembers may be
// half a second behind what the store says of the key, and the store was only asked where something
// is counted: whichever is newer holds.
func (j *judgement) inForce(t *tallying, h *hearing) error {
	known, _ := h.live.Runtime.standing(t.ref, t.key)
	if err := j.stands(t, h, newer(t.standing, known)); err != nil {
		return err
	}
	if other, is := t.otherName(h); is {
		known, _ := h.live.Runtime.standing(t.ref, other)
		return j.stands(t, h, known)
	}
	return nil
}

// newer is what is the last that is known of a key. A case is never open again after a release.
func newer(a, b Standing) Standing {
	switch {
	case a.Case != b.Case:
		if a.Case > b.Case {
			return a
		}
		return b
	case a.Released != 0 || b.Released == 0 && a.Rank >= b.Rank:
		return a
	}
	return b
}

// stands lets a standing's block act, where it is in force here.
func (j *judgement) stands(t *tallying, h *hearing, s Standing) error {
	if !s.InForce(h.now.UnixMilli()) {
		return nil
	}
	tier := t.blockOf(&s)
	if tier == nil || !actsAt(tier.Block, &h.q) {
		return nil
	}
	if j.explain {
		end := "until it is released"
		if s.Until != 0 {
			end = "until " + rfc3339(s.Until)
		}
		j.say(tier.Name, tier.Block.Verdict, "blocked by case %d since %s, %s", s.Case, rfc3339(s.Since), end)
	}
	return j.block(t, h, tier, s.Case)
}

// block is what a block says that is in force: it decides alone. Of several, the strongest does.
func (j *judgement) block(t *tallying, h *hearing, tier *plan.Tier, caseID int64) error {
	b := tier.Block
	verdict, by := b.Verdict, plan.BlockRef(t.ref, tier.Name)
	if verdict == plan.Freeze {
		full, err := t.guarded(h, b, caseID)
		if err != nil {
			return err
		}
		if full {
			verdict, by = plan.Defer, plan.GuardRef(t.ref, tier.Name)
			j.say(tier.Name, verdict, "too much is held, or too little room is left")
		}
	}
	if j.blocked.by != "" && !stronger(verdict, j.blocked.verdict) {
		return nil
	}
	j.blocked = blocked{verdict: verdict, by: by, adds: len(b.AddHeader) > 0 && verdict == b.Verdict}
	return nil
}

// blocked is the verdict of a block that is in force; by is "" where none is.
type blocked struct {
	verdict, by string
	adds        bool // header lines
}

// obeyBlock makes the block's verdict the judgement's, and leaves nothing of what tiers say.
func (j *judgement) obeyBlock() {
	if j.blocked.by == "" {
		return
	}
	j.verdict, j.by, j.why = j.blocked.verdict, j.blocked.by, nil
	j.delay, j.delayBy, j.sleepers, j.add = 0, "", 0, nil
	if j.blocked.adds {
		j.add = []string{j.by}
	}
}

// guarded says whether a block that freezes has to defer, so that what it holds does not fill the
// disk.
func (t *tallying) guarded(h *hearing, b *plan.Block, caseID int64) (bool, error) {
	if free := h.live.Free; b.Free > 0 && free != nil {
		if percent, ok := free(); ok && percent < b.Free {
			return true, nil
		}
	}
	if b.Most == 0 || caseID <= 0 {
		return false, nil
	}
	n, err := h.st.Held(caseID)
	return n >= b.Most, err
}

// held notes that a message is in which a block of this limit froze. Whoever is exempt meanwhile
// has it thawed by the desk like the others.
func (j *judgement) held(l *limit, h *hearing) error {
	if !slices.Contains(h.q.Events, plan.Held) {
		return nil
	}
	if ref, _, is := strings.Cut(h.q.Hold, "/"); !is || ref != l.ref {
		return nil
	}
	t := tallying{limit: l}
	if l.pooled {
		t.name = h.surely()
	}
	recipients := 1
	if perRecipientKey(l.Key) {
		recipients = h.recipients()
	}
	var found Standing
	for i := range recipients {
		t.recipient = h.recipient(i)
		keys := []string{}
		if key, whole := h.key(l.Key, t.recipient, t.name); whole {
			keys = append(keys, key)
		}
		if key, is := t.otherName(h); is {
			keys = append(keys, key)
		}
		for _, key := range keys {
			s, ok, err := h.st.Standing(l.ref, key)
			if err != nil {
				return err
			}
			now := h.now.UnixMilli()
			if ok && s.Case != 0 && (found.Case == 0 || s.InForce(now) && !found.InForce(now)) {
				found = s
			}
		}
	}
	if found.Case != 0 {
		j.accepted = append(j.accepted, PutHeld{Gateway: h.live.Gateway, Message: h.q.Message, Case: found.Case, At: h.now.UnixMilli()})
		j.say("", plan.Accept, "held for case %d", found.Case)
	}
	return nil
}

// standing is how a key stands with a policy, as far as a block is or was lately concerned.
func (r *Runtime) standing(policy, key string) (Standing, bool) {
	if r == nil {
		return Standing{}, false
	}
	return r.Standings.Find(policy, key)
}

// rfc3339 is a moment, in Unix milliseconds, for people.
func rfc3339(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
