package mysqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Server is a database server in its own folder. Its methods end the test where they fail, but
// for those that return an error.
type Server struct {
	t T
	*server
	shared bool
}

// server is what the tests that share one have in common.
type server struct {
	home    *home
	options options
	dir     string
	port    *port
	special []string // options of the program that only some kinds of servers have
	db      *sql.DB  // as the administrator

	mu      sync.Mutex
	process *process // nil where none runs
	limit   int64    // of the size of files, where the disk is bounded; 0: not set yet
}

// Start makes a server and starts it. It ends with the test.
func Start(t T, options ...Option) *Server {
	t.Helper()
	s := prepare(t, options)
	if err := s.start(); err != nil {
		t.Fatalf("start a database server: %v", err)
	}
	return s
}

// prepare makes a server that does not run yet.
func prepare(t T, given []Option) *Server {
	t.Helper()
	h, err := settle()
	if err != nil {
		t.Fatalf("a database server for tests: %v", err)
	}
	made, err := h.server(given)
	if err != nil {
		t.Fatalf("make a database server: %v", err)
	}
	s := &Server{t: t, server: made}
	t.Cleanup(s.clean)
	return s
}

// server makes a server's folder.
func (h *home) server(given []Option) (*server, error) {
	s := &server{home: h}
	for _, option := range given {
		option(&s.options)
	}
	var err error
	if s.dir, err = h.folder(); err != nil {
		return nil, err
	}
	if len(s.Socket()) > 107 {
		return nil, fmt.Errorf("the socket's path %s is longer than the 107 bytes that it may have; set TMPDIR to something short", s.Socket())
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := h.copyTo(h.template, s.path("data")); err != nil {
		return nil, err
	}
	if err := s.certify(); err != nil {
		return nil, err
	}
	c, err := mysql.NewConnector(s.admin())
	if err != nil {
		return nil, err
	}
	s.db = sql.OpenDB(c)
	return s, nil
}

// admin is how the administrator connects: by the socket, so that nothing that is done to the
// network is in the way.
func (s *server) admin() *mysql.Config {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd = "unix", s.Socket(), administrator, s.home.password
	c.Timeout, c.ReadTimeout, c.WriteTimeout = patience, patience, patience
	c.Logger = &mysql.NopLogger{} // connections that break are what tests are about
	return c
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// arguments are the options of the program.
func (s *server) arguments() []string {
	args := []string{
		"--no-defaults", "--basedir=" + s.home.program.base, "--datadir=" + s.path("data"),
		"--socket=" + s.Socket(), "--pid-file=" + s.path("pid"), "--log-error=" + s.path("error.log"), "--tmpdir=" + s.dir,
		"--bind-address=127.0.0.1", "--port=" + s.port.String(), "--skip-name-resolve",
		"--innodb-buffer-pool-size=32M", s.home.program.redo(), "--performance-schema=off",
		"--innodb-flush-log-at-trx-commit=1", // what a reply has counted is on disk: it is under test
	}
	if !s.home.program.maria {
		args = append(args, "--mysqlx=off", "--skip-log-bin", "--secure-file-priv=NULL") // as MariaDB is without these
	}
	args = append(args, s.roomArguments()...)
	args = append(args, s.plainArguments()...)
	args = append(args, s.special...)
	return append(args, s.options.args...)
}

// command is a call of the program, with more options for this once.
func (s *server) command(once ...string) *exec.Cmd {
	// A signal that the shell ignores is ignored by what it becomes: the one for a file that may not grow, by
	// which InnoDB would end where it could say that the disk is full.
	args := append([]string{"-c", `trap "" XFSZ; exec "$0" "$@"`, s.home.program.path}, s.arguments()...)
	cmd := exec.Command("/bin/sh", append(args, once...)...) //nolint:gosec // who runs tests may name any program
	cmd.Dir, cmd.Env = s.dir, environment(s.dir)
	s.home.id.Become(cmd)
	return cmd
}

// start runs the program, with more options for this once, and waits until it answers.
func (s *server) start(once ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && !s.process.gone() {
		return errors.New("it runs already")
	}
	seen := len(s.Log())
	cmd := s.command(once...)
	clock, err := s.options.clock()
	if err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, clock...)
	said, err := os.OpenFile(s.path("output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // no secret
	if err != nil {
		return err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if s.process, err = start(cmd); err != nil {
		return err
	}
	if err := s.ready(seen); err != nil {
		return err
	}
	return s.bound()
}

// ready waits until the server that was just started answers, at its port, too. What of its log was there
// before is not of interest.
func (s *server) ready(seen int) error {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s.process.gone() {
			s.process.meant.Store(true) // that is said here
			said, _ := os.ReadFile(s.path("output"))
			return fmt.Errorf("it ended at once:\n%s%s", tail(string(said), 20), tail(s.Log()[seen:], 40))
		}
		if err = s.db.PingContext(context.Background()); err != nil {
			continue
		}
		var c net.Conn
		if c, err = net.Dial("tcp4", s.Addr()); err == nil {
			return c.Close()
		}
	}
	s.process.kill()
	return fmt.Errorf("it does not answer: %w\n%s", err, tail(s.Log()[seen:], 40))
}

// clean ends the server, and removes its folder.
func (s *Server) clean() {
	s.mu.Lock()
	if s.process != nil {
		if s.process.gone() && !s.process.meant.Load() {
			s.t.Errorf("the server at %s ended by itself", s.Addr())
		}
		s.process.kill()
	}
	s.mu.Unlock()
	_ = s.db.Close()
	s.port.free()
	s.show()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Errorf("remove the database server: %v", err)
	}
}

// show shows what the server said to a test that failed.
func (s *Server) show() {
	if s.t.Failed() {
		s.t.Logf("log of the server at %s:\n%s", s.Addr(), tail(s.Log(), 150))
	}
}

// own ends a test that is about to hurt a server of all tests.
func (s *Server) own() {
	s.t.Helper()
	if s.shared {
		s.t.Fatalf("this server is shared by all tests: do that to one of your own (mysqltest.Start)")
	}
}

// signal sends a signal to the server.
func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.own()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.gone() {
		s.t.Fatalf("the server does not run")
	}
	if err := syscall.Kill(s.process.pid(), sig); err != nil {
		s.t.Fatalf("signal the server: %v", err)
	}
}

// Kill ends the server as a crash would (SIGKILL), frozen or not. [Server.Start] starts it again.
func (s *Server) Kill() {
	s.t.Helper()
	s.own()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.kill()
	}
}

