package day

import (
	"fmt"
	"net/netip"
	"time"
)

// user is one of the site's.
func (b *script) user() string { return fmt.Sprintf("user%d@%s", b.rng.IntN(users), Site) }

// someone is a person at a domain.
func (b *script) someone(domain string) string {
	return pick(b, []string{"info", "office", "anna.berg", "j.miller", "sales", "tom", "rechnung", "support"}) + "@" + domain
}

// software is what a firm's own mail server runs: by the survey in kinds.go, with an
// assumption for Exchange Server, which seldom shows itself to surveys.
func (b *script) software() schedule {
	switch n := b.rng.IntN(100); {
	case n < 50:
		return exim
	case n < 86:
		return postfix
	case n < 96:
		return exchangeServer
	case n < 98:
		return sendmail(30 * time.Minute)
	default:
		return sendmail(time.Hour)
	}
}

// firm is a domain with a mail server of its own, all in order.
func (b *script) firm() (domain string, h *host) {
	domain = fmt.Sprintf("firm%d.example", b.number())
	h = b.world.named(b.world.address(), "mail."+domain)
	b.world.add(domain + " MX 10 mail." + domain)
	if b.chance(80) { // an assumption; without a record SPF says nothing
		b.world.add(domain + ` TXT "v=spf1 mx ` + pick(b, []string{"-all", "~all"}) + `"`)
	}
	return domain, h
}

func firstOwn(b *script) {
	domain, h := b.firm()
	b.add(b.officeHours(), envelope{sender: b.someone(domain), recipient: b.user()}, b.software(), always(h))
}

func firstAt(which func(*world) *provider) func(*script) {
	return func(b *script) {
		p := which(b.world)
		b.add(b.officeHours(), envelope{sender: b.someone(b.customer(p)), recipient: b.user()}, p.retries, p.any(b))
	}
}

// firstFreemail: from one address each, as measured; some gave up after half an hour.
func firstFreemail(b *script) {
	domain, h := b.firm()
	retries := pick(b, []schedule{gmx, gmx, hotmail, hotmail, givesUp})
	b.add(b.officeHours(), envelope{sender: b.someone(domain), recipient: b.user()}, retries, always(h))
}

func order(b *script) {
	p := b.world.ses
	if b.chance(50) {
		p = b.world.sendgrid
	}
	sender := fmt.Sprintf("bounce-%08x@mail.%s", b.rng.Uint32(), b.customer(p))
	domain := sender[len("bounce-00000000@"):]
	b.world.add(domain + ` TXT "v=spf1 include:` + p.spf + ` ~all"`)
	b.add(b.anyTime(), envelope{sender: sender, recipient: b.user()}, p.retries, p.any(b))
}

func (b *script) slowly() schedule {
	return slow(pick(b, []time.Duration{4 * time.Hour, 6 * time.Hour, 12 * time.Hour}))
}

func firstSlow(b *script) {
	domain, h := b.firm()
	b.add(b.officeHours(), envelope{sender: b.someone(domain), recipient: b.user()}, b.slowly(), always(h))
}

// firstGone is a web shop's form, a scanner, an alarm: it speaks SMTP itself, once.
func firstGone(b *script) {
	domain, h := b.firm()
	b.add(b.anyTime(), envelope{sender: "www@" + domain, recipient: b.user()}, once, always(h))
}

// answer is mail of somebody to whom a user wrote within the last fifty days, and of
// whom nothing came yet. How their hosts look is the mix of all others'.
func answer(b *script) {
	var sender string
	retries, route := b.software(), func() *host { return nil }
	through := func(p *provider) {
		sender, retries, route = b.someone(b.customer(p)), p.retries, p.any(b)
	}
	switch n := b.rng.IntN(100); {
	case n < 30:
		through(b.world.outlook)
	case n < 45:
		through(b.world.google)
	case n < 55:
		through(b.world.small)
	case n < 70:
		domain, h := b.carelessFirm()
		sender, route = b.someone(domain), always(h)
		if b.chance(20) {
			retries = b.slowly()
		}
	default:
		domain, h := b.firm()
		sender, route = b.someone(domain), always(h)
	}
	user, at := b.user(), b.officeHours()
	b.wrote(at.Add(-time.Hour-b.upTo(50*24*time.Hour)), user, sender)
	b.add(at, envelope{sender: sender, recipient: user}, retries, route)
}

func (b *script) wrote(at time.Time, user, to string) {
	b.day.Submissions = append(b.day.Submissions, Submission{at, user, to})
}

// regular is mail of somebody who wrote on about every second of the days before, and
// to whom our user answered in most cases.
func regular(b *script) {
	domain, h := b.firm()
	if b.chance(10) {
		domain, h = b.carelessFirm()
	}
	e, retries := envelope{sender: b.someone(domain), recipient: b.user()}, b.software()
	for d := 1; d <= historyDays; d++ {
		if b.chance(50) {
			b.add(b.officeHours().AddDate(0, 0, -d), e, retries, always(h))
		}
	}
	if b.chance(60) {
		b.wrote(b.officeHours().AddDate(0, 0, -1), e.recipient, e.sender)
	}
	b.add(b.officeHours(), e, retries, always(h))
}

