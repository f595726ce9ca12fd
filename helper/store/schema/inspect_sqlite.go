package schema

import (
	"context"
	"database/sql"
	"slices"
)

// inspectSQLite reads the schema of a file.
func inspectSQLite(ctx context.Context, r Reader, names []string) (Live, error) {
	live := Live{Tables: map[string]Table{}, Indexes: map[string]string{}}
	err := each(ctx, r, "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'", nil, func(rows *sql.Rows) error {
		var name, table string
		err := rows.Scan(&name, &table)
		live.Indexes[name] = table
		return err
	})
	if err != nil {
		return Live{}, err
	}
	err = each(ctx, r, "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'", nil, func(rows *sql.Rows) error {
		var name, kind string
		var withoutRowID, strict bool
		if err := rows.Scan(&name, &kind, &withoutRowID, &strict); err != nil || !slices.Contains(names, name) {
			return err
		}
		t := Table{Columns: map[string]Column{}, Indexes: map[string]Index{}}
		switch {
		case kind != "table":
			t.Wrong = "it is a " + kind + ", not a table"
		case !strict || !withoutRowID:
			t.Wrong = "it is not a table that is STRICT, WITHOUT ROWID"
		}
		live.Tables[name] = t
		return nil
	})
	for name, t := range live.Tables {
		if err == nil && t.Wrong == "" {
			live.Tables[name], err = sqliteTable(ctx, r, name, t)
		}
	}
	if err != nil {
		return Live{}, err
	}
	return live, nil
}

// sqliteTable fills in a table's columns and indexes.
func sqliteTable(ctx context.Context, r Reader, name string, t Table) (Table, error) {
	// The fields of hidden: 1 is of virtual tables only, 2 and 3 are columns made by an expression.
	err := each(ctx, r, `SELECT name, type, "notnull", dflt_value IS NOT NULL, hidden FROM pragma_table_xinfo(?)`, []any{name}, func(rows *sql.Rows) error {
		var column string
		var c Column
		var notNull, hasDefault bool
		var hidden int
		if err := rows.Scan(&column, &c.Type, &notNull, &hasDefault, &hidden); err != nil {
			return err
		}
		if notNull {
			c.Type += " NOT NULL"
		}
		c.Made = hidden > 1
		c.Fills = c.Made || hasDefault || !notNull
		t.Columns[column] = c
		return nil
	})
	if err != nil {
		return t, err
	}
	err = each(ctx, r, `SELECT l.name, l."unique", l.origin, l.partial, coalesce(i.name, ''), i.coll
		FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) i WHERE i.key = 1 ORDER BY l.name, i.seqno`, []any{name}, func(rows *sql.Rows) error {
		var index, origin, column, collation string
		var unique, partial bool
		if err := rows.Scan(&index, &unique, &origin, &partial, &column, &collation); err != nil {
			return err
		}
		if collation != "BINARY" {
			column += " COLLATE " + collation
		}
		if origin == "pk" {
			t.Key = append(t.Key, column)
			return nil
		}
		i := t.Indexes[index]
		i.Unique = unique
		i.Columns = append(i.Columns, column)
		if partial {
			i.Columns[0] = ""
		}
		t.Indexes[index] = i
		return nil
	})
	return t, err
}

// each runs a query, and f for each row.
func each(ctx context.Context, r Reader, query string, args []any, f func(*sql.Rows) error) error {
	rows, err := r.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
