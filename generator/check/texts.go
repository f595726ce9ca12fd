package check

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// longestLine is how much of a reply fits into a line: RFC 5321, 4.5.3.1.5 has 512
// bytes with the code and the line's end.
const longestLine = 500

// messageTexts: a reply that an SMTP client can be given.
func messageTexts(c *checker) {
	for _, g := range c.set.Greylists {
		c.message(g.Message)
	}
	refusal := func(verdict, text policy.Value[string]) {
		switch verdict.V {
		case plan.Drop, plan.Deny, plan.Defer:
			c.message(text)
		}
	}
	c.eachTier(func(_ *policy.Limit, t *policy.Tier) {
		refusal(t.Verdict, t.Message)
		if t.Block != nil {
			refusal(t.Block.Verdict, t.Block.Message)
		}
	})
}

func (c *checker) message(m policy.Value[string]) {
	if strings.TrimSpace(m.V) == "" {
		c.fail("EP209", m.Range, "the text of a reply is empty", "leave the argument out for the default text")
		return
	}
	for _, line := range strings.Split(strings.TrimSuffix(m.V, "\n"), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
			c.fail("EP209", m.Range, "the text of a reply holds a control character", "only newlines and tabs are possible")
			return
		}
		if strings.TrimSpace(line) == "" {
			c.fail("EP209", m.Range, "the text of a reply has an empty line", "")
			return
		}
		if len(line) > longestLine {
			c.fail("EP209", m.Range, fmt.Sprintf("a line of a reply has at most %d bytes, this one has %d", longestLine, len(line)), "break it with \\n")
			return
		}
	}
}

// headerTexts: RFC 5322, 2.2: a name of printable characters without a colon, and
// one line of text.
func headerTexts(c *checker) {
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		c.headers(lim, t.AddHeader)
		if t.Block != nil {
			c.headers(lim, t.Block.AddHeader)
		}
	})
}

// headers judges the headers that are added to a message.
func (c *checker) headers(lim *policy.Limit, headers []policy.Header) {
	first := map[string]hcl.Range{}
	for _, h := range headers {
		name := h.Name.V
		if name == "" || len(name) > 76 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			c.fail("EP210", h.Name.Range, fmt.Sprintf("%q cannot be the name of a header", name), "printable ASCII without blanks and colons, at most 76 characters")
		}
		if was, twice := first[strings.ToLower(name)]; twice {
			c.fail("EP210", h.Name.Range, fmt.Sprintf("the header %s is added twice", name), "", note(was, "it is here already"))
		}
		first[strings.ToLower(name)] = h.Name.Range
		text := ""
		for _, piece := range h.Value.V {
			text += piece.Text
			// Headers are added where there is a recipient, whatever is counted.
			if why, ok := known(piece.Field, plan.Recipient, lim.Traffic.V); piece.Field != "" && !ok {
				field := strings.Replace(piece.Field, "client", "client.ip", 1)
				c.warn("EP210", h.Value.Range, fmt.Sprintf("the field %s of this header is always empty: %s", field, why), "")
			}
		}
		switch {
		case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
			c.fail("EP210", h.Value.Range, "the text of a header is one line, without control characters", "")
		case len(text) > 900: // RFC 5322, 2.1.1: a line has at most 998 characters
			c.fail("EP210", h.Value.Range, "the text of a header has at most 900 bytes", "")
		}
	}
}
