package facts

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"blitiri.com.ar/go/spf"

	"exipol/helper/dns"
	"exipol/helper/normalize"
)

const (
	tempError   = string(spf.TempError)
	mostSPF     = 20_000 // results remembered
	keepSPF     = 5 * time.Minute
	keepTempSPF = 15 * time.Second
)

// spfKey is what a result depends on, as a rule.
type spfKey struct {
	client netip.Addr
	domain string
}

// spfResult is what SPF says, of which domain, and whether that domain's record would
// let half the world pass.
type spfResult struct {
	word   string // as in RFC 7208, 2.6
	domain string
	open   bool
}

// spfDomain is the domain that SPF is asked about: the sender's, or the HELO name for
// the null sender (RFC 7208, 2.4). "" is that of a sender without one.
func (s *subject) spfDomain() string {
	if s.Sender == "" {
		return s.helo()
	}
	at := strings.LastIndexByte(s.Sender, '@')
	if at < 0 {
		return ""
	}
	return normalize.Domain(s.Sender[at+1:])
}

// spfAtOnce is what can be said of SPF without DNS.
func (s *subject) spfAtOnce() (r spfResult, known bool) {
	domain := s.spfDomain()
	if !hasRecords(domain) {
		return spfResult{word: string(spf.None), domain: domain}, true
	}
	return s.spf.Get(spfKey{s.Client, domain}, s.clock())
}

// checkSPF asks SPF about a domain, see spfDomain.
func (s *subject) checkSPF(ctx context.Context, domain string) spfResult {
	local := "postmaster"
	if at := strings.LastIndexByte(s.Sender, '@'); at >= 0 {
		local = s.Sender[:at]
	}
	c := &check{subject: s, sender: strings.ReplaceAll(local, "@", "_") + "@" + domain}
	r := c.run(ctx)
	r.domain = domain
	keep := keepSPF
	if r.word == tempError {
		keep = keepTempSPF
	}
	if !c.personal.Load() {
		s.spf.Put(spfKey{s.Client, domain}, r, 1, s.clock().Add(keep))
	}
	return r
}

// hasRecords says whether a domain can have an SPF record: it has two labels at least,
// and is no address (RFC 7208, 4.3).
func hasRecords(domain string) bool {
	_, err := netip.ParseAddr(domain)
	return err != nil && strings.Contains(domain, ".") && !strings.HasPrefix(domain, "[")
}

// check is one evaluation, and the resolver that it uses.
type check struct {
	*subject
	sender   string
	unclear  atomic.Bool // a lookup ended unclear
	personal atomic.Bool // a record asks for more of the sender than its domain
}

// run evaluates the record. Where it passes, it is evaluated again for addresses that
// nobody has: a record that lets those pass says nothing of this client.
func (c *check) run(ctx context.Context) spfResult {
	word, err := c.evaluate(ctx, c.Client)
	switch word {
	case spf.Pass:
	case spf.Fail, spf.SoftFail:
		// That the client has no right is concluded from what other hosts' addresses
		// are, which a resolver that makes up addresses hides.
		if !c.honest(ctx) {
			word = spf.TempError
		}
		return spfResult{word: string(word)}
	default:
		return spfResult{word: string(word)}
	}
	if errors.Is(err, spf.ErrMatchedAll) {
		return spfResult{word: string(word), open: true}
	}
	for _, nobody := range nobodies(c.Client) {
		switch probe, _ := c.evaluate(ctx, nobody); probe {
		case spf.Pass:
			return spfResult{word: string(word), open: true}
		case spf.TempError:
			return spfResult{word: tempError}
		}
	}
	return spfResult{word: string(word)}
}

// evaluate has the library check an address. What it makes of a lookup that failed is
// not always a temporary error (of "ptr", say, it makes no match, and so perhaps a
// fail), so the resolver keeps that in mind.
func (c *check) evaluate(ctx context.Context, client netip.Addr) (result spf.Result, err error) {
	defer func() {
		// The library reads what strangers publish. Should that ever break it, one
		// result is missing, not exipold.
		if r := recover(); r != nil {
			c.log.Error("SPF check failed", "client", client, "sender", c.sender, "panic", r)
			result, err = spf.TempError, nil
		}
	}()
	c.unclear.Store(false)
	result, err = spf.CheckHostWithSender(net.IP(client.AsSlice()), c.helo(), c.sender, spf.WithContext(ctx), spf.WithResolver(c))
	if c.unclear.Load() && result != spf.Pass {
		result = spf.TempError
	}
	return result, err
}

// Nets in which nobody sends mail: for documentation (RFC 5737, 3849, 9637), and of
// providers' inner addresses, for the lower half of the IPv4 ones. Of each row one is
// taken.
var (
	nobodies4 = [][]netip.Prefix{prefixes("203.0.113.0/24 198.51.100.0/24"), prefixes("100.64.0.0/10")}
	nobodies6 = [][]netip.Prefix{prefixes("2001:db8::/32 3fff::/20")}
)

func prefixes(s string) (all []netip.Prefix) {
	for _, p := range strings.Fields(s) {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// nobodies are addresses that send no mail, none of them from the client's own net. For
// IPv4 they lie in both halves of all addresses: a record that names the halves one by
// one is as open as +all.
func nobodies(client netip.Addr) []netip.Addr {
	rows := nobodies4
	if client.Is6() {
		rows = nobodies6
	}
	var all []netip.Addr
	for _, row := range rows {
		for _, net := range row {
			if !net.Contains(client) {
				all = append(all, net.Addr().Next())
				break
			}
		}
	}
	return all
}

// These four are the library's resolver.

func (c *check) LookupTXT(ctx context.Context, name string) ([]string, error) {
	texts, err := c.chosen.LookupTXT(ctx, name)
	for _, t := range texts {
		t = strings.ToLower(t)
		if strings.HasPrefix(t, "v=spf1") && (strings.Contains(t, "%{l") || strings.Contains(t, "%{s") || strings.Contains(t, "%{h")) {
			c.personal.Store(true)
		}
	}
	return texts, c.note(err)
}

func (c *check) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	mx, err := c.chosen.LookupMX(ctx, name)
	return mx, c.note(err)
}

// LookupIPAddr looks up the addresses that can matter (RFC 7208, 5): of the client's
// kind, and for an IPv6 client IPv4 ones, too, as "exists" is about those always.
func (c *check) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	network := "ip4"
	if c.Client.Is6() {
		network = "ip"
	}
	addrs, err := c.chosen.LookupNetIP(ctx, network, host)
	return dns.IPAddrs(addrs), c.note(err)
}

func (c *check) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	names, err := c.dns.LookupAddr(ctx, addr)
	return names, c.note(err)
}

func (c *check) note(err error) error {
	if errors.Is(err, dns.ErrUnclear) {
		c.unclear.Store(true)
	}
	return err
}
