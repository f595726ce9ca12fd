package load

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// isDomain says whether s looks like a domain: letters (of any script), digits,
// hyphens and underscores between single dots, or an address in brackets.
func isDomain(s string) bool {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner := strings.TrimPrefix(strings.ToLower(s[1:len(s)-1]), "ipv6:")
		a, err := netip.ParseAddr(inner)
		return err == nil && a.Zone() == ""
	}
	if s == "" || len(s) > 255 || !utf8.ValidString(s) {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, c := range label {
			if c < utf8.RuneSelf && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') ||
				c >= utf8.RuneSelf && !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsMark(c) {
				return false
			}
		}
	}
	return true
}

// isLocalPart says whether s can stand before the @: no blanks, no control
// characters, no second @ and no wildcard.
func isLocalPart(s string) bool {
	if s == "" || len(s) > 255 || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if c == '@' || c == '*' || c == '<' || c == '>' || unicode.IsSpace(c) || unicode.IsControl(c) {
			return false
		}
	}
	return true
}

// address reads an address pattern and gives it in lower case.
func (f field) address(null bool) (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	local, domain, at := cutLast(s, "@")
	if !at {
		local, domain = "*", s
	}
	help := `an address, "*@domain", "*@*.domain" for its subdomains, or just "domain"`
	switch {
	case s == "<>" && null:
		return s, true
	case s == "<>":
		help = "the null sender can only be a sender"
	case strings.HasPrefix(s, "@") && isDomain(s[1:]):
		help = fmt.Sprintf("did you mean %q?", "*"+s)
	case !at && strings.HasPrefix(s, "*.") && isDomain(s[2:]):
		help = fmt.Sprintf("did you mean %q?", "*@"+s)
	case !at && isDomain(domain),
		at && local == "*" && isDomain(strings.TrimPrefix(domain, "*.")),
		at && isLocalPart(local) && isDomain(domain):
		return strings.ToLower(s), true
	case at && isDomain(domain) && strings.Contains(local, "*"):
		help = "a * before the @ stands for the whole local part"
	}
	f.fail("EP116", fmt.Sprintf("%q is not an address pattern", s), help)
	return "", false
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// id reads an authenticated id, or the login of a local user.
func (f field) id() (string, bool) {
	s, ok := f.str()
	if ok && (s == "" || strings.ContainsFunc(s, unicode.IsControl)) {
		f.fail("EP116", "an id is not empty and has no control characters", "")
		return "", false
	}
	return s, ok
}

// mailbox reads a mail address.
func (f field) mailbox() (string, bool) {
	s, ok := f.str()
	local, domain, at := cutLast(s, "@")
	if ok && (!at || !isLocalPart(local) || !isDomain(domain)) {
		f.fail("EP120", fmt.Sprintf("%q is not a mail address", s), "")
		return "", false
	}
	return s, ok
}

var (
	namedListPattern = regexp.MustCompile(`^\+[A-Za-z][A-Za-z0-9_]*$`)
	// Exim looks up what looks like this (acl_check in its source), and takes anything
	// else for a file or for the text of an ACL.
	aclPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)
)

// aclVerbs begin the text of an ACL: where no ACL has such a name, Exim obeys it.
var aclVerbs = []string{"accept", "defer", "deny", "discard", "drop", "require", "warn"}

// domain reads an item of an Exim domain list. Lookups and regular expressions
// are left to a named list of the site's own configuration.
func (f field) domain() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	if s == "@" || s == "*" || namedListPattern.MatchString(s) || isDomain(strings.TrimPrefix(s, "*.")) && !strings.HasPrefix(s, "[") {
		return s, true
	}
	f.fail("EP120", fmt.Sprintf("%q is not a domain", s),
		`a domain, "*.domain", "@", or "+name" for a domainlist of Exim's configuration; lookups belong into such a list`)
	return "", false
}

// acl reads the name of one of the site's ACLs.
func (f field) acl() (string, bool) {
	s, ok := f.str()
	if ok && s != "" && !aclPattern.MatchString(s) {
		f.fail("EP120", fmt.Sprintf("%q is not the name of an ACL", s), `the name of an ACL in Exim's configuration (letters, digits and _), or "" where there is none`)
		return "", false
	}
	if ok && slices.Contains(aclVerbs, strings.ToLower(s)) {
		f.fail("EP120", fmt.Sprintf("%q is not the name of an ACL but the text of one", s), "Exim would obey it: give the ACL another name in its configuration")
		return "", false
	}
	return s, ok
}

// until reads a day or a moment, and gives the first moment after it as RFC
// 3339 in UTC.
func (f field) until() (string, bool) {
	s, ok := f.str()
	if !ok {
		return "", false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err == nil {
		t = t.AddDate(0, 0, 1)
	} else if t, err = time.Parse(time.RFC3339, s); err != nil {
		f.fail("EP116", fmt.Sprintf("%q is not a day or moment", s), `a day as in "2027-03-01", or a moment as in "2027-03-01T12:00:00Z"`)
		return "", false
	}
	t = t.UTC()
	if y := t.Year(); y < 1970 || y > 9999 {
		f.fail("EP116", fmt.Sprintf("%q is too far away", s), "")
		return "", false
	}
	return t.Format(time.RFC3339), true
}
