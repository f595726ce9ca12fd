package generator_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"exipol/generator/language"
	"exipol/generator/load"
)

// TestGoldenCovers holds the goldens to the language: every block, every argument
// and every fixed word of it stands in one of their policies.
func TestGoldenCovers(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var policies strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range txtar.Parse(text).Files {
			if load.IsPolicyFile(f.Name) {
				policies.Write(f.Data)
			}
		}
	}
	has := func(pattern string) bool { return regexp.MustCompile(pattern).MatchString(policies.String()) }
	var walk func(path string, b *language.Block)
	walk = func(path string, b *language.Block) {
		for i := range b.Blocks {
			c := &b.Blocks[i]
			if !has(`(?m)^ *` + c.Name + ` ("[a-z_]+" )?\{`) {
				t.Errorf("no golden has the block %s%s", path, c.Name)
			}
			walk(path+c.Name+".", c)
		}
		for _, a := range b.Arguments {
			if !has(`(?m)^ *` + a.Name + ` *= `) {
				t.Errorf("no golden has the argument %s%s", path, a.Name)
			}
			for _, w := range a.Words {
				written := `"` + w + `"`
				if a.Type == language.BareWord {
					written = regexp.QuoteMeta(w) + `\n`
				}
				switch a.Type {
				case language.BareWords:
					written = `\[[^\]\n]*\b` + w + `\b`
				case language.Words:
					written = `\[[^\]\n]*` + written
				}
				if !has(a.Name + ` *= ` + written) {
					t.Errorf("no golden has %s%s = %q", path, a.Name, w)
				}
			}
		}
	}
	walk("", &language.Root)
	for _, k := range language.KeyFields {
		if !has(`[\[( ]` + regexp.QuoteMeta(k.Text) + `[\],)]`) {
			t.Errorf("no golden has the key %s", k.Text)
		}
	}
	for _, f := range language.HeaderFields {
		if !has(`[^$]\$\{` + regexp.QuoteMeta(f.Text) + `\}`) {
			t.Errorf("no golden has the field %s of a header", f.Text)
		}
	}
	for _, count := range []string{"distinct", "share"} {
		if !has(`count += ` + count + `\(`) {
			t.Errorf("no golden counts %s(...)", count)
		}
	}
	for _, f := range language.FactWords {
		if f.Bare() && !has(`[\[ ]`+f.Name+`[\],]`) {
			t.Errorf("no golden has the fact %s", f.Name)
		}
		if (f.Zone || f.List) && !has(`[\[ ]`+f.Name+`\(`) {
			t.Errorf("no golden has the fact %s with an argument", f.Name)
		}
	}
	for _, e := range language.EventWords {
		if !has(`event += ` + e.Name + `\n|[{ ]` + e.Name + ` = `) {
			t.Errorf("no golden has the event %s", e.Name)
		}
	}
	for _, f := range language.Functions {
		if !has(f.Name + `\(`) {
			t.Errorf("no golden calls %s", f.Name)
		}
	}
}
