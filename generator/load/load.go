// Package load reads policies: it finds the files, parses HCL and its JSON form,
// resolves variables and references, and makes the typed model of package policy,
// every value with its place. What blocks and arguments there are stands in
// package language. It reports all faults of a run at once; whether the policies
// make sense is for package check to say.
package load

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/diag"
	"exipol/generator/policy"
)

// Stdin is the name of what was read from standard input, as messages and the
// plan give it.
const Stdin = "<stdin>"

// Input says what to read.
type Input struct {
	// Paths are directories (all of their policy files, not those of their
	// directories), files, or "-" for Stdin.
	Paths []string
	Stdin io.Reader
	// Vars are values of variables, by name, as given on the command line or in
	// the environment.
	Vars map[string]string
}

// maxFile bounds what is read of one file, in bytes.
const maxFile = 16 << 20

// Load reads the files and makes the policy set. It is never nil, and of what
// is faulty only the faulty part is missing from it.
func Load(in Input) (*policy.Set, diag.List) {
	l := finder{stdin: in.Stdin, files: map[string][]byte{}}
	for _, p := range in.Paths {
		l.path(p)
	}
	if len(l.diags) > 0 && len(l.files) == 0 {
		return emptySet(), l.diags.Sorted()
	}
	set, diags := parse(l.files, in.Vars, len(l.diags) > 0)
	return set, append(l.diags, diags...).Sorted()
}

// IsPolicyFile says whether a directory's file of that name is one of its
// policies.
func IsPolicyFile(name string) bool {
	return (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")) &&
		!isProof(name) && !strings.HasPrefix(name, ".")
}

// isProof says whether a file holds proofs of policies rather than policies.
func isProof(name string) bool {
	return strings.HasSuffix(name, "_test.hcl") || strings.HasSuffix(name, "_test.hcl.json")
}

// finder collects the bytes of policy files.
type finder struct {
	stdin io.Reader
	files map[string][]byte
	diags diag.List
}

func (l *finder) fail(name, summary, help string) {
	l.diags = append(l.diags, diag.Diagnostic{
		Code: "EP101", Severity: diag.Error, Summary: summary, Help: help,
		Subject: hcl.Range{Filename: name},
	})
}

func (l *finder) path(p string) {
	if p == "-" {
		if l.stdin == nil {
			l.fail(Stdin, "there is no standard input to read", "")
			return
		}
		l.read(Stdin, l.stdin)
		return
	}
	p = filepath.Clean(p)
	info, err := os.Stat(p)
	switch {
	case err != nil:
		l.fail(p, reason(err), "")
	case info.IsDir():
		l.directory(p)
	case isProof(filepath.Base(p)):
		// A shell's *.hcl names the proofs, too.
	default:
		l.open(p)
	}
}

func (l *finder) directory(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.fail(dir, reason(err), "")
		return
	}
	found := false
	for _, e := range entries {
		if !e.IsDir() && IsPolicyFile(e.Name()) {
			found = true
			l.open(filepath.Join(dir, e.Name()))
		}
	}
	if !found {
		l.diags = append(l.diags, diag.Diagnostic{
			Code: "EP119", Severity: diag.Error, Summary: "there are no policies in this directory",
			Detail:  "Policies are files named *.hcl or *.hcl.json.",
			Help:    "exipol init writes a small working set",
			Subject: hcl.Range{Filename: dir},
		})
	}
}

func (l *finder) open(name string) {
	if _, twice := l.files[name]; twice {
		return
	}
	f, err := os.Open(name)
	if err != nil {
		l.fail(name, reason(err), "")
		return
	}
	defer f.Close()
	l.read(name, f)
}

func (l *finder) read(name string, r io.Reader) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		l.fail(name, reason(err), "")
	case len(b) > maxFile:
		l.fail(name, "the file is too large", "a policy file has at most 16 MiB")
	default:
		l.files[name] = b
	}
}

// reason puts an error of the operating system into words.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "you may not read this file or directory"
	}
	return "the file or directory cannot be read"
}

// sortedNames are the keys of a map in order.
func sortedNames[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
