// Package dns asks a resolver for what the helper wants to know about a client, and
// tells one thing from the other with care: what does not exist, and what could not be
// found out. Somebody's mail is held up for the one and must not be for the other.
//
// The standard library's net.Resolver blurs the two. It gives a name's IPv6 addresses
// without an error where the server failed to give the IPv4 ones, takes an alias that
// leads nowhere for a name that does not exist, and believes /etc/hosts and
// nsswitch.conf, by whose word a host may have no DNS at all. So this package sends the
// queries itself. It has net.Resolver's methods and its errors (*net.DNSError), which is
// what the SPF library wants to be given.
package dns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"exipol/helper/recent"
)

// What errors.Is finds in every error of a Resolver: one of these two.
var (
	ErrNotFound = errors.New("no such name or record") // DNS says so
	ErrUnclear  = errors.New("no clear answer")        // all else: no time, no server, no sense
)

// How long answers are remembered. The times of the records themselves (TTL) are not
// followed: a spammer's would be zero, and a greylisted client should find at its retry
// what was found at its first contact, if that was minutes ago. What failed is only kept
// so long that a flood of mail does not become a flood of queries.
const (
	keepFound    = 10 * time.Minute
	keepNotFound = 5 * time.Minute
	keepFailed   = 15 * time.Second
	keepRoot     = 2 * time.Minute // that a server is to be believed
)

const (
	mostAnswers = 50_000           // remembered, at most
	mostMemory  = 32 << 20         // bytes of them, about
	flightTime  = 10 * time.Second // for one lookup, all tries and servers
	tryTime     = 2 * time.Second  // for one try, where Options do not say

	// waitTime is how long a lookup waits for a place: some rounds of a resolver that
	// works, so that a burst of first contacts is not let in unseen. With one that is dead
	// it is lost.
	waitTime = 250 * time.Millisecond
)

// How many lookups there are at once. Each costs a socket and about 16 kB, and lasts for
// seconds where nobody answers. The names of one account are those that the policies name
// and the reverse names of clients; those of the other are what clients and senders name:
// whoever fills that leaves the first alone. Nor does one zone, dead for reasons of its own
// or by intent, get more than a part of either: of the first a greater one, as every
// question asks the same DNS lists.
const (
	mostOwn, ownParts         = 1024, 4
	mostChosen, chosenParts   = 2048, 8
	mostWaiting, defaultParts = 2048, 8 // that wait for a place, per account; parts of a NewBudget
)

// Options of New; the zero value asks the machine's resolvers.
type Options struct {
	Servers []string         // "address:port"; none: those of /etc/resolv.conf
	Timeout time.Duration    // for one try at one server; 0: 2 s
	Clock   func() time.Time // for how long answers are remembered; nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
}

// Resolver asks, and remembers answers for some minutes. It may be used by anybody at
// any time. A lookup goes on when its asker has no more time: the next one finds the
// answer. That a name does not exist is only said where the server that says so can be
// believed (see root.go).
type Resolver struct {
	*resolver
	budget *Budget // the account of its lookups
}

// resolver is what a Resolver and the one for names that strangers choose share.
type resolver struct {
	timeout   time.Duration
	patience  time.Duration // see waitTime
	clock     func() time.Time
	log       *slog.Logger
	servers   *servers
	preferred atomic.Uint32 // which server is asked first: the last that answered
	known     *recent.Cache[query, answer]
	chosen    *Budget

	mu      sync.Mutex
	flights map[query]*flight // those that wait for a place, too
	doubted map[string]bool   // servers that deny what is not believed
	budgets []*Budget

	asked, remembered, failed atomic.Uint64
}

// answer is what came of it: at most one of the lists, or an error, ErrNotFound or one
// that says what went wrong.
type answer struct {
	addrs []netip.Addr // A, AAAA
	texts []string     // TXT; PTR and NS, with a last dot
	mx    []net.MX
	err   error
}

// Stats counts since the start.
type Stats struct {
	Asked   uint64 // lookups that went out to a server
	Known   uint64 // lookups answered from memory
	Failed  uint64 // of those asked: ended without a clear answer
	Refused uint64 // lookups, and searches for facts, that were not begun: too many at once
}

