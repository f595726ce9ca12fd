package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
)

// asker is what sql.Conn and sql.Tx have in common.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version is the store's schema version, 0 for a file without a schema. A newer one
// than this program's is store.ErrNewer.
func version(ctx context.Context, db asker) (int, error) {
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'").Scan(&tables); err != nil {
		return 0, err
	}
	if tables == 0 {
		return 0, nil
	}
	var text string
	err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", ddl.VersionName).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%w (schema version %q)", store.ErrForeign, text)
	}
	if v > ddl.Version {
		return v, fmt.Errorf("%w (schema version %d, this program knows %d)", store.ErrNewer, v, ddl.Version)
	}
	return v, nil
}

// Pending is the statements that Migrate would run now, none where the store has
// all that these tables need. A table that has another shape is store.ErrForeign.
func (s *Store) Pending(ctx context.Context, tables []plan.Table) ([]string, error) {
	tx, err := s.readDB.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("inspect store %s: %w", s.path, classify(err))
	}
	defer tx.Rollback()
	statements, err := pending(ctx, tx, tables)
	if err != nil {
		return nil, fmt.Errorf("inspect store %s: %w", s.path, classify(err))
	}
	return statements, nil
}

// Check is nil where the store has all that these tables need, else an error that
// says what is missing (store.ErrMissing), or another of package store's.
func (s *Store) Check(ctx context.Context, tables []plan.Table) error {
	statements, err := s.Pending(ctx, tables)
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		return nil
	}
	first, _, _ := strings.Cut(statements[0], " (")
	return fmt.Errorf("store %s: %w (%d statements to run, the first: %s)", s.path, store.ErrMissing, len(statements), first)
}

// Migrate creates what is missing, and drops nothing. It gives the statements that
// it ran; all of them took effect, or on an error none.
func (s *Store) Migrate(ctx context.Context, tables []plan.Table) ([]string, error) {
	for {
		statements, err := s.Pending(ctx, tables)
		if err != nil || len(statements) == 0 {
			return nil, err
		}
		err = s.submit(ctx, &request{run: func(session *session, c sqldriver.Conn) error {
			for _, statement := range statements {
				if _, err := session.run(c, statement); err != nil {
					return fmt.Errorf("migrate store %s: %w", s.path, err)
				}
			}
			return nil
		}})
		// Another process that migrated in between makes an ADD COLUMN fail: then
		// there is less to do, or nothing.
		if err != nil {
			now, again := s.Pending(ctx, tables)
			if again == nil && len(now) < len(statements) {
				continue
			}
			return nil, err
		}
		return statements, nil
	}
}

// pending compares the store with the tables.
func pending(ctx context.Context, db asker, tables []plan.Table) ([]string, error) {
	have, err := version(ctx, db)
	if err != nil {
		return nil, err
	}
	var statements []string
	for _, table := range tables {
		columns, err := liveColumns(ctx, db, table.Name)
		if err != nil {
			return nil, err
		}
		if len(columns) == 0 {
			statements = append(statements, ddl.SQLiteTable(table)...)
			continue
		}
		missing, err := compare(table, columns)
		if err != nil {
			return nil, err
		}
		statements = append(statements, missing...)
		for i, index := range table.Indexes {
			var n int
			err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = ?", index.Name).Scan(&n)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				statements = append(statements, ddl.SQLiteTable(table)[i+1])
			}
		}
	}
	if have == 0 {
		statements = append(statements, ddl.SQLiteVersion())
	}
	return statements, nil
}

// liveColumn is a column as the store has it.
type liveColumn struct {
	text string // as ddl.SQLiteType
	key  int    // place in the primary key, from 1; 0 for none
}

func liveColumns(ctx context.Context, db asker, table string) (map[string]liveColumn, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, type, "notnull", pk FROM pragma_table_info(?)`, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string]liveColumn{}
	for rows.Next() {
		var name, text string
		var notNull bool
		var c liveColumn
		if err := rows.Scan(&name, &text, &notNull, &c.key); err != nil {
			return nil, err
		}
		c.text = text
		if notNull {
			c.text += " NOT NULL"
		}
		columns[name] = c
	}
	return columns, rows.Err()
}

// emptyValue is what old rows have in a column that was added, by the column's type.
var emptyValue = map[string]string{plan.Name: "''", plan.Text: "''", plan.Bytes: "x''", plan.Raw: "x''", plan.Int: "0"}

// compare gives the columns to be added to a table that exists. More columns than
// needed do no harm if they have a default, which is for who added them to see to.
func compare(table plan.Table, live map[string]liveColumn) ([]string, error) {
	var add []string
	place := map[string]int{}
	for i, k := range table.Key {
		place[k] = i + 1
	}
	for _, c := range table.Columns {
		have, ok := live[c.Name]
		want := ddl.SQLiteType(c.Type)
		switch {
		case !ok && place[c.Name] > 0:
			return nil, fmt.Errorf("%w (%s has no column %s)", store.ErrForeign, table.Name, c.Name)
		case !ok:
			add = append(add, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s DEFAULT %s", table.Name, c.Name, want, emptyValue[c.Type]))
		case have.text != want:
			return nil, fmt.Errorf("%w (%s.%s is %s, not %s)", store.ErrForeign, table.Name, c.Name, have.text, want)
		case have.key != place[c.Name]:
			return nil, fmt.Errorf("%w (%s.%s has place %d in the primary key, not %d)", store.ErrForeign, table.Name, c.Name, have.key, place[c.Name])
		}
	}
	return add, nil
}
