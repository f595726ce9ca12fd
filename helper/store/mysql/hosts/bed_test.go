package hosts

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/internal/mysqltest"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// quick is the time between two looks in tests: ten times faster than in life.
const quick = 100 * time.Millisecond

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// bed is the hosts of a store, and what they said.
type bed struct {
	*Hosts
	t        *testing.T
	log      *journal
	password string
}

// connect opens the hosts of a store as a test needs them.
func connect(t *testing.T, s plan.Store, change ...func(*Config)) *bed {
	t.Helper()
	password, err := ReadPassword(s.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, log: &journal{}, password: password}
	c := Config{
		Store: s, Password: password, Gateway: "gw1", Timeout: 2 * time.Second, Every: quick,
		Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&c)
	}
	if b.Hosts, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if password != "" && strings.Contains(b.log.String(), password) {
			t.Error("the password is in the log")
		}
		if t.Failed() {
			t.Logf("log:\n%s", b.log)
		}
	})
	return b
}

// ready opens the hosts and waits until one is in use.
func ready(t *testing.T, s plan.Store, change ...func(*Config)) *bed {
	t.Helper()
	b := connect(t, s, change...)
	b.wait()
	return b
}

func (b *bed) wait() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Wait(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// use is the host in use, or the test ends.
func (b *bed) use() *Host {
	b.t.Helper()
	h, err := b.Use(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// away waits until no host is in use, and gives the reason.
func (b *bed) away() error {
	b.t.Helper()
	var err error
	await(b.t, "no host to be in use", func() bool { _, err = b.Use(context.Background()); return err != nil })
	return err
}

// exec runs a statement at the host in use, and tells it where it failed.
func (b *bed) exec(query string) error {
	h, err := b.Use(context.Background())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err = h.DB().ExecContext(ctx, query); err != nil {
		h.Failed(err)
	}
	return err
}

// logged counts lines of the log.
func (b *bed) logged(message string) int {
	return strings.Count(b.log.String(), fmt.Sprintf("msg=%q", message))
}

// await waits for what must come.
func await(t *testing.T, what string, come func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !come(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// value is one value that a server gives.
func value(t *testing.T, db *sql.DB, query string) (v string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := db.QueryRowContext(ctx, query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// leaseTable makes the table lease in a database.
func leaseTable(s *mysqltest.Server, database string) {
	for _, table := range plan.Tables(plan.Needs{}) {
		if table.Name == plan.TableLease {
			for _, statement := range ddl.Of(plan.MySQL).Table(table) {
				s.Exec(strings.Replace(statement, "IF NOT EXISTS ", "IF NOT EXISTS "+database+".", 1))
			}
		}
	}
}

// database makes a database with the table lease on a server.
func database(s *mysqltest.Server) plan.Store {
	made := s.Database()
	leaseTable(s, made.Database)
	return made
}

// same makes the same database and user on another server.
func same(s *mysqltest.Server, made plan.Store, password string) {
	quoted := strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(password)
	s.Exec("CREATE DATABASE " + made.Database)
	s.Exec("CREATE USER " + made.User + "@'%' IDENTIFIED BY '" + quoted + "'")
	s.Exec("GRANT " + mysqltest.Rights + " ON " + made.Database + ".* TO " + made.User + "@'%'")
	leaseTable(s, made.Database)
}
