package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"exipol/generator/diag"
	"exipol/generator/load"
)

// Whatever stands in a file, loading and checking it ends, without a panic, with
// the same result twice, and in messages that have codes and can be printed.
func FuzzPolicies(f *testing.F) {
	cases, _ := filepath.Glob(filepath.Join(errorsDir, "*.txtar"))
	for _, name := range cases {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(data).Files {
			if load.IsPolicyFile(file.Name) {
				f.Add(string(file.Data), strings.HasSuffix(file.Name, ".json"))
			}
		}
	}
	for _, c := range diag.Codes {
		f.Add("exipol {\n  format = 1\n}\n"+c.Good, false)
	}
	f.Fuzz(func(t *testing.T, src string, isJSON bool) {
		name := "policy.hcl"
		if isJSON {
			name += ".json"
		}
		files := map[string][]byte{name: []byte(src)}
		print := func() string {
			set, diags := judge(files, map[string]string{"x": "1"})
			var b bytes.Buffer
			if err := diag.Text(&b, diags, set.Files); err != nil {
				t.Fatal(err)
			}
			for _, d := range diags {
				if _, ok := diag.CodeOf(d.Code); !ok || d.Summary == "" {
					t.Fatalf("%v", d)
				}
			}
			return b.String()
		}
		if a, b := print(), print(); a != b {
			t.Errorf("two runs:\n%s\n%s", a, b)
		}
	})
}
