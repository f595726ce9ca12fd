package load

import (
	"cmp"
	"fmt"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/policy"
)

// content is a block's content, its names checked against the language table.
type content struct {
	spec   *language.Block
	name   string    // its label
	at     hcl.Range // its header
	attrs  hcl.Attributes
	blocks map[string][]*hcl.Block
	errors int // how many errors there were before it
}

// content reads a block's body and reports names that do not belong there, and
// what is missing.
func (l *loader) content(b *hcl.Block, spec *language.Block) *content {
	c := &content{spec: spec, at: declRange(b), errors: l.errors, blocks: map[string][]*hcl.Block{}}
	if len(b.Labels) > 0 {
		c.name = b.Labels[0]
	}
	body, ds := b.Body.Content(l.schema(spec))
	l.contentFaults(ds, spec)
	c.attrs = body.Attributes
	for _, inner := range body.Blocks {
		c.blocks[inner.Type] = append(c.blocks[inner.Type], inner)
	}
	for i := range spec.Blocks {
		s := &spec.Blocks[i]
		if s.Required && len(c.blocks[s.Name]) == 0 {
			l.fail("EP106", c.at, fmt.Sprintf("this %s has no %s block", spec.Title(), s.Name), s.Doc, "")
		}
		c.blocks[s.Name] = l.unique(s, c.blocks[s.Name])
	}
	for i := range spec.Arguments {
		a := &spec.Arguments[i]
		if a.Required && c.attrs[a.Name] == nil {
			l.fail("EP106", c.at, fmt.Sprintf("this %s has no argument %q", spec.Title(), a.Name), a.Doc, "")
		}
	}
	return c
}

// faulty says whether anything in the block was reported as an error.
func (l *loader) faulty(c *content) bool { return l.errors > c.errors }

// block finds the content of a nested block that stands there at most once; nil
// where it does not stand there.
func (l *loader) block(c *content, name string) *content {
	if len(c.blocks[name]) == 0 {
		return nil
	}
	return l.content(c.blocks[name][0], c.spec.Block(name))
}

// only reports all but the first where more than one of these stand in a block,
// and reports their absence where one must. It returns the one that is there.
func (l *loader) only(c *content, must bool, names ...string) string {
	var found string
	var first hcl.Range
	for _, name := range names {
		var at hcl.Range
		if a := c.attrs[name]; a != nil {
			at = a.NameRange
		} else if bs := c.blocks[name]; len(bs) > 0 {
			at = bs[0].TypeRange
		} else {
			continue
		}
		if found != "" {
			l.add(diag.Diagnostic{
				Code: "EP122", Severity: diag.Error, Subject: at,
				Summary: fmt.Sprintf("%s and %s exclude each other", found, name),
				Notes:   []diag.Note{{Text: found + " is here", Range: first}},
			})
			continue
		}
		found, first = name, at
	}
	if found == "" && must {
		l.fail("EP106", c.at, fmt.Sprintf("this %s has none of %s", c.spec.Name, orList(names)), "It needs exactly one of them.", "")
	}
	return found
}

// orList is "a, b and c" for messages.
func orList(names []string) string {
	out := ""
	for i, n := range names {
		switch {
		case i > 0 && i == len(names)-1:
			out += " and "
		case i > 0:
			out += ", "
		}
		out += n
	}
	return out
}

var namePattern = regexp.MustCompile(language.NamePattern)

// label checks the label of a block.
func (l *loader) label(spec *language.Block, b *hcl.Block) {
	name, at := b.Labels[0], labelRange(b)
	if len(spec.Kinds) > 0 {
		if spec.Of(name) == nil {
			l.fail("EP109", at, fmt.Sprintf("%q is not a %s of %s", name, spec.Label, spec.Name), "", cmp.Or(spec.Hint(name).Help, choose(name, spec.Words())))
		}
		return
	}
	if !namePattern.MatchString(name) {
		l.fail("EP113", at, fmt.Sprintf("%q cannot be the name of a %s", name, spec.Name),
			"A name is of lower-case letters, digits and underscores, begins with a letter and has at most 48 characters.", "")
	}
}

// field is one value that is being read: an argument, or an item of a list.
type field struct {
	l    *loader
	arg  *language.Argument
	expr hcl.Expression
	val  cty.Value
	set  bool
}

func (f field) at() hcl.Range { return f.expr.Range() }

func (f field) fail(code, summary, help string) { f.l.fail(code, f.at(), summary, "", help) }

