package dns

import (
	"fmt"
	"net/netip"
	"strings"
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
