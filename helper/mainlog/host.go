package mainlog

import (
	"bytes"
	"net/netip"
)

// client reads what H= says of a client: "name (helo) [ip]:port", where name, helo and port may be
// missing (host_build_sender_fullhost of Exim's source). b begins behind "H=". A HELO name
// holds no blanks, unless the site takes junk: then any text may stand in the parentheses, and from is
// where to look for their end.
func client(b []byte, junk bool, from int) (h Host, rest []byte, ok bool) {
	if len(b) == 0 {
		return h, b, false
	}
	if b[0] != '(' && b[0] != '[' {
		h.Name, rest = token(b)
		if len(rest) < 2 {
			return h, b, false
		}
		from = max(from-len(h.Name)-1, 0)
		b = rest[1:]
	}
	if b[0] == '(' {
		i := helo(b, junk, from)
		if i < 0 {
			return h, b, false
		}
		h.Helo, b = b[1:i:i], b[i+2:]
	}
	rest, ok = h.address(b)
	return h, rest, ok
}

// helo is where the parenthesis ends that b begins with: before " [".
func helo(b []byte, junk bool, from int) int {
	if junk {
		if i := bytes.Index(b[min(from, len(b)):], []byte(") [")); i >= 0 {
			return from + i
		}
		return -1
	}
	i := bytes.IndexByte(b, ' ') - 1
	if i < 1 || b[i] != ')' || i+2 >= len(b) || b[i+2] != '[' {
		return -1
	}
	return i
}

// address reads "[ip]:port"; the port is logged with the selectors incoming_port and outgoing_port.
func (h *Host) address(b []byte) (rest []byte, ok bool) {
	if len(b) < 4 || b[0] != '[' {
		return b, false
	}
	end := bytes.IndexByte(b[:min(len(b), 80)], ']')
	if end < 0 {
		return b, false
	}
	if h.IP, ok = parseIP(b[1:end]); !ok {
		return b, false
	}
	rest = b[end+1:]
	if len(rest) > 1 && rest[0] == ':' && isDigit(rest[1]) {
		if n, after, _ := number(rest[1:]); n <= 65535 {
			h.Port, rest = uint16(n), after
		}
	}
	return rest, true
}

// parseIP is netip.ParseAddr, without an allocation for IPv4.
func parseIP(b []byte) (netip.Addr, bool) {
	var ip [4]byte
	rest := b
	for i := range ip {
		n, after, ok := number(rest)
		if !ok || n > 255 || len(rest)-len(after) > 3 {
			break
		}
		ip[i] = byte(n)
		if i == 3 && len(after) == 0 {
			return netip.AddrFrom4(ip), true
		}
		if len(after) == 0 || after[0] != '.' {
			break
		}
		rest = after[1:]
	}
	a, err := netip.ParseAddr(string(b))
	return a, err == nil
}

// remote reads the host that was delivered to: " H=name[ DS] [ip][:port][*][ PRX=[ip]:port][ I=[ip]:port][ TFO*]"
// (d_hostlog of Exim's source). A local delivery has the name alone.
func (e *Entry) remote(b []byte) []byte {
	name, rest := name(b[len(" H="):])
	e.Host.Name = name
	b = rest
	if after, ok := cutPrefix(rest, " DS"); ok && hasPrefix(after, " [") {
		rest = after
	}
	if !hasPrefix(rest, " [") {
		return b
	}
	rest, ok := e.Host.address(rest[1:])
	if !ok {
		return b
	}
	rest, _ = cutPrefix(rest, "*") // a connection that was kept
	_, rest, _ = bareField(rest, " PRX=")
	return options(rest)
}

// name is what stands before the next blank, without the colon of a separator.
func name(b []byte) (value, rest []byte) {
	value, rest = token(b)
	if n := len(value); n > 1 && value[n-1] == ':' {
		return value[: n-1 : n-1], b[n-1:]
	}
	return value, rest
}

// bareField is field for what may stand before ": ".
func bareField(b []byte, key string) (value, rest []byte, ok bool) {
	if !hasPrefix(b, key) {
		return nil, b, false
	}
	value, rest = name(b[len(key):])
	return value, rest, len(value) > 0
}

// options takes off what may follow a host: I= is the local address, TFO* says TCP fast open.
func options(b []byte) []byte {
	if _, rest, ok := bareField(b, " I="); ok {
		b = rest
	}
	if rest, ok := cutPrefix(b, " TFO*"); ok {
		b, _ = cutPrefix(rest, "*")
	}
	return b
}