// newsletter comes on about four of ten days, through a mailer, and each mail with a
// sender of its own (VERP), so that its bounce tells whom to unsubscribe.
func newsletter(b *script) {
	p := pick(b, []*provider{b.world.mailchimp, b.world.sendgrid, b.world.ses})
	domain, user := b.customer(p), b.user()
	verp := func() envelope {
		return envelope{sender: fmt.Sprintf("bounces+%d-%04x-%s=%s@%s", 1000+b.rng.IntN(9000), b.rng.IntN(1<<16), user[:len(user)-len(Site)-1], Site, domain), recipient: user}
	}
	for d := 1; d <= historyDays; d++ {
		if b.chance(40) {
			b.add(b.anyTime().AddDate(0, 0, -d), verp(), p.retries, p.any(b))
		}
	}
	b.add(b.anyTime(), verp(), p.retries, p.any(b))
}

// ownCode: a code of one of the listed senders, from its own hosts, some of which the
// DNS list has.
func ownCode(b *script) {
	p := pick(b, b.world.codes)
	b.add(b.anyTime(), envelope{sender: "no-reply@" + p.spf, recipient: b.user(), dkim: []string{p.spf}}, p.retries, p.any(b))
}

// mailedCode: the same through a mailer that no policy names, with the mailer's own
// envelope sender. Only the DKIM signature says whose it is.
func mailedCode(b *script) {
	p, domain := b.world.mailer, pick(b, codeDomains)
	sender := fmt.Sprintf("bounce-%08x@bounces.mailer.example", b.rng.Uint32())
	e := envelope{sender: sender, recipient: b.user(), from: "security@" + domain, dkim: []string{"mailer.example", "mail." + domain}}
	b.add(b.anyTime(), e, p.retries, p.any(b))
}

// unlistedCode: of a shop or a club that no list knows; one in ten with a careless DNS.
func unlistedCode(b *script) {
	domain, h := b.firm()
	if b.chance(10) {
		domain, h = b.carelessFirm()
	}
	b.add(b.anyTime(), envelope{sender: "shop@" + domain, recipient: b.user()}, b.software(), always(h))
}

// carelessFirm is a firm with a mail server of its own that looks bad in one of the
// ways in which honest ones do. The shares are assumptions; in 2006 Vamsoft found 3 of
// 100 honest messages to come from hosts without a name, and in 2004 Finch found a HELO
// name that was quite wrong with 32 of 100 accepted ones (much of it spam).
func (b *script) carelessFirm() (domain string, h *host) {
	w := b.world
	domain = fmt.Sprintf("firm%d.example", b.number())
	addr, name := w.address(), "mail."+domain
	switch n := b.rng.IntN(100); {
	case n < 35: // no reverse DNS
		w.add(name + " A " + addr.String())
		h = &host{addr: addr, helo: name}
	case n < 50: // a reverse name that does not lead back
		w.add(addr.String() + " PTR server." + domain)
		w.add(name + " A " + addr.String())
		h = &host{addr: addr, name: "server." + domain, helo: name}
	case n < 75: // an office server's own idea of its name
		h = w.named(addr, name)
		h.helo = pick(b, []string{"EXCH01", "localhost.localdomain", "srv1.office.local", "[192.168.1.10]"})
	case n < 90: // a business line with the provider's name
		h = w.named(addr, dynamicName(addr))
		w.add(name + " A " + addr.String())
		h.helo = name
	default: // listed by mistake, or for its neighbours' sake
		h = w.named(addr, name)
		w.list(h)
	}
	if b.chance(50) {
		w.add(domain + ` TXT "v=spf1 ip4:` + addr.String() + ` ~all"`)
	}
	return domain, h
}

// dynamicName is a name as access providers give: it holds the address.
func dynamicName(addr netip.Addr) string {
	a := addr.As4()
	return fmt.Sprintf("%d-%d-%d-%d.dsl.access%d.example", a[0], a[1], a[2], a[3], a[2]%20)
}

func careless(b *script) {
	domain, h := b.carelessFirm()
	b.add(b.officeHours(), envelope{sender: b.someone(domain), recipient: b.user()}, b.software(), always(h))
}

func carelessSlow(b *script) {
	domain, h := b.carelessFirm()
	b.add(b.officeHours(), envelope{sender: b.someone(domain), recipient: b.user()}, b.slowly(), always(h))
}

func carelessGone(b *script) {
	domain, h := b.carelessFirm()
	b.add(b.anyTime(), envelope{sender: "www@" + domain, recipient: b.user()}, once, always(h))
}

// forwarded: somebody's old address forwards to ours, with the envelope sender as it
// was, whose SPF record does not know the forwarding host. (A site that knows of it
// names it in site.forwarders.)
func forwarded(b *script) {
	_, h := b.firm()
	domain := fmt.Sprintf("firm%d.example", b.number())
	b.world.add(domain + ` TXT "v=spf1 include:` + b.world.google.spf + ` ` + pick(b, []string{"-all", "~all"}) + `"`)
	b.add(b.officeHours(), envelope{sender: b.someone(domain), recipient: b.user()}, b.software(), always(h))
}

func bounce(b *script) {
	_, h := b.firm()
	if b.chance(10) {
		_, h = b.carelessFirm()
	}
	b.add(b.officeHours(), envelope{recipient: b.user()}, b.software(), always(h))
}

// callout: another host asks whether a sender exists; it stops after RCPT. Where it is
// deferred, mail of our users waits there.
func callout(b *script) {
	_, h := b.firm()
	b.add(b.officeHours(), envelope{recipient: b.user(), callout: true}, b.software(), always(h))
}
