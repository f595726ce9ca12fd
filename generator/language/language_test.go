package language

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// golden compares a generated document with the one in docs; UPDATE=1 rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("docs/%s is not what the language table makes; run: UPDATE=1 go test ./generator/language/", name)
	}
}

func TestReferencePage(t *testing.T) { golden(t, "reference.md", []byte(ReferenceMarkdown())) }

func TestSchemaFile(t *testing.T) {
	s := JSONSchema()
	golden(t, "exipol-policy.schema.json", s)
	if !json.Valid(s) {
		t.Error("the schema is not JSON")
	}
}

func walk(b *Block, path string, f func(path string, b *Block)) {
	f(path, b)
	for i := range b.Kinds {
		walk(&b.Kinds[i], path+"."+b.Kinds[i].Kind, f)
	}
	for i := range b.Blocks {
		walk(&b.Blocks[i], path+"."+b.Blocks[i].Name, f)
	}
}

// The table must be fit to print: everything has a sentence, every type is
// explained, words and defaults agree.
func TestTableIsWhole(t *testing.T) {
	explained := map[Type]bool{}
	for _, d := range TypeDocs {
		if explained[d.Type] {
			t.Errorf("type %s is explained twice", d.Type)
		}
		explained[d.Type] = true
	}
	used := map[Type]bool{}
	name := regexp.MustCompile(NamePattern)
	walk(&Root, "", func(path string, b *Block) {
		if !strings.HasSuffix(b.Doc, ".") {
			t.Errorf("block %s: no sentence about it", path)
		}
		names := b.Names()
		slices.Sort(names)
		if len(slices.Compact(names)) != len(b.Names()) {
			t.Errorf("block %s: a name stands there twice", path)
		}
		if len(b.Kinds) > 0 && (b.Label == "" || len(names) > 0) {
			t.Errorf("block %s: its kinds say what it holds, by its label", path)
		}
		for i := range b.Kinds {
			if k := &b.Kinds[i]; k.Name != b.Name || b.Of(k.Kind) != k || k.Label != "" {
				t.Errorf("block %s: its kind %q has another name, a label, or a namesake", path, k.Kind)
			}
		}
		for _, h := range b.Hints {
			if slices.Contains(names, h.Name) || slices.Contains(b.Words(), h.Name) || b.Hint(h.Name) != h {
				t.Errorf("block %s: the hint for %q is never said", path, h.Name)
			}
		}
		for _, a := range b.Arguments {
			at := path + "." + a.Name
			used[a.Type] = true
			if !name.MatchString(a.Name) || !strings.HasSuffix(a.Doc, ".") || !explained[a.Type] {
				t.Errorf("%s: name, sentence or type", at)
			}
			if slices.Contains([]Type{Word, BareWord, Words, BareWords}, a.Type) != (len(a.Words) > 0) {
				t.Errorf("%s: words and type disagree", at)
			}
			if a.Default != "" && len(a.Words) > 0 && !slices.Contains(a.Words, strings.Trim(a.Default, `"[]`)) {
				t.Errorf("%s: default %s is none of its words", at, a.Default)
			}
			if a.Most > 0 && (a.Type != Number || a.Most < a.Min) {
				t.Errorf("%s: from %d to %d", at, a.Min, a.Most)
			}
			if a.Required && (a.Default != "" || a.Instead != "") {
				t.Errorf("%s: required, and yet a default", at)
			}
		}
	})
	for _, f := range FactWords {
		in := Root.Block("greylist").Argument(f.In)
		if in == nil || in.Type != Facts || !name.MatchString(f.Name) || !strings.HasPrefix(f.Call, f.Name) || !strings.HasSuffix(f.Holds, ".") || !strings.HasSuffix(f.HoldsNot, ".") {
			t.Errorf("fact %s: name, argument or sentences", f.Name)
		}
		if f.Zone && f.List || f.Answers && !f.Zone || f.Bare() != (f.Call == f.Name) {
			t.Errorf("fact %s: what its argument is", f.Name)
		}
	}
	for _, d := range TypeDocs {
		if !used[d.Type] {
			t.Errorf("type %s is explained but no argument has it", d.Type)
		}
	}
}
