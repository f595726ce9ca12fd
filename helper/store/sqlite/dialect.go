package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"os"
	"strings"
	"time"

	"exipol/helper/store/portable"
)

// said is what package portable needs to know of SQLite. There is one writer at a time, who sees what
// was committed last: nothing needs to be locked.
var said = portable.Dialect{
	Put: func(table string, keys int, columns ...string) string {
		var set []string
		for _, c := range columns[keys:] {
			set = append(set, c+" = excluded."+c)
		}
		return insert(table, keys, columns) + " DO UPDATE SET " + strings.Join(set, ", ")
	},
	Once: func(table string, keys int, columns ...string) string {
		return insert(table, keys, columns) + " DO NOTHING"
	},
	CountUp: "INSERT INTO meta (name, value) VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET value = cast(cast(value AS INTEGER) + 1 AS TEXT)",
	Locked:  func(query string) string { return query },
}

func insert(table string, keys int, columns []string) string {
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT (%s)", table, strings.Join(columns, ", "),
		strings.Repeat(", ?", len(columns)-1), strings.Join(columns[:keys], ", "))
}

// portable makes what this kind has in common with others.
func (s *Store) portable() *portable.Store {
	return portable.New(portable.Config{
		Dialect:  said,
		Name:     s.Name,
		Now:      s.Now,
		Reader:   func(context.Context) (portable.Reader, error) { return s.readDB, nil },
		Snapshot: s.snapshot,
		Write:    s.desk,
		Classify: classify,
		Columns: func(ctx context.Context, r portable.Reader, table string) (map[string]bool, error) {
			return liveColumns(ctx, r, table)
		},
		Version: func(ctx context.Context, r portable.Reader) (int, error) { return version(ctx, r) },
		Size:    s.size,
	})
}

func (s *Store) snapshot(ctx context.Context, f func(portable.Reader) error) error {
	tx, err := s.readDB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(tx)
}

// desk makes a change that leaves the table seen alone, for which updates wait as for any other.
func (s *Store) desk(ctx context.Context, f func(portable.Tx) error) error {
	return s.submit(ctx, &request{apart: true, run: func(session *session, c sqldriver.Conn) error { return f(tx{session, c}) }})
}

// size counts the journal, too.
func (s *Store) size(context.Context, portable.Reader) (bytes int64, err error) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			bytes += info.Size()
		}
	}
	return bytes, nil
}

// Name implements store.Store: it is the file's absolute name.
func (s *Store) Name() string { return s.path }

// Now implements store.Store: all who share the file have one clock.
func (s *Store) Now() time.Time { return time.Now() }
