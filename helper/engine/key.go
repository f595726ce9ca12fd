package engine

import (
	"slices"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// part is one component of a key, normalised. The recipient is given, for a message
// may have several, and so is the client's name for client.pool.
func part(p plan.Part, q *wire.Question, recipient, name string) string {
	switch p.Field {
	case "client":
		return normalize.Client(q.Client, p.V4, p.V6)
	case "pool":
		return name
	case "helo":
		return normalize.Helo(q.Helo)
	case "sender":
		return normalize.Address(q.Sender)
	case "sender.domain":
		return normalize.DomainOf(q.Sender)
	case "recipient":
		return normalize.Address(recipient)
	case "recipient.domain":
		return normalize.DomainOf(recipient)
	case "auth":
		return q.Auth
	case "user":
		return q.User
	}
	return ""
}

// personal says whether a field names somebody, so that without it there is nobody to
// count for.
func personal(field string) bool {
	switch field {
	case "auth", "user", "owner", "login":
		return true
	}
	return false
}

// part is one component of a limit's key, or what it counts the distinct values of.
func (h *hearing) part(p plan.Part, recipient, name string) string {
	switch {
	case p.Field == "owner":
		return h.owner()
	case p.Field != "login":
		return part(p, &h.q, recipient, name)
	case h.happened != nil:
		return h.happened.Login
	}
	return ""
}

// key is a limit's key; whole is false where it names somebody who is not there.
func (h *hearing) key(parts []plan.Part, recipient, name string) (key string, whole bool) {
	var room [8]string
	words := room[:0]
	for _, p := range parts {
		word := h.part(p, recipient, name)
		if word == "" && personal(p.Field) {
			return "", false
		}
		words = append(words, word)
	}
	return normalize.Key(words), true
}

// owner is who answers for the mail, by the rules of the traffic: at not_smtp Exim has the login
// for the authenticated id, too.
func (h *hearing) owner() string {
	q := &h.q
	switch q.Traffic {
	case plan.Local:
		return Owner("", q.User, "")
	case plan.Relay:
		if q.Relay != "" {
			return Owner("", "", q.Relay)
		}
		return Owner("", "", normalize.Client(q.Client, 32, 128))
	}
	return Owner(q.Auth, "", "")
}

// key is a whole key, as the store keeps it.
func key(parts []plan.Part, q *wire.Question, recipient, name string) string {
	var room [8]string // as many parts as a key has, but for odd ones
	words := room[:0]
	for _, p := range parts {
		words = append(words, part(p, q, recipient, name))
	}
	return normalize.Key(words)
}

// pooled says whether a key has client.pool in it.
func pooled(parts []plan.Part) bool {
	return slices.ContainsFunc(parts, func(p plan.Part) bool { return p.Field == "pool" })
}

// perRecipientKey says whether a key differs between the recipients of a message.
func perRecipientKey(parts []plan.Part) bool {
	return slices.ContainsFunc(parts, func(p plan.Part) bool { return p.Field == "recipient" || p.Field == "recipient.domain" })
}

// scopeOfKey is for how long, within one connection, a key stays the same: as long
// as its part that changes first. bySPF says that the client's name in it is a domain,
// which changes with the sender.
func scopeOfKey(parts []plan.Part, bySPF bool) scope {
	out := perConnection
	for _, p := range parts {
		switch p.Field {
		case "client", "auth":
		case "pool":
			if bySPF {
				out = min(out, perMessage)
			}
		case "helo", "sender", "sender.domain":
			out = min(out, perMessage)
		default:
			out = min(out, perRecipient)
		}
	}
	return out
}
