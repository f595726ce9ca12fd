package main

import (
	"errors"
	"fmt"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// mend is what to do about an error of the store, "" where its text says it.
func mend(err error, p *plan.Plan) string {
	switch {
	case errors.Is(err, store.ErrNewer):
		return "install the exipold that made it, or a newer one"
	case errors.Is(err, store.ErrCorrupt):
		return "stop exipold, move " + p.Store.Path + " away, start it again; what was remembered is lost, and mail goes on"
	case errors.Is(err, store.ErrReadOnly):
		return "it must belong to the user that exipold runs as, on a file system that can be written to"
	case errors.Is(err, store.ErrFull):
		return "make room on the disk, or raise --max-store"
	case errors.Is(err, store.ErrLocked):
		return "find the process that holds it (fuser " + p.Store.Path + ")"
	}
	return ""
}

// withMend adds the mend to an error that does not say it itself.
func withMend(err error, p *plan.Plan) error {
	if m := mend(err, p); m != "" {
		return fmt.Errorf("%w: %s", err, m)
	}
	return err
}
