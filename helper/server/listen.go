package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listen makes the socket at path, with mode 0660 and, where group is not empty,
// that group. A stale socket is replaced; one on which somebody answers, or a file
// that is no socket, is an error. The socket appears with its rights: there is no
// moment in which others could connect. release removes it again, unless it is
// another's by then.
func Listen(path, group string) (ln *net.UnixListener, release func(), err error) {
	if err := free(path); err != nil {
		return nil, nil, err
	}
	if err := folder(path); err != nil {
		return nil, nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	sweep(path)
	fresh := unnamed(path) + strconv.Itoa(os.Getpid())
	_ = os.Remove(fresh)
	ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false)
	if err := settle(fresh, path, group); err != nil {
		ln.Close()
		_ = os.Remove(fresh)
		return nil, nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ours, err := os.Lstat(path)
	if err != nil {
		ln.Close()
		return nil, nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return ln, func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(ours, now) {
			_ = os.Remove(path)
		}
	}, nil
}

// unnamed is how the socket is called, but for the process's number, until it has its
// rights.
func unnamed(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".")
}

// sweep removes what processes have left that were killed before their socket had its
// name.
func sweep(path string) {
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range left {
		file := filepath.Join(filepath.Dir(path), e.Name())
		number, is := strings.CutPrefix(file, unnamed(path))
		pid, err := strconv.Atoi(number)
		if !is || err != nil || pid <= 0 || e.Type() != fs.ModeSocket {
			continue
		}
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && free(file) == nil {
			_ = os.Remove(file)
		}
	}
}

// folder says what is wrong with the socket's directory before the system says less.
func folder(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory %s does not exist: make it: install -d -m 0755 %s", dir, dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}

// settle gives the fresh socket its rights and then its name.
func settle(fresh, path, group string) error {
	if group != "" {
		gid, err := groupID(group)
		if err != nil {
			return err
		}
		if err := os.Chown(fresh, -1, gid); err != nil {
			return fmt.Errorf("give the socket to group %s (is this user in it?): %w", group, err)
		}
	}
	if err := os.Chmod(fresh, 0o660); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

func groupID(group string) (int, error) {
	g, err := user.LookupGroup(group)
	if err != nil {
		if n, nerr := strconv.Atoi(group); nerr == nil {
			return n, nil
		}
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// free says whether the path can be taken.
func free(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("listen on %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen on %s: there is a file that is no socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist):
		return nil // stale: nobody listens
	case err == nil:
		conn.Close()
		return fmt.Errorf("listen on %s: another process answers there", path)
	default:
		// A full queue (EAGAIN) means a listener, too.
		return fmt.Errorf("listen on %s: cannot tell whether the socket there is in use: %w", path, err)
	}
}

// Activated is the socket that systemd passed to this process, nil where it passed
// none. More than one, or one that is no Unix stream socket, is an error.
func Activated() (*net.UnixListener, error) {
	files := activation.Files(true)
	switch len(files) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, fmt.Errorf("systemd passed %d sockets, where one is expected", len(files))
	}
	defer files[0].Close()
	ln, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passed: %w", err)
	}
	unix, ok := ln.(*net.UnixListener)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("the socket that systemd passed is %s, not a Unix socket", ln.Addr().Network())
	}
	unix.SetUnlinkOnClose(false)
	return unix, nil
}
