package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// Names of things (events, keys, lists) are read as they stand, not evaluated:
// bare words, or in the JSON form strings that hold them.

// bare reads a bare word with dots: "client.net". The range is that of the word,
// in the JSON form inside the quotes.
func bare(expr hcl.Expression) (word string, at hcl.Range, ok bool) {
	t, ds := hcl.AbsTraversalForExpr(expr)
	if ds.HasErrors() {
		return "", expr.Range(), false
	}
	names := stepNames(t)
	if len(names) != len(t) {
		return "", expr.Range(), false
	}
	return strings.Join(names, "."), unquote(expr, t.SourceRange()), true
}

// call reads a call: "net(client.ip, 24, 64)".
func call(expr hcl.Expression) (*hcl.StaticCall, bool) {
	c, ds := hcl.ExprCall(expr)
	return c, !ds.HasErrors()
}

// unquote moves a range that HCL counts from a JSON string's quote to its text.
func unquote(expr hcl.Expression, at hcl.Range) hcl.Range {
	if _, native := expr.(hclsyntax.Expression); native {
		return at
	}
	at.Start.Byte++
	at.Start.Column++
	at.End.Byte++
	at.End.Column++
	return at
}

// notBare reports something else where the name of a thing is wanted.
func (l *loader) notBare(expr hcl.Expression, what, example string) {
	help := "for example: " + example
	if src := l.source(expr.Range()); len(src) > 2 && len(src) < 60 && src[0] == '"' && strings.Trim(src, `"abcdefghijklmnopqrstuvwxyz0123456789_.`) == "" {
		if _, native := expr.(hclsyntax.Expression); native {
			help = "write it without quotes: " + strings.Trim(src, `"`)
		}
	}
	l.fail("EP108", expr.Range(), fmt.Sprintf("this must be %s, written out", what), "", help)
}

// static reads the items of a list that must be written out.
func (l *loader) static(c *content, name, what, example string) []hcl.Expression {
	a := c.attrs[name]
	var expr hcl.Expression
	if a != nil {
		expr = a.Expr
	} else if arg := c.spec.Argument(name); arg.Default != "" {
		expr = l.defaultOf(arg)
	} else {
		return nil
	}
	items, ds := hcl.ExprList(expr)
	if ds.HasErrors() {
		l.fail("EP108", expr.Range(), fmt.Sprintf("%s must be a list of %s, written out", name, what), "", "for example: "+example)
		return nil
	}
	if len(items) == 0 && name != "except" {
		l.emptyList(expr.Range(), name)
	}
	return items
}

// key reads the parts of a key.
func (l *loader) key(c *content, name string) []policy.Part {
	var parts []policy.Part
	for _, e := range l.static(c, name, "the words of keys", "[client.net, sender]") {
		p, ok := l.part(e)
		if !ok {
			continue
		}
		if c.attrs[name] == nil {
			p.Range = c.at
		}
		if i := slices.IndexFunc(parts, func(was policy.Part) bool { return was.Part == p.Part }); i >= 0 {
			l.add(diag.Diagnostic{
				Code: "EP107", Severity: diag.Error, Subject: p.Range,
				Summary: fmt.Sprintf("%s stands in this key twice", p.Text),
				Notes:   []diag.Note{{Text: "it is here already", Range: parts[i].Range}},
			})
			continue
		}
		parts = append(parts, p)
	}
	return parts
}

func keyWords() []string {
	var words []string
	for _, k := range language.KeyFields {
		words = append(words, k.Text)
	}
	return words
}

// part reads one word of a key, or net(client.ip, V4, V6).
func (l *loader) part(expr hcl.Expression) (policy.Part, bool) {
	if c, ok := call(expr); ok {
		return l.netPart(expr, c)
	}
	word, at, ok := bare(expr)
	if !ok {
		l.notBare(expr, "a word of keys", "client.net")
		return policy.Part{}, false
	}
	for _, k := range language.KeyFields {
		if k.Text == word {
			return policy.Part{Part: plan.Part{Field: k.Field, V4: k.V4, V6: k.V6}, Text: word, Range: at}, true
		}
	}
	l.fail("EP115", at, fmt.Sprintf("%q is not a word of keys", word), "The words are: "+strings.Join(keyWords(), ", ")+", and net(client.ip, V4, V6).", meant(word, keyWords()))
	return policy.Part{}, false
}