// New makes a Resolver, for names that nobody chooses but the policies, and for the
// reverse names of clients.
func New(o Options) *Resolver {
	r := &Resolver{resolver: &resolver{
		timeout: o.Timeout, patience: waitTime, clock: o.Clock, log: o.Log,
		flights: map[query]*flight{}, doubted: map[string]bool{},
		known: recent.New[query, answer](mostAnswers, mostMemory),
	}}
	if r.timeout <= 0 {
		r.timeout = tryTime
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.servers = &servers{given: slices.Clone(o.Servers), path: resolvConf, clock: r.clock}
	r.budget = r.newBudget("lookups of clients' names and of DNS lists", mostOwn, mostWaiting, ownParts)
	r.chosen = r.newBudget("lookups of what clients and senders name", mostChosen, mostWaiting, chosenParts)
	return r
}

// Chosen is the same Resolver for names that clients and senders choose: HELO names,
// SPF records and what they name, host names that an address claims to have. What it asks
// is on another account.
func (r *Resolver) Chosen() *Resolver { return &Resolver{r.resolver, r.chosen} }

// NewBudget makes a budget for what else is done for strangers, of which each zone may
// have an eighth. Stats counts what it refuses, and the log says when that begins and when
// it is over; what says there of what it is.
func (r *Resolver) NewBudget(what string, most int) *Budget {
	return r.newBudget(what, most, 0, defaultParts)
}

func (r *Resolver) newBudget(what string, most, waiting, parts int) *Budget {
	b := newBudget(what, most, waiting, parts, r.log, r.clock)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.budgets = append(r.budgets, b)
	return b
}

// Stats says what it did so far.
func (r *Resolver) Stats() Stats {
	s := Stats{Asked: r.asked.Load(), Known: r.remembered.Load(), Failed: r.failed.Load()}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.budgets {
		s.Refused += b.refused.Load()
	}
	return s
}

// Servers are those that would be asked now, "address:port".
func (r *Resolver) Servers() []string { return slices.Clone(r.servers.list()) }

// Probe asks one server ("address:port") for the root's name servers, past what is
// remembered: a working resolver has an answer.
func (r *Resolver) Probe(ctx context.Context, server string) error {
	a := r.ask(ctx, root(server), []string{server})
	if a.err != nil {
		return dnsError(a.err, ".", ctx)
	}
	return nil
}

// LookupTXT is like net.Resolver's: the texts of a name, each with its strings joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a := r.lookup(ctx, name, dnsmessage.TypeTXT)
	return slices.Clone(a.texts), dnsError(a.err, name, ctx)
}

// LookupMX is like net.Resolver's: sorted by preference, hosts with a last dot.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a := r.lookup(ctx, name, dnsmessage.TypeMX)
	all := make([]*net.MX, len(a.mx))
	for i, mx := range a.mx {
		all[i] = &mx
	}
	return all, dnsError(a.err, name, ctx)
}

// LookupAddr is like net.Resolver's: the names of an address, with a last dot. Nobody
// has checked that they lead back.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, dnsError(ErrNotFound, addr, ctx)
	}
	a := r.lookup(ctx, Reverse(ip)+reverseZone(ip), dnsmessage.TypePTR)
	return slices.Clone(a.texts), dnsError(a.err, addr, ctx)
}

// LookupNetIP is like net.Resolver's: a name's addresses; network is "ip4", "ip6" or
// "ip". Unlike there, "ip" is unclear where either kind is.
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	var a answer
	switch network {
	case "ip4":
		a = r.lookup(ctx, host, dnsmessage.TypeA)
	case "ip6":
		a = r.lookup(ctx, host, dnsmessage.TypeAAAA)
	case "ip":
		a = r.both(ctx, host)
	default:
		return nil, &net.DNSError{Err: "unknown network " + network, Name: host, UnwrapErr: ErrUnclear}
	}
	return slices.Clone(a.addrs), dnsError(a.err, host, ctx)
}

// LookupIPAddr is like net.Resolver's, but unclear where either kind of address is.
func (r *Resolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	return IPAddrs(addrs), err
}

// IPAddrs is the older form of addresses.
func IPAddrs(addrs []netip.Addr) []net.IPAddr {
	var all []net.IPAddr
	for _, a := range addrs {
		all = append(all, net.IPAddr{IP: a.AsSlice()})
	}
	return all
}

// both looks up both kinds of addresses, at once.
func (r *Resolver) both(ctx context.Context, host string) answer {
	second := r.begin(host, dnsmessage.TypeAAAA)
	v4, v6 := r.lookup(ctx, host, dnsmessage.TypeA), second.wait(ctx)
	for _, a := range []answer{v4, v6} {
		if a.err != nil && !errors.Is(a.err, ErrNotFound) {
			return a
		}
	}
	if addrs := slices.Concat(v4.addrs, v6.addrs); len(addrs) > 0 {
		return answer{addrs: addrs}
	}
	return answer{err: ErrNotFound}
}

// lookup finds an answer: the one remembered, the one on its way, or a new one.
func (r *Resolver) lookup(ctx context.Context, name string, kind dnsmessage.Type) answer {
	return r.begin(name, kind).wait(ctx)
}

// dnsError is an error as the standard library has them; nil for nil.
func dnsError(err error, name string, ctx context.Context) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return &net.DNSError{UnwrapErr: ErrNotFound, Err: ErrNotFound.Error(), Name: name, IsNotFound: true}
	}
	return &net.DNSError{
		UnwrapErr: ErrUnclear, Err: err.Error(), Name: name, IsTemporary: true,
		IsTimeout: ctx.Err() != nil || errors.Is(err, errSilent),
	}
}
