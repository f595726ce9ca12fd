package verify

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"

	"exipol/generator"
	"exipol/generator/load"
)

// TestGoldens has the real Exim run the text of every golden case.
func TestGoldens(t *testing.T) {
	paths, err := filepath.Glob("../../../testdata/golden/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{}
			for _, f := range txtar.Parse(text).Files {
				if load.IsPolicyFile(f.Name) {
					files[f.Name] = f.Data
				}
			}
			runs(t, "exim4", files)
		})
	}
}

// runs builds policies and has an Exim run their text.
func runs(t *testing.T, exim string, files map[string][]byte) {
	t.Helper()
	r, err := generator.BuildFiles(files, nil, "test")
	if err != nil || r.Plan == nil {
		t.Fatalf("%v %v", err, r.Diags)
	}
	faults, err := Run(context.Background(), exim, r.Plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Errorf("%s: %s", f.Where, f.Text)
	}
}
