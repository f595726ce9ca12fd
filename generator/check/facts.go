package check

import (
	"fmt"
	"slices"
	"strings"

	"exipol/generator/diag"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// zone is a DNS list's name, without the answers that are wanted of it.
func zone(f policy.Fact) string {
	name, _, _ := strings.Cut(f.Arg, "=")
	return name
}

// eachFact calls f for every fact of every greylist.
func (c *checker) eachFact(f func(*policy.Greylist, policy.Fact)) {
	for _, g := range c.set.Greylists {
		for _, fact := range slices.Concat(g.Suspicious, g.Spare) {
			f(g, fact)
		}
	}
}

// idleFacts: facts that cannot hold, or of which another one says as much.
func idleFacts(c *checker) {
	for _, g := range c.set.Greylists {
		if all := slices.Concat(g.Suspicious, g.Spare); g.Traffic.V == plan.Local && len(all) > 0 {
			c.warn("EP221", all[0].Range, "no fact holds for local traffic: it has no client address", "greylisting is for inbound traffic",
				note(g.Traffic.Range, "the traffic is local"))
		}
		if g.Traffic.V == plan.Local && len(g.Urgent) > 0 {
			c.warn("EP221", g.Urgent[0].Range, "nothing proves who sent local traffic: it has neither SPF nor DKIM", "name such senders in except")
		}
		for _, f := range g.Spare {
			if f.Name == plan.InPool && len(c.set.Pools) == 0 && !c.set.Partial {
				c.warn("EP221", f.Range, "no client belongs to a pool: no pool is declared", `for example: pool "google" { spf = ["_spf.google.com"] }`)
			}
		}
		for _, f := range g.Suspicious {
			i := slices.IndexFunc(g.Suspicious, func(other policy.Fact) bool {
				return f.Name == plan.DNSList && other.Name == plan.DNSList && f.Arg != other.Arg && other.Arg == zone(f)
			})
			if i >= 0 {
				c.warn("EP221", f.Range, fmt.Sprintf("%s changes nothing: any answer of that list is enough already", f.Text), "leave one of them out",
					note(g.Suspicious[i].Range, "any answer is enough here"))
			}
		}
	}
}

// Zones below these are known to hold good hosts, or bad ones.
var (
	whiteZones = []string{"dnswl.org", "wl.mailspike.net"}
	blackZones = []string{"spamhaus.org", "spamhaus.net", "spamcop.net", "barracudacentral.org", "bl.mailspike.net", "psbl.surriel.com"}
)

// below says whether a zone is one of these domains, or in it.
func below(zone string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return zone == d || strings.HasSuffix(zone, "."+d) })
}

// zoneSense: a white list is not a black one, nor the other way round.
func zoneSense(c *checker) {
	asBlack, asWhite := map[string]policy.Fact{}, map[string]policy.Fact{}
	c.eachFact(func(_ *policy.Greylist, f policy.Fact) {
		name := zone(f)
		switch f.Name {
		case plan.DNSList:
			if below(name, whiteZones) {
				c.fail("EP222", f.Range, fmt.Sprintf("%s is a list of good hosts: every one of them would be suspicious", name),
					"to spare them, write spare = [dnswl]; that a host is absent from it is no_dnswl")
				return
			}
			asBlack[name] = f
		case plan.DNSWL, plan.NoDNSWL:
			if below(name, blackZones) {
				c.fail("EP222", f.Range, fmt.Sprintf("%s is a list of bad hosts, not of good ones", name), fmt.Sprintf("write suspicious = [dnslist(%q)]", name))
				return
			}
			asWhite[name] = f
		}
	})
	for name, f := range asBlack {
		if other, both := asWhite[name]; both {
			c.fail("EP222", f.Range, fmt.Sprintf("%s is taken for a list of bad hosts here, and of good ones elsewhere", name), "a DNS list is one or the other",
				note(other.Range, "it is a list of good ones here"))
		}
	}
}

// goneZones are DNS lists of many instructions that have ended, each with what became
// of it. Some of them answered everybody's address before they went.
var goneZones = map[string]string{
	"sorbs.net":        "it ended in 2024",
	"ahbl.org":         "it ended in 2015, and had everybody at last",
	"njabl.org":        "it ended in 2013",
	"spamcannibal.org": "it ended in 2018, and had everybody at last",
	"ordb.org":         "it ended in 2006, and had everybody at last",
	"abuseat.org":      "it went into xbl.spamhaus.org, which zen.spamhaus.org has",
}

