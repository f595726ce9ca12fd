package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"

	"exipol/generator/emit"
)

// mode is an output's permissions when it is written for the first time. The plan
// may name hosts and addresses, so it is not for everybody.
func mode(name string) os.FileMode {
	if name == emit.PlanFile {
		return 0o640
	}
	return 0o644
}

// writeAll makes dir hold these files. All of them are written and synced under
// other names first, then renamed, in the order given; so a failure leaves the
// directory as it was, and the manifest, the last one, never comes before what it
// describes. A file that is the same already is not touched.
func writeAll(dir string, files []emit.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var pending []*renameio.PendingFile
	defer func() {
		for _, p := range pending {
			p.Cleanup() // after the renaming it has nothing left to do
		}
	}()
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, f.Data) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		p, err := stage(dir, path, f)
		if err != nil {
			return err
		}
		pending = append(pending, p)
	}
	if len(pending) == 0 {
		return nil
	}
	for _, p := range pending {
		if err := p.CloseAtomicallyReplace(); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// stage writes one file beside its destination, with the destination's mode and
// owner where it exists.
func stage(dir, path string, f emit.File) (*renameio.PendingFile, error) {
	p, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir),
		renameio.WithStaticPermissions(mode(f.Name)), renameio.WithExistingPermissions())
	if err != nil {
		return nil, err
	}
	err = func() error {
		if info, err := os.Stat(path); err == nil {
			if owner, ok := info.Sys().(*syscall.Stat_t); ok {
				// Only root can give a file away; who is not root owns it already, or
				// becomes its owner.
				_ = p.Chown(int(owner.Uid), int(owner.Gid))
				if err := p.Chmod(info.Mode().Perm()); err != nil {
					return err
				}
			}
		}
		if _, err := p.Write(f.Data); err != nil {
			return err
		}
		return p.Sync()
	}()
	if err != nil {
		p.Cleanup()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return p, nil
}

// syncDir makes the renaming itself durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// What `build --check` says of a file.
const (
	same    = "same"
	edited  = "edited"  // not what the manifest says it was
	stale   = "stale"   // as it was built, but the policies make something else now
	missing = "missing" //
)

// state is one output and how it differs from what the policies make.
type state struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// compare says for each file how the one in dir differs. The manifest is not
// compared but consulted: another version of exipol that makes the same text leaves
// nothing to do.
func compare(dir string, files []emit.File) ([]state, error) {
	var recorded emit.Manifest
	text, err := os.ReadFile(filepath.Join(dir, emit.ManifestFile))
	if err == nil {
		// One that cannot be read vouches for nothing: then what differs was edited.
		recorded, _ = emit.ReadManifest(text)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var states []state
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.Name))
		s := state{f.Name, same}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.State = missing
		case err != nil:
			return nil, err
		case f.Name == emit.ManifestFile || bytes.Equal(got, f.Data):
		case recorded.Output(f.Name) == emit.Sum(got):
			s.State = stale
		default:
			s.State = edited
		}
		states = append(states, s)
	}
	return states, nil
}
