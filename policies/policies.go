// Package policies holds the ready-made policies: single files to put beside the
// site's own, and the set that `exipol init` writes. A test builds each.
package policies

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Files are the policies as they are on disk: NAME.hcl, and starter/NAME.hcl, which
// are for the starter set only.
//
//go:embed *.hcl starter/*.hcl
var Files embed.FS

// starter are the files of the starter set, in the order in which to read them.
var starter = []string{
	"starter/exipol.hcl",
	"greylist-selective.hcl",
	"provider-pools.hcl",
	"known-correspondents.hcl",
	"code-senders.hcl",
	"starter/tarpit.hcl",
}

// File is one file of a set.
type File struct {
	Name string // without a directory
	Text []byte
}

// beside are the files that a file refers to, and is of no use without.
var beside = map[string][]string{
	"greylist-selective.hcl": {"provider-pools.hcl", "known-correspondents.hcl", "code-senders.hcl"},
	"stolen-password.hcl":    {"abuse-desk.hcl"},
	"stolen-relay.hcl":       {"abuse-desk.hcl"},
	"local-scripts.hcl":      {"abuse-desk.hcl"},
	"bounce-hold.hcl":        {"abuse-desk.hcl"},
	"bounce-ratio.hcl":       {"abuse-desk.hcl"},
	"rate-user.hcl":          {"abuse-desk.hcl"},
	"auth-spread.hcl":        {"abuse-desk.hcl"},
}

// Beside are the files that a ready-made file needs beside it, besides the site's own.
func Beside(name string) []string { return beside[name] }

// Names are the names of the ready-made policies, without .hcl, sorted.
func Names() []string {
	files, err := fs.Glob(Files, "*.hcl")
	if err != nil {
		panic(err) // the pattern is the one above
	}
	var out []string
	for _, f := range files {
		out = append(out, strings.TrimSuffix(f, ".hcl"))
	}
	return out
}

// Starter is the set that `exipol init` writes.
func Starter() ([]File, error) { return files(starter) }

// With is a ready-made policy, by its name without .hcl, with the files that it needs. The error
// says which names there are.
func With(name string) ([]File, error) {
	file := name + ".hcl"
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("no ready-made policy is called %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return files(append([]string{file}, beside[file]...))
}

func files(names []string) ([]File, error) {
	var out []File
	for _, name := range names {
		text, err := Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("ready-made policies: %w", err)
		}
		out = append(out, File{path.Base(name), text})
	}
	return out, nil
}
