package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What systemd is told, in its order: ready, alive, reloading and ready again (also
// after a plan that was refused), stopping.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	t.Setenv("WATCHDOG_USEC", "600000")
	cmd := daemonUnderTest(t, dir)
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	next := func(want string) string {
		t.Helper()
		buf := make([]byte, 4096)
		for {
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if got := string(buf[:n]); strings.HasPrefix(got, want) {
				return got
			} else if got != alive && !strings.HasPrefix(got, ready) {
				t.Fatalf("systemd was told %q, want %q", got, want)
			}
		}
	}
	if got := next(ready); !strings.Contains(got, "\nSTATUS=plan ") {
		t.Errorf("ready: %q", got)
	}
	next(alive)
	next(alive)
	if err := os.WriteFile(filepath.Join(dir, "plan.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := next("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("reloading: %q", got)
	}
	next(ready)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next(stopping)
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

// systemd never gives up: a disk that is full for an hour must not cost greylisting
// until somebody looks.
func TestUnitNeverGivesUp(t *testing.T) {
	b, err := os.ReadFile("../../templates/systemd/exipold.service")
	if err != nil {
		t.Fatal(err)
	}
	unit, service, found := strings.Cut(string(b), "\n[Service]\n")
	if !found || !strings.Contains(unit, "\nStartLimitIntervalSec=0\n") || !strings.Contains(service, "\nRestart=always\n") {
		t.Errorf("%s", b)
	}
}
