package load

import (
	"fmt"
	"strings"
	"unicode"

	"exipol/generator/policy"
)

// submission reads the site's submission block.
func (l *loader) submission(site *content) *policy.Submission {
	c := l.block(site, "submission")
	if c == nil {
		return nil
	}
	return &policy.Submission{
		DeclRange: c.at,
		Traffic:   l.words(c, "traffic"),
		Domain:    read(l, c, "domain", field.mailDomain),
		Retain:    l.boolean(c, "retain"),
	}
}

// mailDomain reads a domain that a login gets, in lower case: plain ASCII, for it
// stands in an option of Exim's.
func (f field) mailDomain() (string, bool) {
	s, ok := f.str()
	name := strings.ToLower(s)
	if ok && !isHost(name) {
		f.fail("EP120", fmt.Sprintf("%q is not a domain name", s), `for example: "example.com"`)
		return "", false
	}
	return name, ok
}

// longestExpansion bounds the text of relay_id, in bytes.
const longestExpansion = 2000

// expansion reads text that Exim is to expand, as it is. What would end the line that it
// is put into, or swallow what comes after it, is refused; the rest is for Exim to judge.
func (f field) expansion() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	why := ""
	switch {
	case strings.ContainsFunc(s, unicode.IsControl):
		why = "it must be one line, without control characters"
	case strings.HasSuffix(s, "\\"):
		why = "with a backslash at its end the next line of the configuration would belong to it"
	case strings.TrimSpace(s) != s:
		why = "blanks at either end would be lost"
	case len(s) > longestExpansion:
		why = fmt.Sprintf("it may have at most %d bytes", longestExpansion)
	case !bracesMatch(s):
		why = "its braces do not match"
	default:
		return s, true
	}
	f.fail("EP120", fmt.Sprintf("%s cannot be an expansion of Exim's: %s", f.arg.Name, why), "write $${ for ${ of Exim's, and \\\\ for one backslash")
	return "", false
}

// bracesMatch says whether every brace of an expansion has its counterpart, but for
// those that a backslash or \N...\N makes plain text (Exim specification, "Literal text
// in expanded strings").
func bracesMatch(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i < len(s) && s[i] == 'N' {
				end := strings.Index(s[i:], `\N`)
				if end < 0 {
					return false // what follows would be taken for plain text, too
				}
				i += end + 1
			}
		case '{':
			depth++
		case '}':
			depth--
			if depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}
