package exim_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"exipol/generator/exim"
	"exipol/internal/eximtest"
)

// macros are names that the site has defined: what is quoted must not meet them.
const macros = "LIMIT = broken\nLIM = 100\nNOT = \\nacl_x:\nXYZ = x \\\\\\x\nAB = replaced\nMAIN_X = ${run{/bin/false}}\n"

// short are those that fit into a line on Exim's standard input, several times.
func short() []string {
	return slices.DeleteFunc(hostile(), func(s string) bool { return len(s) > 50 })
}

// hostile are texts that mean something to Exim, to its reader of configuration
// lines, or to SMTP.
func hostile() []string {
	all := make([]byte, 0, 255)
	for c := 1; c < 256; c++ {
		all = append(all, byte(c))
	}
	out := []string{
		string(all), "$", "$$", "$sender_address", "${sender_address}", "$1", "${run{/bin/false}}", "${if", "}", "{", "}}}", "{}{}",
		`\`, `\\`, `\\\`, `a\`, `a \`, `\n`, `\N$\N`, `\x41`, `\101`, `\$x`, "a\\\nb", "a\nb", "a\n\nb", "a\r\nb", "a\rb",
		`"`, `""`, `"a"`, `"a\nb"`, `a "b" c`, `'`, ":", "::", "a:b", ": a", ";", "<; a", "<", "#", "# a", "a # b", "!", "!a", "*", "+x", "@", "^a$",
		" ", "  ", " a", "a ", "  a  ", "\ta\t", "a\t", "a  b", "%", "%s%n%d", "100%", "LIM", "LIMIT", "over LIMIT now", "XYZ", "NOT", "AB", "MAIN_X", "aLIMb",
		"_HAVE_TLS", ".ifdef LIM", ".include /etc/passwd", "accept", "endpass", "deny message = x", "exipol_rcpt:", "begin acl",
		"grün", "日本", "\xff\xfe", "\x80", "\x1b[31m", "\x01", "250 ok", "550 5.7.1 no", "-", ".", "..", "a=b", "a,b",
		strings.Repeat("x", 2000), strings.Repeat("${", 200), strings.Repeat(`\`, 99), strings.Repeat("}", 99), strings.Repeat("LIMIT ", 50),
	}
	for c := 1; c < 256; c++ {
		out = append(out, string([]byte{byte(c)}), "a"+string([]byte{byte(c)}), string([]byte{byte(c)})+"a")
	}
	return out
}

// TestQuoteInReplies: what a policy says is what the client reads, byte for byte.
func TestQuoteInReplies(t *testing.T) {
	texts := hostile()
	b := eximtest.New(t, eximtest.Small)
	b.Main = "smtp_accept_max_nonmail = 1000\n" + macros
	var acl strings.Builder
	for i, text := range texts {
		quoted := exim.Quote(text)
		same := exim.Quote(base64.StdEncoding.EncodeToString([]byte(text)))
		fmt.Fprintf(&acl, "  deny local_parts = t%d\n       message = 550 5.7.1 %s\n", i, exim.Quote(text+"|"))
		fmt.Fprintf(&acl, "  deny local_parts = s%d\n       set acl_m_text = %s\n       message = 550 5.7.1 ${base64:$acl_m_text}\n", i, quoted)
		fmt.Fprintf(&acl, "  deny local_parts = c%d\n       condition = ${if eq{%s}{${base64d:%s}}}\n       message = 550 5.7.1 equal\n", i, quoted, same)
	}
	b.Site["rcpt"] = acl.String() + "  accept\n"
	if err := b.CheckConfig(); err != nil {
		t.Fatal(err)
	}
	s := b.BsSession("192.0.2.1")
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<>")
	for i, text := range texts {
		if i%20 == 19 { // Exim 4.94 gets slower with each recipient of a transaction
			s.Expect(250, "RSET")
			s.Expect(250, "MAIL FROM:<>")
		}
		r := s.Cmd(fmt.Sprintf("RCPT TO:<t%d@local.test>", i))
		got, want := "", "5.7.1 "+text+"|"
		for j, line := range r.Lines {
			if !strings.HasPrefix(line[3:], "-5.7.1 ") && !strings.HasPrefix(line[3:], " 5.7.1 ") {
				t.Errorf("%q: the line %q has lost its code", text, line)
				continue
			}
			if line = line[4:]; j > 0 {
				line = "\n" + line[6:]
			}
			got += line
		}
		want = lineStart.ReplaceAllString(want, "\n") // no line of a reply is empty, or begins with blanks
		if longest(want) > 75 {
			// Exim breaks longer lines, and nothing can be done about it.
			drop := strings.NewReplacer("\n", "", " ", "")
			got, want = drop.Replace(got), drop.Replace(want)
		}
		if r.Code != 550 || got != want {
			t.Errorf("%q: the reply is %q", text, r)
		}
		r = s.Cmd(fmt.Sprintf("RCPT TO:<s%d@local.test>", i))
		if got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.ReplaceAll(r.Text(), "\n5.7.1 ", ""), "5.7.1 ")); err != nil || string(got) != text {
			t.Errorf("%q: a variable set to it holds %q, %v (%s)", text, got, err, r)
		}
		if r = s.Cmd(fmt.Sprintf("RCPT TO:<c%d@local.test>", i)); r.Text() != "5.7.1 equal" {
			t.Errorf("%q is not equal to itself in a condition: %q", text, r)
		}
	}
	s.Quit()
	b.CheckLogs()
}

var lineStart = regexp.MustCompile(`\n[\n \t\v\f\r]*`)

func longest(text string) int {
	n := 0
	for _, line := range strings.Split(text, "\n") {
		n = max(n, len(line))
	}
	return n
}

// expand has Exim expand many strings at once, each with a mark, for a result may be
// empty. Exim replaces macros in such strings, too.
func expand(t *testing.T, b *eximtest.Bed, expressions []string) []string {
	t.Helper()
	b.Main = macros
	var in strings.Builder
	for i, e := range expressions {
		if len(e) > 1000 {
			t.Fatalf("%d bytes: Exim reads no such long lines here", len(e))
		}
		fmt.Fprintf(&in, "<%d>%s\n", i, e)
	}
	out, _, err := b.Exec(in.String(), "-be")
	if err != nil {
		t.Fatal(err)
	}
	results := make([]string, len(expressions))
	at := -1
	for _, line := range strings.Split(out, "\n") {
		line = strings.TrimPrefix(line, "> ")
		if at+1 < len(results) {
			if rest, found := strings.CutPrefix(line, fmt.Sprintf("<%d>", at+1)); found {
				at++
				results[at] = rest
				continue
			}
		}
		if line != "" {
			t.Errorf("Exim said %q after the result of %s", line, expressions[max(at, 0)])
		}
	}
	return results
}

// TestQuoteInExpansions: the same in the nested places where the emitter puts it, in what
// is used and in what is passed over.
func TestQuoteInExpansions(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	var in []string
	texts := short()
	for _, text := range texts {
		quoted := string(exim.Quote(text))
		in = append(in, fmt.Sprintf("x${if eq{1}{1}{${base64:%s}}{no}}${if !eq{1}{1}{no%s}{}}y", quoted, quoted))
	}
	out := expand(t, b, in)
	for i, text := range texts {
		if want := "x" + base64.StdEncoding.EncodeToString([]byte(text)) + "y"; out[i] != want {
			t.Errorf("%q: got %q, want %q", text, out[i], want)
		}
	}
}

// TestRegexIsLiteral: a pattern made of a text matches that text and no other.
func TestRegexIsLiteral(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	var in []string
	type pair struct{ pattern, subject string }
	var pairs []pair
	texts := short()
	for i, text := range texts {
		pairs = append(pairs, pair{text, text}, pair{text, text + "x"}, pair{text, texts[(i+1)%len(texts)]})
	}
	pairs = append(pairs, pair{"limit.a", "limitxa"}, pair{"a", "A"}, pair{"a b", "ab"}, pair{"a#b", "a"}, pair{"[a-c]", "b"}, pair{"a|b", "a"})
	for _, p := range pairs {
		subject := exim.Quote(base64.StdEncoding.EncodeToString([]byte(p.subject)))
		in = append(in, fmt.Sprintf("${if match{${base64d:%s}}{^(%s)\\\\z}{yes}{no}}", subject, exim.Regex(p.pattern)))
	}
	out := expand(t, b, in)
	for i, p := range pairs {
		want := "no"
		if p.pattern == p.subject {
			want = "yes"
		}
		if out[i] != want {
			t.Errorf("%q on %q: got %q, want %s", p.pattern, p.subject, out[i], want)
		}
	}
}

// TestListItems: a list falls apart into the items that were put into it. Blanks at
// the ends of an item belong to the list, and an empty item is none.
func TestListItems(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	var in []string
	var lists [][]string
	for _, text := range short() {
		if strings.Trim(text, " \t\n\v\f\r") != text || text == "" {
			continue
		}
		lists = append(lists, []string{text}, []string{text, "x"}, []string{"x", text}, []string{"x", text, text, "y"})
	}
	for _, l := range lists {
		in = append(in, fmt.Sprintf("${map{%s}{${base64:$item}}}", exim.List(l)))
	}
	out := expand(t, b, in)
	for i, l := range lists {
		var want []string
		for _, item := range l {
			want = append(want, base64.StdEncoding.EncodeToString([]byte(item)))
		}
		if got := out[i]; got != strings.Join(want, ":") {
			t.Errorf("%q: got %q, want %q", l, got, strings.Join(want, ":"))
		}
	}
}

// TestListInDomains: domain lists of the plan, as the emitter uses them.
func TestListInDomains(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	b.Main = macros
	b.Site["rcpt"] = "  deny domains = " + string(exim.List([]string{"+local_domains", "Example.ORG", `^.*\.limit\d+\.test$`, "*.sub.test", "!x.LIM.test", "*.lim.test"})) +
		"\n       message = 550 5.7.1 listed\n  accept\n"
	s := b.BsSession("192.0.2.1")
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<>")
	for domain, listed := range map[string]bool{
		"local.test": true, "example.org": true, "EXAMPLE.org": true, "a.limit5.test": true, "alimit5.test": false, "sub.test": false,
		"a.sub.test": true, "x.lim.test": false, "y.lim.test": true, "other.test": false,
	} {
		r := s.Cmd("RCPT TO:<a@" + domain + ">")
		if (r.Text() == "5.7.1 listed") != listed {
			t.Errorf("%s: %s", domain, r)
		}
	}
	b.CheckLogs()
}

// TestAddressesMatch: CIDRs of both families in match_ip.
func TestAddressesMatch(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	list := exim.Addresses([]string{"192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32", "::1/128"})
	for ip, want := range map[string]string{
		"192.0.2.255": "yes", "192.0.3.0": "no", "2001:db8::1": "yes", "2001:db9::1": "no", "198.51.100.7": "yes", "198.51.100.8": "no", "::1": "yes", "": "no",
	} {
		if got, err := b.Expand("${if match_ip{" + ip + "}{" + string(list) + "}{yes}{no}}"); err != nil || got != want {
			t.Errorf("%s: got %q, %v", ip, got, err)
		}
	}
}
