package pools

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
)

// A network that is wider than these is no pool's: somebody means everybody. The largest
// that a provider of mail names are /13 and /24; a few access providers have a /19 of IPv6.
const widest4, widest6 = 8, 19

// mostWidest is how many of the widest networks a pool may have in all, of IPv4 and of
// IPv6: one network after the other makes everybody, too.
const mostWidest = 4

// inner are nets whose addresses nobody else has to do with: private ones, those between
// providers and their customers, a host's own. A pool's own clients may be there; no SPF
// record can mean them.
var inner = nets("0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 ::/127 fc00::/7 fe80::/10")

// nobodies are nets from which nobody sends: the inner ones, and those for documentation
// (RFC 5737, 3849, 9637). A network that goes beyond one of them was not made from the
// addresses that somebody has.
var nobodies = append(nets("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"), inner...)

func nets(text string) (all []netip.Prefix) {
	for _, p := range strings.Fields(text) {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// within says whether a network lies in one of these.
func within(all []netip.Prefix, p netip.Prefix) bool {
	for _, outer := range all {
		if outer.Bits() <= p.Bits() && outer.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func widest(p netip.Prefix) int {
	if p.Addr().Is4() {
		return widest4
	}
	return widest6
}

func tooWide(p netip.Prefix) bool { return p.Bits() < widest(p) }

// check is an error where merged networks (see Merge) cannot be those of a pool.
func check(merged []netip.Prefix) error {
	var four, six float64 // in the widest networks
	for _, p := range merged {
		if within(inner, p) {
			continue // of those there are few
		}
		if tooWide(p) {
			return fmt.Errorf("the network %s is wider than a /%d: that is no sender's", p, widest(p))
		}
		for _, nobody := range nobodies {
			if p.Bits() < nobody.Bits() && p.Contains(nobody.Addr()) {
				return fmt.Errorf("the network %s has %s in it, from which nobody sends: it cannot be meant", p, nobody)
			}
		}
		share := math.Exp2(float64(widest(p) - p.Bits()))
		if p.Addr().Is4() {
			four += share
		} else {
			six += share
		}
		if four > mostWidest || six > mostWidest {
			return fmt.Errorf("with the network %s it has more addresses than %d networks /%d: that is no sender's", p, mostWidest, widest(p))
		}
	}
	return nil
}
