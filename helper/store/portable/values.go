package portable

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"exipol/generator/ddl"
)

// TextLength is the most bytes of a column of type plan.Text or plan.Raw: MySQL's TEXT and BLOB
// have 65,535.
const TextLength = 1<<16 - 1

// What people read is cut: none of it is looked for.
const (
	AddressLength = 500  // of a recipient
	WordsLength   = 2000 // of a reason, an error, or who it is about
)

// ShortName is what a column of type plan.Name holds of a word that comes from outside: itself,
// where it is short and of visible ASCII characters, as every true name of a gateway, a message or
// an address is; else a hash, so that two never become one.
func ShortName(s string) string {
	if len(s) <= ddl.NameLength && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return `\#` + hex.EncodeToString(sum[:])
}

// Raw is a value as it came, cut after so many bytes.
func Raw(s string, most int) []byte { return []byte(s[:min(len(s), most)]) }

// Words is text for people: valid UTF-8, cut after about WordsLength bytes.
func Words(s string) string {
	if len(s) > WordsLength {
		s = s[:WordsLength]
		for i := 1; i < utf8.UTFMax; i++ { // the cut may have been inside a character
			if end := s[len(s)-i:]; utf8.RuneStart(end[0]) {
				if !utf8.FullRuneInString(end) {
					s = s[:len(s)-i]
				}
				break
			}
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// visible is a word for people in a column of type plan.Name: what such a column cannot hold is "_".
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s[:min(len(s), ddl.NameLength)])
}

// truth is one in a column of type plan.Int.
func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
