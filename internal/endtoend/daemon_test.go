package endtoend

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// buildDir is where exipold was built, "" until a test wanted it.
var buildDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// built is exipold as a program, built once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "built")
	if err != nil {
		return "", err
	}
	buildDir = dir
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // those who run as Exim's user get in
		return "", err
	}
	path := filepath.Join(dir, "exipold")
	if out, err := exec.Command("go", "build", "-o", path, "exipol/cmd/exipold").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build exipold: %w\n%s", err, out)
	}
	return path, nil
})

// daemon runs exipold as a process of its own, so that it can be killed.
type daemon struct {
	s    *Site
	exe  string
	plan string
	log  string
	args []string        // of serve, further ones
	as   func(*exec.Cmd) // if set: has it run as somebody else

	cmd    *exec.Cmd
	exited chan struct{}
}

// daemon prepares exipold for the site. It does not run yet.
func (s *Site) daemon(t *testing.T) *daemon {
	t.Helper()
	exe, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.Path("state"), 0o750); err != nil {
		t.Fatal(err)
	}
	d := &daemon{s: s, exe: exe, plan: s.WriteFile("plan.json", s.Files["plan.json"]), log: s.Path("log/exipold")}
	t.Cleanup(func() {
		d.kill()
		if text, err := os.ReadFile(d.log); err == nil && t.Failed() {
			t.Logf("exipold said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return d
}

// start runs exipold and waits until it answers.
func (d *daemon) start() error {
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"serve", "--plan", d.plan, "--group", d.s.ID.Group, "--log-level", "warn"}
	cmd := exec.Command(d.exe, append(args, d.args...)...)
	cmd.Stderr = log
	if d.as != nil {
		d.as(cmd)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start exipold: %w", err)
	}
	d.cmd, d.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) { _ = cmd.Wait(); close(exited) }(d.exited)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		answer, err := ask(d.s.Plan.Socket, "exipold status")
		if err == nil && strings.HasPrefix(answer, "{") {
			return nil
		}
		select {
		case <-d.exited:
			return errors.New("exipold ended at once")
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("exipold does not answer: %q, %w", answer, err)
		}
	}
}

// kill ends exipold as a crash would, and waits until it is gone.
func (d *daemon) kill() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.exited
	d.cmd = nil
}

// ask asks on a socket as Exim does: a line, then the end of that half of the
// connection, then the answer until its end.
func ask(socket, question string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, question+"\n"); err != nil {
		return "", err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
