package helper

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/helper/pools"
)

// PoolNetworks is each of a plan's pools, in the plan's order, with the networks that it
// has: those that the plan gives, and those that its SPF records were known to name. What
// came from other SPF domains than the plan names now does for as long as it takes to
// resolve them, unless none of those is left.
func PoolNetworks(p *plan.Plan, known []pools.Networks) []pools.Networks {
	all := make([]pools.Networks, 0, len(p.Pools))
	for _, pool := range p.Pools {
		now := pools.Networks{Name: pool.Name}
		if i := slices.IndexFunc(known, func(n pools.Networks) bool { return n.Name == pool.Name }); i >= 0 && counts(pool, known[i]) {
			now = known[i]
		}
		now.Networks = slices.Clone(now.Networks)
		for _, c := range pool.Clients {
			if prefix, err := netip.ParsePrefix(c); err == nil { // the compiler wrote it
				now.Networks = append(now.Networks, prefix)
			}
		}
		now.Networks = pools.Merge(now.Networks)
		all = append(all, now)
	}
	return all
}

// counts says whether what is known of a pool is still the plan's pool. A file that a
// person wrote names no domains.
func counts(pool plan.Pool, known pools.Networks) bool {
	if len(pool.SPF) == 0 || len(known.SPF) == 0 {
		return len(pool.SPF) > 0
	}
	return slices.ContainsFunc(pool.SPF, func(domain string) bool { return slices.Contains(known.SPF, domain) })
}

// bySPF are the plan's pools that have something to resolve.
func bySPF(p *plan.Plan) (all []plan.Pool) {
	for _, pool := range p.Pools {
		if len(pool.SPF) > 0 {
			all = append(all, pool)
		}
	}
	return all
}

// ResolvePool finds out what a pool's SPF records name. The networks that the plan gives
// are not among it: they come and go with the plan. Where there is an error, only the
// name is there, and the notes.
func ResolvePool(ctx context.Context, out Outside, pool plan.Pool, now time.Time) (pools.Networks, error) {
	found := pools.Networks{Name: pool.Name, SPF: domainsOf(pool)}
	pool.Clients = nil
	networks, notes, err := out.Resolve(ctx, pool)
	found.Notes = notes
	if err != nil {
		return found, err
	}
	found.Networks, found.Resolved = networks, now.UTC().Truncate(time.Second)
	return found, nil
}

// resolvePool is ResolvePool that a panic does not end: what it reads is written by
// strangers, and exipold has more to do than that.
func (h *Helper) resolvePool(ctx context.Context, out Outside, pool plan.Pool) (found pools.Networks, err error) {
	defer func() {
		if r := recover(); r != nil {
			h.o.Log.Error("resolving a pool panicked", "pool", pool.Name, "panic", r, "stack", string(debug.Stack()))
			found, err = pools.Networks{Name: pool.Name}, fmt.Errorf("pool %s: exipold's own fault: %v", pool.Name, r)
		}
	}()
	return ResolvePool(ctx, out, pool, h.o.Clock())
}

// domainsOf are a pool's SPF domains as they are written down.
func domainsOf(pool plan.Pool) []string {
	return slices.Compact(slices.Sorted(slices.Values(pool.SPF)))
}

// sameDomains says whether two states of a pool came from the same SPF domains.
func sameDomains(a, b pools.Networks) bool { return slices.Equal(a.SPF, b.SPF) }

// changeOf is what a refresh changed, nil for nothing.
func changeOf(old, now pools.Networks) *pools.LastChange {
	for _, c := range pools.Diff([]pools.Networks{old}, []pools.Networks{now}) {
		return &pools.LastChange{At: now.Resolved, Added: c.Added, Removed: c.Removed}
	}
	return nil
}

// leaps says whether a pool more than doubles or loses more than half: of its networks,
// of its IPv4 or of its IPv6 addresses.
func leaps(old, now []netip.Prefix) bool {
	before, after := sizes(old), sizes(now)
	for i := range before {
		if after[i] > 2*before[i] || 2*after[i] < before[i] {
			return true
		}
	}
	return false
}

// sizes counts networks, IPv4 addresses and IPv6 addresses. Exactly so only for as many
// addresses as a float64 tells apart, which is good enough.
func sizes(all []netip.Prefix) (n [3]float64) {
	for _, p := range all {
		family := 1
		if p.Addr().Is6() {
			family = 2
		}
		n[0]++
		n[family] += math.Exp2(float64(p.Addr().BitLen() - p.Bits()))
	}
	return n
}