// Stop ends the server as an administrator would (SIGTERM), and waits for it.
func (s *Server) Stop() {
	s.t.Helper()
	s.own()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && !s.process.stop() {
		s.t.Errorf("the server did not end when told to:\n%s", tail(s.Log(), 20))
	}
}

// Start starts a server again that was killed or stopped, at the same port and with the same data.
func (s *Server) Start() {
	s.t.Helper()
	s.own()
	if err := s.start(); err != nil {
		s.t.Fatalf("start the database server again: %v", err)
	}
}

// Freeze stops the server in its tracks (SIGSTOP): it takes connections as far as the kernel does so
// for it, and answers nothing.
func (s *Server) Freeze() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (s *Server) Thaw() { s.t.Helper(); s.signal(syscall.SIGCONT) }

// Addr is where it listens: 127.0.0.1 and a port.
func (s *server) Addr() string { return s.port.address() }

// Socket is the path of its socket.
func (s *server) Socket() string { return s.path("socket") }

// Dir is its folder, with "data" in it.
func (s *server) Dir() string { return s.dir }

// PID is its process id, or 0 where it does not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.gone() {
		return 0
	}
	return s.process.pid()
}

// Log is what it has logged since it was made. A test that failed shows the end of it.
func (s *server) Log() string {
	text, _ := os.ReadFile(s.path("error.log"))
	return string(text)
}
