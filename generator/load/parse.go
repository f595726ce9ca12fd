package load

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/policy"
)

// loader is one run.
type loader struct {
	files   map[string]*hcl.File
	diags   diag.List
	errors  int
	partial bool // a file could not be parsed: what seems to be missing may stand there

	schemas  map[*language.Block]*hcl.BodySchema
	defaults map[*language.Argument]hcl.Expression
	values   map[string]*named       // "var.x", "local.x", "site.x"
	lists    map[string]hcl.Range    // where each list is declared
	pools    map[string]hcl.Range    // each pool
	grey     map[string]hcl.Range    // each greylist
	notices  map[string]hcl.Range    // and each notice
	blocks   map[string][]*hcl.Block // by type, in the order of files and lines
	nameSets map[string][]string     // candidates for did-you-mean, sorted, by kind
}

// Parse makes a policy set of files given by name and content; a name that ends
// in .json is HCL's JSON form. It reads nothing else and never panics. The set
// is never nil; faulty blocks are missing from it.
func Parse(files map[string][]byte, vars map[string]string) (*policy.Set, diag.List) {
	set, diags := parse(files, vars, false)
	return set, diags.Sorted()
}

func emptySet() *policy.Set {
	set, _ := parse(nil, nil, true)
	return set
}

// parse is Parse; with partial, some of the set's files could not be read.
func parse(files map[string][]byte, vars map[string]string, partial bool) (*policy.Set, diag.List) {
	l := &loader{
		files:    map[string]*hcl.File{},
		partial:  partial,
		schemas:  map[*language.Block]*hcl.BodySchema{},
		defaults: map[*language.Argument]hcl.Expression{},
		values:   map[string]*named{},
		lists:    map[string]hcl.Range{},
		pools:    map[string]hcl.Range{},
		grey:     map[string]hcl.Range{},
		notices:  map[string]hcl.Range{},
		blocks:   map[string][]*hcl.Block{},
		nameSets: map[string][]string{},
	}
	set := &policy.Set{Files: l.files}
	var bodies []hcl.Body
	for _, name := range sortedNames(files) {
		if body := l.file(name, files[name]); body != nil {
			bodies = append(bodies, body)
		}
	}
	if !l.format(set, bodies) {
		// Written for another version: anything else said about it would be wrong.
		l.defaultsOnly(set)
		return set, l.diags
	}
	for _, body := range bodies {
		l.top(body)
	}
	l.duplicates()
	l.declare(vars)
	l.set(set)
	set.Partial = l.partial || l.errors > 0
	return set, l.diags
}

// file parses one file; nil where nothing in it can be used.
func (l *loader) file(name string, src []byte) hcl.Body {
	l.files[name] = &hcl.File{Bytes: src}
	isJSON := strings.HasSuffix(name, ".json") || name == Stdin && bytes.HasPrefix(bytes.TrimSpace(src), []byte("{"))
	if !l.parsable(name, src, isJSON) {
		l.partial = true
		return nil
	}
	var f *hcl.File
	var ds hcl.Diagnostics
	if isJSON {
		f, ds = json.Parse(src, name)
	} else {
		f, ds = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	broken := false
	for _, d := range ds {
		if d.Summary == "Attribute redefined" {
			l.hclFault(d, "EP107")
			continue
		}
		broken = broken || d.Severity == hcl.DiagError
		l.hclFault(d, "EP102")
	}
	if f != nil && f.Body != nil {
		l.files[name] = &hcl.File{Bytes: src, Body: f.Body}
	}
	if broken || f == nil {
		l.partial = true
		return nil
	}
	return f.Body
}

// parsable says whether a file can be given to HCL's parsers, and reports where
// not.
func (l *loader) parsable(name string, src []byte, isJSON bool) bool {
	if at, bad := notUTF8(name, src); bad {
		l.fail("EP102", at, "this is not UTF-8", "", "save the file as UTF-8")
		return false
	}
	if at, deep := tooDeep(name, src, isJSON); deep {
		l.fail("EP102", at, "this is nested too deeply", "", "")
		return false
	}
	return true
}

// format reads the version of the language before all else. False means that
// the files are of another version.
func (l *loader) format(set *policy.Set, bodies []hcl.Body) bool {
	const summary = "these policies are written for a newer version of exipol"
	schema := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "exipol"}}}
	attr := &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "format"}}}
	for _, body := range bodies {
		content, _, _ := body.PartialContent(schema)
		for _, b := range content.Blocks {
			inner, _, _ := b.Body.PartialContent(attr)
			a := inner.Attributes["format"]
			if a == nil {
				continue
			}
			// Faults in it are reported when the block is read as a whole.
			v, ds := a.Expr.Value(nil)
			n, ok := int64(0), false
			if !ds.HasErrors() {
				n, ok = wholeNumber(v)
			}
			if ok && n > language.Format {
				l.fail("EP103", a.Expr.Range(), summary,
					fmt.Sprintf("They say format = %d; this version reads format %d.", n, language.Format),
					"install the exipol that they were written for")
				set.Format = policy.Value[int64]{V: n, Range: a.Expr.Range(), Set: true}
				return false
			}
		}
	}
	return true
}

