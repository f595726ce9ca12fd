package day

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// ErrMissing is what a judge cannot do without and this machine does not have.
var ErrMissing = errors.New("not installed")

// debianSettings are those of Debian's /etc/greylistd/config, but for the folder and
// the socket's owner.
const debianSettings = `[timeouts]
retryMin = 600
retryMax = 28800
expire = 5184000
[socket]
path = %[1]s/socket
mode = 0660
owner = root
[data]
update = 600
statefile = %[1]s/states
tripletfile = %[1]s/triplets
savetriplets = true
singlecheck = false
singleupdate = false
`

// saves is how often greylistd saves, and forgets what has expired, by Debian's settings.
const saves = 600 * time.Second

// Greylistd is Debian's greylistd, with Debian's settings, asked as the ACL that it
// installs asks. Its time is the day's, by libfaketime. The lists of hosts that it ships
// (of 2004) name nobody of the day's world, nor any network that the large providers
// of today send from, but for one or two.
type Greylistd struct {
	dir   string
	cmd   *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer
	clock string // the file that libfaketime reads
	saved time.Time
}

// StartGreylistd runs it in a folder of its own, until Close. The error is ErrMissing
// where greylistd or libfaketime is not there.
func StartGreylistd(dir string) (*Greylistd, error) {
	const program = "/usr/sbin/greylistd"
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("greylistd: %w", ErrMissing)
	}
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		return nil, fmt.Errorf("libfaketime: %w", ErrMissing)
	}
	g := &Greylistd{dir: dir, clock: filepath.Join(dir, "clock"), ended: make(chan struct{})}
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, debianSettings, dir), 0o600); err != nil {
		return nil, fmt.Errorf("greylistd: %w", err)
	}
	if err := g.set(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		return nil, err
	}
	g.cmd = exec.Command(program, config)
	g.cmd.Dir = dir
	g.cmd.Env = append(os.Environ(), "TZ=UTC", "LD_PRELOAD="+found[0], "FAKETIME_TIMESTAMP_FILE="+g.clock, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
	g.cmd.Stdout, g.cmd.Stderr = &g.said, &g.said
	// Where this program dies, so does greylistd.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("greylistd: %w", err)
	}
	go func() { _ = g.cmd.Wait(); close(g.ended) }()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := g.ask("stats"); err == nil {
			return g, nil
		}
		select {
		case <-g.ended:
			return nil, fmt.Errorf("greylistd ended at once: %s", g.said.String())
		default:
		}
	}
	g.Close()
	return nil, fmt.Errorf("greylistd does not answer: %s", g.said.String())
}

// Close ends it, and waits until it is gone.
func (g *Greylistd) Close() {
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(10 * time.Second):
		_ = g.cmd.Process.Kill()
		<-g.ended
	}
}

// Name is for the tables.
func (g *Greylistd) Name() string { return "greylistd" }

// Try asks as the ACL does: never about a null sender.
func (g *Greylistd) Try(now time.Time, a Attempt) (deferred bool, err error) {
	if a.Sender == "" {
		return false, nil
	}
	if err := g.advance(now); err != nil {
		return false, err
	}
	answer, err := g.ask("--grey " + a.Client.String() + " " + a.Sender + " " + a.Recipient)
	switch {
	case err != nil:
		return false, err
	case answer == "true" || answer == "false":
		return answer == "true", nil
	default:
		return false, fmt.Errorf("answer %q", answer)
	}
}

// Sent is nothing to it.
func (g *Greylistd) Sent(time.Time, string, string) error { return nil }

// advance sets its clock. It saves by itself only when its clock says so while it
// waits, and it waits by the machine's clock: so it is told to, as late as it would have.
func (g *Greylistd) advance(now time.Time) error {
	if due := now.Truncate(saves); due.After(g.saved) {
		g.saved = due
		if err := g.set(due); err != nil {
			return err
		}
		if _, err := g.ask("save"); err != nil {
			return err
		}
	}
	return g.set(now)
}

// set writes the clock, at once for whoever reads it meanwhile.
func (g *Greylistd) set(now time.Time) error {
	next := g.clock + ".next"
	err := os.WriteFile(next, []byte(now.UTC().Format("2006-01-02 15:04:05")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(next, g.clock)
	}
	if err != nil {
		return fmt.Errorf("greylistd's clock: %w", err)
	}
	return nil
}

// ask is one connection, as Exim's readsocket makes it.
func (g *Greylistd) ask(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(g.dir, "socket"))
	if err != nil {
		return "", fmt.Errorf("greylistd: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, command); err != nil {
		return "", fmt.Errorf("greylistd: %w", err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("greylistd: %w", err)
	}
	return string(answer), nil
}
