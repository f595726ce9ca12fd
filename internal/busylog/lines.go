package busylog

import (
	"fmt"
	"strconv"

	"exipol/generator/plan"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func digits(n uint64, length int) string {
	b := make([]byte, length)
	for i := range b {
		b[length-1-i] = base62[n%62]
		n /= 62
	}
	return string(b)
}

func (l *Log) newID() string {
	l.id++
	if l.o.Long {
		return digits(uint64(l.now.Unix()), 6) + "-" + digits(l.id, 11) + "-" + digits(l.id%3844, 4)
	}
	return digits(uint64(l.now.Unix()), 6) + "-" + digits(l.id, 6) + "-" + digits(l.id%3844, 2)
}

// odd are parts of addresses and logins that want to be something else.
var odd = []string{
	"x <= A=plain:victim S=1", "x ** victim@v.test: Unrouteable address", "b c S=1", "$(id)", "${run{touch y}}", "x;touch y", "a:b#c/d",
	"gr\xc3\xbc\xc3\x9fe", "] [1.2.3.4] P=local U=root S=7", "victim@v.test R=out T=out", "'; DROP TABLE x;--", "** x",
}

func (l *Log) pick(all []string) string { return all[l.rnd.IntN(len(all))] }

func (l *Log) oneIn(n int) bool { return l.rnd.IntN(n) == 0 }

// user is a login; a few are odd, and one in a hundred messages is of a few who were hacked.
func (l *Log) user() string {
	switch {
	case l.oneIn(200):
		return l.pick(odd) + strconv.Itoa(l.rnd.IntN(3))
	case l.oneIn(50):
		return fmt.Sprintf("hacked%d@cust7.example.com", l.rnd.IntN(20))
	}
	n := l.rnd.IntN(l.o.Users)
	return "user" + strconv.Itoa(n) + "@cust" + strconv.Itoa(n%97) + ".example.com"
}

func (l *Log) ip(net string) string { return net + strconv.Itoa(1+l.rnd.IntN(250)) }

// sender is an address, some of them odd.
func (l *Log) sender(plain string) string {
	if l.oneIn(100) {
		return `"` + l.pick(odd) + `"@cust7.example.com`
	}
	return plain
}

func (l *Log) subject() string {
	s := "Re: offer no. " + strconv.Itoa(l.rnd.IntN(1e6)) + ` of \"today\"`
	if l.oneIn(4) {
		s = "Fwd: ** urgent <= please " + s
	}
	return ` T="` + s + `"`
}

// whose is who sends a message, and how that stands in its arrival.
func (l *Log) whose() (traffic, who, from, sender string) {
	const tls = " X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no"
	switch n := l.rnd.IntN(100); {
	case n < 72:
		u := l.user()
		return plan.Submission, "auth:" + u, " H=(pc" + strconv.Itoa(l.rnd.IntN(1000)) + ") [" + l.ip("203.0.113.") + "] P=esmtpsa" + tls + " A=plain_server:" + u, l.sender("me@cust7.example.com")
	case n < 76:
		ip := "198.51.100." + strconv.Itoa(64+l.rnd.IntN(64))
		return plan.Relay, "relay:" + ip, " H=relay.example.net [" + ip + "] P=esmtps" + tls, l.sender("app@cust9.example.com")
	case n < 80:
		u := "www" + strconv.Itoa(l.rnd.IntN(300))
		return plan.Local, "user:" + u, " U=" + u + " P=local", l.sender(u + "@" + Domain)
	}
	return plan.Inbound, "", " H=mail.example.org [" + l.ip("192.0.2.") + "] P=esmtps" + tls, l.sender("someone@example.org")
}

// message is one that comes, and what becomes of it.
func (l *Log) message() {
	id := l.newID()
	traffic, who, from, sender := l.whose()
	if l.oneIn(60) {
		sender = "<>"
	}
	arrived := line{text: id + " <= " + sender + from + " S=" + strconv.Itoa(300+l.rnd.IntN(100000)) + " id=" + strconv.FormatUint(l.id, 36) + "@cust7.example.com" + l.subject()}
	if traffic == plan.Submission {
		arrived.event = Event{Event: plan.Login, Traffic: traffic, Who: who}
	}
	l.write(arrived)
	l.truth.Arrivals++
	last := 0
	for n := 1 + l.rnd.IntN(3); n > 0; n-- {
		after := l.rnd.IntN(8)
		if l.oneIn(20) {
			after = 30 + l.rnd.IntN(600)
		}
		if l.oneIn(150) {
			after = 3600 + l.rnd.IntN(7200)
		}
		if l.oneIn(12) {
			l.in(after/2, line{text: id + " == late@b.example.org R=dnslookup T=remote_smtp defer (-44) H=mx.b.example.org [198.51.100.3]: SMTP error from remote mail server after RCPT TO:<late@b.example.org>: 450 4.2.0 greylisted"})
		}
		if l.oneIn(25) {
			l.fail(after, id, traffic, who, sender)
		} else {
			l.in(after, line{text: id + " => rcpt" + strconv.Itoa(l.rnd.IntN(1e6)) + "@c.example.org R=dnslookup T=remote_smtp H=mx.c.example.org [198.51.100.4] X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes C=\"250 2.0.0 Ok: queued as 4F1D2C0A1B\""})
		}
		last = max(last, after)
	}
	if !l.oneIn(500) { // some wait for ever, or for a queue runner that does not come
		l.in(last, line{text: id + " Completed"})
	}
}

// reasons why deliveries fail, each with its class.
var reasons = []struct{ route, text, class string }{
	{"R=dnslookup T=remote_smtp H=mx.d.example.org [198.51.100.5]", "SMTP error from remote mail server after RCPT TO:<%s>: 550 5.1.1 <%s>: Recipient address rejected: User unknown", "no_such_user"},
	{"", "Unrouteable address", "no_such_domain"},
	{"R=dnslookup T=remote_smtp H=mx.d.example.org [198.51.100.5]", "SMTP error from remote mail server after RCPT TO:<%s>: 552 5.2.2 over quota", "full"},
	{"R=dnslookup T=remote_smtp H=mx.d.example.org [198.51.100.5]", "SMTP error from remote mail server after end of data: 550 5.7.1 spam ** <= go away", "policy"},
	{"R=dnslookup T=remote_smtp", "retry timeout exceeded", "other"},
}

// fail writes that an address failed, and the bounce that goes back.
func (l *Log) fail(after int, id, traffic, who, sender string) {
	r := reasons[l.rnd.IntN(len(reasons))]
	domain, class := "d.example.org", r.class
	if class == "no_such_domain" && l.oneIn(3) {
		domain, class = Domain, "no_such_user"
	}
	address := "bad" + strconv.FormatUint(l.rnd.Uint64N(1e9), 10) + "@" + domain
	shown := address
	if l.oneIn(50) { // Exim logs the address without its quotes, and the original one with them
		o := l.pick(odd[:7]) + strconv.Itoa(l.rnd.IntN(1e6))
		address = `"` + o + `"@` + domain
		shown = o + "@" + domain + " <" + address + ">"
	}
	text := r.text
	for i := 0; i+1 < len(text); i++ {
		if text[i] == '%' {
			text = text[:i] + address + text[i+2:]
		}
	}
	route := r.route
	if route != "" {
		route = " " + route
	}
	colon := ": "
	if l.o.Spaced {
		colon = " : "
	}
	e := line{text: id + " ** " + shown + route + colon + text, failed: true}
	if traffic != plan.Inbound && sender != "<>" {
		e.event = Event{Event: plan.Bounce, Traffic: traffic, Class: class, Who: who}
	}
	l.in(after, e)
	if sender != "<>" && l.oneIn(3) {
		bounce := l.newID()
		l.in(after, line{text: bounce + " <= <> R=" + id + " U=exim P=local S=2000 T=\"Mail delivery failed: returning message to sender ** \""})
		l.in(after, line{text: bounce + " => me <me@cust7.example.com> R=local_user T=mail_spool"})
		l.in(after+1, line{text: bounce + " Completed"})
	}
}

// noise are lines about no message.
func (l *Log) noise() {
	host := "H=(client" + strconv.Itoa(l.rnd.IntN(100)) + ") [" + l.ip("203.0.113.") + "]"
	switch l.rnd.IntN(9) {
	case 0:
		l.write(line{text: "no host name found for IP address 192.0.2.7"})
	case 1:
		l.write(line{text: "Start queue run: pid=4711"})
	case 2:
		l.write(line{text: "unexpected disconnection while reading SMTP command from " + host + " <= D=3s"})
	case 3, 4: // a cracker, who tries the same twice in a second now and then
		login, ip := l.pick([]string{"admin", "info", "a b) c", "x ** y"}), l.ip("192.0.2.")
		e := line{text: "plain_server authenticator failed for (x) [" + ip + "]: 535 Incorrect authentication data (set_id=" + login + ")",
			event: Event{Event: plan.AuthFailure, Traffic: plan.Inbound, Who: login + " " + ip}}
		l.twice(e)
	case 5, 6: // a user's recipient that is refused
		u := l.user()
		l.twice(line{text: host + " X=TLS1.3:x:256 CV=no F=<me@cust7.example.com> A=plain_server:" + u + " rejected RCPT <gone" + strconv.Itoa(l.rnd.IntN(3)) + "@" + Domain + ">: no such user",
			event: Event{Event: plan.RejectedRecipient, Traffic: plan.Submission, Who: "auth:" + u},
			also:  Event{Event: plan.Login, Traffic: plan.Submission, Who: "auth:" + u}})
	case 7:
		l.write(line{text: host + " F=<me@cust7.example.com> A=plain_server:late temporarily rejected RCPT <x@" + Domain + ">: try again"})
	case 8:
		l.write(line{text: host + " F=<spam@example.net> rejected RCPT <x@" + Domain + ">: relay not permitted"})
	}
}

// twice writes a line, and some lines more than once in the same second.
func (l *Log) twice(e line) {
	l.write(e)
	for l.oneIn(6) {
		l.write(e)
	}
}
