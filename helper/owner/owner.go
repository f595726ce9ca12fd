// Package owner sees to it that what root makes by hand does not shut out the helper,
// which runs as a user of its own.
package owner

import (
	"os"
	"path/filepath"
	"syscall"
)

// Inherit gives each path to the owner and the group of its directory, where this
// process is root; else, and for a path that is not there, it does nothing. It reports
// no error: a file that stays root's is found by exipold doctor.
func Inherit(paths ...string) {
	if os.Geteuid() != 0 {
		return
	}
	for _, path := range paths {
		info, err := os.Stat(filepath.Dir(path))
		if err != nil {
			continue
		}
		if of, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Lchown(path, int(of.Uid), int(of.Gid))
		}
	}
}

// ShareGroup gives path to the group of another file, or of its directory where that is not
// there, so that who may use the one may read the other. Root can do that, and who is in the group; else it
// does nothing, and reports no error.
func ShareGroup(path, like string) {
	info, err := os.Stat(like)
	if err != nil {
		if info, err = os.Stat(filepath.Dir(like)); err != nil {
			return
		}
	}
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Lchown(path, -1, int(of.Gid))
	}
}
