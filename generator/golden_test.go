package generator_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"exipol/generator"
	"exipol/generator/diag"
	"exipol/generator/load"
)

// goldenVersion stands in the manifests of the goldens, so that a release does not
// change them.
const goldenVersion = "golden"

const goldenDir = "../testdata/golden"

// TestGolden builds every case of testdata/golden and compares every byte: the
// files of a case are its policies, those below out/ what they make, and
// diagnostics what is said about them. UPDATE=1 rewrites.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(goldenDir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", goldenDir, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := txtar.Format(build(t, txtar.Parse(text)))
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%s is not what its policies make; UPDATE=1 go test ./generator/ shows the difference in git\n%s", path, firstDifference(text, got))
			}
		})
	}
}

// build is the archive with its outputs made anew.
func build(t *testing.T, in *txtar.Archive) *txtar.Archive {
	t.Helper()
	out := &txtar.Archive{Comment: in.Comment}
	files := map[string][]byte{}
	for _, f := range in.Files {
		if load.IsPolicyFile(f.Name) {
			files[f.Name] = f.Data
			out.Files = append(out.Files, f)
		}
	}
	r, err := generator.BuildFiles(files, nil, goldenVersion)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if err := diag.Text(&said, r.Diags, r.Set.Files); err != nil {
		t.Fatal(err)
	}
	if said.Len() > 0 {
		out.Files = append(out.Files, txtar.File{Name: "diagnostics", Data: said.Bytes()})
	}
	if r.Diags.HasErrors() {
		t.Errorf("the policies have errors:\n%s", said.String())
	}
	for _, f := range r.Files {
		out.Files = append(out.Files, txtar.File{Name: "out/" + f.Name, Data: f.Data})
	}
	return out
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(want, got []byte) string {
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(w), len(g)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(end)"
		}
		if line(w) != line(g) {
			return "want: " + line(w) + "\n got: " + line(g)
		}
	}
	return ""
}
