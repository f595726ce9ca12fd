package engine

import (
	"time"

	"exipol/generator/plan"
)

// trusted says whether a client's row makes it trusted now.
func trusted(t *plan.Trust, row SeenRow, now time.Time) bool {
	return row.Passes >= t.After && now.UnixMilli() < row.Expires
}

// slid is the new end of a sliding expiry, and whether it moved far enough to be
// worth a write: a thirty-sixth of its length, either way (a clock that was ahead has
// left ends that are too far off).
func slid(expires int64, now time.Time, length plan.Duration) (int64, bool) {
	end := now.UnixMilli() + length.Milliseconds()
	lag := length.Milliseconds() / Slots
	return end, end-expires > lag || expires-end > lag
}

// standing is what a greylist policy knows of a client: the row that makes it
// trusted, or else that in which it earns trust.
type standing struct {
	key     string
	row     SeenRow // empty where there is none
	trusted scope   // for how long; never where it is not trusted
}

// standingOf looks at one of the client's names. Trust is earned under the last of
// them, for it is the one that most of the client's hosts share. A key with a
// recipient in it says nothing of a message that has several.
func (g *greylist) standingOf(name string, h *hearing) (standing, error) {
	if g.Trust == nil || len(h.q.Others) > 0 && perRecipientKey(g.Trust.Key) {
		return standing{}, nil
	}
	s := standing{key: key(g.Trust.Key, &h.q, h.q.Recipient, name)}
	row, ok, err := h.st.Seen(g.trustees, s.key)
	if err != nil || !ok || h.now.UnixMilli() >= row.Expires {
		return s, err
	}
	s.row = row
	if trusted(g.Trust, row, h.now) {
		s.trusted = scopeOfKey(g.Trust.Key, isSPFName(name))
	}
	return s, nil
}

// trusts says whether, and for how long, a greylist policy trusts the client of any
// policy's question. maybe says that it would if SPF passed: only then is that worth
// asking.
func (g *greylist) trusts(h *hearing) (held scope, maybe bool, err error) {
	n := h.names(g.trustByPool)
	s, err := g.standingOf(n.first, h)
	if err != nil || s.trusted > never {
		return s.trusted, false, err
	}
	name := n.second
	if n.unsure {
		name = h.presumed()
	}
	if name == "" {
		return never, false, nil
	}
	s, err = g.standingOf(name, h)
	if err != nil || n.unsure {
		return never, s.trusted > never, err
	}
	return s.trusted, false, nil
}

// trust lets a trusted client in.
func (j *judgement) trust(g *greylist, client standing, now time.Time) {
	j.waive = client.trusted
	j.say("", plan.Accept, "the client is trusted after %d passes", client.row.Passes)
	if end, far := slid(client.row.Expires, now, g.Trust.Remember); far {
		client.row.Expires = end
		j.accepted = append(j.accepted, PutSeen{g.trustees, client.key, client.row})
	}
}

// credit counts a pass for the client, one in a while.
func (j *judgement) credit(g *greylist, client standing, now time.Time) {
	t, row, ms := g.Trust, client.row, now.UnixMilli()
	if client.key == "" || row.Passes > 0 && ms >= row.Counted && ms-row.Counted < t.Per.Milliseconds() {
		return
	}
	if row.First == 0 {
		row.First = ms
	}
	row.Passes++
	row.Counted = ms
	row.Expires = ms + t.Remember.Milliseconds()
	j.accepted = append(j.accepted, PutSeen{g.trustees, client.key, row})
}
