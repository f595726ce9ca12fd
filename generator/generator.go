// Package generator compiles policies: Build is the whole way from files to files.
//
//	policies -> load -> typed set -> check -> lower -> plan -> emit -> outputs
//
// START HERE. Each step is a package of its own, and says in its comment what it
// leaves to the others.
package generator

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/check"
	"exipol/generator/diag"
	"exipol/generator/emit"
	"exipol/generator/load"
	"exipol/generator/lower"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// Result is what Build made. Where Diags has errors, Plan and Files are nil: there
// is no half-made output.
type Result struct {
	Set     *policy.Set // as far as it could be read; never nil
	Sources []emit.Source
	Plan    *plan.Plan
	Files   []emit.File // in the order in which they are to be written
	Diags   diag.List   // sorted
}

// Build reads, judges and compiles policies. Version is that of the program, for
// the manifest. An error is a fault of this program or of the machine; what is
// wrong with the policies is in Result.Diags.
func Build(in load.Input, version string) (Result, error) {
	set, diags := load.Load(in)
	return compile(set, diags, version)
}

// BuildFiles is Build for files that are in memory already, by name and content.
func BuildFiles(files map[string][]byte, vars map[string]string, version string) (Result, error) {
	set, diags := load.Parse(files, vars)
	return compile(set, diags, version)
}

func compile(set *policy.Set, diags diag.List, version string) (Result, error) {
	r := Result{Set: set, Sources: sources(set.Files), Diags: diags}
	// What could be read is judged even where something could not, so that all
	// faults are told at once.
	r.Diags = append(r.Diags, check.Check(set)...).Sorted()
	if r.Diags.HasErrors() {
		return r, nil
	}
	p, err := lower.Lower(set)
	if err != nil {
		return r, fmt.Errorf("compile the policies: %w", err)
	}
	files, err := emit.Files(p, r.Sources, version)
	if err != nil {
		return r, fmt.Errorf("print the plan: %w", err)
	}
	r.Plan, r.Files = p, files
	return r, nil
}

// sources names the files by their base names, so that nothing in the output
// depends on where they lie on this machine.
func sources(files map[string]*hcl.File) []emit.Source {
	var out []emit.Source
	for name, f := range files {
		out = append(out, emit.Source{Name: filepath.Base(name), SHA256: emit.Sum(f.Bytes)})
	}
	slices.SortFunc(out, func(a, b emit.Source) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256))
	})
	return out
}
