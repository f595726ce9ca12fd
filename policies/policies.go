// Package policies holds the ready-made policies: single files to put beside the
// site's own, and the set that `exipol init` writes. A test builds each.
package policies

import (
	"embed"
	"fmt"
	"path"
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

// Starter is the set that `exipol init` writes.
func Starter() ([]File, error) {
	var out []File
	for _, name := range starter {
		text, err := Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("the starter set: %w", err)
		}
		out = append(out, File{path.Base(name), text})
	}
	return out, nil
}
