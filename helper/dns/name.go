package dns

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Reverse is an address as the names of reverse lookups and of DNS lists begin:
// "1.2.0.192.", or 32 hexadecimal digits with dots for IPv6.
func Reverse(addr netip.Addr) string {
	addr = addr.Unmap()
	raw := addr.AsSlice()
	var b strings.Builder
	for i := len(raw) - 1; i >= 0; i-- {
		if addr.Is4() {
			fmt.Fprintf(&b, "%d.", raw[i])
		} else {
			fmt.Fprintf(&b, "%x.%x.", raw[i]&0xf, raw[i]>>4)
		}
	}
	return b.String()
}

func reverseZone(addr netip.Addr) string {
	if addr.Unmap().Is4() {
		return "in-addr.arpa"
	}
	return "ip6.arpa"
}

// Zone is what a name has in common with others that the same servers answer for, as far
// as names can tell: the domain that somebody registered, or the reverse zone of a /16, or
// of a /32 of IPv6. Domains below which a company lets out names are one zone.
func Zone(name string) string {
	name = strings.TrimSuffix(lower(name), ".")
	switch {
	case strings.HasSuffix(name, ".in-addr.arpa"):
		return lastLabels(name, 2+2)
	case strings.HasSuffix(name, ".ip6.arpa"):
		return lastLabels(name, 8+2)
	}
	suffix, public := publicsuffix.PublicSuffix(name)
	for !public && strings.Contains(suffix, ".") {
		_, above, _ := strings.Cut(suffix, ".")
		suffix, public = publicsuffix.PublicSuffix(above)
	}
	return lastLabels(name, strings.Count(suffix, ".")+2)
}

// ReverseZone is the Zone of an address's reverse name.
func ReverseZone(addr netip.Addr) string { return Zone(Reverse(addr) + reverseZone(addr)) }

// lastLabels are the last labels of a name, so many or all.
func lastLabels(name string, most int) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if most--; most == 0 {
				return name[i+1:]
			}
		}
	}
	return name
}

// possible says whether DNS can hold a name: labels of 1 to 63 bytes, 253 in all. The
// root, "", is none of those that anybody looks up here.
func possible(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

// lower folds ASCII letters only, as DNS does (RFC 4343).
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
