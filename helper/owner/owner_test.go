package owner_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"exipol/helper/owner"
)

func group(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Gid)
}

// TestShareGroup: the group of the other file, of its directory where there is none, and nothing
// where there is no such directory.
func TestShareGroup(t *testing.T) {
	dir := t.TempDir()
	other := os.Getegid()
	if os.Geteuid() == 0 {
		other = 54321
	} else if all, err := os.Getgroups(); err == nil && len(all) > 0 {
		other = all[0]
	}
	theirs, file := filepath.Join(dir, "theirs"), filepath.Join(dir, "file")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, -1, other); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		like string
		want int
	}{{theirs, other}, {filepath.Join(theirs, "socket"), other}, {filepath.Join(dir, "a", "b"), os.Getegid()}} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		owner.ShareGroup(file, c.like)
		if got := group(t, file); got != c.want {
			t.Errorf("like %s: group %d, want %d", c.like, got, c.want)
		}
		os.Remove(file)
	}
}
