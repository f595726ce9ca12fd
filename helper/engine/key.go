package engine

import (
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// part is one component of a key, normalised.
func part(p plan.Part, q *wire.Question) string {
	switch p.Field {
	case "client":
		return normalize.Client(q.Client, p.V4, p.V6)
	case "helo":
		return normalize.Helo(q.Helo)
	case "sender":
		return normalize.Address(q.Sender)
	case "sender.domain":
		return normalize.DomainOf(q.Sender)
	case "recipient":
		return normalize.Address(q.Recipient)
	case "recipient.domain":
		return normalize.DomainOf(q.Recipient)
	case "auth":
		return q.Auth
	}
	return ""
}

// key is a whole key, as the store keeps it.
func key(parts []plan.Part, q *wire.Question) string {
	words := make([]string, len(parts))
	for i, p := range parts {
		words[i] = part(p, q)
	}
	return normalize.Key(words)
}

// scopeOfKey is for how long, within one connection, a key stays the same: as long
// as its part that changes first.
func scopeOfKey(parts []plan.Part) scope {
	out := perConnection
	for _, p := range parts {
		switch p.Field {
		case "client", "auth":
		case "helo", "sender", "sender.domain":
			out = min(out, perMessage)
		default:
			out = min(out, perRecipient)
		}
	}
	return out
}
