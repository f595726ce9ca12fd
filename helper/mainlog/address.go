package mainlog

import "bytes"

// special are the bytes that end an atom, beside blanks and controls (mac_iscntrl_or_special
// of Exim's source, RFC 822, section 3.3). A dot is allowed here: it joins words.
var special = func() (t [256]bool) {
	for c := range 33 {
		t[c] = true
	}
	t[127] = true
	for _, c := range []byte("()<>@,;:\\\"[]") {
		t[c] = true
	}
	return t
}()

// path is the length of the address that b begins with, as Exim's parse.c leaves it: a
// local part of atoms and quoted strings joined by dots, and a domain. A backslash
// takes the next byte with it, in an atom as well. at says where the @ is, -1 if there is none;
// plain that there are neither quotes nor backslashes. The length is 0 where there
// is no address, and -1 where b ends before the address does.
func path(b []byte) (n, at int, plain bool) {
	plain = true
	i := 0
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			plain = false
			if i = quoted(b, i); i < 0 {
				return -1, -1, false
			}
			// A word that touches a quoted string is no address.
			if i < len(b) && b[i] != '.' && b[i] != '@' {
				return i, -1, false
			}
			continue
		case c == '\\':
			plain = false
			if i+1 >= len(b) {
				return -1, -1, false
			}
			i += 2
			continue
		case !special[c]:
			if i++; i < len(b) && b[i] == '"' && c != '.' {
				return 0, -1, false
			}
			continue
		case c == '@' && i > 0:
			return domain(b, i, plain)
		}
		break
	}
	return i, -1, plain
}

// domain reads on behind the @ that stands at i.
func domain(b []byte, i int, plain bool) (n, at int, isPlain bool) {
	at = i
	i++
	if i < len(b) && b[i] == '[' {
		for i < len(b) && b[i] > 32 && b[i] != ']' && b[i] != '\\' { // a quote, too, in an id=
			i++
		}
		if i >= len(b) {
			return -1, -1, false
		}
		if b[i] != ']' {
			return 0, -1, false
		}
		return i + 1, at, plain
	}
	for i < len(b) && !special[b[i]] {
		i++
	}
	switch {
	case i == len(b) && i == at+1:
		return -1, -1, false
	case i == at+1:
		return 0, -1, false
	}
	return i, at, plain
}

// quoted is the place behind the quoted string that begins at i, -1 if it does not end.
func quoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// bracketed reads "<address>" or "<>", and returns the address.
func bracketed(b []byte) (address, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != '<' {
		return nil, b, false
	}
	if b[1] == '>' {
		return nil, b[2:], true
	}
	n, _, _ := path(b[1:])
	if n <= 0 || len(b) < n+2 || b[n+1] != '>' {
		return nil, b, false
	}
	return b[1 : n+1 : n+1], b[n+2:], true
}

// Same says whether an address as Exim logs what it delivers to, without quotes, is the original one
// that it logs behind it.
func Same(address, original []byte) bool { return means(address, original) }

// means says whether the address text is what remains of the address original when its
// quotes and backslashes are gone: so Exim logs an address that it delivers to. Case counts for nothing, for
// Exim may have lowered the local part. Where a router logs a local delivery by
// the local part alone (log_as_local), text is that.
func means(text, original []byte) bool {
	_, at, _ := path(original)
	if at < 0 {
		return false
	}
	n := unquoted(text, original[:at])
	return n == len(text) || n >= 0 && fold(text[n:], original[at:])
}

// unquoted is how much of text the local part says without its quotes, -1 if text begins otherwise.
func unquoted(text, local []byte) int {
	j := 0
	for i := 0; i < len(local); i++ {
		c := local[i]
		if c == '"' {
			continue
		}
		if c == '\\' && i+1 < len(local) {
			i++
			c = local[i]
		}
		if j >= len(text) || lower(text[j]) != lower(c) {
			return -1
		}
		j++
	}
	return j
}

// fold compares without regard to the case of ASCII.
func fold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// Unquote undoes what Exim did to a subject, or to C=: \" and \\ for the two, \n for a newline, \303 for a byte
// that is not printed (string_printing of its source).
func Unquote(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '\\' || i+1 >= len(b) {
			out = append(out, c)
			continue
		}
		i++
		switch c = b[i]; {
		case c == 'n':
			c = '\n'
		case c == 'r':
			c = '\r'
		case c == 't':
			c = '\t'
		case c == 'b':
			c = '\b'
		case c == 'v':
			c = '\v'
		case c == 'f':
			c = '\f'
		case i+2 < len(b) && isOctal(c) && c < '4' && isOctal(b[i+1]) && isOctal(b[i+2]):
			c = (c-'0')<<6 | (b[i+1]-'0')<<3 | (b[i+2] - '0')
			i += 2
		}
		out = append(out, c)
	}
	return out
}

// Unprint gives bytes back that Exim does not print: \303\274 becomes two bytes, as a question of Exim's has them.
// Only those with the top bit: of others Exim's log does not tell what it wrote from what somebody
// typed, and CORP\nick is a login.
func Unprint(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && (b[i+1] == '2' || b[i+1] == '3') && isOctal(b[i+2]) && isOctal(b[i+3]) {
			out = append(out, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func isOctal(c byte) bool { return c-'0' < 8 }
