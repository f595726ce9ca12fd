package desk

import (
	"cmp"
	"net/netip"
	"strings"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/queue"
	"exipol/helper/store"
)

// Party is what is known of who a case, or a message, is about.
type Party struct {
	Auth, User, Relay string // Relay is a relay host's id, or its address
	Client            netip.Addr
	Helo              string
	Sender, Recipient string
	Login             string
}

// Owner is as engine.Owner makes it.
func (p Party) Owner() string { return engine.Owner(p.Auth, p.User, p.Relay) }

// named is the key that a policy keeps of the party, and the same for people. ok is false where one of its
// parts is not known.
func (p Party) named(parts []plan.Part) (key, who string, ok bool) {
	var words, names []string
	for _, part := range parts {
		word, known := p.word(part)
		if !known {
			return "", "", false
		}
		words = append(words, word)
		if part.Field == "owner" { // that says itself what it is
			names = append(names, strings.Replace(word, ":", " ", 1))
			continue
		}
		names = append(names, part.Field+" "+word)
	}
	return normalize.Key(words), strings.ToValidUTF8(strings.Join(names, ", "), "?"), true
}

// keyOwner is whom a limit's key names that answers for mail, "" for nobody.
func (p Party) keyOwner(l plan.Limit) string {
	for _, part := range l.Key {
		switch {
		case part.Field == "owner":
			return p.Owner()
		case part.Field == "auth":
			return engine.Owner(p.Auth, "", "")
		case part.Field == "user":
			return engine.Owner("", p.User, "")
		case part.Field == "client" && l.Traffic == plan.Relay && part.V4 >= 32 && part.V6 >= 128:
			return engine.Owner("", "", normalize.Client(p.Client, 32, 128))
		}
	}
	return ""
}

func (p Party) word(part plan.Part) (word string, known bool) {
	switch part.Field {
	case "client":
		if !p.Client.IsValid() {
			return "", false
		}
		word = normalize.Client(p.Client, part.V4, part.V6)
	case "helo":
		word = normalize.Helo(p.Helo)
	case "sender":
		return normalize.Address(p.Sender), true // the null sender is one, too
	case "sender.domain":
		return normalize.DomainOf(p.Sender), true
	case "recipient":
		word = normalize.Address(p.Recipient)
	case "recipient.domain":
		word = normalize.DomainOf(p.Recipient)
	case "auth":
		word = p.Auth
	case "user":
		word = p.User
	case "owner":
		word = p.Owner()
	case "login":
		word = p.Login
	}
	return word, word != ""
}

// partyOf is who a message in the queue is from.
func partyOf(m queue.Message, p *plan.Plan) Party {
	party := Party{Auth: m.Auth, User: m.Login, Client: m.Client, Helo: m.Helo, Sender: m.Sender}
	if m.Auth == "" && m.Client.IsValid() && relays(p, m.Client) {
		party.Relay = cmp.Or(m.Relay, m.Client.String())
	}
	return party
}

func ownerOf(m queue.Message, p *plan.Plan) string { return partyOf(m, p).Owner() }

func relays(p *plan.Plan, client netip.Addr) bool {
	for _, net := range p.RelayHosts {
		if prefix, err := netip.ParsePrefix(net); err == nil && prefix.Contains(client) {
			return true
		}
	}
	return false
}

// policyOf is the policy of a block's name: "limit.x" of "limit.x/tier/block".
func policyOf(block string) string {
	policy, _, _ := strings.Cut(block, "/")
	return policy
}

// keyOf is the key that a policy has for a message in the queue, "" where the queue does not tell.
func keyOf(m queue.Message, policy string, p *plan.Plan) string {
	limit, ok := limitOf(p, policy)
	if !ok {
		return ""
	}
	key, _, _ := partyOf(m, p).named(limit.Key)
	return store.Short(key)
}

// choose finds the case of a policy that froze a message: the newest that fits and was there by then. A
// message that somebody has let go once, and frozen again by hand, goes back to an open case only:
// one that is closed would let it go at once.
func choose(m queue.Message, owner, key string, newestFirst []store.Case) (store.Case, bool) {
	for _, c := range newestFirst {
		fits := key != "" && c.Key == key || owner != "" && c.Owner == owner
		if !fits || c.Opened/1000 > m.Frozen.Unix() {
			continue
		}
		if c.State == store.CaseOpen || m.Untried {
			return c, true
		}
	}
	return store.Case{}, false
}

// limitOf finds a limit by its Ref.
func limitOf(p *plan.Plan, ref string) (plan.Limit, bool) {
	for _, l := range p.Limits {
		if l.Ref() == ref {
			return l, true
		}
	}
	return plan.Limit{}, false
}

// tierOf finds a limit's tier by its name.
func tierOf(l plan.Limit, name string) (plan.Tier, bool) {
	for _, t := range l.Tiers {
		if t.Name == name {
			return t, true
		}
	}
	return plan.Tier{}, false
}

// noticeOf finds a notice by its Ref.
func noticeOf(p *plan.Plan, ref string) (plan.Notice, bool) {
	for _, n := range p.Notices {
		if n.Ref() == ref {
			return n, true
		}
	}
	return plan.Notice{}, false
}
