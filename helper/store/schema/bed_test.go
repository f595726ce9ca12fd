package schema

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"

	"exipol/generator/plan"
	"exipol/internal/mysqltest"
)

var everything = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})

// bed is an empty database with the dialect that it speaks.
type bed struct {
	*testing.T
	kind string
	d    Dialect
	db   *sql.DB
}

// beds runs a test on each kind of database.
func beds(t *testing.T, f func(bed)) {
	t.Run(plan.SQLite, func(t *testing.T) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "exipol.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		db.SetMaxOpenConns(1)
		f(bed{t, plan.SQLite, SQLite(), db})
	})
	t.Run(plan.MySQL, func(t *testing.T) { f(serverBed(t, mysqltest.Shared(t))) })
}

// serverBed is a new database of a server.
func serverBed(t *testing.T, server *mysqltest.Server) bed {
	t.Helper()
	made := server.Database()
	server.Exec("GRANT CREATE VIEW ON " + made.Database + ".* TO " + made.User + "@'%'") // for what is not exipold's
	password, err := os.ReadFile(made.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", made.Hosts[0], made.Database
	config.User, config.Passwd = made.User, strings.TrimRight(string(password), "\n")
	config.ClientFoundRows = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return bed{t, plan.MySQL, MySQL(), db}
}

// run runs statements, each of which must work.
func (b bed) run(statements ...string) {
	b.Helper()
	for _, s := range statements {
		if _, err := b.db.ExecContext(b.Context(), s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}

// text runs a text of statements that end lines with semicolons.
func (b bed) text(text string) {
	b.Helper()
	for _, s := range strings.Split(text, ";\n") {
		s = strings.TrimSpace(s)
		for strings.HasPrefix(s, "--") {
			_, s, _ = strings.Cut(s, "\n")
			s = strings.TrimSpace(s)
		}
		if s != "" {
			b.run(s)
		}
	}
}

// live is the schema as it is.
func (b bed) live(tables []plan.Table) Live {
	b.Helper()
	live, err := b.d.Inspect(b.Context(), b.db, tables)
	if err != nil {
		b.Fatal(err)
	}
	return live
}

// pending is what is to be done.
func (b bed) pending(tables []plan.Table) []Change {
	b.Helper()
	changes, err := b.d.Expand(b.live(tables), tables)
	if err != nil {
		b.Fatal(err)
	}
	return changes
}

// migrate does it, by the gentlest form that the database takes.
func (b bed) migrate(tables []plan.Table) []Change {
	b.Helper()
	changes := b.pending(tables)
	for _, c := range changes {
		b.change(c)
	}
	return changes
}

// change makes one change.
func (b bed) change(c Change) {
	b.Helper()
	for _, statement := range c.Gentle {
		if _, err := b.db.ExecContext(b.Context(), statement); err == nil {
			return
		}
	}
	b.run(c.SQL)
}

// whole says that nothing is pending.
func (b bed) whole(tables []plan.Table) {
	b.Helper()
	for _, c := range b.pending(tables) {
		b.Errorf("still to be done: %s", c.SQL)
	}
}

// number is the answer to a query for one.
func (b bed) number(query string) (n int) {
	b.Helper()
	if err := b.db.QueryRowContext(b.Context(), query).Scan(&n); err != nil {
		b.Fatalf("%s: %v", query, err)
	}
	return n
}

// without is these tables without some.
func without(tables []plan.Table, names ...string) []plan.Table {
	var rest []plan.Table
	for _, t := range tables {
		keep := true
		for _, name := range names {
			keep = keep && t.Name != name
		}
		if keep {
			rest = append(rest, t)
		}
	}
	return rest
}

// altered is everything with one table changed.
func altered(name string, change func(*plan.Table)) []plan.Table {
	tables := plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})
	for i := range tables {
		if tables[i].Name == name {
			change(&tables[i])
		}
	}
	return tables
}
