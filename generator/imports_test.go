package generator_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"strings"
	"testing"
)

// edge is a dependency that must not be, direct or not, and why.
type edge struct {
	from   string // a pattern as `go list` takes it
	never  []string
	reason string
	except []string // packages of the pattern that may
}

const module = "exipol/"

var edges = []edge{
	{"exipol/helper/...", []string{
		"github.com/hashicorp/hcl/v2", "github.com/zclconf/go-cty/cty",
		module + "generator/language", module + "generator/load", module + "generator/policy",
		module + "generator/check", module + "generator/lower", module + "generator/emit",
		module + "generator/diag", module + "templates",
	}, "the helper obeys a plan, it does not read policies", nil},
	{"exipol/cmd/exipold", []string{"github.com/hashicorp/hcl/v2", module + "generator/load"},
		"the helper's program links no policy language", nil},
	{"exipol/generator/...", []string{module + "helper/"},
		"one direction: what is generated is decided without the helper", nil},
	{"exipol/generator/...", []string{"database/sql", "modernc.org/sqlite", "net"},
		"the generator runs offline, and touches no store", nil},
	{"exipol/...", []string{module + "cmd/"}, "a program is nobody's library",
		[]string{module + "cmd/"}},
	{"exipol/generator/lower", []string{module + "generator/load", module + "generator/emit"},
		"meaning is decided on the typed model, not on text", nil},
	{"exipol/generator/emit", []string{module + "generator/policy", "github.com/hashicorp/hcl/v2"},
		"what is printed comes from the plan alone, so that the helper knows all of it", nil},
	{"exipol/generator/policy", []string{module + "generator/load", module + "generator/check", module + "generator/diag"},
		"the typed model says what was written, and judges nothing", nil},
	{"exipol/generator/load", []string{module + "generator/check", module + "generator/lower", module + "generator/emit"},
		"reading comes before judging", nil},
	{"exipol/generator/check", []string{module + "generator/lower", module + "generator/emit", module + "generator/load"},
		"judging needs neither the text nor the plan's making", nil},
}

// std lists packages that may import the standard library and nothing else.
var std = map[string]string{
	module + "generator/plan": "the contract of both halves depends on neither",
	module + "generator/wire": "the contract of both halves depends on neither",
	module + "generator/exim": "what is known of Exim depends on nothing of ours",
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// deps lists for every package of a pattern all that it depends on.
func deps(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Deps " "}}`, pattern) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all[fields[0]] = fields[1:]
		}
	}
	return all
}

// matches says whether a package is the named one, or below it where the name ends
// in a slash.
func matches(pkg, name string) bool {
	return pkg == name || strings.HasSuffix(name, "/") && strings.HasPrefix(pkg, name)
}

func TestImports(t *testing.T) {
	for _, e := range edges {
		found := deps(t, e.from)
		if len(found) == 0 {
			t.Errorf("%s: no such package", e.from)
		}
		for from, to := range found {
			if anyMatch(from, e.except) {
				continue
			}
			for _, dep := range to {
				if anyMatch(dep, e.never) {
					t.Errorf("%s depends on %s: %s", from, dep, e.reason)
				}
			}
		}
	}
	for pkg, reason := range std {
		for _, dep := range deps(t, pkg)[pkg] {
			if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") || strings.HasPrefix(dep, module) {
				t.Errorf("%s depends on %s: %s", pkg, dep, reason)
			}
		}
	}
}

// direct imports that only one package may have.
var only = map[string]string{
	"modernc.org/sqlite": module + "helper/store/sqlite",
}

func TestDirectImports(t *testing.T) {
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "exipol/...") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		for _, imported := range fields[1:] {
			if owner, ok := only[imported]; ok && fields[0] != owner {
				t.Errorf("%s imports %s: only %s may", fields[0], imported, owner)
			}
		}
	}
}

// TestNoInit holds to what main says: nothing registers itself by being imported.
func TestNoInit(t *testing.T) {
	lines := goList(t, "-f", `{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}`, "exipol/...")
	for _, name := range lines {
		if name == "" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", name)
			}
		}
	}
}

func anyMatch(pkg string, names []string) bool {
	for _, n := range names {
		if matches(pkg, n) {
			return true
		}
	}
	return false
}
