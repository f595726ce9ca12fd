package load

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// longestName is how long a domain name can be in the DNS, without its final dot
// (RFC 1035, 2.3.4).
const longestName = 253

var hostLabel = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// isHost says whether s, in lower case, is a domain name as the DNS has it, of two
// labels at least and not an address.
func isHost(s string) bool { return strings.Contains(s, ".") && isHostName(s) }

// isHostName says the same of a name that may be of one label, to which the system's
// resolver adds a domain.
func isHostName(s string) bool {
	if len(s) > longestName {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if !hostLabel.MatchString(label) {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != "" // else it is like an address
}

// host reads a domain whose SPF record is meant, in lower case.
func (f field) host() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	name := strings.TrimSuffix(strings.ToLower(s), ".")
	if isHost(name) {
		return name, true
	}
	help := `a domain whose SPF record names the addresses: "_spf.example.com"`
	mechanism, rest, _ := strings.Cut(name, ":")
	_, address := netip.ParseAddr(s)
	_, network := netip.ParsePrefix(s)
	switch {
	case address == nil || network == nil:
		help = fmt.Sprintf("addresses stand in clients: clients = [%q]", s)
	case (mechanism == "include" || mechanism == "a" || mechanism == "mx") && isHost(rest):
		help = fmt.Sprintf("did you mean %q?", rest)
	case strings.HasPrefix(name, "redirect=") && isHost(name[len("redirect="):]):
		help = fmt.Sprintf("did you mean %q?", name[len("redirect="):])
	case strings.HasPrefix(name, "v=spf1"):
		help = "this is a record: name the domain that has it, and exipold finds the record itself"
	}
	f.fail("EP120", fmt.Sprintf("%q is not a domain name", s), help)
	return "", false
}

// server reads the address of a resolver, and gives it with its port.
func (f field) server() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return f.serverAt(s, a, 53)
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return f.serverAt(s, ap.Addr(), ap.Port())
	}
	help := `an address, with a port where it is not 53: "192.0.2.53", "127.0.0.1:5353", "[2001:db8::53]:5353"`
	host, port, _ := strings.Cut(strings.NewReplacer("#", ":", "@", ":").Replace(s), ":")
	_, err := netip.ParseAddr(host)
	n, notNumber := strconv.Atoi(port)
	switch {
	case err == nil && notNumber == nil && (n < 1 || n > 65535):
		help = "a port is a number from 1 to 65535"
	case err == nil && notNumber == nil:
		help = fmt.Sprintf("did you mean %q?", host+":"+port) // as dnsmasq and unbound write it
	case strings.EqualFold(host, "localhost"):
		help = fmt.Sprintf("did you mean %q?", strings.TrimSuffix("127.0.0.1:"+port, ":"))
	case isHost(strings.ToLower(host)):
		help = "a resolver has to be named by its address: its name could not be looked up"
	}
	f.fail("EP112", fmt.Sprintf("%q is not the address of a resolver", s), help)
	return "", false
}

func (f field) serverAt(s string, a netip.Addr, port uint16) (string, bool) {
	switch {
	case a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
		f.fail("EP112", fmt.Sprintf("%q is not the address of a resolver", s), "an address that can be asked, without a zone")
	case port == 0:
		f.fail("EP112", fmt.Sprintf("%q is not the address of a resolver", s), "a port is a number from 1 to 65535")
	default:
		return netip.AddrPortFrom(a.Unmap(), port).String(), true
	}
	return "", false
}

// day reads a day, as it is.
func (f field) day() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1970 {
		f.fail("EP116", fmt.Sprintf("%q is not a day", s), `a day as in "2026-11-22"`)
		return "", false
	}
	return s, true
}