func (l *loader) netPart(expr hcl.Expression, c *hcl.StaticCall) (policy.Part, bool) {
	const form = "net(client.ip, 24, 64) is the first 24 bits of an IPv4 address, or 64 of an IPv6 address"
	at := expr.Range()
	if c.Name != "net" {
		l.fail("EP115", at, fmt.Sprintf("%q is not a function of keys", c.Name), "", form)
		return policy.Part{}, false
	}
	if len(c.Arguments) != 3 {
		l.fail("EP115", at, "net has three arguments", "", form)
		return policy.Part{}, false
	}
	if word, _, ok := bare(c.Arguments[0]); !ok || word != "client.ip" {
		l.fail("EP115", c.Arguments[0].Range(), "the first argument of net is client.ip", "", form)
		return policy.Part{}, false
	}
	bits := [2]int64{}
	for i, most := range []int64{32, 128} {
		arg := c.Arguments[i+1]
		v, ok := l.eval(arg, nil)
		if !ok {
			return policy.Part{}, false
		}
		n, ok := wholeNumber(v)
		if !ok || n < 1 || n > most {
			l.fail("EP115", unquote(expr, arg.Range()), fmt.Sprintf("a prefix length of IPv%d is a number from 1 to %d", []int{4, 6}[i], most), "", form)
			return policy.Part{}, false
		}
		bits[i] = n
	}
	return policy.Part{
		Part:  plan.Part{Field: "client", V4: int(bits[0]), V6: int(bits[1])},
		Text:  fmt.Sprintf("net(client.ip, %d, %d)", bits[0], bits[1]),
		Range: at,
	}, true
}

func eventWords() []string {
	var words []string
	for _, e := range language.EventWords {
		words = append(words, e.Name)
	}
	return words
}

func (l *loader) eventName(word string, at hcl.Range) bool {
	if slices.Contains(eventWords(), word) {
		return true
	}
	l.fail("EP114", at, fmt.Sprintf("%q is not an event", word), "The events are: "+strings.Join(eventWords(), ", ")+".", meant(word, eventWords()))
	return false
}

// events reads event or events.
func (l *loader) events(c *content) []policy.Event {
	switch l.only(c, true, "event", "events") {
	case "event":
		expr := c.attrs["event"].Expr
		word, at, ok := bare(expr)
		if !ok {
			l.notBare(expr, "the name of an event", "event = recipient")
			return nil
		}
		if !l.eventName(word, at) {
			return nil
		}
		return []policy.Event{{
			Name:   policy.Value[string]{V: word, Range: at, Set: true},
			Weight: policy.Value[int64]{V: 1, Range: at},
		}}
	case "events":
		return l.weights(c)
	}
	return nil
}

func (l *loader) weights(c *content) []policy.Event {
	expr := c.attrs["events"].Expr
	pairs, ds := hcl.ExprMap(expr)
	if ds.HasErrors() {
		l.fail("EP108", expr.Range(), "events must be events with their weights, written out", "", "for example: { unknown_recipient = 1, helo = 3 }")
		return nil
	}
	if len(pairs) == 0 {
		l.emptyList(expr.Range(), "events")
	}
	arg := *c.spec.Argument("events")
	arg.Name, arg.Min = "the weight of an event", 1
	var out []policy.Event
	for _, p := range l.pairs(pairs) {
		if !l.eventName(p.name, p.at) {
			continue
		}
		v, ok := l.eval(p.expr, &arg)
		if !ok {
			continue
		}
		if n, ok := (field{l, &arg, p.expr, v, true}).number(); ok {
			out = append(out, policy.Event{
				Name:   policy.Value[string]{V: p.name, Range: p.at, Set: true},
				Weight: policy.Value[int64]{V: n, Range: p.expr.Range(), Set: true},
			})
		}
	}
	return out
}

// pair is an item of a group in braces.
type pair struct {
	name string
	at   hcl.Range
	expr hcl.Expression
}

// pairs reads the names of items, and reports those that stand there twice.
func (l *loader) pairs(items []hcl.KeyValuePair) []pair {
	var out []pair
	first := map[string]hcl.Range{}
	for _, item := range items {
		at := item.Key.Range()
		v, ds := item.Key.Value(nil)
		if ds.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
			l.fail("EP108", at, "this must be a name, written out", "", "")
			continue
		}
		name := v.AsString()
		if was, twice := first[name]; twice {
			l.add(diag.Diagnostic{
				Code: "EP107", Severity: diag.Error, Subject: at,
				Summary: fmt.Sprintf("%q stands here twice", name),
				Notes:   []diag.Note{{Text: "it is here already", Range: was}},
			})
			continue
		}
		first[name] = at
		out = append(out, pair{name, at, item.Value})
	}
	return out
}
