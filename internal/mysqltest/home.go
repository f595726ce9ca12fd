package mysqltest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"exipol/internal/unprivileged"
)

// administrator is who may do everything on a server, from everywhere, with a password that is made
// anew for each process of tests.
const administrator = "administrator"

// home is what all servers of this process of tests share.
type home struct {
	program  program
	id       unprivileged.Identity
	dir      string    // with the template and each server in a folder of its own
	password string    // the administrator's
	template string    // a data folder that is copied for each server
	alive    io.Closer // what tells the guard that this process lives; held, for it is closed when nobody holds it
}

// settle makes it once.
var settle = sync.OnceValues(func() (*home, error) {
	p, err := find()
	if err != nil {
		return nil, err
	}
	h := &home{program: p, password: rand.Text()}
	if h.id, err = unprivileged.Find(); err != nil {
		return nil, err
	}
	// A short path: a Unix socket's is cut at 107 bytes.
	if h.dir, err = os.MkdirTemp("", "db"); err != nil {
		return nil, err
	}
	if err := os.Chmod(h.dir, 0o755); err != nil { //nolint:gosec // the server's user has to get in
		return nil, err
	}
	if err := h.id.Own(h.dir); err != nil {
		return nil, err
	}
	if h.alive, err = guard(h.dir); err != nil {
		return nil, err
	}
	h.template = filepath.Join(h.dir, "template")
	return h, h.install()
})

// guard starts a process that outlives this one for a moment, however this one ends: what it does
// when its standard input ends, which happens at the end of this process, is to end what still
// runs (the servers end by themselves, see start; what they had started need not) and to remove the
// folder. It has a session of its own, for a key that interrupts the tests not to end it, too.
func guard(dir string) (alive io.Closer, err error) {
	const script = `
		cat >/dev/null
		for file in "$1"/*/pid; do
			[ ! -s "$file" ] || kill -9 -- "-$(cat "$file")" 2>/dev/null
		done
		for n in 1 2 3 4 5 6 7 8 9 10; do
			rm -rf "$1" 2>/dev/null && exit
			sleep 0.2
		done`
	cmd := exec.Command("/bin/sh", "-c", script, "guard", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if alive, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return alive, cmd.Start()
}

// install makes the template: an empty server with nobody but the administrator.
func (h *home) install() error {
	if err := os.Mkdir(h.template, 0o700); err != nil {
		return err
	}
	if err := h.id.Own(h.template); err != nil {
		return err
	}
	extra := filepath.Join(h.dir, "install.sql")
	text := "CREATE USER " + administrator + "@'%' IDENTIFIED BY '" + h.password + "';\n" +
		"GRANT ALL PRIVILEGES ON *.* TO " + administrator + "@'%' WITH GRANT OPTION;\n" +
		"DROP USER IF EXISTS root@localhost;\n"
	if h.program.maria { // it begins without regard to users
		text = "FLUSH PRIVILEGES;\n" + text
	}
	if err := os.WriteFile(extra, []byte(text), 0o600); err != nil {
		return err
	}
	defer os.Remove(extra)
	if err := h.id.Own(extra); err != nil {
		return err
	}
	cmd := exec.Command(h.program.path, "--no-defaults", "--basedir="+h.program.base, "--datadir="+h.template, //nolint:gosec // as above
		"--secure-file-priv=NULL", "--initialize-insecure", "--init-file="+extra)
	if h.program.maria {
		script := filepath.Join(h.program.base, "bin", "mariadb-install-db")
		if _, err := os.Stat(script); err != nil {
			script = filepath.Join(h.program.base, "scripts", "mariadb-install-db")
		}
		cmd = exec.Command(script, "--no-defaults", "--basedir="+h.program.base, "--datadir="+h.template, //nolint:gosec // as above
			"--skip-name-resolve", "--force", "--skip-test-db", "--extra-file="+extra) // --force: whether this host can look up its own name or not
	}
	cmd.Args = append(cmd.Args, h.program.redo())
	cmd.Dir, cmd.Env = h.template, environment(h.dir)
	h.id.Become(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a data folder by %s: %w\n%s", cmd.Path, err, tail(string(out), 20))
	}
	return nil
}

// redo is the option for the size of InnoDB's redo log, as small as it may be: it is copied for
// each server.
func (p program) redo() string {
	if p.maria {
		return "--innodb-log-file-size=8M"
	}
	return "--loose-innodb-redo-log-capacity=8M" // since 8.0.30
}

// folder makes a folder for a server, which is the server's user's, and reads for all: the test's
// programs find the socket there.
func (h *home) folder() (string, error) {
	dir, err := os.MkdirTemp(h.dir, "")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		return "", err
	}
	return dir, h.id.Own(dir)
}

// copyTo copies a data folder.
func (h *home) copyTo(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(name, from)
		switch {
		case entry.IsDir():
			err = os.Mkdir(target, 0o700)
		case entry.Type().IsRegular():
			var data []byte
			if data, err = os.ReadFile(name); err == nil {
				err = os.WriteFile(target, data, 0o600)
			}
		case entry.Type()&fs.ModeSymlink != 0, entry.Type()&fs.ModeSocket != 0:
			return nil // MySQL leaves such things, and makes them anew
		default:
			err = errors.New("neither a file nor a folder")
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		return h.id.Own(target)
	})
}

// tail returns the last n lines.
func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "")
}
