package pools

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadIrregular: a directory, and a pipe that nobody writes into, are errors at once.
func TestReadIrregular(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe} {
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
