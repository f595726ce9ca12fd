package mysql

import (
	"context"
	"fmt"
	"strings"

	"exipol/helper/store/mysql/hosts"
	"exipol/helper/store/portable"
)

// said is what package portable needs to know of MariaDB and MySQL.
var said = portable.Dialect{
	Put: func(tableName string, keys int, columns ...string) string {
		return insert(tableName, columns) + replaced(columns[keys:])
	},
	Once: func(tableName string, keys int, columns ...string) string {
		return insert(tableName, columns) + columns[0] + " = " + columns[0]
	},
	CountUp: "INSERT INTO meta (name, value) VALUES (?, '1') ON DUPLICATE KEY UPDATE value = CAST(CAST(value AS SIGNED) + 1 AS CHAR)",
	Locked:  func(query string) string { return query + forUpdate },
}

func insert(tableName string, columns []string) string {
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON DUPLICATE KEY UPDATE ", tableName, strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1))
}

// portable makes what this kind has in common with others.
func (s *Store) portable() *portable.Store {
	return portable.New(portable.Config{
		Dialect:  said,
		Name:     s.Name,
		Now:      s.Now,
		Reader:   s.reader,
		Snapshot: s.snapshot,
		Write:    s.desk,
		Classify: hosts.Classify,
		Columns: func(ctx context.Context, r portable.Reader, table string) (map[string]bool, error) {
			return columnsOf(ctx, r, table)
		},
		Version: func(ctx context.Context, r portable.Reader) (int, error) { return version(ctx, r) },
		Size:    size,
	})
}

// reader gives the connections of the host in use.
func (s *Store) reader(ctx context.Context) (portable.Reader, error) {
	host, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	return pool(ctx, host), nil
}

func (s *Store) snapshot(ctx context.Context, f func(portable.Reader) error) error {
	session, err := s.begin(ctx, toSnapshot)
	if err != nil {
		return err
	}
	defer session.end()
	err = f(session.conn)
	if hosts.Classify(err) != err { // it is the database's
		err = session.fail(err)
	}
	return err
}

// desk is portable's Write.
func (s *Store) desk(ctx context.Context, f func(portable.Tx) error) error {
	var own error
	err := s.transact(ctx, s.config.Timeout, func(session *session) error {
		own = f(session)
		return own
	})
	if err == nil || err == own {
		return err
	}
	return s.named(err)
}

// size is that of the data and the indexes, as the server last counted it: about right.
func size(ctx context.Context, r portable.Reader) (bytes int64, err error) {
	err = r.QueryRowContext(ctx, "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&bytes)
	return bytes, err
}
