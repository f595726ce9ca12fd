package generator_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
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
}

// words are what docs/architecture.md calls packages, each with its path.
var words = map[string]string{
	"hcl": "github.com/hashicorp/hcl/v2", "cty": "github.com/zclconf/go-cty/cty",
	"plan": module + "generator/plan", "wire": module + "generator/wire", "exim": module + "generator/exim",
	"language": module + "generator/language", "ddl": module + "generator/ddl", "policy": module + "generator/policy",
	"diag": module + "generator/diag", "templates": module + "templates",
	"engine": module + "helper/engine", "store": module + "helper/store", "normalize": module + "helper/normalize",
	"and the driver": "modernc.org/sqlite", "which nobody else imports": "",
	"portable": module + "helper/store/portable", "schema": module + "helper/store/schema",
	"copying": module + "helper/store/copying", "hosts": module + "helper/store/mysql/hosts",
	"recent": module + "helper/recent", "dns": module + "helper/dns",
	"follow": module + "helper/follow", "mainlog": module + "helper/mainlog", "queue": module + "helper/queue",
	"go-sql-driver": "github.com/go-sql-driver/mysql", "unprivileged": module + "internal/unprivileged", "owner": module + "helper/owner",
	"renameio": "github.com/google/renameio/v2", "spf": "blitiri.com.ar/go/spf",
	"dnsmessage": "golang.org/x/net/dns/dnsmessage", "publicsuffix": "golang.org/x/net/publicsuffix",
}

// TestTable holds the packages to the table of docs/architecture.md, and the table to
// them: nothing is imported that it does not allow, nothing allowed that is not.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 || !strings.Contains(cells[0], "`") {
			continue
		}
		packages, allowed := strings.Split(strings.TrimSpace(cells[0]), ", "), strings.TrimSpace(cells[1])
		if strings.HasPrefix(allowed, "never ") || allowed == "everything" {
			continue // TestImports has what the first of these means
		}
		var paths []string
		if allowed != "nothing" {
			for _, word := range strings.Split(allowed, ", ") {
				path, known := words[word]
				if !known {
					t.Errorf("%s: what is %q?", packages, word)
				}
				if path != "" {
					paths = append(paths, path)
				}
			}
		}
		for _, pkg := range packages {
			rows++
			checkRow(t, module+strings.Trim(pkg, "`"), paths)
		}
	}
	if rows < 10 {
		t.Errorf("only %d packages were found in the table", rows)
	}
}

// checkRow compares what a package imports itself with what it may import.
func checkRow(t *testing.T, pkg string, allowed []string) {
	t.Helper()
	used := map[string]bool{}
	for _, imported := range goList(t, "-f", `{{join .Imports "\n"}}`, pkg) {
		first, _, _ := strings.Cut(imported, "/")
		if !strings.Contains(first, ".") && !strings.HasPrefix(imported, module) {
			continue // the standard library
		}
		i := slices.IndexFunc(allowed, func(a string) bool {
			return imported == a || strings.HasPrefix(imported, a+"/") && !strings.HasPrefix(a, module)
		})
		if i < 0 {
			t.Errorf("%s imports %s: the table does not allow it", pkg, imported)
			continue
		}
		used[allowed[i]] = true
	}
	for _, a := range allowed {
		if !used[a] {
			t.Errorf("%s does not import %s, which the table allows", pkg, a)
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
