package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/copying"
	"exipol/helper/store/mysql/hosts"
	"exipol/helper/store/schema"
)

var _ copying.Store = (*Store)(nil)

// patience is for how long a copy waits for a server after it has lost one.
const patience = time.Minute

// Snapshot implements copying.Store. Where somebody changes a table meanwhile it is store.ErrConflict.
func (s *Store) Snapshot(ctx context.Context, f func(schema.Reader) error) error {
	host, err := s.hosts.Use(ctx)
	if err != nil {
		return s.named(err)
	}
	conn, err := host.Long().Conn(ctx)
	for i := 0; err == nil && i < len(toSnapshot); i++ {
		_, err = conn.ExecContext(ctx, toSnapshot[i])
	}
	if err == nil {
		err = f(conn)
	}
	if conn != nil {
		if _, ended := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err == nil {
			err = ended
		}
		_ = conn.Close()
	}
	if number(err) == erTableChanged {
		return s.named(fmt.Errorf("%w (%w)", store.ErrConflict, err))
	}
	if !isUnfit(err) {
		host.Failed(err)
	}
	return s.named(err)
}

// erTableChanged is for a table that was made, emptied or altered after the snapshot had begun.
const erTableChanged = 1412

// Insert implements copying.Store, in one statement.
func (s *Store) Insert(ctx context.Context, t plan.Table, rows [][]any) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	row := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
	args := make([]any, 0, len(rows)*len(names))
	for _, values := range rows {
		args = append(args, values...)
	}
	text := fmt.Sprintf("REPLACE INTO %s (%s) VALUES %s%s", t.Name, strings.Join(names, ", "), row, strings.Repeat(", "+row, len(rows)-1))
	return s.persist(ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, text, args...)
		return err
	})
}

// Empty implements copying.Store.
func (s *Store) Empty(ctx context.Context, table string) error {
	return s.persist(ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "TRUNCATE TABLE "+table)
		return err
	})
}

// SetMeta implements copying.Store.
func (s *Store) SetMeta(ctx context.Context, name, value string) error {
	return s.persist(ctx, func(db *sql.DB) (err error) {
		if value == "" {
			_, err = db.ExecContext(ctx, "DELETE FROM meta WHERE name = ?", name)
		} else {
			_, err = db.ExecContext(ctx, "REPLACE INTO meta (name, value) VALUES (?, ?)", name, value)
		}
		return err
	})
}

// Written implements copying.Store: a server does not tell. Gateways that use it are seen in its table of them.
func (s *Store) Written() string { return "" }

// persist runs a statement that may be run twice until it has been run, on whichever host is in use.
func (s *Store) persist(ctx context.Context, f func(*sql.DB) error) error {
	giveUp := time.Now().Add(patience)
	for {
		host, err := s.hosts.Use(ctx)
		if err == nil {
			if err = f(host.Long()); err == nil {
				return nil
			}
			host.Failed(err)
		}
		again := hosts.Retry(err) || hosts.Lost(err) || errors.Is(hosts.Classify(err), store.ErrAway)
		if !again || ctx.Err() != nil || time.Now().After(giveUp) || !sleep(ctx, 20*time.Millisecond+rand.N(200*time.Millisecond)) {
			return s.named(err)
		}
	}
}
