package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// Past is a contact that another greylisting has seen. Times are Unix milliseconds.
type Past struct {
	Client            netip.Prefix // its address, or the network that it was kept under
	Sender, Recipient string
	First, Last       int64
	Passed            bool // it was retried in time
}

// ErrUnlike is something of the past that does not say what a policy goes by.
var ErrUnlike = errors.New("it does not say what the policy goes by")

func unlike(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUnlike}, args...)...)
}

// Recall is what a greylist would have kept of a contact, had it been there. What it knows itself
// stays; doing it again writes nothing. No writes and no error: it would have forgotten it by now.
func (e *Engine) Recall(ref string, p Past, now time.Time, st State, live Live) ([]Write, error) {
	g := e.greylists[ref]
	if g == nil {
		return nil, fmt.Errorf("there is no %s in this plan", ref)
	}
	h, err := remembered(p.Client, g.Key, now, st, live)
	if err != nil {
		return nil, err
	}
	h.q.Sender, h.q.Recipient = p.Sender, p.Recipient
	ms := now.UnixMilli()
	p.First, p.Last = min(p.First, ms), min(p.Last, ms)
	past := SeenRow{First: p.First, Expires: p.First + g.Retry.Milliseconds()}
	if p.Passed {
		past.Passed, past.Expires = p.Last, p.Last+g.Remember.Milliseconds()
	}
	if past.Expires <= ms {
		return nil, nil
	}
	k := key(g.Key, &h.q, p.Recipient, h.surely())
	row, ok, err := st.Seen(g.table, k)
	if err != nil {
		return nil, err
	}
	if !ok || !counted(g, row, ms) {
		return []Write{PutSeen{g.table, k, past}}, nil
	}
	both := row
	both.First, both.Expires = min(row.First, past.First), max(row.Expires, past.Expires)
	if row.Passed == 0 {
		both.Passed = past.Passed
	}
	if both == row {
		return nil, nil
	}
	return []Write{PutSeen{g.table, k, both}}, nil
}

// Vouch is what a greylist would have kept of a client that it trusts, or may: how often it passed,
// and when it did last (Unix milliseconds). Zero for either means that somebody vouches for it now. As with Recall,
// doing it again writes nothing.
func (e *Engine) Vouch(ref string, client netip.Prefix, passes, last int64, now time.Time, st State, live Live) ([]Write, error) {
	g := e.greylists[ref]
	switch {
	case g == nil:
		return nil, fmt.Errorf("there is no %s in this plan", ref)
	case g.Trust == nil:
		return nil, unlike("%s trusts nobody", ref)
	}
	for _, part := range g.Trust.Key {
		if part.Field != "client" && part.Field != "pool" {
			return nil, unlike("its trust goes by %s, too", part.Field)
		}
	}
	h, err := remembered(client, g.Trust.Key, now, st, live)
	if err != nil {
		return nil, err
	}
	ms, vouched := now.UnixMilli(), passes == 0 || last == 0
	k := key(g.Trust.Key, &h.q, "", h.surely())
	row, ok, err := st.Seen(g.trustees, k)
	if err != nil {
		return nil, err
	}
	if !ok || ms >= row.Expires {
		row = SeenRow{}
	}
	if vouched {
		if trusted(g.Trust, row, now) {
			return nil, nil
		}
		passes, last = g.Trust.After, ms
	}
	last = min(last, ms)
	both := row
	if row.First == 0 {
		both.First = last
	}
	both.Passes, both.Counted = max(row.Passes, passes), max(row.Counted, last)
	both.Expires = max(row.Expires, last+g.Trust.Remember.Milliseconds())
	if both == row || both.Expires <= ms {
		return nil, nil
	}
	return []Write{PutSeen{g.trustees, k, both}}, nil
}

// Offended counts an unknown recipient of a client's at some time, for a limit that counts those by client. It counts
// every time that it is done. No writes and no error: it is too long ago to count.
func (e *Engine) Offended(ref string, client netip.Addr, at, now time.Time, st State, live Live) ([]Write, error) {
	l := e.limits[ref]
	if l == nil {
		return nil, fmt.Errorf("there is no %s in this plan", ref)
	}
	weight := int64(0)
	for _, w := range l.Events {
		if w.Event == plan.UnknownRecipient {
			weight = w.Weight
		}
	}
	if weight == 0 || l.Engine != plan.EngineHelper || l.Distinct != nil || l.Share != nil {
		return nil, unlike("%s does not count unknown recipients", ref)
	}
	for _, part := range l.Key {
		if part.Field != "client" && part.Field != "pool" {
			return nil, unlike("%s counts by %s, too", ref, part.Field)
		}
	}
	h, err := remembered(netip.PrefixFrom(client, client.BitLen()), l.Key, now, st, live)
	if err != nil {
		return nil, err
	}
	if h.at = at; at.After(now) || now.Sub(at) >= l.longest {
		return nil, nil
	}
	t := tallying{limit: l, name: h.surely(), key: key(l.Key, &h.q, "", h.surely())}
	if l.desk {
		if err := t.stand(h); err != nil {
			return nil, err
		}
	}
	return t.add(h, l.table, weight), nil
}

// remembered is a question about a client of the past; the error says that a key has more in it than
// is known.
func remembered(client netip.Prefix, parts []plan.Part, now time.Time, st State, live Live) (*hearing, error) {
	h := &hearing{q: wire.Question{Traffic: plan.Inbound, Client: client.Addr()}, now: now, at: now, st: st, live: live}
	for _, part := range parts {
		v4, v6 := part.V4, part.V6
		switch part.Field {
		case "client":
		case "pool":
			if v4, v6 = netV4, netV6; h.pool() != "" {
				v4, v6 = 0, 0
			}
		case "sender", "sender.domain", "recipient", "recipient.domain":
			continue
		default:
			return nil, unlike("its key has %s in it", part.Field)
		}
		if need := map[bool]int{true: v4, false: v6}[client.Addr().Is4()]; client.Bits() < need {
			return nil, unlike("%s is a network, and its key has /%d", client, need)
		}
	}
	return h, nil
}