// wrongType reports a value of another type than wanted.
func (f field) wrongType(want, help string) {
	f.fail("EP108", fmt.Sprintf("%s must be %s, not %s", f.arg.Name, want, kindOf(f.val)), help)
}

// kindOf puts a value's type into a word.
func kindOf(v cty.Value) string {
	t := v.Type()
	switch {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return "a list"
	case t.IsObjectType() || t.IsMapType():
		return "a group in braces"
	}
	return "a " + t.FriendlyName()
}

// str is the value as a string.
func (f field) str() (string, bool) {
	if f.val.Type() == cty.String && !f.val.IsNull() {
		return f.val.AsString(), true
	}
	help := ""
	if src := f.l.source(f.at()); f.val.Type() == cty.Number || f.val.Type() == cty.Bool {
		help = fmt.Sprintf("write it in double quotes: %q", src)
	}
	f.wrongType("a string", help)
	return "", false
}

// field evaluates an argument, or its default. False: there is neither, or it
// was reported.
func (l *loader) field(c *content, name string) (field, bool) {
	arg := c.spec.Argument(name)
	if arg == nil {
		panic("the language table has no argument " + c.spec.Name + "." + name)
	}
	f := field{l: l, arg: arg}
	if a := c.attrs[name]; a != nil {
		f.expr, f.set = a.Expr, true
	} else if arg.Default != "" {
		f.expr = l.defaultOf(arg)
	} else {
		return f, false
	}
	v, ok := l.eval(f.expr, arg)
	f.val = v
	return f, ok
}

// read reads an argument with a function for its type. Where it is faulty the
// default is in the Value, with Set false.
func read[T any](l *loader, c *content, name string, convert func(field) (T, bool)) policy.Value[T] {
	out := policy.Value[T]{Range: c.at}
	f, ok := l.field(c, name)
	if f.expr == nil {
		return out
	}
	if f.set {
		out.Range = f.at()
	}
	if ok {
		if out.V, ok = convert(f); ok {
			out.Set = f.set
			return out
		}
	}
	if f.arg.Default != "" {
		f.expr, f.set = l.defaultOf(f.arg), false
		f.val, _ = l.eval(f.expr, f.arg)
		out.V, _ = convert(f)
	}
	return out
}

// readList reads an argument that is a list, item by item.
func readList[T any](l *loader, c *content, name string, convert func(field) (T, bool)) []policy.Value[T] {
	f, ok := l.listField(c, name)
	if !ok {
		return nil
	}
	var out []policy.Value[T]
	for _, item := range f {
		if v, ok := convert(item); ok {
			at := c.at
			if item.set {
				at = item.at()
			}
			out = append(out, policy.Value[T]{V: v, Range: at, Set: item.set})
		}
	}
	return out
}

// listField evaluates the items of a list, each with its own place where it was
// written as a list.
func (l *loader) listField(c *content, name string) ([]field, bool) {
	arg := c.spec.Argument(name)
	if a := c.attrs[name]; a != nil {
		if exprs, ds := hcl.ExprList(a.Expr); !ds.HasErrors() {
			var out []field
			for _, e := range exprs {
				if v, ok := l.eval(e, arg); ok {
					out = append(out, field{l, arg, e, v, true})
				}
			}
			return out, true
		}
	}
	f, ok := l.field(c, name)
	if !ok {
		return nil, false
	}
	if t := f.val.Type(); !t.IsTupleType() && !t.IsListType() {
		help := ""
		if t == cty.String {
			help = "write it in brackets: [" + l.source(f.at()) + "]"
		}
		f.wrongType("a list", help)
		return nil, false
	}
	var out []field
	for it := f.val.ElementIterator(); it.Next(); {
		_, v := it.Element()
		if v.IsNull() {
			f.fail("EP108", "null is not a value here", "")
			return nil, false
		}
		out = append(out, field{l, arg, f.expr, v, f.set})
	}
	return out, true
}

// inside is the place of part of a string: n bytes from offset on, where the
// string is written out in the source as it is; else the whole expression.
func (f field) inside(offset, n int) hcl.Range {
	at := f.at()
	s := f.val.AsString()
	if f.l.source(at) != `"`+s+`"` {
		return at
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return at // columns are not bytes
		}
	}
	if offset >= len(s) { // something is missing at the end: point at the closing quote
		offset, n = len(s), 1
	}
	at.Start.Byte += 1 + offset
	at.Start.Column += 1 + offset
	at.End = at.Start
	at.End.Byte += n
	at.End.Column += n
	return at
}
