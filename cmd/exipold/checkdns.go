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
	"exipol/helper/dns"
	"exipol/helper/pools"
)

// probeTime is how long a DNS server may take to answer the doctor: one that needs
// longer is of no use to mail that waits for it.
const probeTime = time.Second

// asksDNS says whether anything in a plan is looked up.
func asksDNS(p *plan.Plan) bool {
	if len(p.Pools) > 0 && p.PoolsFile == "" {
		return true
	}
	byPool := func(key []plan.Part) bool {
		return slices.ContainsFunc(key, func(part plan.Part) bool { return part.Field == "pool" })
	}
	for _, g := range p.Greylists {
		if len(g.Suspicious)+len(g.Spare)+len(g.Urgent) > 0 || byPool(g.Key) || g.Trust != nil && byPool(g.Trust.Key) {
			return true
		}
	}
	return slices.ContainsFunc(p.Limits, func(l plan.Limit) bool { return byPool(l.Key) })
}

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
			silent = append(silent, fmt.Sprintf("%s: %s", server, err))
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
		d.say(warning, "dnslist", zone+" does not answer: "+err.Error(), "see the findings about DNS; until it answers it is unclear, and on_failure holds")
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
	case len(p.Pools) == 0:
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
		case pool.Error == "" && pool.Resolved.IsZero():
			pending = append(pending, pool.Name)
		case pool.Error != "" && pool.Resolved.IsZero():
			never = append(never, pool.Name+": "+pool.Error)
		case pool.Error != "":
			failing = append(failing, fmt.Sprintf("%s: %s", pool.Name, pool.Error))
		}
	}
	const todo = "see what exipold pools says"
	if len(never) > 0 {
		d.say(broken, "pools", "pools whose networks are not known: "+strings.Join(never, "; "), todo)
	}
	if len(failing) > 0 {
		d.say(warning, "pools", "pools that cannot be resolved at the moment, what was known of them stays: "+strings.Join(failing, "; "), todo)
	}
	if len(pending) > 0 {
		d.say(remark, "pools", "not resolved yet: "+strings.Join(pending, ", "), "")
	}
	if len(never)+len(failing)+len(pending) == 0 {
		d.say(fine, "pools", fmt.Sprintf("%d pools are resolved", len(p.Pools)), "")
	}
}

// checkPinned looks at the file that pins the pools.
func (d *doctor) checkPinned() {
	file := d.plan.PoolsFile
	todo := "exipold pools --plan " + d.planFile + " --pin " + file + ", then reload exipold"
	all, err := pools.Read(file)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			todo = asRoot(file)
		}
		d.say(broken, "pools", err.Error(), todo)
		return
	}
	for _, pool := range d.plan.Pools {
		if !slices.ContainsFunc(all, func(n pools.Networks) bool { return n.Name == pool.Name }) {
			d.say(broken, "pools", file+" says nothing of pool "+pool.Name, todo)
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
