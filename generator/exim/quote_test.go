package exim_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"exipol/generator/exim"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]exim.Text{
		"":               "",
		"plain text":     "plain text",
		"Try LIMIT":      `\x54ry \x4c\x49\x4d\x49\x54`,
		`${run{/bin/x}}`: `\$\{run\{/bin/x\}\}`,
		`a\`:             `a\x5c`,
		`a\\`:            `a\\\x5c`,
		`\`:              `\x5c`,
		`a\nb`:           `a\\nb`,
		"a\nb":           `a\nb`,
		"a\r\n":          `a\x0d\n`,
		"a\tb":           `a\x09b`,
		"a\x00b":         "a?b",
		" a ":            `\x20a\x20`,
		`"a"`:            `\x22a\x22`,
		"#a#":            `\x23a\x23`,
		"a # b":          "a # b",
		"grün: 5 %":      "grün: 5 %",
		"\xff\x7f":       "\xff\\x7f",
		"\x85a\xa0":      "\x85a\xa0",
	} {
		if got := exim.Quote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// safe proves what must hold of any quoted text, wherever a line of Exim's
// configuration takes it.
func safe(t *testing.T, in string, out exim.Text) {
	t.Helper()
	s := string(out)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
			t.Errorf("%q: %q has a capital, which may begin a macro's name", in, s)
		case c < ' ' || c == 0x7f:
			t.Errorf("%q: %q has a control character", in, s)
		case c == '\\':
			i++ // what follows is not what it looks like
			if i == len(s) {
				t.Errorf("%q: %q ends in a backslash", in, s)
			} else if !strings.ContainsRune(`n$\{}x`, rune(s[i])) {
				t.Errorf("%q: %q has the escape \\%c", in, s, s[i])
			}
		case c == '$' || c == '{' || c == '}':
			t.Errorf("%q: %q has a bare %c", in, s, c)
		}
	}
	if strings.HasSuffix(s, `\`) {
		t.Errorf("%q: %q would join the next line", in, s)
	}
	if strings.Trim(s, " ") != s || strings.HasPrefix(s, `"`) || strings.HasPrefix(s, "#") {
		t.Errorf("%q: %q loses or changes its ends", in, s)
	}
	if utf8.ValidString(in) != utf8.ValidString(s) {
		t.Errorf("%q: %q is another encoding", in, s)
	}
}

// unquote is Exim's reading of an expanded string without items, as its
// specification has it ("Literal text in expanded strings").
func unquote(t *testing.T, s string) string {
	t.Helper()
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 'x':
			b.WriteByte(byte(strings.IndexByte(digits, s[i+1])<<4 | strings.IndexByte(digits, s[i+2])))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func FuzzQuote(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := exim.Quote(s)
		safe(t, s, quoted)
		if got, want := unquote(t, string(quoted)), strings.ReplaceAll(s, "\x00", "?"); got != want {
			t.Errorf("%q is quoted as %q, which is %q", s, quoted, got)
		}
		safe(t, s, exim.Regex(s))
		if len(s) > 0 {
			safe(t, s, exim.List([]string{s, "x"}))
		}
		comment := string(exim.Comment(s))
		if strings.ContainsAny(comment, "\n\r\x00") || strings.HasSuffix(comment, `\`) {
			t.Errorf("%q is no comment: %q", s, comment)
		}
	})
}

func TestComment(t *testing.T) {
	for in, want := range map[string]exim.Text{
		"inbound.hcl:3": "inbound.hcl:3",
		"Grün #.hcl:3":  "Grün #.hcl:3",
		"a\nacl_x:":     `"a\nacl_x:"`,
		`a\`:            `"a\\"`,
		`a"b`:           `"a\"b"`,
		"\xff":          `"\xff"`,
	} {
		if got := exim.Comment(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	got := exim.Addresses([]string{"192.0.2.0/24", "2001:db8::/32"})
	if got != "<; 192.0.2.0/24 ; 2001:db8::/32" {
		t.Errorf("got %s", got)
	}
}

func TestVersion(t *testing.T) {
	for in, want := range map[string]exim.Version{
		"4.94": {Major: 4, Minor: 94}, "4.94.2": {Major: 4, Minor: 94, Patch: 2}, "4.100.1": {Major: 4, Minor: 100, Patch: 1},
	} {
		got, err := exim.ParseVersion(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%s: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "4", "4.", "4.x", "4.-1", "4.94.2.1", "04.94", "4.+94", " 4.94", "4.94\n", "4.094"} {
		if v, err := exim.ParseVersion(in); err == nil {
			t.Errorf("took %q as %v", in, v)
		}
	}
	order := []string{"3.99", "4.94", "4.94.2", "4.96", "4.100", "4.100.1", "5.0"}
	for i, a := range order {
		for j, b := range order {
			v, _ := exim.ParseVersion(a)
			w, _ := exim.ParseVersion(b)
			if v.Less(w) != (i < j) {
				t.Errorf("%s older than %s: %v", a, b, v.Less(w))
			}
		}
	}
}
