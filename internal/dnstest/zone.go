package dnstest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

var types = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "TXT": dnsmessage.TypeTXT, "MX": dnsmessage.TypeMX,
	"PTR": dnsmessage.TypePTR, "NS": dnsmessage.TypeNS, "CNAME": dnsmessage.TypeCNAME,
}

// zone holds all records by name (canonical), in the order in which they were added.
type zone map[string][]dnsmessage.ResourceBody

// Add adds records as a zone file has them, one a line: "name TYPE data", for example
//
//	mail.example.com A 192.0.2.1
//	example.com TXT "v=spf1 mx -all"
//	example.com MX 10 mail.example.com
//	*.list.example A 127.0.0.2
//
// Types are A, AAAA, TXT (one string in quotes, or several), MX, PTR, NS and CNAME. All
// names are absolute, with or without the last dot. A name "*.zone" stands for all names
// below the zone that have no records of their own. A PTR's name may be the address
// itself: "192.0.2.1 PTR mail.example.com". A line may hold several records, separated by
// newlines; empty lines and those that begin with ";" are left out. The root has a name
// server without being told.
func (s *Server) Add(records ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range records {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == ';' {
				continue
			}
			if err := s.zone.add(line); err != nil {
				return fmt.Errorf("record %q: %w", line, err)
			}
		}
	}
	return nil
}

// Remove removes all records of a name.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zone, canonical(name))
}

func (z zone) add(line string) error {
	name, rest, _ := strings.Cut(line, " ")
	kind, data, _ := strings.Cut(strings.TrimSpace(rest), " ")
	data = strings.TrimSpace(data)
	kind = strings.ToUpper(kind)
	if addr, err := netip.ParseAddr(name); err == nil && kind == "PTR" {
		name = Reverse(addr)
	}
	body, err := parseBody(kind, data)
	if err != nil {
		return err
	}
	if _, err := dnsmessage.NewName(canonical(name) + "."); err != nil {
		return err
	}
	z[canonical(name)] = append(z[canonical(name)], body)
	return nil
}

func parseBody(kind, data string) (dnsmessage.ResourceBody, error) {
	switch kind {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(data)
		if err != nil {
			return nil, err
		}
		if addr.Is4() != (kind == "A") {
			return nil, fmt.Errorf("not an address for %s", kind)
		}
		return address(addr), nil
	case "TXT":
		return parseTXT(data)
	case "MX":
		pref, host, _ := strings.Cut(data, " ")
		n, err := strconv.ParseUint(pref, 10, 16)
		if err != nil {
			return nil, err
		}
		target, err := target(host)
		return &dnsmessage.MXResource{Pref: uint16(n), MX: target}, err
	case "PTR":
		target, err := target(data)
		return &dnsmessage.PTRResource{PTR: target}, err
	case "NS":
		target, err := target(data)
		return &dnsmessage.NSResource{NS: target}, err
	case "CNAME":
		target, err := target(data)
		return &dnsmessage.CNAMEResource{CNAME: target}, err
	}
	return nil, fmt.Errorf("unknown type %q", kind)
}

func parseTXT(data string) (dnsmessage.ResourceBody, error) {
	var txt []string
	for data != "" {
		if data[0] != '"' {
			return nil, fmt.Errorf("text without quotes")
		}
		part, rest, ok := strings.Cut(data[1:], `"`)
		if !ok {
			return nil, fmt.Errorf("text without its second quote")
		}
		txt = append(txt, chunks(part)...)
		data = strings.TrimSpace(rest)
	}
	return &dnsmessage.TXTResource{TXT: txt}, nil
}

// chunks cuts text into the 255 bytes that one string of a TXT record holds.
func chunks(s string) []string {
	var all []string
	for len(s) > 255 {
		all, s = append(all, s[:255]), s[255:]
	}
	return append(all, s)
}

func address(addr netip.Addr) dnsmessage.ResourceBody {
	if addr.Is4() {
		return &dnsmessage.AResource{A: addr.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: addr.As16()}
}

func target(s string) (dnsmessage.Name, error) {
	return dnsmessage.NewName(strings.TrimSuffix(strings.TrimSpace(s), ".") + ".")
}

// Reverse is the name below which an address has its PTR records.
func Reverse(addr netip.Addr) string {
	addr = addr.Unmap()
	var b strings.Builder
	raw := addr.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		if addr.Is4() {
			fmt.Fprintf(&b, "%d.", raw[i])
		} else {
			fmt.Fprintf(&b, "%x.%x.", raw[i]&0xf, raw[i]>>4)
		}
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa"
	}
	return b.String() + "ip6.arpa"
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// records are those that stand for a name, its own or a wildcard's; known is whether the
// name exists at all, if only because others are below it.
func (z zone) records(name string) (all []dnsmessage.ResourceBody, known bool) {
	if all, known = z[name]; known {
		return all, true
	}
	if name == "" {
		return rootServers, true
	}
	for other := range z {
		if strings.HasSuffix(other, "."+name) {
			return nil, true
		}
	}
	for below := name; below != ""; {
		_, below, _ = strings.Cut(below, ".")
		if all, known = z["*."+below]; known {
			return all, true
		}
	}
	return nil, false
}

// rootServers are what the root has where it has no records of its own: a resolver is
// asked for them to see whether it works.
var rootServers = []dnsmessage.ResourceBody{&dnsmessage.NSResource{NS: dnsmessage.MustNewName("a.root-servers.net.")}}
