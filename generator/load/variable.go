package load

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"exipol/generator/language"
)

// variableTypes are the types that a variable can have.
var variableTypes = []struct {
	name string
	typ  cty.Type
}{
	{"string", cty.String},
	{"number", cty.Number},
	{"bool", cty.Bool},
	{"list(string)", cty.List(cty.String)},
}

func typeName(t cty.Type) string {
	for _, v := range variableTypes {
		if v.typ.Equals(t) {
			return v.name
		}
	}
	return t.FriendlyName()
}

// variables reads the variable blocks and the values given from outside.
func (l *loader) variables(given map[string]string) {
	spec := language.Root.Block("variable")
	var names []string
	for _, b := range l.blocks["variable"] {
		names = append(names, b.Labels[0])
		l.variable(l.content(b, spec), given)
	}
	for _, name := range sortedNames(given) {
		if l.values["var."+name] == nil && !l.partial {
			help := choose(name, names)
			if len(names) == 0 {
				help = "the policies declare no variables"
			}
			l.fail("EP117", hcl.Range{}, fmt.Sprintf("a value is given for the variable %q, which is not declared", name), "", help)
		}
	}
}

func (l *loader) variable(c *content, given map[string]string) {
	n := &named{name: "var." + c.name, at: c.at, want: cty.NilType}
	l.values[n.name] = n
	if a := c.attrs["type"]; a != nil {
		t, ok := readType(a.Expr)
		if !ok {
			l.fail("EP109", a.Expr.Range(), "this is not a type", "", "expected one of: string, number, bool, list(string)")
			n.state = 2
			return
		}
		n.want = t
	}
	if a := c.attrs["default"]; a != nil {
		n.expr = a.Expr
		if n.want == cty.NilType {
			l.defaultType(n)
		}
	}
	if n.want == cty.NilType {
		n.want = cty.String
	}
	l.text(c, "description")
	text, ok := given[c.name]
	switch {
	case ok:
		if n.expr != nil && n.state == 0 {
			l.valueOf(n, n.at) // for the faults of the default
		}
		n.state = 2
		n.value, n.ok = l.givenValue(n, text)
	case n.expr == nil && n.state == 0:
		l.fail("EP117", c.at, fmt.Sprintf("the variable %q has no value", c.name), "",
			fmt.Sprintf("give it a default, or a value: --var %s=..., or EXIPOL_VAR_%s=... in the environment", c.name, c.name))
		n.state = 2
	}
}

// defaultType gives a variable without a type that of its default.
func (l *loader) defaultType(n *named) {
	v, ok := l.eval(n.expr, nil)
	if !ok {
		n.state = 2
		return
	}
	for _, t := range variableTypes {
		if v.Type().Equals(t.typ) {
			n.want = t.typ
			return
		}
	}
	if list := cty.List(cty.String); v.Type().IsTupleType() {
		if _, err := convert.Convert(v, list); err == nil {
			n.want = list
			return
		}
	}
	l.fail("EP117", n.expr.Range(), fmt.Sprintf("the default of %s is of no type that a variable can have", n.name), "", "a variable is a string, number, bool or list(string)")
	n.state = 2
}

func readType(expr hcl.Expression) (cty.Type, bool) {
	text := hcl.ExprAsKeyword(expr)
	if call, ds := hcl.ExprCall(expr); !ds.HasErrors() && len(call.Arguments) == 1 {
		text = call.Name + "(" + hcl.ExprAsKeyword(call.Arguments[0]) + ")"
	}
	for _, t := range variableTypes {
		if t.name == text {
			return t.typ, true
		}
	}
	return cty.NilType, false
}

// givenValue reads a value from the command line or the environment.
func (l *loader) givenValue(n *named, text string) (cty.Value, bool) {
	v := cty.StringVal(text)
	if n.want.IsListType() {
		if _, deep := tooDeep("", []byte(text), false); !deep {
			e, ds := hclsyntax.ParseExpression([]byte(strings.TrimSpace(text)), "", hcl.InitialPos)
			if !ds.HasErrors() {
				v, ds = e.Value(nil)
			}
			if ds.HasErrors() || !v.IsWhollyKnown() || !v.CanIterateElements() {
				v = cty.StringVal(text)
			}
		}
	}
	out, err := convert.Convert(v, n.want)
	if err != nil || out.IsNull() || !out.IsWhollyKnown() {
		help := ""
		if n.want.IsListType() {
			help = `write a list, as in ["a", "b"]`
		}
		l.fail("EP117", n.at, fmt.Sprintf("the value given for %s, %q, is not a %s", n.name, text, typeName(n.want)), "", help)
		return cty.NilVal, false
	}
	return out, true
}
