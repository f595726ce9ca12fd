package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"exipol/generator/diag"
	"exipol/generator/language"
)

// named is a value that expressions can use: var.NAME, local.NAME or site.NAME.
type named struct {
	name  string // with its kind: "var.limit"
	expr  hcl.Expression
	at    hcl.Range
	want  cty.Type // the type of a variable; cty.NilType for any
	state int      // 0 not looked at, 1 being computed, 2 done
	value cty.Value
	ok    bool
}

// functions must have the names that the language table has.
var functions = map[string]function.Function{
	"concat":    stdlib.ConcatFunc,
	"join":      stdlib.JoinFunc,
	"lower":     stdlib.LowerFunc,
	"split":     stdlib.SplitFunc,
	"trimspace": stdlib.TrimSpaceFunc,
	"upper":     stdlib.UpperFunc,
}

// plainContext is for expressions that use no names.
var plainContext = &hcl.EvalContext{Functions: functions}

// eval computes an expression. False means that it was reported, or rests on
// something that was. The argument, where there is one, makes for better help.
func (l *loader) eval(expr hcl.Expression, arg *language.Argument) (cty.Value, bool) {
	ctx := plainContext
	if refs := expr.Variables(); len(refs) > 0 {
		var ok bool
		if ctx, ok = l.context(refs, arg); !ok {
			return cty.NilVal, false
		}
	}
	v, ds := expr.Value(ctx)
	for _, d := range ds {
		l.hclFault(d, "EP118")
	}
	if ds.HasErrors() {
		return cty.NilVal, false
	}
	if !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	if v.IsNull() {
		l.fail("EP108", expr.Range(), "null is not a value here", "", "leave the argument out")
		return cty.NilVal, false
	}
	return v, true
}

// context holds what the references need, and reports those that name nothing.
// HCL would do so as well, but with a suggestion that changes from run to run.
func (l *loader) context(refs []hcl.Traversal, arg *language.Argument) (*hcl.EvalContext, bool) {
	objects := map[string]map[string]cty.Value{}
	whole := true
	for _, ref := range refs {
		steps := stepNames(ref)
		kind := steps[0]
		if !slices.Contains([]string{"var", "local", "site"}, kind) {
			l.strangeWord(ref, arg)
			whole = false
			continue
		}
		if len(steps) < 2 {
			l.fail("EP104", ref.SourceRange(), fmt.Sprintf("%s needs a name after it", kind), "", fmt.Sprintf("write %s.NAME", kind))
			whole = false
			continue
		}
		n := l.values[kind+"."+steps[1]]
		if n == nil {
			if kind != "site" && l.partial {
				return nil, false
			}
			l.noValue(ref, kind, steps[1])
			whole = false
			continue
		}
		v, ok := l.valueOf(n, ref.SourceRange())
		if !ok {
			whole = false
			continue
		}
		if objects[kind] == nil {
			objects[kind] = map[string]cty.Value{}
		}
		objects[kind][steps[1]] = v
	}
	if !whole {
		return nil, false
	}
	ctx := &hcl.EvalContext{Functions: functions, Variables: map[string]cty.Value{}}
	for kind, members := range objects {
		ctx.Variables[kind] = cty.ObjectVal(members)
	}
	return ctx, true
}

// stepNames are the words of a reference, up to the first step that is not one.
func stepNames(t hcl.Traversal) []string {
	var names []string
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			names = append(names, s.Name)
		case hcl.TraverseAttr:
			names = append(names, s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() != cty.String {
				return names
			}
			names = append(names, s.Key.AsString())
		default:
			return names
		}
	}
	return names
}

// strangeWord reports a bare word where a value is wanted.
func (l *loader) strangeWord(ref hcl.Traversal, arg *language.Argument) {
	word := strings.Join(stepNames(ref), ".")
	summary := fmt.Sprintf("nothing that has a value is named %q", word)
	help := "text stands in double quotes; values are named var.NAME, local.NAME or site.NAME"
	root := ref.RootName()
	switch {
	case arg != nil && slices.Contains(arg.Words, word):
		help = fmt.Sprintf("write it in double quotes: %q", word)
	case root == "list" || root == "pool" || root == "greylist" || root == "limit":
		help = "a reference to a list, pool or policy can only stand in only, except, urgent and spf_pass"
	case root == "notice":
		help = "a notice can only stand in notify"
	case arg != nil && arg.Type == language.Headers:
		help = fieldsHelp(word)
	case headerField(word) != "":
		help = "fields such as ${auth} can only stand in the texts of add_header"
	case arg != nil && arg.Type == language.Text:
		help = "to have the two characters ${ themselves in a text, write $${"
	default:
		if near := nearest(root, []string{"var", "local", "site"}); near != "" && len(ref) > 1 {
			help = fmt.Sprintf("did you mean %s.%s?", near, strings.Join(stepNames(ref)[1:], "."))
		}
	}
	l.fail("EP104", ref.SourceRange(), summary, "", help)
}

