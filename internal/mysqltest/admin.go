package mysqltest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"sync"

	"exipol/generator/plan"
)

// Rights are what the user of exipold's has, on its own database and nowhere else.
const Rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX"

// shared is the server of all tests of this process.
var shared = sync.OnceValues(func() (*server, error) {
	h, err := settle()
	if err != nil {
		return nil, err
	}
	s, err := h.server(nil)
	if err != nil {
		return nil, err
	}
	return s, s.start()
})

// Shared is one server for all tests of a process that do not hurt it. It ends with the process.
func Shared(t T) *Server {
	t.Helper()
	made, err := shared()
	if err != nil {
		t.Fatalf("start a database server for all tests: %v", err)
	}
	s := &Server{t: t, server: made, shared: true}
	t.Cleanup(s.show)
	return s
}

// DB is the server, as its administrator sees it.
func (s *server) DB() *sql.DB { return s.db }

// Exec runs a statement as the server's administrator.
func (s *Server) Exec(query string, args ...any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.db.ExecContext(ctx, query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

// Database makes an empty database, and a user with [Rights] on it and with a password in a file that
// only the test's user can read. On a shared server they go with the test.
func (s *Server) Database() plan.Store {
	s.t.Helper()
	made := s.database()
	made.Hosts = []string{s.Addr()}
	return made
}

// database is Database without the hosts.
func (s *Server) database() plan.Store {
	s.t.Helper()
	name := "exipol_" + strings.ToLower(rand.Text()[:10])
	// Nothing that is not letters would show whether somebody forgot to quote.
	password := rand.Text() + `#:@/?%' "\`
	s.Exec("CREATE DATABASE " + name)
	s.Exec("CREATE USER " + name + "@'%' IDENTIFIED BY '" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(password) + "'")
	s.Exec("GRANT " + Rights + " ON " + name + ".* TO " + name + "@'%'")
	if s.shared {
		s.t.Cleanup(func() {
			s.Exec("DROP DATABASE " + name)
			s.Exec("DROP USER " + name + "@'%'")
		})
	}
	file := s.path(name + ".password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		s.t.Fatalf("write a password: %v", err)
	}
	return plan.Store{Kind: plan.MySQL, Database: name, User: name, PasswordFile: file, TLS: plan.TLSOff}
}

// ReadOnly has the server refuse all writes but its administrator's, as one does that is about to
// be replaced, or that replicates another.
func (s *Server) ReadOnly() { s.t.Helper(); s.own(); s.Exec("SET GLOBAL read_only = ON") }

// Writable ends that.
func (s *Server) Writable() { s.t.Helper(); s.own(); s.Exec("SET GLOBAL read_only = OFF") }
