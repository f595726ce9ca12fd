package eximtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
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

// Identity is the user that Exim runs as.
type Identity struct {
	UID, GID    uint32
	User, Group string // names for the configuration, or the numbers where there are none
}

// identity returns the caller, or nobody where the caller is root.
func identity(t T) Identity {
	t.Helper()
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatalf("root needs the user nobody to run Exim without privilege: %v", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return named(uint32(uid), uint32(gid))
	}
	return named(uint32(os.Getuid()), uint32(os.Getgid()))
}

func named(uid, gid uint32) Identity {
	id := Identity{UID: uid, GID: gid, User: strconv.Itoa(int(uid)), Group: strconv.Itoa(int(gid))}
	if u, err := user.LookupId(id.User); err == nil {
		id.User = u.Username
	}
	if g, err := user.LookupGroupId(id.Group); err == nil {
		id.Group = g.Name
	}
	return id
}

// attributes make a process run as this identity, in a process group of its own so
// that its children can be ended with it.
func (id Identity) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		a.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	return a
}

// Become has a command run as this identity, in a process group of its own: a program that
// is to share files and Exim's rights with the bed.
func (id Identity) Become(cmd *exec.Cmd) { cmd.SysProcAttr = id.attributes() }
