package normalize

import "strings"

// unSRS undoes one level of SRS: SRS0, a separator, hash=time=domain=local; or SRS1,
// a separator, hash=forwarder=, the separator again and the rest of the SRS0 address.
// The local part is in lower case already.
func unSRS(local string) (orig, domain string, ok bool) {
	if len(local) < 6 || (local[:4] != "srs0" && local[:4] != "srs1") || strings.IndexByte("=+-", local[4]) < 0 {
		return "", "", false
	}
	rest := local[5:]
	if local[3] == '1' {
		_, afterHash, found := strings.Cut(rest, "=")
		if !found {
			return "", "", false
		}
		_, inner, found := strings.Cut(afterHash, "=")
		if !found || inner == "" || strings.IndexByte("=+-", inner[0]) < 0 {
			return "", "", false
		}
		rest = inner[1:]
	}
	_, afterHash, found := strings.Cut(rest, "=")
	if !found {
		return "", "", false
	}
	_, afterTime, found := strings.Cut(afterHash, "=")
	if !found {
		return "", "", false
	}
	domain, orig, found = strings.Cut(afterTime, "=")
	if !found || orig == "" || !plausibleDomain(domain) {
		return "", "", false
	}
	if domain = Domain(domain); domain == "" {
		return "", "", false
	}
	return orig, domain, true
}

// plausibleDomain keeps anything out of the domain that would make the result
// another address when it is read again.
func plausibleDomain(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x80 && !isAlnum(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// unBATV removes one signature: prvs=TAG=user, the older prvs=user=TAG and
// prvs=user/TAG, btv1==TAG==user, msprvs1=TAG=user.
func unBATV(local string) (string, bool) {
	scheme, rest, found := strings.Cut(local, "=")
	if !found {
		return "", false
	}
	var user string
	switch scheme {
	case "prvs":
		tag, after, found := strings.Cut(rest, "=")
		switch {
		case found && !isTag(tag) && isTag(after):
			user = tag
		case found:
			user = after
		default:
			before, tag, found := strings.Cut(rest, "/")
			if !found || !isTag(tag) {
				return "", false
			}
			user = before
		}
	case "msprvs1":
		_, user, _ = strings.Cut(rest, "=")
	case "btv1":
		if rest == "" || rest[0] != '=' {
			return "", false
		}
		_, user, _ = strings.Cut(rest[1:], "==")
	}
	return user, user != ""
}

// isTag recognises a BATV tag: a key digit, three digits for the day, six hex digits.
func isTag(s string) bool {
	return len(s) == 10 && isDigits(s[:4]) && isHex(s[4:])
}

// Lengths from which a word of hex digits counts as made by a machine: alone, it
// makes its local part a VERP address (a UUID without hyphens has 32, Amazon SES
// writes 16); in a VERP address; and beside such a long one.
const (
	machineWord = 16
	hexWord     = 8
	shortHex    = 4
)

// unVERP replaces what a mailing's return address (Variable Envelope Return Paths)
// has for each message or recipient: runs of digits, and long words of hex digits,
// become "#". Only where the local part looks like one: it has a word that starts
// with "bounce" or is "return", "returns", "errors" or "verp", or an equals sign
// inside (a recipient is encoded in it), or a word of at least 16 hex digits. People
// have numbers in their addresses, too: john.1984@ and 12345@ stay as they are.
func unVERP(local string) string {
	if !strings.ContainsAny(local, "0123456789") {
		return local
	}
	verp, machine := verpShape(local)
	if !verp && !machine {
		return local
	}
	least := hexWord
	if machine {
		least = shortHex
	}
	var b strings.Builder
	b.Grow(len(local))
	eachWord(local, func(word string) {
		if len(word) >= least && isHex(word) && (machine || hasDigit(word)) {
			b.WriteByte('#')
			return
		}
		inRun := false
		for i := 0; i < len(word); i++ {
			digit := word[i] >= '0' && word[i] <= '9'
			switch {
			case digit && !inRun:
				b.WriteByte('#')
			case !digit:
				b.WriteByte(word[i])
			}
			inRun = digit
		}
	}, func(separator byte) { b.WriteByte(separator) })
	return b.String()
}

// verpShape says whether a local part looks like a return address, and whether it
// holds a long word of hex digits.
func verpShape(local string) (verp, machine bool) {
	if i := strings.IndexByte(local, '='); i > 0 && i < len(local)-1 {
		verp = true
	}
	eachWord(local, func(word string) {
		switch {
		case strings.HasPrefix(word, "bounce"), word == "return", word == "returns", word == "errors", word == "verp":
			verp = true
		case len(word) >= machineWord && isHex(word) && hasDigit(word) && !isDigits(word):
			machine = true
		}
	}, func(byte) {})
	return verp, machine
}

// eachWord takes a local part apart at the characters that separate words.
func eachWord(s string, word func(string), separator func(byte)) {
	start := 0
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("-._=+/~", s[i]) >= 0 {
			if i > start {
				word(s[start:i])
			}
			separator(s[i])
			start = i + 1
		}
	}
	if start < len(s) {
		word(s[start:])
	}
}

func isAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }
