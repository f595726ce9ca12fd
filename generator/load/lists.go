package load

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// listSources are a list's arguments, each with the field that its entries have.
var listSources = []struct{ argument, field string }{
	{"clients", "client"}, {"senders", "sender"}, {"recipients", "recipient"}, {"auth", "auth"}, {"users", "user"},
}

// pattern reads what an entry of a field is.
func pattern(field string) func(field) (string, bool) {
	switch field {
	case "client":
		return fieldNetwork
	case "sender":
		return fieldSender
	case "recipient":
		return fieldRecipient
	}
	return fieldID
}

func fieldNetwork(f field) (string, bool) {
	p, ok := f.network()
	return networkText(p), ok
}

// networkText is a network as the plan has it.
func networkText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func fieldSender(f field) (string, bool)    { return f.address(true) }
func fieldRecipient(f field) (string, bool) { return f.address(false) }
func fieldID(f field) (string, bool)        { return f.id() }

func (l *loader) list(b *hcl.Block) *policy.List {
	c := l.content(b, language.Root.Block("list"))
	list := &policy.List{Name: c.name, DeclRange: c.at}
	for _, s := range listSources {
		if c.attrs[s.argument] == nil {
			continue
		}
		for _, v := range readList(l, c, s.argument, pattern(s.field)) {
			list.Entries = append(list.Entries, policy.Entry{Field: s.field, Pattern: v})
		}
	}
	list.Reviewed = read(l, c, "reviewed", field.day)
	for _, inner := range c.blocks["learn"] {
		if learn := l.learn(inner, c.spec.Block("learn")); learn != nil && !l.learnsTwice(list, learn) {
			list.Learn = append(list.Learn, learn)
		}
	}
	for _, inner := range c.blocks["entry"] {
		e := l.content(inner, c.spec.Block("entry"))
		name := l.only(e, true, language.ListFields...)
		entry := policy.Entry{Field: name, Until: read(l, e, "until", field.until), Why: l.text(e, "why"), Owner: l.text(e, "owner")}
		if name != "" {
			entry.Pattern = read(l, e, name, pattern(name))
		}
		if !l.faulty(e) {
			list.Entries = append(list.Entries, entry)
		}
	}
	if l.faulty(c) {
		return nil
	}
	return list
}

// learn reads a list's learn block.
func (l *loader) learn(b *hcl.Block, spec *language.Block) *policy.Learn {
	c := l.content(b, spec)
	learn := &policy.Learn{
		DeclRange: c.at,
		Traffic:   read(l, c, "traffic", field.learnTraffic),
		From:      l.bareWord(c, "from"),
		Remember:  l.duration(c, "remember"),
	}
	if l.faulty(c) {
		return nil
	}
	return learn
}

// bareWord reads one of the argument's words, written without quotes (in the JSON form
// a string holds it).
func (l *loader) bareWord(c *content, name string) policy.Value[string] {
	arg := c.spec.Argument(name)
	out := policy.Value[string]{V: arg.Default, Range: c.at}
	a := c.attrs[name]
	if a == nil {
		return out
	}
	word, at, ok := bare(a.Expr)
	if !ok {
		l.notBare(a.Expr, "one of "+orList(arg.Words), fmt.Sprintf("%s = %s", name, arg.Words[0]))
		return out
	}
	if !slices.Contains(arg.Words, word) {
		l.fail("EP109", at, fmt.Sprintf("%s cannot be %s", name, word), "", choose(word, arg.Words))
		return out
	}
	return policy.Value[string]{V: word, Range: at, Set: true}
}

// learnTraffic reads whose messages a list learns from.
func (f field) learnTraffic() (string, bool) {
	s, ok := f.str()
	if !ok || slices.Contains(f.arg.Words, s) {
		return s, ok
	}
	if s == plan.Inbound {
		f.l.fail("EP109", f.at(), "a list does not learn from inbound mail", "Strangers would put each other on the list, by writing to each other through this site.",
			"it learns from what one's own users send: submission, relay or local")
		return "", false
	}
	f.fail("EP109", fmt.Sprintf("%s cannot be %q", f.arg.Name, s), choose(s, f.arg.Words))
	return "", false
}

// learnsTwice reports a learn block that says what another one of the list has said.
func (l *loader) learnsTwice(list *policy.List, learn *policy.Learn) bool {
	i := slices.IndexFunc(list.Learn, func(was *policy.Learn) bool {
		return was.Traffic.V == learn.Traffic.V && was.From.V == learn.From.V
	})
	if i < 0 {
		return false
	}
	l.add(diag.Diagnostic{
		Code: "EP107", Severity: diag.Error, Subject: learn.DeclRange,
		Summary: fmt.Sprintf("this list learns %s from %s traffic twice", learn.From.V, learn.Traffic.V),
		Notes:   []diag.Note{{Text: "it does so here already", Range: list.Learn[i].DeclRange}},
	})
	return true
}

// pool reads a named pool.
func (l *loader) pool(b *hcl.Block) *policy.Pool {
	c := l.content(b, language.Root.Block("pool"))
	pool := &policy.Pool{
		Name: c.name, DeclRange: c.at,
		SPF:     l.distinct("spf", readList(l, c, "spf", field.host)),
		Clients: readList(l, c, "clients", field.network),
	}
	if !l.faulty(c) && len(pool.SPF) == 0 && len(pool.Clients) == 0 {
		if c.attrs["spf"] == nil && c.attrs["clients"] == nil {
			l.fail("EP106", c.at, "this pool has neither spf nor clients", "It needs at least one of them, to know its addresses.", `for example: spf = ["_spf.example.com"]`)
		} else {
			l.fail("EP123", c.at, "this pool has no addresses: spf and clients are empty", "", "")
		}
	}
	if l.faulty(c) {
		return nil
	}
	return pool
}

// distinct leaves out what stands in a list twice, and reports it.
func (l *loader) distinct(name string, values []policy.Value[string]) []policy.Value[string] {
	first := map[string]hcl.Range{}
	out := values[:0:0]
	for _, v := range values {
		if was, twice := first[v.V]; twice {
			l.add(diag.Diagnostic{
				Code: "EP107", Severity: diag.Error, Subject: v.Range,
				Summary: fmt.Sprintf("%s stands in %s twice", v.V, name),
				Notes:   []diag.Note{{Text: "it is here already", Range: was}},
			})
			continue
		}
		first[v.V] = v.Range
		out = append(out, v)
	}
	return out
}
