// Package exim is what exipol knows of Exim's configuration language: how text is
// quoted so that it stays text, and what each version can do.
package exim

import (
	"fmt"
	"strings"
)

// Text is Exim configuration text that is safe where an expanded string stands: it
// was quoted by this package, or written by exipol itself. Only Text reaches the
// generated files; a plain string does not.
type Text string

// Quote turns any text into a string that Exim expands to exactly that text
// (Exim specification, "Literal text in expanded strings").
//
// Besides the four characters that expansion gives a meaning to, it escapes what
// the reading of configuration lines would change: control characters, blanks at
// either end, a leading double quote, and every capital letter, for a macro's name
// begins with one and is replaced wherever it stands, within words and quotes
// ("Macros in the configuration file"). A NUL byte cannot be said in Exim; it
// becomes a question mark, and package check refuses it before.
func Quote(s string) Text {
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == 0:
			b.WriteByte('?')
		case c == '\\' || c == '$' || c == '{' || c == '}':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c == 0x7f || c >= 'A' && c <= 'Z':
			fmt.Fprintf(&b, `\x%02x`, c)
		case (i == 0 || i == len(s)-1) && (c == ' ' || c == '"' || c == '#'):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	// A backslash that ends a line joins it with the next: \\ would do so too.
	if t := b.String(); strings.HasSuffix(t, `\\`) {
		return Text(t[:len(t)-2] + `\x5c`)
	}
	return Text(b.String())
}

// List joins items into an Exim list with colons, each item quoted and its own
// colons doubled (Exim specification, "Character strings in lists"). A list whose
// first character is a less-than sign names its separator there, so one whose first
// item begins with that sign names the colon.
func List(items []string) Text {
	var b strings.Builder
	for i, item := range items {
		switch {
		case i == 0:
		case strings.HasSuffix(items[i-1], `\`):
			b.WriteString(": ") // Exim takes a blank after a backslash for a part of the item
		default:
			b.WriteString(" : ")
		}
		b.WriteString(strings.ReplaceAll(string(Quote(item)), ":", "::"))
	}
	text := b.String()
	if strings.HasPrefix(text, "<") {
		text = "<: " + text
	}
	return Text(text)
}

// Addresses joins CIDRs into a list for match_ip, with semicolons because IPv6
// addresses hold colons.
func Addresses(cidrs []string) Text {
	quoted := make([]string, len(cidrs))
	for i, c := range cidrs {
		quoted[i] = string(Quote(c))
	}
	return Text("<; " + strings.Join(quoted, " ; "))
}

// Regex quotes text for the inside of a PCRE pattern within an expansion.
func Regex(s string) Text {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(`\.+*?()|[]{}^$-`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return Quote(b.String())
}

// Comment makes text fit for a comment line: printable, and not ending in a
// backslash.
func Comment(s string) Text {
	q := fmt.Sprintf("%q", s)
	if q == `"`+s+`"` && !strings.HasSuffix(s, `\`) {
		return Text(s)
	}
	return Text(q)
}
