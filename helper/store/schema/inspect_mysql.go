package schema

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
)

// inspectMySQL reads the schema of the connection's database, in three queries.
func inspectMySQL(ctx context.Context, r Reader, names []string) (Live, error) {
	live := Live{Tables: map[string]Table{}}
	where := " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (?" + strings.Repeat(", ?", len(names)-1) + ")"
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	err := each(ctx, r, "SELECT TABLE_NAME, TABLE_TYPE, coalesce(ENGINE, '') FROM information_schema.TABLES"+where, args, func(rows *sql.Rows) error {
		var name, kind, engine string
		if err := rows.Scan(&name, &kind, &engine); err != nil {
			return err
		}
		t := Table{Columns: map[string]Column{}, Indexes: map[string]Index{}}
		switch {
		case kind != "BASE TABLE":
			t.Wrong = "it is a " + strings.ToLower(kind) + ", not a table"
		case !strings.EqualFold(engine, "InnoDB"):
			t.Wrong = "its engine is " + engine + ", not InnoDB"
		}
		live.Tables[name] = t
		return nil
	})
	if err != nil {
		return Live{}, err
	}
	err = each(ctx, r, `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, coalesce(COLLATION_NAME, ''), IS_NULLABLE = 'YES', COLUMN_DEFAULT IS NOT NULL, EXTRA
		FROM information_schema.COLUMNS`+where+" ORDER BY TABLE_NAME, ORDINAL_POSITION", args, func(rows *sql.Rows) error {
		var table, column, text, collation, extra string
		var null, hasDefault bool
		if err := rows.Scan(&table, &column, &text, &collation, &null, &hasDefault, &extra); err != nil {
			return err
		}
		// MySQL says DEFAULT_GENERATED of a column whose default is an expression.
		extra = strings.TrimSpace(strings.ReplaceAll(strings.ToUpper(extra), "DEFAULT_GENERATED", ""))
		c := Column{Type: mysqlType(text, collation, null), Made: strings.Contains(extra, "GENERATED")}
		c.Fills = c.Made || null || hasDefault || strings.Contains(extra, "AUTO_INCREMENT")
		if t, ok := live.Tables[table]; ok {
			t.Columns[column] = c
		}
		return nil
	})
	if err != nil {
		return Live{}, err
	}
	err = each(ctx, r, `SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE = 0, coalesce(COLUMN_NAME, ''), SUB_PART IS NOT NULL
		FROM information_schema.STATISTICS`+where+" ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX", args, func(rows *sql.Rows) error {
		var table, index, column string
		var unique, part bool
		if err := rows.Scan(&table, &index, &unique, &column, &part); err != nil {
			return err
		}
		if part {
			column = ""
		}
		t, ok := live.Tables[table]
		switch {
		case !ok:
		case index == "PRIMARY":
			t.Key = append(t.Key, column)
			live.Tables[table] = t
		default:
			i := t.Indexes[index]
			i.Unique = unique
			i.Columns = append(i.Columns, column)
			t.Indexes[index] = i
		}
		return nil
	})
	if err != nil {
		return Live{}, err
	}
	return live, nil
}

// width is the width that MariaDB, and MySQL before 8.0.19, say of an integer's output.
var width = regexp.MustCompile(`^([a-z]*int)\([0-9]+\)`)

// mysqlType is a column's type with its collation.
func mysqlType(text, collation string, null bool) string {
	text = width.ReplaceAllString(strings.ToLower(text), "$1")
	if collation != "" {
		text += " " + collation
	}
	if !null {
		text += " NOT NULL"
	}
	return text
}
