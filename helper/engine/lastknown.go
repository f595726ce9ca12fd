package engine

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// KeepsBlocks says whether there can be anything in LastKnown.
func (e *Engine) KeepsBlocks() bool {
	for _, l := range e.limits {
		if l.lastsKnown() {
			return true
		}
	}
	return false
}

// LastKnown is what Exim is to know of the blocks in force where it gets no answer: the lines of the
// file plan.Blocked, sorted. Each is a key (wire.BlockedKey), a colon, and the answer that it would
// get. They hold for policies that say so (plan.LastKnown), and for keys that Exim can make itself.
func (e *Engine) LastKnown(r *Runtime, now time.Time) []string {
	if r == nil {
		return nil
	}
	var lines []string
	for s := range r.Standings.All() {
		l := e.limits[s.Policy]
		if l == nil || !s.InForce(now.UnixMilli()) || !l.lastsKnown() || off(r, s.Policy, now) {
			continue
		}
		tier := l.blockOf(&s)
		parts, whole := normalize.Split(s.Key)
		if tier == nil || !whole || len(parts) != len(l.Key) || e.exemptKey(r, l, parts, now) {
			continue
		}
		b := tier.Block
		a := wire.Answer{Verdict: b.Verdict, By: plan.BlockRef(l.ref, tier.Name), Until: (s.Until + 999) / 1000}
		if accepts(b.Verdict) && len(b.AddHeader) > 0 {
			a.Add = []string{a.By}
		}
		lines = append(lines, wire.BlockedKey(l.ref, parts...)+": "+a.String())
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// lastsKnown says whether the limit's blocks are among what Exim is to know.
func (l *limit) lastsKnown() bool {
	if !l.staysKnown() {
		return false
	}
	for _, p := range l.Key {
		switch {
		case p.Field == "auth" || p.Field == "user" || p.Field == "owner":
		case p.Field == "client" && p.V4 >= 32 && p.V6 >= 128:
		default:
			return false
		}
	}
	return len(l.Key) > 0
}

// exemptKey says whether what is allowed at run time, or a list, exempts a key, as far as the key
// alone tells.
func (e *Engine) exemptKey(r *Runtime, l *limit, parts []string, now time.Time) bool {
	var q wire.Question
	for i, p := range l.Key {
		switch p.Field {
		case "auth":
			q.Auth = parts[i]
		case "user":
			q.User = parts[i]
		case "client":
			q.Client, _ = netip.ParseAddr(parts[i])
		case "owner":
			q.Auth, q.User, q.Client = ownerParts(parts[i])
		}
	}
	q.Stage = plan.Connect // nobody knows a sender
	if held, _ := allowed(r, l.ref, &q, now); held > never {
		return true
	}
	for _, ref := range l.Except {
		if list := e.lists[ref.List]; list != nil {
			if held, _ := list.match(ref.Field, &q, now); held > never {
				return true
			}
		}
	}
	return false
}

// ownerParts takes an Owner apart again. A relay host's id is no address, and is left out.
func ownerParts(owner string) (auth, user string, client netip.Addr) {
	kind, name, _ := strings.Cut(owner, ":")
	switch kind {
	case "auth":
		auth = name
	case "user":
		user = name
	case "relay":
		client, _ = netip.ParseAddr(name)
	}
	return auth, user, client
}
