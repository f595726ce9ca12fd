package day

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// The lists that the world's DNS answers for: those that the ready-made policies ask.
const (
	blockList = "zen.spamhaus.org"
	whiteList = "list.dnswl.org"
)

// host is a machine that sends mail.
type host struct {
	addr netip.Addr
	name string // what its reverse DNS says, "" for nothing
	back bool   // the name leads back to the address
	helo string
}

func (h *host) verified() string {
	if h.back {
		return h.name
	}
	return ""
}

// provider is a sender of mail for many: it sends from any of its hosts, and tries
// again from any other.
type provider struct {
	spf     string // the domain whose SPF record names its hosts
	hosts   []*host
	retries schedule
}

// world is the internet of the day. Its networks are of 240.0.0.0/4, which nobody has
// and no rule about private addresses exempts; its names are made up, but for those
// that the ready-made policies hold.
type world struct {
	rng     *rand.Rand
	nets    int
	records []string

	google, outlook, yahoo, ses, sendgrid, mailchimp *provider // as in provider-pools.hcl
	small, mailer                                    *provider // that no policy names
	codes                                            []*provider
	forged                                           []string // domains that spam says it comes from
}

// codeDomains are some of code-senders.hcl; they stand for all.
var codeDomains = []string{"github.com", "paypal.com", "okta.com", "booking.com", "steampowered.com", "gitlab.com"}

func newWorld(rng *rand.Rand) *world {
	w := &world{rng: rng}
	// The test points by which a DNS list shows that it works (RFC 5782, 5).
	w.add("2.0.0.127."+blockList+" A 127.0.0.2", "2.0.0.127."+whiteList+" A 127.0.10.0")
	// How many addresses a provider has for one message's retries is an assumption, but for
	// Google: nine tries from seven addresses (Pagani) are what eighteen would give, and at
	// Microsoft users of Postgrey saw fifteen before one came twice. Shared addresses do
	// get listed now and then. Here one in ten is, more than in life, so that the day shows
	// what spares them.
	w.google = w.provider("_spf.google.com", "out%d.gmail-hosts.example", 18, 6, 10, gmail)
	w.outlook = w.provider("spf.protection.outlook.com", "out%d.outlook-hosts.example", 60, 12, 10, exchangeOnline)
	w.yahoo = w.provider("_spf.mail.yahoo.com", "out%d.yahoo-hosts.example", 12, 4, 10, yahoo)
	w.ses = w.provider("amazonses.com", "out%d.ses-hosts.example", 20, 8, 10, ses)
	w.sendgrid = w.provider("sendgrid.net", "out%d.sendgrid-hosts.example", 10, 5, 10, bulk)
	w.mailchimp = w.provider("servers.mcsv.net", "out%d.mailchimp-hosts.example", 10, 2, 10, bulk)
	w.small = w.provider("spf.small-provider.example", "mx%d.small-provider.example", 6, 3, 20, postfix)
	w.mailer = w.provider("spf.mailer.example", "mta%d.mailer.example", 10, 5, 20, bulk)
	w.add(`bounces.mailer.example TXT "v=spf1 include:` + w.mailer.spf + ` -all"`)
	for _, domain := range codeDomains {
		p := w.provider(domain, "out%d."+domain, 6, 3, 35, postfix)
		w.codes = append(w.codes, p)
	}
	for i := range 30 {
		domain := fmt.Sprintf("well-known%d.example", i)
		w.add("www."+domain+" A "+w.address().String(), domain+` TXT "v=spf1 mx `+[]string{"-all", "~all"}[i%2]+`"`, domain+" MX 10 mail."+domain,
			"mail."+domain+" A "+w.address().String())
		w.forged = append(w.forged, domain)
	}
	return w
}

func (w *world) add(records ...string) { w.records = append(w.records, records...) }

// network is another /24 each time.
func (w *world) network() netip.Prefix {
	w.nets++
	n := w.nets
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{240 + byte(n>>16), byte(n >> 8), byte(n), 0}), 24)
}

// address is one in a network of its own.
func (w *world) address() netip.Addr { return w.within(w.network()) }

func (w *world) within(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	a[3] = byte(1 + w.rng.IntN(254))
	return netip.AddrFrom4(a)
}

// named gives an address a name that leads back to it, as a careful host has it.
func (w *world) named(addr netip.Addr, name string) *host {
	w.add(name+" A "+addr.String(), addr.String()+" PTR "+name)
	return &host{addr: addr, name: name, back: true, helo: name}
}

// list has the DNS list say that a host sends spam, or should send no mail itself.
func (w *world) list(h *host) {
	w.add(reversed(h.addr) + "." + blockList + " A 127.0.0." + []string{"4", "11"}[w.rng.IntN(2)])
}

func reversed(addr netip.Addr) string {
	a := addr.As4()
	return fmt.Sprintf("%d.%d.%d.%d", a[3], a[2], a[1], a[0])
}

// provider makes a provider of so many hosts in so many networks, so many in a hundred
// of which the DNS list has.
func (w *world) provider(spf, name string, hosts, networks, listed int, retries schedule) *provider {
	p := &provider{spf: spf, retries: retries}
	var nets []netip.Prefix
	var record strings.Builder
	record.WriteString("v=spf1")
	for range networks {
		net := w.network()
		nets = append(nets, net)
		record.WriteString(" ip4:" + net.String())
	}
	w.add(spf + ` TXT "` + record.String() + ` ~all"`)
	taken := map[netip.Addr]bool{}
	for len(p.hosts) < hosts {
		addr := w.within(nets[len(p.hosts)%len(nets)])
		if taken[addr] {
			continue
		}
		taken[addr] = true
		h := w.named(addr, fmt.Sprintf(name, len(p.hosts)))
		// Spread evenly, so that a small day has them, too.
		if len(p.hosts)*listed/100 != (len(p.hosts)+1)*listed/100 {
			w.list(h)
		}
		p.hosts = append(p.hosts, h)
	}
	return p
}

// any is the route of a message through a provider: from any of its hosts each time.
func (p *provider) any(b *script) func() *host {
	return func() *host { return pick(b, p.hosts) }
}

// customer is a domain whose mail goes out through a provider.
func (b *script) customer(p *provider) string {
	domain := fmt.Sprintf("firm%d.example", b.number())
	b.world.add(domain + ` TXT "v=spf1 include:` + p.spf + ` ~all"`)
	return domain
}

// always is the route of a message from one host.
func always(h *host) func() *host { return func() *host { return h } }
