package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/dns"
	"exipol/helper/facts"
	"exipol/helper/pools"
)

// probeTime is how long a DNS server may take to answer the doctor: one that needs
// longer is of no use to mail that waits for it.
const probeTime = time.Second

// asksDNS says whether exipold looks anything up for a plan: the pools, what greylists
// want to know, and who sends where they know that by client.pool. A limit with
// client.pool takes the named pool or the network, and asks nothing.
func asksDNS(p *plan.Plan) bool {
	if p.PoolsFile == "" && slices.ContainsFunc(p.Pools, hasSPF) {
		return true
	}
	byPool := func(key []plan.Part) bool {
		return slices.ContainsFunc(key, func(part plan.Part) bool { return part.Field == "pool" })
	}
	asked := func(f plan.Fact) bool { return f.Name != plan.InPool } // the one that needs no DNS
	return slices.ContainsFunc(p.Greylists, func(g plan.Grey) bool {
		return slices.ContainsFunc(slices.Concat(g.Suspicious, g.Spare), asked) || len(g.Urgent) > 0 ||
			byPool(g.Key) || g.Trust != nil && byPool(g.Trust.Key)
	})
}

// hasSPF says whether a pool has something to resolve.
func hasSPF(p plan.Pool) bool { return len(p.SPF) > 0 }

// checkDNS asks each of the DNS servers.
func (d *doctor) checkDNS(ctx context.Context) {
	if !asksDNS(d.plan) {
		return
	}
	r := dns.New(dns.Options{Servers: d.plan.DNS})
	servers := r.Servers()
	var silent []string
	for _, server := range servers {
		short, cancel := context.WithTimeout(ctx, probeTime)
		if err := r.Probe(short, server); err != nil {
			silent = append(silent, server+": "+strings.TrimPrefix(helper.Reason(err), server+": "))
		}
		cancel()
	}
	where := "the servers in /etc/resolv.conf"
	if len(d.plan.DNS) > 0 {
		where = "helper.dns in the policies"
	}
	switch {
	case len(servers) == 0:
		d.say(broken, "dns", "there is no DNS server to ask", "name one in helper.dns, or in /etc/resolv.conf")
	case len(silent) == len(servers):
		d.say(broken, "dns", "no DNS server answers within a second: "+strings.Join(silent, "; "), "look at "+where+"; until then all that greylists want to know is unclear, and on_failure holds")
	case len(silent) > 0:
		d.say(warning, "dns", "a DNS server does not answer within a second: "+strings.Join(silent, "; "), "look at "+where)
	default:
		d.say(fine, "dns", strings.Join(servers, ", ")+" answer", "")
	}
	d.checkRefused()
	short, cancel := context.WithTimeout(ctx, 2*probeTime)
	defer cancel()
	if made, err := r.LookupNetIP(short, "ip4", facts.Canary); err == nil {
		d.say(warning, "dns", fmt.Sprintf("the resolver has an address for %s, which does not exist: %s", facts.Canary, made[0]),
			"use another resolver ("+where+"): exipold holds nothing against a client that rests on addresses which this one gives")
	}
}

// checkRefused says whether the running exipold had more to look up than it may at once.
func (d *doctor) checkRefused() {
	if d.running == nil || d.running.DNS == nil || d.running.DNS.Refused == 0 {
		return
	}
	d.say(warning, "dns-refused", notMade(d.running.DNS.Refused)+"; what they were for is unclear, and on_failure holds", "a resolver on this host, or near it, answers sooner (helper.dns); under a flood of connections, limit those first")
}

