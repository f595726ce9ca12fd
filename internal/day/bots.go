package day

import (
	"fmt"
	"time"
)

// bot is spam from somebody's hijacked machine at home: every message from another
// one, with another sender and recipient. All of them look bad in some way, most of them
// in several; a bot on a well-kept server is of the kind "hacked". The shares are
// assumptions (of rejected mail, Finch's HELO names of 2004 were quite wrong in 80 of
// 100 cases; that nearly all such lines are listed is what policy lists such as the
// PBL are for).
func bot(retries schedule) func(*script) {
	return func(b *script) {
		h := b.homeLine()
		e := envelope{sender: b.forgedSender(), recipient: b.user()}
		b.add(b.anyTime(), e, retries, always(h))
	}
}

// homeLine is a machine behind an access provider.
func (b *script) homeLine() *host {
	w := b.world
	addr := w.address()
	var h *host
	bad := true
	switch n := b.rng.IntN(100); {
	case n < 35: // no reverse DNS
		h = &host{addr: addr}
	case n < 80: // the provider's name for the line
		h = w.named(addr, dynamicName(addr))
	case n < 90: // a name that does not lead back
		h = &host{addr: addr, name: fmt.Sprintf("static-%d.access.example", b.number())}
		w.add(addr.String() + " PTR " + h.name)
	default: // a name that says nothing
		h = w.named(addr, fmt.Sprintf("gw%d.access.example", b.number()))
		bad = false
	}
	switch n := b.rng.IntN(100); {
	case n < 45:
		h.helo, bad = pick(b, []string{"localhost", "user", "WIN-7Q2KD", "friend", "ylmf-pc"}), true
	case n < 65:
		h.helo, bad = Site, true
	case n < 85:
		h.helo, bad = "mail."+pick(b, w.forged), true
	case h.name != "":
		h.helo = h.name
	default:
		h.helo, bad = "["+w.address().String()+"]", true
	}
	if b.chance(80) || !bad {
		w.list(h)
	}
	return h
}

// forgedSender is half of the time of a domain whose SPF record says that it is
// forged, or else of one without a record, or of none.
func (b *script) forgedSender() string {
	local := fmt.Sprintf("%s%d", pick(b, []string{"anna", "support", "billing", "lisa", "hr"}), b.number())
	switch n := b.rng.IntN(100); {
	case n < 50:
		return local + "@" + pick(b, b.world.forged)
	case n < 85:
		return local + "@www." + pick(b, b.world.forged)
	default:
		return fmt.Sprintf("%s@nowhere%d.example", local, b.number())
	}
}

// hacked is a contact form or a stolen content manager on a web server in good order,
// seen by no list yet.
func hacked(b *script) {
	domain, h := b.firm()
	b.add(b.anyTime(), envelope{sender: "www-data@" + domain, recipient: b.user()}, once, always(h))
}

// spammer rents servers, sets everything up as one should, and lets Postfix retry.
func spammer(b *script) {
	domain, h := b.firm()
	b.add(b.anyTime(), envelope{sender: fmt.Sprintf("offer%d@%s", b.number(), domain), recipient: b.user()}, postfix, always(h))
}

// forger has the address book of an infected machine (Emotet's way): it sends as
// somebody to whom the user has written.
func forger(b *script) {
	user, at := b.user(), b.anyTime()
	sender := b.someone(b.customer(b.world.outlook))
	b.wrote(at.Add(-time.Hour-b.upTo(50*24*time.Hour)), user, sender)
	b.add(at, envelope{sender: sender, recipient: user}, once, always(b.homeLine()))
}

// stolen is an account of which somebody else has the password; the provider retries as
// for everybody.
func stolen(b *script) {
	p := pick(b, []*provider{b.world.google, b.world.outlook, b.world.sendgrid})
	b.add(b.anyTime(), envelope{sender: b.someone(b.customer(p)), recipient: b.user()}, p.retries, p.any(b))
}