// goneLists: DNS lists that nobody keeps any more.
func goneLists(c *checker) {
	c.eachFact(func(_ *policy.Greylist, f policy.Fact) {
		if f.Name != plan.DNSList {
			return
		}
		for domain, became := range goneZones {
			if below(zone(f), []string{domain}) {
				c.warn("EP223", f.Range, fmt.Sprintf("the DNS list %s is gone: %s", zone(f), became), "leave it out")
			}
		}
	})
}

// senderLists: lists that are compared with senders need some.
func senderLists(c *checker) {
	empty := func(name string) (*policy.List, bool) {
		list := c.lists[name]
		return list, list != nil && !slices.ContainsFunc(list.Entries, func(e policy.Entry) bool { return e.Field == "sender" })
	}
	for _, g := range c.set.Greylists {
		for _, r := range g.Urgent {
			list, none := empty(r.List)
			if !none {
				continue
			}
			help := `give it some: senders = ["*@example.com"]`
			if len(list.Learn) > 0 {
				help = "what a list learns is not urgent: only what somebody wrote down is; " + help
			}
			c.fail("EP220", r.Range, fmt.Sprintf("list.%s has no senders that could be urgent", r.List), help, note(list.DeclRange, "the list is here"))
		}
		for _, f := range g.Spare {
			if list, none := empty(f.Arg); f.Name == plan.SPFPass && none && len(list.Learn) == 0 {
				c.warn("EP220", f.Range, fmt.Sprintf("%s spares nobody: the list has no senders", f.Text), `give it some: senders = ["*@example.com"]`,
					note(list.DeclRange, "the list is here"))
			}
		}
	}
}

// poolKeys: client.pool is the client's address already, in a way that survives a retry
// from another one.
func poolKeys(c *checker) {
	keys := func(parts []policy.Part) {
		i := slices.IndexFunc(parts, func(p policy.Part) bool { return p.Field == "pool" })
		j := slices.IndexFunc(parts, func(p policy.Part) bool { return p.Field == "client" })
		if i >= 0 && j >= 0 {
			c.warn("EP224", parts[j].Range, fmt.Sprintf("with %s in the key, client.pool changes nothing: a retry from another address is another key again", parts[j].Text),
				"leave "+parts[j].Text+" out: client.pool stands for the network where there is no pool", note(parts[i].Range, "client.pool is here"))
		}
	}
	for _, g := range c.set.Greylists {
		keys(g.Key)
		if g.Trust != nil {
			keys(g.Trust.Key)
		}
	}
	for _, lim := range c.set.Limits {
		keys(lim.Key)
	}
}

// Networks larger than these belong to more than one sender.
const (
	largest4 = 8
	largest6 = 16
)

// poolNetworks: a pool is one sender, and an address belongs to one pool.
func poolNetworks(c *checker) {
	type where struct {
		pool *policy.Pool
		note diag.Note
	}
	first := map[string]where{}
	once := func(p *policy.Pool, v policy.Value[string]) {
		if was, ok := first[v.V]; ok && was.pool != p {
			c.warn("EP225", v.Range, fmt.Sprintf("%s belongs to the pool %q and to the pool %q", v.V, was.pool.Name, p.Name),
				"a client is one sender's: leave one of them out", was.note)
		} else if !ok {
			first[v.V] = where{p, note(v.Range, "it is in pool.%s here", p.Name)}
		}
	}
	for _, p := range c.set.Pools {
		for _, v := range p.SPF {
			once(p, v)
		}
		for _, v := range p.Clients {
			if v.V.Addr().Is4() && v.V.Bits() < largest4 || !v.V.Addr().Is4() && v.V.Bits() < largest6 {
				c.fail("EP225", v.Range, fmt.Sprintf("%s is too large for a pool: all of its clients would be taken for one sender", v.V),
					fmt.Sprintf("at most a /%d of IPv4, or a /%d of IPv6; clients that are exempt belong into a list", largest4, largest6))
				continue
			}
			once(p, policy.Value[string]{V: v.V.String(), Range: v.Range})
		}
	}
}
