package main

import (
	"errors"
	"io/fs"
	"os"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// mend is what to do about an error of the store, "" where its text says it.
func mend(err error, p *plan.Plan) string {
	if errors.Is(err, store.ErrNewer) {
		return "install the exipold that made it, or a newer one"
	}
	if p.Store.Kind == plan.MySQL {
		return mendServer(err, p)
	}
	switch {
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

// mendServer is what to do about an error of a store on a server.
func mendServer(err error, p *plan.Plan) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "run this as root"
	case errors.Is(err, store.ErrRefused) && p.Store.PasswordFile == "":
		return "without a password the server goes by which user of the system asks: run this as " + p.Store.User + " (runuser -u " + p.Store.User + " -- ...), and give that user its rights, as INSTALL.txt says"
	case errors.Is(err, store.ErrRefused):
		return "compare the user, its rights and its password with INSTALL.txt (exipold doctor says more)"
	case errors.Is(err, store.ErrAway):
		return "start the server, or open the way to it; exipold doctor looks at each host"
	case errors.Is(err, store.ErrCorrupt):
		return "CHECK TABLE, on the server, says which table it is; a copy of the server, or a backup, has it whole"
	case errors.Is(err, store.ErrReadOnly):
		return "let the server be written to (SET GLOBAL read_only = 0), or name first the one that is, in the hosts of the policies"
	case errors.Is(err, store.ErrFull):
		return "make room on the disk of the server"
	}
	return ""
}

// mended is an error with what mends it.
type mended struct {
	error
	mend string
}

func (m mended) Error() string { return m.error.Error() + ": " + m.mend }
func (m mended) Unwrap() error { return m.error }

// withMend adds the mend to an error that does not say it itself.
func withMend(err error, p *plan.Plan) error {
	var already mended
	if m := mend(err, p); m != "" && !errors.As(err, &already) {
		return mended{err, m}
	}
	return err
}
