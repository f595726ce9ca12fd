package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"exipol/helper/pools"
	"exipol/internal/dnstest"
)

// How long the lists are that somebody has written, and how many networks are pinned.
const (
	entries  = 100000
	networks = 10000
)

// senderEntry is the n-th entry of a list that is written: addresses and domains.
func senderEntry(n int) (pattern, sender string) {
	if n%3 == 0 {
		domain := fmt.Sprintf("domain-%d.example", n)
		return domain, "anybody@" + domain
	}
	address := fmt.Sprintf("first.last%d@firm-%d.example", n, n%997)
	return address, address
}

// clientEntry is its n-th network, of three sizes.
func clientEntry(n int) string {
	return fmt.Sprintf("172.%d.%d.0/%d", 16+n>>8&15, n&255, []int{24, 26, 28}[n>>12%3])
}

// longList is a list of friends with so many entries, a tenth of them networks.
func longList() string {
	var clients, senders []string
	for n := range entries / 10 {
		clients = append(clients, clientEntry(n))
	}
	for n := range entries - len(clients) {
		pattern, _ := senderEntry(n)
		senders = append(senders, pattern)
	}
	return fmt.Sprintf("list \"friends\" {\n  clients = [%s]\n  senders = [%s]\n}\n", quoted(clients), quoted(senders))
}

// pinned is the n-th network of a pool; none can be merged with another. DNS says
// nothing of the client in it, so that without the pool it would be deferred.
func pinned(n int) (network netip.Prefix, client string) {
	client = fmt.Sprintf("11.%d.%d.25", n>>8&255, n&255)
	return netip.PrefixFrom(netip.MustParseAddr(client), 25).Masked(), client
}

// pinPools writes a file with that many networks, evenly over so many of the starter
// set's pools.
func (b *bench) pinPools(file string, names []string) {
	all := make([]pools.Networks, len(names))
	for i, name := range names {
		all[i].Name = name
	}
	for n := range networks {
		network, _ := pinned(n)
		of := &all[n%len(all)].Networks
		*of = append(*of, network)
	}
	if err := pools.Write(file, all); err != nil {
		b.Fatalf("%v", err)
	}
}

// written measures a list and pools that somebody has written down, beside the same
// exipold without them.
func (b *bench) written(dns *dnstest.Server) {
	plain := b.startStarter("nothing long", dns, "", nil)
	long := b.startStarter("a list of "+number(entries, 0), dns, "", func(set map[string][]byte) {
		set["friends.hcl"] = []byte(longList())
	})
	var names []string
	for _, p := range plain.plan.Pools {
		names = append(names, p.Name)
	}
	file := b.path("pools.json")
	b.pinPools(file, names)
	wide := b.startStarter("pools of "+number(networks, 0), dns, fmt.Sprintf("  pools = %q", file), nil)
	all := make([]contender, 0, 3)
	var before []string
	for _, g := range []*gateway{plain, long, wide} {
		all = append(all, contender{g.process, []load{{"neither in a list nor in a pool, known key", starterDialect(g.plan.ID).knownKeys()}}})
		total, _ := g.resident()
		before = append(before, number(total, 0))
	}
	all[1].loads = append(all[1].loads, load{"sender in the list", fromSenders(long.plan.ID)})
	all[2].loads = append(all[2].loads, load{"client in a pool, new key", fromPools(wide.plan.ID)})
	got := newCells()
	for round := range b.o.rounds {
		b.logf("written lists and pools, round %d of %d", round+1, b.o.rounds)
		b.round(all, got, round)
	}
	b.tellTimes("Lists and pools that are written", all, got)
	var rows [][]string
	for i, g := range []*gateway{plain, long, wide} {
		total, own := g.resident()
		rows = append(rows, []string{g.name, g.built.Round(10 * time.Millisecond).String(), fmt.Sprintf("%.1f", float64(g.size)/(1<<20)),
			g.starts.Round(time.Millisecond).String(), before[i], number(total, 0), number(own, 0)})
	}
	table("What they take", []string{"exipold with", "compiles in", "plan, MiB", "starts in", "MiB at the start", "MiB at the end", "of them no file's"}, rows)
	for _, s := range all {
		s.stop()
	}
}

// fromSenders is mail of which nothing is known but that its sender stands in the long
// list.
func fromSenders(plan string) source {
	d := starterDialect(plan)
	return func(buf []byte, n int64) ([]byte, []byte) {
		t := newTriplet(n, "")
		_, t.sender = senderEntry(int(some(n, entries-entries/10)))
		return d.question(buf, d.head(t), d.tail(t), n), saysListed
	}
}

// fromPools is mail of which nothing is known but that its client is in a pool.
func fromPools(plan string) source {
	d := starterDialect(plan)
	return func(buf []byte, n int64) ([]byte, []byte) {
		t := newTriplet(n, "pooled")
		_, t.client = pinned(int(some(n, networks)))
		return d.question(buf, d.head(t), d.tail(t), n), saysAccept
	}
}

func quoted(all []string) string {
	for i, s := range all {
		all[i] = strconv.Quote(s)
	}
	return strings.Join(all, ", ")
}
