package eximtest

import (
	"os"
	"os/exec"
	"path/filepath"

	"exipol/internal/unprivileged"
)

// T is what a bed needs of a test. [testing.TB] has it all; a program that is not a
// test can bring its own.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// howToInstall ends every message about something missing: these tests are never skipped.
const howToInstall = "install it with: apt-get install exim4-daemon-heavy"

// Binary returns the path of Exim: the variable EXIM if it is set, else exim4 or exim
// in PATH or where systems keep it. The result is "" where there is none.
func Binary() string {
	if p := os.Getenv("EXIM"); p != "" {
		return p
	}
	for _, name := range []string{"exim4", "exim"} {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/exim/bin"} {
			p := filepath.Join(dir, name)
			if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
				return p
			}
		}
	}
	return ""
}

// Find is [Binary], and ends the test where there is no Exim.
func Find(t T) string {
	t.Helper()
	p := Binary()
	if p == "" {
		t.Fatalf("no Exim on this machine (looked for exim4 and exim); %s, or name one in the variable EXIM", howToInstall)
	}
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("no Exim at %s: %v; %s", p, err, howToInstall)
	}
	return p
}

// Identity is the user that Exim runs as. [unprivileged.Identity.Become] makes a command that
// is to share files and Exim's rights with the bed.
type Identity = unprivileged.Identity

// identity returns the caller, or nobody where the caller is root.
func identity(t T) Identity {
	t.Helper()
	id, err := unprivileged.Find()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return id
}
