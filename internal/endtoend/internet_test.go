package endtoend

import (
	"fmt"
	"testing"
	"time"

	"exipol/internal/dnstest"
	"exipol/internal/eximtest"
)

// internet is what the name server of these tests knows: one well-run host, and for
// each way of looking bad one host that looks bad in just that way.
const internet = `
; all is well with it
honest.test TXT "v=spf1 ip4:192.0.2.10 -all"
honest.test MX 10 mail.honest.test
mail.honest.test A 192.0.2.10
192.0.2.10 PTR mail.honest.test

; no name at all; a name that does not lead back
nameless.test TXT "v=spf1 ip4:192.0.2.20 ip4:192.0.2.21 -all"
mail.nameless.test A 192.0.2.20
bent.nameless.test A 192.0.2.21
192.0.2.21 PTR elsewhere.nameless.test
elsewhere.nameless.test A 203.0.113.99

; a name as a dial-up client has it
198-51-100-30.dyn.access.test A 198.51.100.30
198.51.100.30 PTR 198-51-100-30.dyn.access.test

; SPF that names others
spoofed.test TXT "v=spf1 ip4:203.0.113.7 -all"
soft.test TXT "v=spf1 ip4:203.0.113.7 ~all"
anybody.test TXT "v=spf1 +all"
broken.test TXT "v=spf1 nonsense:x -all"
many.test TXT "v=spf1 include:a.many.test include:b.many.test include:c.many.test include:d.many.test include:e.many.test include:f.many.test include:g.many.test include:h.many.test include:i.many.test include:j.many.test include:k.many.test -all"
*.many.test TXT "v=spf1 ip4:203.0.113.7 -all"
circle.test TXT "v=spf1 include:circle.test -all"

; lists: 192.0.2.50 is listed, 192.0.2.51 gets an error code, 192.0.2.52 has moved to
; an address that no list answers with; closed.test lists the whole world
2.0.0.127.list.test A 127.0.0.2
50.2.0.192.list.test A 127.0.0.2
51.2.0.192.list.test A 127.255.255.254
52.2.0.192.list.test A 203.0.113.80
53.2.0.192.list.test A 127.0.0.10
*.closed.test A 127.0.0.2
mail.listed.test A 192.0.2.50
192.0.2.50 PTR mail.listed.test
mail.refused.test A 192.0.2.51
192.0.2.51 PTR mail.refused.test
mail.moved.test A 192.0.2.52
192.0.2.52 PTR mail.moved.test
mail.other.test A 192.0.2.53
192.0.2.53 PTR mail.other.test

; a white list: 192.0.2.20 is there, 192.0.2.50 with no trust at all
20.2.0.192.white.test A 127.0.5.2
50.2.0.192.white.test A 127.0.5.0
2.0.0.127.white.test A 127.0.5.3
10.2.0.192.white.test A 127.0.5.1
`

// online starts a name server that Exim and the helpers of this process ask, and that
// the test may tell to misbehave. The process is one of [eximtest.Alone].
func online(t *testing.T, records ...string) *dnstest.Server {
	t.Helper()
	dns, err := dnstest.New(eximtest.NameServer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	if err := dns.Add(append(records, internet)...); err != nil {
		t.Fatal(err)
	}
	return dns
}

// startOnline starts a site whose Exim looks up names, as the stock configurations have
// it, and whose helper asks the same name server.
func startOnline(t *testing.T, policies string, o Options) *Site {
	t.Helper()
	before := o.Configure
	o.Configure = func(b *eximtest.Bed) {
		b.Main += "host_lookup = *\nhost_lookup_order = bydns\n"
		if before != nil {
			before(b)
		}
	}
	o.Helper += fmt.Sprintf("\ndns = [%q]\n", eximtest.NameServer)
	s := Start(t, policies, o)
	s.waitPools()
	return s
}

// waitPools waits until the helper knows its pools' networks.
func (s *Site) waitPools() {
	s.t.Helper()
	for range 1000 {
		known := true
		for _, p := range s.helper.Status().Pools {
			known = known && p.Networks > 0
		}
		if known {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("the pools are not resolved: %+v", s.helper.Status().Pools)
}

// contact is one try of one message.
type contact struct {
	client, helo, from string
	to                 []string // alice@local.test where there is none
}

// wellRun is a contact that nothing can be said against.
var wellRun = contact{client: "192.0.2.10", helo: "mail.honest.test", from: "a@honest.test"}

// try gives a message to the site: the reply that decided, the first that was no 2xx or
// the last of all.
func try(s *Site, c contact) eximtest.Reply { return tryMessage(s, c, body) }

func tryMessage(s *Site, c contact, message string) eximtest.Reply {
	session := s.BsSession(c.client)
	defer session.Close()
	session.Ehlo(c.helo)
	if r := session.Cmd("MAIL FROM:<" + c.from + ">"); r.Code != 250 {
		return r
	}
	to := c.to
	if to == nil {
		to = []string{"alice@local.test"}
	}
	for _, recipient := range to {
		if r := session.Cmd("RCPT TO:<" + recipient + ">"); r.Code != 250 {
			return r
		}
	}
	return session.Data(message)
}