// zones are the DNS lists that a plan asks, sorted.
func zones(p *plan.Plan) []string {
	var out []string
	for _, g := range p.Greylists {
		for _, f := range slices.Concat(g.Suspicious, g.Spare) {
			if f.Name == plan.DNSList || f.Name == plan.DNSWL || f.Name == plan.NoDNSWL {
				zone, _, _ := strings.Cut(f.Arg, "=")
				out = append(out, zone)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkDNSLists asks each DNS list for the two addresses that tell whether it works (RFC
// 5782, 5): 127.0.0.2 must be in it, 127.0.0.1 must not.
func (d *doctor) checkDNSLists(ctx context.Context) {
	r := dns.New(dns.Options{Servers: d.plan.DNS, Timeout: probeTime})
	for _, zone := range zones(d.plan) {
		short, cancel := context.WithTimeout(ctx, 2*probeTime)
		d.checkZone(short, r, zone)
		cancel()
	}
}

func (d *doctor) checkZone(ctx context.Context, r *dns.Resolver, zone string) {
	const unasked = "exipold believes nothing that it says; "
	listed, err := r.LookupNetIP(ctx, "ip4", "2.0.0.127."+zone)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		d.say(warning, "dnslist", zone+" does not list 127.0.0.2, as a DNS list must: there is none of that name, or it does not serve this resolver", "look at the name, and at what its operators ask of a resolver")
		return
	case err != nil:
		d.say(warning, "dnslist", zone+" does not answer: "+helper.Reason(err), "see the findings about DNS; until it answers it is unclear, and on_failure holds")
		return
	}
	for _, a := range listed {
		if refused(a) {
			d.say(warning, "dnslist", fmt.Sprintf("%s refuses this resolver (it answers %s)", zone, a), unasked+"use a resolver of your own (helper.dns), or ask its operators")
			return
		}
		if !netip.MustParsePrefix("127.0.0.0/8").Contains(a) {
			d.say(warning, "dnslist", fmt.Sprintf("%s answers %s, which no DNS list does: somebody on the way makes answers up, or the list has ended", zone, a), unasked+"use another resolver (helper.dns), or take the list out of the policies")
			return
		}
	}
	if everyone, err := r.LookupNetIP(ctx, "ip4", "1.0.0.127."+zone); err == nil && len(everyone) > 0 {
		d.say(warning, "dnslist", zone+" lists 127.0.0.1: it lists everybody", unasked+"take it out of the policies")
		return
	}
	d.say(fine, "dnslist", zone+" answers as it should", "")
}

// refused says whether an answer of a DNS list means that it gives none.
func refused(a netip.Addr) bool { return netip.MustParsePrefix("127.255.255.0/24").Contains(a) }

// checkPools sees whether exipold knows the networks of the plan's pools.
func (d *doctor) checkPools() {
	p := d.plan
	switch {
	case !slices.ContainsFunc(p.Pools, hasSPF):
		return
	case p.PoolsFile != "":
		d.checkPinned()
		return
	case d.running == nil:
		return
	}
	var never, failing, pending []string
	for _, pool := range d.running.Pools {
		switch {
		case pool.Given: // there is nothing to resolve
		case pool.Error == "" && pool.Resolved.IsZero():
			pending = append(pending, pool.Name)
		case pool.Error != "" && pool.Resolved.IsZero():
			never = append(never, pool.Name+": "+pool.Error)
		case pool.Error != "":
			failing = append(failing, fmt.Sprintf("%s: %s", pool.Name, pool.Error))
		}
	}
	const remedy = "see what exipold pools says"
	switch common := noPool(d.running.Pools); {
	case common != "" && len(never) > 0:
		d.say(broken, "pools", fmt.Sprintf("none of %d pools could be resolved: %s", len(never)+len(failing), common), helper.PoolsMend)
		return
	case common != "":
		d.say(warning, "pools", fmt.Sprintf("none of %d pools can be resolved at the moment, what was known of them stays: %s", len(failing), common), helper.PoolsMend)
		return
	}
	if len(never) > 0 {
		d.say(broken, "pools", "pools whose networks are not known: "+strings.Join(never, "; "), remedy)
	}
	if len(failing) > 0 {
		d.say(warning, "pools", "pools that cannot be resolved at the moment, what was known of them stays: "+strings.Join(failing, "; "), remedy)
	}
	if len(pending) > 0 {
		d.say(remark, "pools", "not resolved yet: "+strings.Join(pending, ", "), "")
	}
	if len(never)+len(failing)+len(pending) == 0 {
		d.say(fine, "pools", resolvedPools(resolvable(d.running.Pools)), "")
	}
}

func resolvedPools(n int) string {
	if n == 1 {
		return "1 pool is resolved"
	}
	return fmt.Sprintf("%d pools are resolved", n)
}

// checkPinned looks at the file that pins the pools.
func (d *doctor) checkPinned() {
	file := d.plan.PoolsFile
	all, err := pools.Read(file)
	remedy := helper.PinMend("exipold pools --plan "+d.planFile+" --pin "+file, err) + ", then reload exipold"
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			remedy = asRoot(file)
		}
		d.say(broken, "pools", err.Error(), remedy)
		return
	}
	if more := helper.UnknownPools(d.plan, all); len(more) > 0 {
		d.say(warning, "pools", fmt.Sprintf("%s has pools that no policy names: %s", file, listed(more)), "look at how they are spelt; those that nobody needs can go")
	}
	for _, pool := range d.plan.Pools {
		i := slices.IndexFunc(all, func(n pools.Networks) bool { return n.Name == pool.Name })
		switch {
		case !hasSPF(pool):
		case i < 0:
			d.say(broken, "pools", file+" says nothing of pool "+pool.Name, remedy)
			return
		case len(all[i].SPF) > 0 && !slices.Equal(all[i].SPF, slices.Compact(slices.Sorted(slices.Values(pool.SPF)))):
			d.say(warning, "pools", fmt.Sprintf("%s has pool %s from %s, and the policies name %s", file, pool.Name, listed(all[i].SPF), listed(pool.SPF)), remedy)
			return
		}
	}
	if o, err := d.helper.obstacle(file, toRead); err == nil && o != nil {
		d.kept("pools", "cannot read "+file, o, o.mend(d.helper, toRead))
		return
	}
	if d.running != nil && d.running.PoolsFile != "" {
		d.say(broken, "pools", "exipold has not read it: "+d.running.PoolsFile, "reload exipold")
		return
	}
	d.say(fine, "pools", file+" has all pools", "")
}
