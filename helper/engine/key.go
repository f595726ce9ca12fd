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
	}
	return ""
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
