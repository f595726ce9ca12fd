package pools

import (
	"errors"
	"net/netip"
	"strings"

	"exipol/helper/dns"
)

// hosts takes the addresses of a host, or of a domain's mail exchangers.
func (w *walk) hosts(domain, term, name, value string) error {
	host, bits4, bits6, ok := dualCIDR(value)
	if !ok {
		w.note(domain, "%q cannot be read", term)
		return nil
	}
	if host == "" {
		host = domain
	}
	hosts := []string{host}
	if name == "mx" {
		if err := w.count(); err != nil {
			return err
		}
		mx, err := w.dns.LookupMX(w.ctx, host)
		if err != nil && !errors.Is(err, dns.ErrNotFound) {
			return err
		}
		hosts = hosts[:0]
		for _, m := range mx {
			hosts = append(hosts, m.Host)
		}
	}
	before := len(w.prefixes) + len(w.notes)
	for _, h := range hosts {
		if err := w.count(); err != nil {
			return err
		}
		addrs, err := w.dns.LookupNetIP(w.ctx, "ip", h)
		if err != nil && !errors.Is(err, dns.ErrNotFound) {
			return err
		}
		for _, addr := range addrs {
			bits := bits6
			if addr.Is4() {
				bits = bits4
			}
			w.add(domain, term, netip.PrefixFrom(addr, bits).Masked())
		}
	}
	if len(w.prefixes)+len(w.notes) == before {
		w.note(domain, "%q has no address", term)
	}
	return nil
}

// dualCIDR takes "host/24//64" apart (RFC 7208, 5.3).
func dualCIDR(value string) (host string, bits4, bits6 int, ok bool) {
	bits4, bits6 = 32, 128
	rest, six, has := strings.Cut(value, "//")
	if has && !length(six, &bits6, 128) {
		return "", 0, 0, false
	}
	host, four, has := strings.Cut(rest, "/")
	if has && !length(four, &bits4, 32) {
		return "", 0, 0, false
	}
	return host, bits4, bits6, true
}

func length(s string, n *int, most int) bool {
	*n = 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i > 2 {
			return false
		}
		*n = *n*10 + int(s[i]-'0')
	}
	return s != "" && *n <= most
}
