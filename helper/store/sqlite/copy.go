package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"os"
	"strings"

	"exipol/generator/plan"
	"exipol/helper/store/copying"
	"exipol/helper/store/portable"
	"exipol/helper/store/schema"
)

var _ copying.Store = (*Store)(nil)

// Snapshot implements copying.Store. Writers go on meanwhile, and the file's log grows with what they write.
func (s *Store) Snapshot(ctx context.Context, f func(schema.Reader) error) error {
	if err := s.snapshot(ctx, func(r portable.Reader) error { return f(r) }); err != nil {
		return fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return nil
}

// Insert implements copying.Store.
func (s *Store) Insert(ctx context.Context, t plan.Table, rows [][]any) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	text := fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (?%s)", t.Name, strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1))
	return s.alone(ctx, func(tx portable.Tx) error {
		for _, row := range rows {
			if _, err := tx.Exec(text, row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Empty implements copying.Store.
func (s *Store) Empty(ctx context.Context, table string) error {
	return s.alone(ctx, func(tx portable.Tx) error {
		_, err := tx.Exec("DELETE FROM " + table)
		return err
	})
}

// SetMeta implements copying.Store.
func (s *Store) SetMeta(ctx context.Context, name, value string) error {
	return s.alone(ctx, func(tx portable.Tx) (err error) {
		if value == "" {
			_, err = tx.Exec("DELETE FROM meta WHERE name = ?", name)
			return err
		}
		_, err = tx.Exec("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", name, value)
		return err
	})
}

// alone runs f in a transaction of its own, after which nothing is remembered of what the tables had.
func (s *Store) alone(ctx context.Context, f func(portable.Tx) error) error {
	err := s.submit(ctx, &request{run: func(session *session, c sqldriver.Conn) error { return f(tx{session, c}) }})
	if err != nil {
		return fmt.Errorf("store %s: %w", s.path, err)
	}
	return nil
}

// Written implements copying.Store: it is of the sizes and times of the file and its log. This process must
// not have written in between.
func (s *Store) Written() string {
	var b strings.Builder
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			fmt.Fprintf(&b, "%d %d ", info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
