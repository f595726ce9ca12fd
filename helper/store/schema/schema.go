// Package schema compares the tables that a plan needs with those that a store has, and says which
// statements make the one into the other. It runs nothing: the kinds of store do, each in its way.
//
// Expanding makes what is missing, and nothing else: a new table, a new column with a default, a new
// index. None of them is in the way of an exipold of an earlier version, which names all columns that it
// reads or writes. So it is done whenever an exipold starts, while others still run.
//
// Contracting drops what exipold once made and this plan does not need. It is done only when somebody
// says so, and never to a table that merely has a name of exipold's.
//
// What is not exipold's is left alone: other tables, further columns that have a default, further
// indexes that are not unique. What is exipold's by name and has another shape is store.ErrForeign, for
// statements that go by the one shape do something else on the other.
package schema

import (
	"context"
	"database/sql"
	"fmt"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
)

// Reader reads a store's schema. *sql.DB, *sql.Conn and *sql.Tx are readers.
type Reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// What a change does.
const (
	CreateTable = "create table"
	AddColumn   = "add column"
	AddIndex    = "add index"
	NoteVersion = "note version"
	DropTable   = "drop table"
	DropColumn  = "drop column"
	DropIndex   = "drop index"
)

// Change is one step from the schema that a store has to the one that it is to have.
type Change struct {
	Kind  string // one of the words above
	Table string
	Name  string // of the column or the index, "" for a table

	SQL string // the statement
	// Gentle are forms of the statement that stop nobody, the best first: a server that cannot do
	// one of them refuses it at once, and then the next is for trying, SQL the last.
	Gentle []string
}

// Live is the schema that a store has, as far as it bears names of exipold's.
type Live struct {
	Note
	Tables  map[string]Table
	Indexes map[string]string // all of the store's, with the table of each, where their names are the store's and not a table's
}

// Table is a table that a store has.
type Table struct {
	Columns map[string]Column
	Key     []string         // primary key
	Indexes map[string]Index // without the primary key
	Wrong   string           // why no table of exipold's is like this, whatever its columns: "it is a view"
}

// Column is a column that a store has.
type Column struct {
	Type  string // in the words of the dialect, "NOT NULL" included
	Fills bool   // an insert need not name it
	Made  bool   // by an expression, so that none may
}

// Index is an index that a store has.
type Index struct {
	Columns []string // a column of which only a part is in the index, or an expression, is ""
	Unique  bool
}

// Dialect knows the schemas of one kind of store.
type Dialect struct {
	ddl     ddl.Dialect
	types   map[string]string // a column type as Column.Type has it
	gentle  map[string][]string
	inspect func(ctx context.Context, r Reader, names []string) (Live, error)
	exists  string // a query: how many tables of this name there are
	mend    func(table, column, columnType string) string
}

// Of is the dialect of a kind of store: plan.SQLite or plan.MySQL.
func Of(kind string) Dialect {
	if kind == plan.MySQL {
		return MySQL()
	}
	return SQLite()
}

// SQLite is the dialect of SQLite files.
func SQLite() Dialect {
	d := ddl.Of(plan.SQLite)
	return Dialect{
		ddl: d,
		types: map[string]string{
			plan.Name: d.Type(plan.Name), plan.Bytes: d.Type(plan.Bytes), plan.Int: d.Type(plan.Int),
			plan.Text: d.Type(plan.Text), plan.Raw: d.Type(plan.Raw),
		},
		inspect: inspectSQLite,
		exists:  "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?",
		mend:    func(string, string, string) string { return "" },
	}
}

// MySQL is the dialect of MariaDB and MySQL servers; the tables are those of the connection's database.
func MySQL() Dialect {
	d := ddl.Of(plan.MySQL)
	return Dialect{
		ddl: d,
		types: map[string]string{
			plan.Name: fmt.Sprintf("varchar(%d) ascii_bin NOT NULL", ddl.NameLength), plan.Bytes: fmt.Sprintf("varbinary(%d) NOT NULL", ddl.BytesLength),
			plan.Int: "bigint NOT NULL", plan.Text: "text utf8mb4_bin NOT NULL", plan.Raw: "blob NOT NULL",
		},
		// An instant change is one of the table's description. A change in place reads or rewrites the table
		// while others read and write it.
		gentle: map[string][]string{
			AddColumn:  {", ALGORITHM=INSTANT", ", ALGORITHM=INPLACE, LOCK=NONE"},
			DropColumn: {", ALGORITHM=INSTANT", ", ALGORITHM=INPLACE, LOCK=NONE"},
			AddIndex:   {", ALGORITHM=INPLACE, LOCK=NONE"},
			DropIndex:  {", ALGORITHM=INPLACE, LOCK=NONE"},
		},
		inspect: inspectMySQL,
		exists:  "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
		mend: func(table, column, columnType string) string {
			return fmt.Sprintf("ALTER TABLE %s MODIFY %s %s", table, column, d.TypeAlone(columnType))
		},
	}
}

// Inspect reads the schema. The tables given are looked at, and all that exipold ever made. Errors are
// the database's, and store.ErrForeign for a version that is none.
func (d Dialect) Inspect(ctx context.Context, r Reader, tables []plan.Table) (Live, error) {
	known := map[string]bool{}
	var names []string
	for _, list := range [][]plan.Table{tables, Ever().Tables} {
		for _, t := range list {
			if !known[t.Name] {
				known[t.Name] = true
				names = append(names, t.Name)
			}
		}
	}
	live, err := d.inspect(ctx, r, names)
	if err != nil {
		return Live{}, err
	}
	if _, ok := live.Tables[plan.TableMeta]; ok {
		live.Note, err = readNote(ctx, r)
	}
	return live, err
}

// change is a Change with its gentle forms.
func (d Dialect) change(kind, table, name, statement string) Change {
	c := Change{Kind: kind, Table: table, Name: name, SQL: statement}
	for _, clause := range d.gentle[kind] {
		c.Gentle = append(c.Gentle, statement+clause)
	}
	return c
}

// Statements are the changes' statements, each in its plain form.
func Statements(changes []Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, c.SQL)
	}
	return all
}

// Missing is store.ErrMissing with what is missing first, nil where nothing is.
func Missing(changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	first := changes[0]
	what := first.Kind + " " + first.Table
	if first.Name != "" {
		what += "." + first.Name
	}
	return fmt.Errorf("%w (%d changes to make, the first: %s)", store.ErrMissing, len(changes), what)
}
