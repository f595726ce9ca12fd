package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// headers reads add_header.
func (l *loader) headers(c *content) []policy.Header {
	a := c.attrs["add_header"]
	if a == nil {
		return nil
	}
	items, ds := hcl.ExprMap(a.Expr)
	if ds.HasErrors() {
		l.fail("EP108", a.Expr.Range(), "add_header must be names and texts, written out", "", `for example: { "X-Slow" = "yes" }`)
		return nil
	}
	if len(items) == 0 {
		l.emptyList(a.Expr.Range(), "add_header")
	}
	arg := *c.spec.Argument("add_header")
	arg.Name = "the text of a header"
	var out []policy.Header
	for _, p := range l.pairs(items) {
		if pieces, ok := l.pieces(p.expr, &arg); ok {
			out = append(out, policy.Header{
				Name:  policy.Value[string]{V: p.name, Range: p.at, Set: true},
				Value: policy.Value[[]plan.Piece]{V: pieces, Range: p.expr.Range(), Set: true},
			})
		}
	}
	return out
}

// pieces reads the text of a header: literal text, with fields between that have no value
// before Exim gives them one. So it is taken apart instead of computed.
func (l *loader) pieces(expr hcl.Expression, arg *language.Argument) ([]plan.Piece, bool) {
	text := template(expr)
	if !namesField(text) {
		v, ok := l.eval(expr, arg)
		if !ok {
			return nil, false
		}
		s, ok := (field{l, arg, expr, v, true}).str()
		return []plan.Piece{{Text: s}}, ok
	}
	var parts []hclsyntax.Expression
	switch t := text.(type) {
	case *hclsyntax.TemplateExpr:
		parts = t.Parts
	case *hclsyntax.TemplateWrapExpr:
		parts = []hclsyntax.Expression{t.Wrapped}
	case *hclsyntax.ScopeTraversalExpr:
		word, at, _ := bare(t)
		help := fmt.Sprintf("write it in double quotes: \"${%s}\"", word)
		if headerField(word) == "" {
			help = fieldsHelp(word)
		}
		l.fail("EP104", at, fmt.Sprintf("nothing that has a value is named %q", word), "", help)
		return nil, false
	default:
		l.fieldInside(text)
		return nil, false
	}
	var out []plan.Piece
	whole := true
	for _, part := range parts {
		piece, ok := l.piece(part, arg)
		whole = whole && ok
		if last := len(out) - 1; last >= 0 && out[last].Field == "" && piece.Field == "" {
			out[last].Text += piece.Text
		} else if ok {
			out = append(out, piece)
		}
	}
	return out, whole
}

// piece reads one part of a text that names fields.
func (l *loader) piece(part hclsyntax.Expression, arg *language.Argument) (plan.Piece, bool) {
	if t, ok := part.(*hclsyntax.ScopeTraversalExpr); ok {
		if word, _, ok := bare(t); ok {
			if name := headerField(word); name != "" {
				return plan.Piece{Field: name}, true
			}
		}
	} else if namesField(part) {
		l.fieldInside(part)
		return plan.Piece{}, false
	}
	v, ok := l.eval(part, arg)
	if !ok {
		return plan.Piece{}, false
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		l.fail("EP108", part.Range(), fmt.Sprintf("a text cannot hold %s", kindOf(v)), "", "")
		return plan.Piece{}, false
	}
	return plan.Piece{Text: s.AsString()}, true
}

// fieldInside reports a field that something is done with.
func (l *loader) fieldInside(expr hcl.Expression) {
	l.fail("EP104", expr.Range(), "a field of a header stands alone in its ${...}", "Exim fills it in when a message comes: nothing can be computed of it here.",
		`for example: "${auth} at ${client.ip}"`)
}

// template is an expression as HCL's own syntax has it; a string of the JSON form is a
// template. Where it cannot be read as one, evaluating it says why.
func template(expr hcl.Expression) hcl.Expression {
	if _, native := expr.(hclsyntax.Expression); native {
		return expr
	}
	v, ds := expr.Value(nil) // the string as it stands, not as a template
	if ds.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return expr
	}
	start := expr.Range().Start
	start.Byte++
	start.Column++
	t, ds := hclsyntax.ParseTemplate([]byte(v.AsString()), expr.Range().Filename, start)
	if ds.HasErrors() {
		return expr
	}
	return t
}

// headerField is the field that a word stands for in the text of a header, "" for none.
func headerField(word string) string {
	for _, f := range language.HeaderFields {
		if f.Text == word {
			return f.Field
		}
	}
	return ""
}

// namesField says whether an expression names a field, or something that looks like one.
func namesField(expr hcl.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool {
		return slices.ContainsFunc(language.HeaderFields, func(f language.HeaderField) bool {
			root, _, _ := strings.Cut(f.Text, ".")
			return t.RootName() == root
		})
	})
}

// fieldsHelp is help for a word that is no field of a header.
func fieldsHelp(word string) string {
	var words []string
	for _, f := range language.HeaderFields {
		words = append(words, f.Text)
	}
	if near := nearest(word, words); near != "" {
		return fmt.Sprintf("did you mean ${%s}?", near)
	}
	return "the fields of a header are " + orList(words) + "; values are named var.NAME, local.NAME or site.NAME"
}
