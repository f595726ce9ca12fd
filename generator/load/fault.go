package load

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/diag"
	"exipol/generator/language"
)

// add keeps a diagnostic.
func (l *loader) add(d diag.Diagnostic) {
	if d.Severity == diag.Error {
		l.errors++
	}
	l.diags = append(l.diags, d)
}

// fail keeps an error.
func (l *loader) fail(code string, at hcl.Range, summary, detail, help string) {
	l.add(diag.Diagnostic{Code: code, Severity: diag.Error, Subject: at, Summary: summary, Detail: detail, Help: help})
}

// suggestion is how HCL ends some of its messages. It chooses from a map, so
// the same fault would read differently from run to run.
var suggestion = regexp.MustCompile(`(?s) Did you mean .*$`)

// hclFault keeps a fault that HCL found, in our form.
func (l *loader) hclFault(d *hcl.Diagnostic, code string) {
	out := diag.Diagnostic{
		Code: code, Severity: diag.Error,
		Summary: lowerFirst(d.Summary),
		Detail:  suggestion.ReplaceAllString(d.Detail, ""),
	}
	if d.Severity == hcl.DiagWarning {
		out.Severity = diag.Warning
	}
	if d.Subject != nil {
		out.Subject = *d.Subject
	}
	if d.Summary == "Call to unknown function" {
		var names []string
		for _, f := range language.Functions {
			names = append(names, f.Name)
		}
		out.Detail = "The functions are: " + strings.Join(names, ", ") + "."
	}
	l.add(out)
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || len(s) > n && unicode.IsUpper(rune(s[n])) {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// contentFaults keeps what HCL says of a block's content, with our words where a
// name is wrong.
func (l *loader) contentFaults(ds hcl.Diagnostics, spec *language.Block) {
	for _, d := range ds {
		switch d.Summary {
		case "Unsupported argument", "Unsupported block type", "Extraneous JSON object property":
			l.unknownName(d, spec)
		case "Duplicate argument":
			l.hclFault(d, "EP107")
		default:
			l.labelFault(d, spec)
		}
	}
}

// labelFault keeps what HCL says of blocks with too few or too many labels, in
// our words, and of values where a block should be.
func (l *loader) labelFault(d *hcl.Diagnostic, spec *language.Block) {
	words := strings.Fields(d.Summary)
	child := spec.Block(words[len(words)-1])
	switch {
	case child == nil || d.Subject == nil:
		code := "EP108"
		if strings.HasPrefix(d.Summary, "Missing ") {
			code = "EP106"
		}
		l.hclFault(d, code)
	case child.Label == "":
		l.fail("EP105", *d.Subject, fmt.Sprintf("a block %s has no label", child.Name), "", "write it as "+child.Name+" { ... }")
	case strings.HasPrefix(d.Summary, "Missing "):
		l.fail("EP106", *d.Subject, fmt.Sprintf("a block %s needs a %s", child.Name, child.Label), "", fmt.Sprintf("write it as %s %q { ... }", child.Name, strings.ToUpper(child.Label)))
	default:
		l.fail("EP105", *d.Subject, fmt.Sprintf("a block %s has one label", child.Name), "", fmt.Sprintf("write it as %s %q { ... }", child.Name, strings.ToUpper(child.Label)))
	}
}

// unknownName reports a name that stands in a block where nothing has that name,
// or where an argument and a block were mistaken for each other.
func (l *loader) unknownName(d *hcl.Diagnostic, spec *language.Block) {
	if d.Subject == nil {
		l.hclFault(d, "EP105")
		return
	}
	name := strings.Trim(l.source(*d.Subject), `"`)
	where := "at the top level"
	if spec.Name != "" {
		where = "in " + spec.Title()
	}
	switch {
	case spec.Block(name) != nil && d.Summary == "Unsupported argument":
		l.fail("EP105", *d.Subject, fmt.Sprintf("%q is a block, not an argument", name), "", "write it without the equals sign: "+name+" { ... }")
		return
	case spec.Argument(name) != nil:
		l.fail("EP105", *d.Subject, fmt.Sprintf("%q is an argument, not a block", name), "", "write it with an equals sign: "+name+" = ...")
		return
	}
	if l.otherKinds(*d.Subject, name, spec) {
		return
	}
	what := "argument or block"
	if spec.Name == "" {
		what = "block"
	}
	hint := spec.Hint(name)
	l.add(diag.Diagnostic{
		Code: "EP105", Severity: diag.Error, Subject: *d.Subject, Secret: hint.Secret,
		Summary: fmt.Sprintf("there is no %s %q %s", what, name, where),
		Help:    cmp.Or(hint.Help, choose(name, spec.Names())),
	})
}

// otherKinds reports a name that belongs into a block of another label.
func (l *loader) otherKinds(at hcl.Range, name string, spec *language.Block) bool {
	if spec.Kind == "" {
		return false
	}
	for _, other := range language.Root.Block(spec.Name).Kinds {
		if other.Argument(name) != nil {
			l.fail("EP105", at, fmt.Sprintf("%q belongs into %s, not into %s", name, other.Title(), spec.Title()), "",
				fmt.Sprintf("%s has: %s", spec.Title(), strings.Join(spec.Names(), ", ")))
			return true
		}
	}
	return false
}

// source is the text of a range.
func (l *loader) source(r hcl.Range) string {
	f := l.files[r.Filename]
	if f == nil || r.Start.Byte < 0 || r.End.Byte > len(f.Bytes) || r.Start.Byte > r.End.Byte {
		return ""
	}
	return string(f.Bytes[r.Start.Byte:r.End.Byte])
}

// choose is help for a word that is none of the candidates: the nearest one, or
// all where they are few.
func choose(word string, candidates []string) string {
	if help := meant(word, candidates); help != "" {
		return help
	}
	if len(candidates) > 0 && len(candidates) <= 10 {
		return "expected one of: " + strings.Join(candidates, ", ")
	}
	return ""
}

// meant is help for a word where the message names all candidates already.
func meant(word string, candidates []string) string {
	if near := nearest(word, candidates); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return ""
}

// nearest is the candidate that a mistyped word most likely stands for, "" where
// none is near. The order of the candidates does not matter.
func nearest(word string, candidates []string) string {
	sorted := slices.Clone(candidates)
	slices.Sort(sorted)
	best, found := len(word)/3+2, ""
	word = strings.ToLower(word)
	if len(word) > 100 {
		return ""
	}
	for _, c := range sorted {
		if d := distance(word, c); d < best && d < len(c) {
			best, found = d, c
		}
	}
	return found
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
