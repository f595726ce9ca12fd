package facts

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"exipol/helper/dns"
	"exipol/helper/engine"
)

// What a DNS list answers with (RFC 5782, 2.1), and the part of it in which lists say
// why they do not answer: asked too much, or through a resolver that they do not like.
var (
	listAnswers  = netip.MustParsePrefix("127.0.0.0/8")
	listRefusals = netip.MustParsePrefix("127.255.255.0/24")
	whiteAnswers = netip.MustParsePrefix("127.0.0.0/16")
	neverAnswer  = netip.MustParseAddr("127.0.0.1")   // no list should (RFC 5782, 2.1); resolvers that block do
	whiteRefusal = netip.MustParseAddr("127.0.0.255") // list.dnswl.org: asked too much
)

// Test entries that each list has (RFC 5782, 5): one that is listed, one that is not.
var (
	testListed    = netip.MustParseAddr("127.0.0.2")
	testUnlisted4 = netip.MustParseAddr("127.0.0.1")
	testUnlisted6 = netip.MustParseAddr("::ffff:7f00:1")
)

// answers asks a list about an address. None and No: it is not listed; none and
// Unclear: nothing came that could be meant.
func (s *subject) answers(ctx context.Context, name string) ([]netip.Addr, engine.Finding) {
	all, err := s.dns.LookupNetIP(ctx, "ip4", name)
	if errors.Is(err, dns.ErrNotFound) {
		return nil, engine.No
	}
	all = slices.DeleteFunc(all, func(a netip.Addr) bool {
		return !listAnswers.Contains(a) || listRefusals.Contains(a) || a == neverAnswer || a == whiteRefusal
	})
	if len(all) == 0 {
		return nil, engine.Unclear
	}
	return all, engine.Yes
}

// listed: a DNS list has the client, with one of the wanted answers if any are given.
func (s *subject) listed(ctx context.Context, zone, wanted string) engine.Finding {
	all, finding := s.answers(ctx, dns.Reverse(s.Client)+zone)
	if finding != engine.Yes {
		return finding
	}
	if wanted != "" && !slices.ContainsFunc(all, func(a netip.Addr) bool {
		return slices.Contains(strings.Split(wanted, ","), a.String())
	}) {
		return engine.No
	}
	return s.ifSelective(ctx, zone)
}

// ifSelective is Yes where a list does not list everybody, as lists do whose domain
// was sold, or that want to be noticed as given up.
func (s *subject) ifSelective(ctx context.Context, zone string) engine.Finding {
	test := dns.Reverse(testUnlisted4)
	if s.family == "ip6" {
		test = reverse6(testUnlisted6)
	}
	if _, err := s.dns.LookupNetIP(ctx, "ip4", test+zone); !errors.Is(err, dns.ErrNotFound) {
		return engine.Unclear
	}
	return engine.Yes
}

// trusted: a list of good hosts has the client, with some trust (the last number is 1
// to 3). Those with 0 are there so that nobody blocks them, big providers among them; that
// says nothing of a mail.
func (s *subject) trusted(ctx context.Context, zone string) engine.Finding {
	all, finding := s.whiteAnswers(ctx, zone)
	if finding != engine.Yes {
		return finding
	}
	if !slices.ContainsFunc(all, func(a netip.Addr) bool { level := a.As4()[3]; return 1 <= level && level <= 3 }) {
		return engine.No
	}
	return s.ifSelective(ctx, zone)
}

// unknown: a list of good hosts does not have the client, whatever the trust. That is
// only believed of a list that has its test entry: one that is gone has nobody.
func (s *subject) unknown(ctx context.Context, zone string) engine.Finding {
	switch _, finding := s.whiteAnswers(ctx, zone); finding {
	case engine.Yes:
		return engine.No
	case engine.No:
		if _, alive := s.answers(ctx, dns.Reverse(testListed)+zone); alive == engine.Yes {
			return engine.Yes
		}
	}
	return engine.Unclear
}

// whiteAnswers are a list's answers that have the form of list.dnswl.org's: 127.0, a
// category, a level of trust.
func (s *subject) whiteAnswers(ctx context.Context, zone string) ([]netip.Addr, engine.Finding) {
	all, finding := s.answers(ctx, dns.Reverse(s.Client)+zone)
	all = slices.DeleteFunc(all, func(a netip.Addr) bool { return !whiteAnswers.Contains(a) })
	if finding == engine.Yes && len(all) == 0 {
		return nil, engine.Unclear
	}
	return all, finding
}

// reverse6 is Reverse of an address that stays IPv6 although it holds an IPv4 one.
func reverse6(addr netip.Addr) string {
	const digits = "0123456789abcdef"
	raw := addr.As16()
	var b strings.Builder
	for _, octet := range slices.Backward(raw[:]) {
		b.Write([]byte{digits[octet&0xf], '.', digits[octet>>4], '.'})
	}
	return b.String()
}
