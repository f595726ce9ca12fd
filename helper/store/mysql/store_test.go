package mysql

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// everything is all tables.
var everything = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})

// database makes a database with all tables.
func database(t testing.TB, s *mysqltest.Server) plan.Store {
	t.Helper()
	made := s.Database()
	create(t, s, made)
	return made
}

// create makes all tables.
func create(t testing.TB, s *mysqltest.Server, made plan.Store) {
	t.Helper()
	conn, err := s.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	statements := []string{"USE " + made.Database}
	for _, table := range everything {
		statements = append(statements, ddl.Of(plan.MySQL).Table(table)...)
	}
	for _, statement := range append(statements, ddl.Of(plan.MySQL).NoteVersion(0)) {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// open opens a database as one gateway.
func open(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

// emptied removes all rows of a database but the schema's version: that is faster than another database.
func emptied(t testing.TB, server *mysqltest.Server, made plan.Store) plan.Store {
	t.Helper()
	tx, err := server.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range everything {
		where := ""
		if table.Name == plan.TableMeta {
			where = " WHERE name <> '" + ddl.VersionName + "'"
		}
		if _, err := tx.Exec("DELETE FROM " + made.Database + "." + table.Name + where); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return made
}

func TestStore(t *testing.T) {
	server := mysqltest.Shared(t)
	made := database(t, server)
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, Config{Store: emptied(t, server, made), Gateway: "gw"})
	})
}

func TestShared(t *testing.T) {
	server := mysqltest.Shared(t)
	made := database(t, server)
	storetest.RunShared(t, func(t *testing.T) (a, b store.Store) {
		c := Config{Store: emptied(t, server, made), Gateway: "a"}
		other := c
		other.Gateway = "b"
		return open(t, c), open(t, other)
	})
}