// top sorts a file's blocks by their type.
func (l *loader) top(body hcl.Body) {
	content, ds := body.Content(l.schema(&language.Root))
	l.contentFaults(ds, &language.Root)
	for _, b := range content.Blocks {
		l.blocks[b.Type] = append(l.blocks[b.Type], b)
	}
}

// duplicates reports blocks that may stand in a set only once, or only once
// under a name, and leaves the first of them.
func (l *loader) duplicates() {
	for i := range language.Root.Blocks {
		spec := &language.Root.Blocks[i]
		l.blocks[spec.Name] = l.unique(spec, l.blocks[spec.Name])
		if spec.Required && len(l.blocks[spec.Name]) == 0 && !l.partial {
			l.fail("EP106", hcl.Range{}, fmt.Sprintf("the policies have no %s block", spec.Name), "", "write: exipol { format = 1 }")
		}
	}
}

// unique checks the labels of blocks of one kind, and drops those declared a
// second time.
func (l *loader) unique(spec *language.Block, blocks []*hcl.Block) []*hcl.Block {
	if spec.Label == "" && !spec.Once {
		return blocks
	}
	first := map[string]hcl.Range{}
	kept := blocks[:0:0]
	for _, b := range blocks {
		name := ""
		if spec.Label != "" {
			name = b.Labels[0]
			l.label(spec, b)
		}
		key := name
		if spec.Once {
			key = ""
		}
		at := labelRange(b)
		if was, twice := first[key]; twice {
			what := fmt.Sprintf("%s %q", spec.Name, name)
			if spec.Label == "" || spec.Once {
				what = spec.Name
			}
			l.add(diag.Diagnostic{
				Code: "EP107", Severity: diag.Error, Subject: at,
				Summary: what + " is declared twice",
				Notes:   []diag.Note{{Text: "declared here first", Range: was}},
			})
			continue
		}
		first[key] = at
		kept = append(kept, b)
	}
	return kept
}

// labelRange is the place that names a block: its label, or else its type.
func labelRange(b *hcl.Block) hcl.Range {
	if len(b.LabelRanges) > 0 {
		return b.LabelRanges[len(b.LabelRanges)-1]
	}
	return b.TypeRange
}

// declRange is a block's header.
func declRange(b *hcl.Block) hcl.Range {
	at := labelRange(b)
	if at.Start.Line == b.TypeRange.Start.Line {
		return hcl.RangeBetween(b.TypeRange, at)
	}
	return at // the JSON form has type and label far apart
}

// schema is the language table's block as HCL wants it. Nothing in it is
// required: package load says better what is missing.
func (l *loader) schema(b *language.Block) *hcl.BodySchema {
	if s := l.schemas[b]; s != nil {
		return s
	}
	s := &hcl.BodySchema{}
	for _, a := range b.Arguments {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for _, c := range b.Blocks {
		h := hcl.BlockHeaderSchema{Type: c.Name}
		if c.Label != "" {
			h.LabelNames = []string{c.Label}
		}
		s.Blocks = append(s.Blocks, h)
	}
	l.schemas[b] = s
	return s
}