// noValue reports a reference to a variable, local or argument of site that is
// not there.
func (l *loader) noValue(ref hcl.Traversal, kind, name string) {
	var candidates []string
	for _, full := range sortedNames(l.values) {
		if rest, ok := strings.CutPrefix(full, kind+"."); ok {
			candidates = append(candidates, rest)
		}
	}
	what := map[string]string{"var": "no variable is named %q", "local": "no local value is named %q", "site": "the site block has no value for %q"}[kind]
	help := ""
	if near := nearest(name, candidates); near != "" {
		help = fmt.Sprintf("did you mean %s.%s%s?", kind, near, l.declaredAt(l.values[kind+"."+near].at))
	} else if len(candidates) > 0 && len(candidates) <= 10 {
		help = "there are: " + strings.Join(candidates, ", ")
	}
	l.fail("EP104", ref.SourceRange(), fmt.Sprintf(what, name), "", help)
}

// declaredAt is ", declared at FILE:LINE:COLUMN", or "" for what has no place.
func (l *loader) declaredAt(at hcl.Range) string {
	if at.Filename == "" || at.Start.Line == 0 {
		return ""
	}
	return fmt.Sprintf(", declared at %s:%d:%d", at.Filename, at.Start.Line, at.Start.Column)
}

// valueOf computes a named value, once.
func (l *loader) valueOf(n *named, from hcl.Range) (cty.Value, bool) {
	switch n.state {
	case 1:
		l.add(diag.Diagnostic{
			Code: "EP118", Severity: diag.Error, Subject: from,
			Summary: fmt.Sprintf("the value of %s depends on itself", n.name),
			Notes:   []diag.Note{{Text: n.name + " is declared here", Range: n.at}},
		})
		return cty.NilVal, false
	case 2:
		return n.value, n.ok
	}
	n.state = 1
	n.value, n.ok = l.eval(n.expr, nil)
	if n.ok && n.want != cty.NilType {
		v, err := convert.Convert(n.value, n.want)
		if err != nil || v.IsNull() {
			l.fail("EP117", n.expr.Range(), fmt.Sprintf("the default of %s is not a %s", n.name, typeName(n.want)), "", "")
			n.ok = false
		} else {
			n.value = v
		}
	}
	n.state = 2
	return n.value, n.ok
}

// declare notes everything that has a name, so that what is written before its
// declaration is found, and what is faulty is not also missing.
func (l *loader) declare(vars map[string]string) {
	for _, b := range l.blocks["list"] {
		l.lists[b.Labels[0]] = labelRange(b)
	}
	for _, b := range l.blocks["pool"] {
		l.pools[b.Labels[0]] = labelRange(b)
	}
	for _, b := range l.blocks["greylist"] {
		l.grey[b.Labels[0]] = labelRange(b)
	}
	for _, b := range l.blocks["notice"] {
		l.notices[b.Labels[0]] = labelRange(b)
	}
	l.variables(vars)
	l.locals()
	l.siteValues()
	for _, name := range sortedNames(l.values) {
		// What nobody uses is computed all the same, for its faults.
		if !strings.HasPrefix(name, "site.") {
			n := l.values[name]
			l.valueOf(n, n.at)
		}
	}
}

func (l *loader) locals() {
	for _, b := range l.blocks["locals"] {
		attrs, ds := b.Body.JustAttributes()
		for _, d := range ds {
			l.hclFault(d, "EP105")
		}
		for _, name := range sortedNames(attrs) {
			a := attrs[name]
			full := "local." + name
			if was := l.values[full]; was != nil {
				l.add(diag.Diagnostic{
					Code: "EP107", Severity: diag.Error, Subject: a.NameRange,
					Summary: full + " is declared twice",
					Notes:   []diag.Note{{Text: "declared here first", Range: was.at}},
				})
				continue
			}
			l.values[full] = &named{name: full, expr: a.Expr, at: a.NameRange}
		}
	}
}

// siteValues makes the arguments of site, and their defaults, available.
func (l *loader) siteValues() {
	var attrs hcl.Attributes
	spec := language.Root.Block("site")
	for _, b := range l.blocks["site"] {
		content, _, _ := b.Body.PartialContent(l.schema(spec))
		attrs = content.Attributes
	}
	for i := range spec.Arguments {
		arg := &spec.Arguments[i]
		n := &named{name: "site." + arg.Name}
		if a := attrs[arg.Name]; a != nil {
			n.expr, n.at = a.Expr, a.NameRange
		} else if arg.Default != "" {
			n.expr = l.defaultOf(arg)
		} else {
			continue
		}
		l.values[n.name] = n
	}
}

// defaultOf is an argument's default as an expression.
func (l *loader) defaultOf(arg *language.Argument) hcl.Expression {
	if e := l.defaults[arg]; e != nil {
		return e
	}
	e, ds := hclsyntax.ParseExpression([]byte(arg.Default), "", hcl.InitialPos)
	if ds.HasErrors() {
		panic("the language table's default of " + arg.Name + " is not an expression") // a test reads them all
	}
	l.defaults[arg] = e
	return e
}
