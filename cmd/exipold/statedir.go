package main

import (
	"cmp"
	"os"
	"path/filepath"

	"exipol/generator/plan"
)

// stateDir is where exipold keeps what is neither the store nor its configuration.
func stateDir(given string, p *plan.Plan) string {
	return cmp.Or(given, os.Getenv("STATE_DIRECTORY"), ownDir(p))
}

// ownDir is the directory for exipold's own files that all its processes, and Exim, find by
// the plan: that of the store, where it is a file, and in any case that of the file of blocks.
func ownDir(p *plan.Plan) string {
	if p.Store.Kind == plan.SQLite {
		return filepath.Dir(p.Store.Path)
	}
	return filepath.Dir(p.Blocked)
}
