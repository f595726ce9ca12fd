package load

import (
	"fmt"
	"slices"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// shared are the events that a share can be of.
var shared = []string{plan.Recipient, plan.Message}

// count reads count = distinct(PART) or share(EVENT). Neither: events are counted.
func (l *loader) count(c *content) (distinct *policy.Part, share *policy.Value[string]) {
	a := c.attrs["count"]
	if a == nil {
		return nil, nil
	}
	inner, ok := call(a.Expr)
	if !ok || inner.Name != "distinct" && inner.Name != "share" || len(inner.Arguments) != 1 {
		l.fail("EP108", a.Expr.Range(), "count must be distinct(...) of one word of keys, or share(...) of an event", "",
			"for example: distinct(recipient), or share(recipient); leave count out to count events")
		return nil, nil
	}
	of := inner.Arguments[0]
	if inner.Name == "distinct" {
		if p, ok := l.part(of); ok {
			p.Range = unquote(a.Expr, p.Range)
			return &p, nil
		}
		return nil, nil
	}
	word, at, ok := bare(of)
	if !ok || !slices.Contains(shared, word) {
		l.fail("EP108", unquote(a.Expr, of.Range()), "a share is of the event recipient or message", "", "for example: share(recipient)")
		return nil, nil
	}
	return nil, &policy.Value[string]{V: word, Range: unquote(a.Expr, at), Set: true}
}

// words reads a list of the argument's words, in quotes.
func (l *loader) words(c *content, name string) []policy.Value[string] {
	before := l.errors
	out := l.distinct(name, readList(l, c, name, func(f field) (string, bool) {
		s, ok := f.str()
		if ok && !slices.Contains(f.arg.Words, s) {
			f.fail("EP109", fmt.Sprintf("%s cannot have %q", f.arg.Name, s), choose(s, f.arg.Words))
			ok = false
		}
		return s, ok
	}))
	if a := c.attrs[name]; a != nil && len(out) == 0 && l.errors == before {
		l.emptyList(a.Expr.Range(), name)
	}
	return out
}

// bareWords reads a list of the argument's words, without quotes.
func (l *loader) bareWords(c *content, name string) []policy.Value[string] {
	arg := c.spec.Argument(name)
	var out []policy.Value[string]
	for _, e := range l.static(c, name, "words", "["+arg.Words[0]+"]") {
		word, at, ok := bare(e)
		switch {
		case !ok:
			l.notBare(e, "one of "+orList(arg.Words), fmt.Sprintf("%s = [%s]", name, arg.Words[0]))
		case !slices.Contains(arg.Words, word):
			l.fail("EP109", at, fmt.Sprintf("%s cannot have %s", name, word), "", choose(word, arg.Words))
		default:
			out = append(out, policy.Value[string]{V: word, Range: at, Set: true})
		}
	}
	return l.distinct(name, out)
}
