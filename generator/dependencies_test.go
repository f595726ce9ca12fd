package generator

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDependencies: each direct dependency has its line of reason in the docs, and no
// line is left of one that is gone; SQLite's libc is of exactly the version that
// modernc.org/sqlite was made with, as it demands.
func TestDependencies(t *testing.T) {
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			said[strings.TrimSpace(cells[1])] = true
		}
	}
	type mod struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
	}
	read := func(file string) (m mod) {
		out, err := exec.Command("go", "mod", "edit", "-json", file).Output()
		if err == nil {
			err = json.Unmarshal(out, &m)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return m
	}
	ours := map[string]string{}
	for _, r := range read("../go.mod").Require {
		ours[r.Path] = r.Version
		if r.Indirect {
			continue
		}
		// A package of a module may be named, too: golang.org/x/tools/txtar.
		named := false
		for s := range said {
			if s == r.Path || strings.HasPrefix(s, r.Path+"/") {
				named = true
				delete(said, s)
			}
		}
		if !named {
			t.Errorf("docs/dependencies.md gives no reason for %s", r.Path)
		}
	}
	for s := range said {
		if strings.Contains(s, "/") {
			t.Errorf("docs/dependencies.md has a line for %s, which is no direct dependency", s)
		}
	}

	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "modernc.org/sqlite").Output()
	if err != nil {
		t.Fatal(err)
	}
	const libc = "modernc.org/libc"
	for _, r := range read(strings.TrimSpace(string(dir)) + "/go.mod").Require {
		if r.Path == libc && r.Version != ours[libc] {
			t.Errorf("%s is %s here, and modernc.org/sqlite was made with %s", libc, ours[libc], r.Version)
		}
	}
}
