package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

// A real full disk: a small file system in memory.
func TestFullFileSystem(t *testing.T) {
	directory := t.TempDir()
	if err := syscall.Mount("none", directory, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount a small file system, without which no full disk is tested: %v", err)
		}
		t.Skipf("mounting a small file system takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(directory, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(directory, "exipol.db")
	s := create(t, path, Options{})
	defer s.Close() // before the file system goes
	kept, err := fillUp(t, s)
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d updates: %v", kept, err)
	}
	if n := storetest.Count(t, s, "n", 0); n != kept {
		t.Errorf("%d kept, %d answered", n, kept)
	}
	if err := syscall.Mount("none", directory, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	storetest.Do(t, s, storetest.Add("n", 1, 1))
	if n := storetest.Count(t, s, "n", 0); n != kept+1 {
		t.Errorf("%d kept after recovery, %d answered", n, kept+1)
	}
}
