package eximtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command is a call of Exim with the bed's configuration, as the bed's user.
func (b *Bed) command(ctx context.Context, args ...string) *exec.Cmd {
	b.t.Helper()
	if _, err := os.Stat(b.confFile()); err != nil {
		b.Configure()
	}
	all := append([]string{"-C", b.confFile()}, b.Arguments...)
	cmd := exec.CommandContext(ctx, b.exim, append(all, args...)...)
	b.ID.Become(cmd)
	cmd.Dir = b.Path("run")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=UTC", "LC_ALL=C"}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Start runs the daemon and waits until it listens.
func (b *Bed) Start() {
	b.t.Helper()
	if b.daemon != nil {
		b.t.Fatalf("the daemon runs already")
	}
	var err error
	for range 5 { // another process may take the port between our look and Exim's bind
		if err = b.tryStart(); err == nil {
			return
		}
		if !strings.Contains(err.Error(), "already in use") {
			break
		}
	}
	b.t.Fatalf("start Exim (%s): %v", b.Layout, err)
}

func (b *Bed) tryStart() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	b.port = port
	listen := "<; [127.0.0.1]:" + strconv.Itoa(port)
	if b.IPv6 {
		listen += " ; [::1]:" + strconv.Itoa(port)
	}
	// -oX in place of options: no pid file, and a new port needs no new configuration.
	cmd := b.command(context.Background(), "-bdf", "-oX", listen)
	stderr, err := os.OpenFile(b.Path("log/stderr"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stderr, stderr
	seen := b.logSize("mainlog")
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	b.daemon, b.exited = cmd, exited
	return b.waitListening(seen)
}

// waitListening waits for the line that Exim logs after listen(). A connection would
// be seen by the connect ACL, and logged.
func (b *Bed) waitListening(seen int) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		log, _ := os.ReadFile(b.Path("log/mainlog"))
		if len(log) > seen && bytes.Contains(log[seen:], []byte(" daemon started: ")) {
			return nil
		}
		select {
		case <-b.exited:
			b.daemon = nil
			said, _ := os.ReadFile(b.Path("log/stderr"))
			panics, _ := os.ReadFile(b.Path("log/paniclog"))
			return fmt.Errorf("exim ended at once:\n%s%s", tail(string(said), 20), tail(string(panics), 20))
		default:
		}
	}
	b.Stop()
	return errors.New("exim did not begin to listen")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Port is where the daemon listens on 127.0.0.1.
func (b *Bed) Port() int { return b.port }

// Stop ends the daemon, its sessions and its deliveries. Exim itself leaves sessions
// alone when its daemon ends, even sleeping ones.
func (b *Bed) Stop() {
	if b.daemon == nil {
		return
	}
	pid := b.daemon.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(10 * time.Second):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-b.exited
	b.daemon = nil
}

// Kill ends the daemon, its sessions and its deliveries as a crash of all of them would
// (SIGKILL). [Bed.Start] starts it again.
func (b *Bed) Kill() {
	if b.daemon == nil {
		return
	}
	_ = syscall.Kill(-b.daemon.Process.Pid, syscall.SIGKILL)
	<-b.exited
	b.daemon = nil
	b.endStragglers()
}

// Reload has the daemon read its configuration again (SIGHUP), and waits until it
// has.
func (b *Bed) Reload() {
	b.t.Helper()
	if b.daemon == nil {
		b.t.Fatalf("no daemon to reload")
	}
	seen := b.logSize("mainlog")
	if err := b.hangUp(seen); err != nil {
		b.t.Fatalf("reload Exim: %v", err)
	}
	if err := b.waitListening(seen); err != nil {
		b.t.Fatalf("reload Exim: %v", err)
	}
}

// hangUp sends SIGHUP until Exim says that it got it. A daemon that is just about to
// wait for connections notices a signal at the next one only (seen with 4.100.1); a
// second signal ends its waiting.
func (b *Bed) hangUp(seen int) error {
	var sent time.Time
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if log, _ := os.ReadFile(b.Path("log/mainlog")); len(log) > seen && bytes.Contains(log[seen:], []byte(" SIGHUP received")) {
			return nil
		}
		if time.Since(sent) > 2*time.Second {
			if err := syscall.Kill(b.daemon.Process.Pid, syscall.SIGHUP); err != nil {
				return err
			}
			sent = time.Now()
		}
	}
	return errors.New("exim takes no notice of SIGHUP")
}

// Exec calls Exim once, with input on its standard input. The error is that of a call
// that could not be made or ended with another status than 0.
func (b *Bed) Exec(input string, args ...string) (stdout, stderr string, err error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := b.command(ctx, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("exim %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return out.String(), said.String(), err
}

// CheckConfig has Exim read the configuration (-bV): words and structure only, nothing
// to the right of an equals sign is tried.
func (b *Bed) CheckConfig() error {
	b.t.Helper()
	_, _, err := b.Exec("", "-bV")
	return err
}

// Expand has Exim expand a string (-be). A failed expansion is an error. The result is
// without the newline that Exim puts behind it.
func (b *Bed) Expand(expression string) (string, error) {
	b.t.Helper()
	out, _, err := b.Exec("", "-be", expression)
	out = strings.TrimSuffix(out, "\n")
	if err == nil && strings.HasPrefix(out, "Failed: ") {
		err = errors.New(out)
	}
	return out, err
}

// Option asks Exim for settings as it read them (-bP): main options, "macros",
// "acl_smtp_rcpt" and so on.
func (b *Bed) Option(names ...string) string {
	b.t.Helper()
	out, _, err := b.Exec("", append([]string{"-bP"}, names...)...)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	return out
}

// Rehearse runs a fake session (-bh) of a client with this address: the dialogue on
// stdout, Exim's remarks on each ACL statement on stderr. Nothing is delivered and
// delays are skipped, but readsocket, ratelimit and lookups are real.
func (b *Bed) Rehearse(clientIP, dialogue string) (replies, remarks string) {
	b.t.Helper()
	out, said, err := b.Exec(dialogue, "-bh", clientIP)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	return out, said
}

// RunQueue tries to deliver all that waits (-q); with frozen, that too, and thaws it
// (-qff).
func (b *Bed) RunQueue(frozen bool) {
	b.t.Helper()
	arg := "-q"
	if frozen {
		arg = "-qff"
	}
	if _, _, err := b.Exec("", arg); err != nil {
		b.t.Fatalf("%v", err)
	}
}
