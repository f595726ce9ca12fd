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
	"net"
	"net/netip"
	"slices"
	"strings"
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
)

const (
	mostAnswers = 50_000           // remembered, at most
	mostMemory  = 32 << 20         // bytes of them, about
	mostFlights = 256              // lookups at once; a resolver that is slow must not cost more
	flightTime  = 10 * time.Second // for one lookup, all tries and servers
	tryTime     = 2 * time.Second  // for one try, where Options do not say
)

// Options of New; the zero value asks the machine's resolvers.
type Options struct {
	Servers []string         // "address:port"; none: those of /etc/resolv.conf
	Timeout time.Duration    // for one try at one server; 0: 2 s
	Clock   func() time.Time // for how long answers are remembered; nil: time.Now
}

// Resolver asks, and remembers answers for some minutes. It may be used by anybody at
// any time. A lookup goes on when its asker has no more time: the next one finds the
// answer.
type Resolver struct {
	timeout   time.Duration
	clock     func() time.Time
	servers   *servers
	preferred atomic.Uint32 // which server is asked first: the last that answered

	mu      sync.Mutex
	flights map[query]*flight
	known   *recent.Cache[query, answer]

	asked, remembered, failed atomic.Uint64
}

// query is what a server is asked: a name in lower case without its last dot.
type query struct {
	name string
	kind dnsmessage.Type
}

// answer is what came of it: at most one of the lists, or an error, ErrNotFound or one
// that says what went wrong.
type answer struct {
	addrs []netip.Addr // A, AAAA
	texts []string     // TXT; PTR and NS, with a last dot
	mx    []net.MX
	err   error
}

// flight is a query that is on its way, for all who want to know.
type flight struct {
	done chan struct{} // closed when answer is there
	answer
}

// Stats counts since the start.
type Stats struct {
	Asked  uint64 // lookups that went out to a server
	Known  uint64 // lookups answered from memory
	Failed uint64 // of those asked: ended without a clear answer
}

// New makes a Resolver.
func New(o Options) *Resolver {
	r := &Resolver{
		timeout: o.Timeout, clock: o.Clock, flights: map[query]*flight{},
		known: recent.New[query, answer](mostAnswers, mostMemory),
	}
	if r.timeout <= 0 {
		r.timeout = tryTime
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	r.servers = &servers{given: slices.Clone(o.Servers), path: resolvConf, clock: r.clock}
	return r
}

// Stats says what it did so far.
func (r *Resolver) Stats() Stats {
	return Stats{Asked: r.asked.Load(), Known: r.remembered.Load(), Failed: r.failed.Load()}
}

// Servers are those that would be asked now, "address:port".
func (r *Resolver) Servers() []string { return slices.Clone(r.servers.list()) }

// Probe asks one server ("address:port") for the root's name servers, past what is
// remembered: a working resolver has an answer.
func (r *Resolver) Probe(ctx context.Context, server string) error {
	a := r.ask(ctx, query{"", dnsmessage.TypeNS}, []string{server})
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
	second := make(chan answer, 1)
	go func() { second <- r.lookup(ctx, host, dnsmessage.TypeAAAA) }()
	v4, v6 := r.lookup(ctx, host, dnsmessage.TypeA), <-second
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
	name = strings.TrimSuffix(lower(name), ".")
	if !possible(name) {
		return answer{err: ErrNotFound}
	}
	f, err := r.fly(query{name, kind})
	if err != nil {
		return answer{err: err}
	}
	select {
	case <-f.done: // first, where both are so
		return f.answer
	default:
	}
	select {
	case <-f.done:
		return f.answer
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
}

// landed is the done of answers that are there.
var landed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

var errTooMany = errors.New("too many lookups at once")

// fly finds the flight for a query, or starts one.
func (r *Resolver) fly(q query) (*flight, error) {
	if a, ok := r.known.Get(q, r.clock()); ok {
		r.remembered.Add(1)
		return &flight{landed, a}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[q]; f != nil {
		return f, nil
	}
	if len(r.flights) >= mostFlights {
		r.failed.Add(1)
		return nil, errTooMany
	}
	f := &flight{done: make(chan struct{})}
	r.flights[q] = f
	r.asked.Add(1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), flightTime)
		defer cancel()
		f.answer = r.ask(ctx, q, r.servers.list())
		r.remember(q, f.answer)
		r.mu.Lock()
		delete(r.flights, q)
		r.mu.Unlock()
		close(f.done)
	}()
	return f, nil
}

func (r *Resolver) remember(q query, a answer) {
	keep := keepFound
	switch {
	case errors.Is(a.err, ErrNotFound):
		keep = keepNotFound
	case a.err != nil:
		keep = keepFailed
		r.failed.Add(1)
	}
	cost := 300 + len(q.name) + 24*len(a.addrs)
	for _, t := range a.texts {
		cost += 16 + len(t)
	}
	for _, mx := range a.mx {
		cost += 24 + len(mx.Host)
	}
	r.known.Put(q, a, cost, r.clock().Add(keep))
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
