package imports

import (
	"io"
	"strings"
)

// Names reads a file as Exim's lookup lsearch does (specification, "Single-key lookup types"): a key on each line, up to the first
// colon or blank, or in double quotes with escapes; comments, empty lines and continuations are none. So a
// line that nobody quoted stands for what Exim has found in it: "a:b" is the name a.
func Names(r io.Reader, take func(Name) error, bad Bad) error {
	return lines(r, bad, func(n int, line string) error {
		line = strings.TrimRight(line, " \t\v\f")
		if line == "" || line[0] == '#' || blank(line[0]) {
			return nil
		}
		name := ""
		if line[0] == '"' {
			name = quoted(line[1:])
		} else {
			end := strings.IndexFunc(line, func(r rune) bool { return r == ':' || r < 128 && blank(byte(r)) })
			if end < 0 {
				end = len(line)
			}
			name = line[:end]
		}
		if name == "" {
			bad(n, "there is no name before the colon")
			return nil
		}
		return take(Name{n, name})
	})
}

// Relays reads such a file of relay hosts. Of a line that is an IPv6 address Exim would have found the part before the
// first colon, and never a client: here it is the address.
func Relays(r io.Reader, take func(Name) error, bad Bad) error {
	return lines(r, bad, func(n int, line string) error {
		if p, ok := network(strings.TrimSpace(line)); ok && p.IsSingleIP() {
			return take(Name{n, p.Addr().String()})
		}
		numbered := func(name Name) error { return take(Name{n, name.Name}) }
		return Names(strings.NewReader(line), numbered, func(_ int, why string) { bad(n, why) })
	})
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// quoted is the text up to the closing quote, or all of it, with Exim's escapes replaced.
func quoted(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != '"'; i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c >= '0' && c <= '7':
			n, value := 0, 0
			for ; n < 3 && i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '7'; n++ {
				value = value*8 + int(s[i+n]-'0')
			}
			b.WriteByte(byte(value))
			i += n - 1
		case c == 'x':
			n, value := 0, 0
			for ; n < 2 && i+1+n < len(s) && hexDigit(s[i+1+n]) >= 0; n++ {
				value = value*16 + hexDigit(s[i+1+n])
			}
			b.WriteByte(byte(value))
			i += n
		default:
			if at := strings.IndexByte("bfnrtv", c); at >= 0 {
				c = "\b\f\n\r\t\v"[at]
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hexDigit is the value of a hexadecimal digit, -1 for anything else.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
