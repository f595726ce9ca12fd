package pools

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// Merge sorts networks, and leaves out those that are in another; two halves become the
// whole. IPv4 comes first.
func Merge(prefixes []netip.Prefix) []netip.Prefix {
	sorted := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		sorted = append(sorted, p.Masked())
	}
	slices.SortFunc(sorted, compare)
	var merged []netip.Prefix
	for _, p := range sorted {
		if n := len(merged); n > 0 && merged[n-1].Overlaps(p) {
			continue // sorted: the wider one came first
		}
		merged = append(merged, p)
		for n := len(merged); n > 1; n = len(merged) {
			whole := netip.PrefixFrom(merged[n-2].Addr(), merged[n-2].Bits()-1).Masked()
			if merged[n-2].Bits() != merged[n-1].Bits() || merged[n-2].Bits() == 0 || whole.Addr() != merged[n-2].Addr() || !whole.Overlaps(merged[n-1]) {
				break
			}
			merged = append(merged[:n-2], whole)
		}
	}
	return merged
}

func compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// Table says to which pool an address belongs. It never changes, so anybody may use it
// at any time.
type Table struct {
	from []netip.Addr // first addresses of ranges, ascending
	pool []string     // whose the range is, "" for nobody's; a range ends where the next begins
}

// NewTable makes the table of these pools. Where two have an address, the one with the
// narrower network has it; of equal ones the first by name.
func NewTable(all []Networks) *Table {
	type owned struct {
		netip.Prefix
		name string
	}
	var nets []owned
	for _, n := range all {
		for _, p := range n.Networks {
			nets = append(nets, owned{p.Masked(), n.Name})
		}
	}
	slices.SortFunc(nets, func(a, b owned) int { return cmp.Or(compare(a.Prefix, b.Prefix), cmp.Compare(a.name, b.name)) })
	nets = slices.CompactFunc(nets, func(a, b owned) bool { return a.Prefix == b.Prefix })

	t := &Table{}
	var open []owned // networks around the place, each within the one before
	closeBefore := func(next netip.Addr) {
		for len(open) > 0 && (!next.IsValid() || !open[len(open)-1].Contains(next)) {
			after := last(open[len(open)-1].Prefix).Next()
			open = open[:len(open)-1]
			if !after.IsValid() {
				continue // the last address of all; what follows is IPv6, or nothing
			}
			if len(open) > 0 {
				t.add(after, open[len(open)-1].name)
			} else {
				t.add(after, "")
			}
		}
	}
	for _, n := range nets {
		closeBefore(n.Addr())
		t.add(n.Addr(), n.name)
		open = append(open, n)
	}
	closeBefore(netip.Addr{})
	return t
}

// add begins a range. One that begins where the last did takes its place.
func (t *Table) add(from netip.Addr, pool string) {
	if n := len(t.from); n > 0 && t.from[n-1] == from {
		t.pool[n-1] = pool
		return
	}
	t.from, t.pool = append(t.from, from), append(t.pool, pool)
}

// last is a network's last address.
func last(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// Pool is the name of the pool that an address belongs to, "" for none. A nil Table has
// no pools.
func (t *Table) Pool(addr netip.Addr) string {
	if t == nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	i := sort.Search(len(t.from), func(i int) bool { return addr.Less(t.from[i]) }) - 1
	if i < 0 || t.from[i].Is4() != addr.Is4() {
		return ""
	}
	return t.pool[i]
}
