// Package normalize is the one normaliser of keys: whatever counts, remembers or
// compares an address, a domain, a HELO name or a client does it by the form made
// here, so that two spellings of one sender are one key.
//
// It is for keys, not for mail: the forms are not always deliverable addresses. Each
// function is idempotent, takes any bytes, never fails, and runs in time linear in
// its input. Bytes that are not UTF-8 are kept as they are.
package normalize

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// passes bounds how often Address looks again at its own result; quoting alone
// can hide a form inside another, and needs twice the bytes for each level.
const passes = 32

// Address is the key of an envelope address, "" for the null sender: in lower case,
// quotes removed, the domain as Domain makes it, without what changes from message
// to message:
//
//   - a "+extension" of the local part (RFC 5233), unless it is all of it
//   - BATV tags (draft-levine-smtp-batv): prvs=TAG=user, and the like
//   - SRS (Sender Rewriting Scheme): SRS0=hash=time=domain=user and SRS1 become the
//     address that was rewritten
//   - VERP: the numbers in a local part that looks like a mailing's return address
//     become "#"
//
// Nobody checks the hash of an SRS address here: a sender can claim any original, so
// a key with a sender in it should also hold the client.
func Address(s string) string { return settle(s, addressOnce) }

// Listed is the form in which an address is compared with lists: as Address, but the
// domain stays the one that the mail was sent under. Anybody can write any original
// into an SRS address, and no SPF check would object.
func Listed(s string) string { return settle(s, listedOnce) }

// settle applies a rewriting until nothing changes any more.
func settle(s string, once func(string) string) string {
	for range passes {
		next := once(s)
		if next == s {
			break
		}
		s = next
	}
	return s
}

func listedOnce(s string) string {
	local, domain, at := splitAddress(s)
	local = fold(unquote(local))
	for l, ok := unBATV(local); ok; l, ok = unBATV(local) {
		local = l
	}
	local = unextend(local)
	if !at {
		return local
	}
	return local + "@" + Domain(domain)
}

// unextend removes a "+extension", unless it is all of the local part.
func unextend(local string) string {
	if i := strings.IndexByte(local, '+'); i > 0 {
		return local[:i]
	} else if i == 0 {
		if j := strings.IndexByte(local[1:], '+'); j > 0 {
			return local[:j+1]
		}
	}
	return local
}

func addressOnce(s string) string {
	local, domain, at := splitAddress(s)
	domain = Domain(domain)
	local = fold(unquote(local))
	for {
		if l, d, ok := unSRS(local); ok {
			local, domain, at = l, d, true
		} else if l, ok := unBATV(local); ok {
			local = l
		} else {
			break
		}
	}
	local = unVERP(unextend(local))
	if !at {
		return local
	}
	return local + "@" + domain
}

// DomainOf is the domain of the address that Address makes of s (after SRS the
// original one), "" where there is none.
func DomainOf(s string) string {
	_, domain, _ := splitAddress(Address(s))
	return domain
}

// Domain is the key of a domain: lower case, ASCII (IDNA A-labels, RFC 5890; the
// mapping is case folding and NFC), no dot at the end. An address literal has the
// address in its canonical form: "[IPv6:2001:DB8::1]" is "[2001:db8::1]".
func Domain(s string) string {
	s = fold(s)
	if !isASCII(s) {
		s = toASCII(s)
	}
	s = strings.TrimRight(s, ".")
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		literal := strings.TrimPrefix(s[1:len(s)-1], "ipv6:")
		if addr, err := netip.ParseAddr(literal); err == nil {
			return "[" + addr.Unmap().WithZone("").String() + "]"
		}
	}
	return s
}

// Helo is the key of a HELO name: a domain or an address literal, or whatever the
// client said instead.
func Helo(s string) string { return Domain(s) }

// Client is the key of a client address: the address itself where the prefix covers
// all of it, else the network: "192.0.2.0/24", "2001:db8::/64". v4 and v6 are the
// prefix lengths for the two families; one out of range means the whole address. An
// IPv4-mapped IPv6 address is the IPv4 address. The zero Addr gives "".
func Client(addr netip.Addr, v4, v6 int) string {
	if !addr.IsValid() {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	bits := v6
	if addr.Is4() {
		bits = v4
	}
	if bits < 0 || bits >= addr.BitLen() {
		return addr.String()
	}
	prefix, err := addr.Prefix(bits)
	if err != nil { // not with bits in range
		return addr.String()
	}
	return prefix.String()
}

// splitAddress cuts at the last at sign, which no domain holds; a local part may.
func splitAddress(s string) (local, domain string, at bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// unquote removes the quotes and backslashes of a quoted local part (RFC 5321,
// 4.1.2). Exim gives a sender as it came, but the local part of a recipient without
// quotes; without them both are the same key.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	inside := s[1 : len(s)-1]
	if strings.IndexByte(inside, '\\') < 0 {
		if strings.IndexByte(inside, '"') >= 0 {
			return s
		}
		return inside
	}
	b := make([]byte, 0, len(inside))
	for i := 0; i < len(inside); i++ {
		switch inside[i] {
		case '"':
			return s
		case '\\':
			if i++; i == len(inside) {
				return s
			}
		}
		b = append(b, inside[i])
	}
	return string(b)
}

// fold is s in lower case and NFC. Runs until nothing changes, as either may undo
// the other for a few letters.
func fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	for range passes {
		next := norm.NFC.String(lower(s))
		if next == s {
			break
		}
		s = next
	}
	return s
}

// lower maps each letter, and keeps the bytes that are no UTF-8, which
// strings.ToLower would not.
func lower(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
		i += size
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
