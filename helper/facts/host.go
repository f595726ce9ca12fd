package facts

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"

	"exipol/generator/wire"
	"exipol/helper/dns"
	"exipol/helper/engine"
	"exipol/helper/normalize"
)

// mostNames is how many names of a client are looked at, as SPF does it (RFC 7208,
// 4.6.4).
const mostNames = 10

// Canary is a name that does not exist: one below a domain that is there for ever (RFC
// 2606), for which resolvers do nothing special (RFC 6761, 6.5). One that finds an address
// for it makes up addresses.
const Canary = "no-such-name.example.com"

// honest says whether the resolver admits that a name does not exist. It is asked before
// something is held against a client that rests on addresses that a name has: those may
// be the resolver's own invention.
func (s *subject) honest(ctx context.Context) bool {
	_, err := s.dns.LookupNetIP(ctx, "ip4", Canary)
	if errors.Is(err, dns.ErrUnclear) {
		return false
	}
	lies := err == nil
	if s.lied.Swap(lies) != lies && lies {
		s.log.Warn("the resolver has an address for a name that does not exist: facts that rest on addresses are unclear", "name", Canary)
	}
	return !lies
}

// names are the client's host names that lead back to it. Yes: these; No: it has none
// for sure; Unclear: nobody knows.
func (s *subject) names(ctx context.Context) ([]string, engine.Finding) {
	switch s.Host {
	case "", wire.HostNone:
		// That Exim found none is not enough to hold against the client: it takes an answer
		// that was cut off, and a loop of aliases, for none.
	case wire.HostUnclear:
		return nil, engine.Unclear
	default:
		return []string{normalize.Domain(s.Host)}, engine.Yes
	}
	claimed, err := s.dns.LookupAddr(ctx, s.Client.String())
	if errors.Is(err, dns.ErrNotFound) {
		return nil, engine.No
	}
	if err != nil {
		return nil, engine.Unclear
	}
	claimed = claimed[:min(len(claimed), mostNames)]
	names, unclear := s.confirm(ctx, claimed)
	switch {
	case len(names) > 0:
		return names, engine.Yes
	case unclear || !s.honest(ctx):
		return nil, engine.Unclear
	}
	return nil, engine.No
}

// confirm keeps the names that have the client's address, and says whether it was
// unclear of any.
func (s *subject) confirm(ctx context.Context, claimed []string) (names []string, unclear bool) {
	findings := make([]engine.Finding, len(claimed))
	var wg sync.WaitGroup
	for i, name := range claimed {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					s.broke("a name of the client", p)
					findings[i] = engine.Unclear
				}
			}()
			addrs, err := s.chosen.LookupNetIP(ctx, s.family, name)
			findings[i] = holding(slices.Contains(addrs, s.Client))
			if errors.Is(err, dns.ErrUnclear) {
				findings[i] = engine.Unclear
			}
		})
	}
	wg.Wait()
	for i, name := range claimed {
		switch findings[i] {
		case engine.Yes:
			names = append(names, normalize.Domain(name))
		case engine.Unclear:
			unclear = true
		}
	}
	return names, unclear
}

// noReverse: the client has no name that leads back to it.
func (s *subject) noReverse(ctx context.Context) engine.Finding {
	switch _, has := s.hosts(ctx); has {
	case engine.Yes:
		return engine.No
	case engine.No:
		return engine.Yes
	}
	return engine.Unclear
}

// helo is what the client calls itself, normalised.
func (s *subject) helo() string { return normalize.Helo(strings.TrimSpace(s.Helo)) }

// plainHelo is heloMismatch of a HELO that needs no DNS: an address, or a word.
func (s *subject) plainHelo() (finding engine.Finding, known bool) {
	name := s.helo()
	if inside, ok := strings.CutPrefix(name, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		return holding(err != nil || addr.Unmap() != s.Client), true
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return holding(addr.Unmap() != s.Client), true
	}
	return engine.Yes, !strings.Contains(name, ".")
}

// heloMismatch: the client calls itself what it is not. That is a word without a dot,
// another's address, a name that does not exist, or a name somewhere else altogether: with
// addresses in other networks, and in another domain than the client's own host name.
func (s *subject) heloMismatch(ctx context.Context) engine.Finding {
	name := s.helo()
	addrs, err := s.chosen.LookupNetIP(ctx, s.family, name)
	switch {
	case errors.Is(err, dns.ErrUnclear):
		return engine.Unclear
	case err != nil:
		return s.heloMissing(ctx, name)
	case slices.ContainsFunc(addrs, near(s.Client).Contains):
		return engine.No
	}
	hosts, has := s.hosts(ctx)
	switch {
	case has == engine.Unclear:
		return engine.Unclear
	case slices.ContainsFunc(hosts, func(h string) bool { return sameDomain(h, name) }):
		return engine.No
	case !s.honest(ctx):
		return engine.Unclear
	}
	return engine.Yes
}

// heloMissing judges a name that has no address of the client's kind. One that has
// addresses of the other kind exists, and nobody can say whether they are of the same
// host; one with mail exchangers exists as well.
func (s *subject) heloMissing(ctx context.Context, name string) engine.Finding {
	other := "ip6"
	if s.family == "ip6" {
		other = "ip4"
	}
	_, err := s.chosen.LookupNetIP(ctx, other, name)
	if err == nil {
		return engine.No
	}
	if errors.Is(err, dns.ErrUnclear) {
		return engine.Unclear
	}
	mx, err := s.chosen.LookupMX(ctx, name)
	switch {
	case errors.Is(err, dns.ErrUnclear):
		return engine.Unclear
	case err == nil && !(len(mx) == 1 && mx[0].Host == "."): // RFC 7505: takes no mail
		return engine.No
	}
	return engine.Yes
}

// near is the net in which a host's other addresses may well be.
func near(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// sameDomain says whether two host names belong to the same holder, as far as names can
// tell: the domain that somebody registered is the same.
func sameDomain(a, b string) bool { return registered(a) == registered(b) }

// registered is the registered domain of a name, by the public suffix list; the name
// itself where it is a suffix.
func registered(name string) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return domain
}
