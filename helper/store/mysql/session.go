package mysql

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"time"

	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
	"exipol/helper/store/portable"
)

// session is one connection while it has a transaction. Its errors are the store's, without its name.
type session struct {
	ctx     context.Context
	conn    *sql.Conn
	host    *hosts.Host
	changes portable.Changes
	failed  error // the first error of the database's: nothing more can be done in the transaction
	over    bool  // it is committed
}

var _ portable.Tx = (*session)(nil)

// What transactions begin with. The sessions are READ COMMITTED.
var (
	toWrite    = []string{"START TRANSACTION"}
	toSnapshot = []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"}
)

// begin begins a transaction at the host in use. end is to be called.
func (s *Store) begin(ctx context.Context, statements []string) (*session, error) {
	host, err := s.use(ctx)
	if err != nil {
		return nil, err
	}
	db := pool(ctx, host)
	conn, err := db.Conn(ctx)
	if err != nil {
		if stats := db.Stats(); ctx.Err() != nil && stats.InUse >= stats.MaxOpenConnections {
			return nil, fmt.Errorf("%w (no connection was free: %w)", store.ErrBusy, err) // which says nothing of the host
		}
		host.Failed(err)
		return nil, hosts.Classify(err)
	}
	session := &session{ctx: ctx, conn: conn, host: host}
	for _, statement := range statements {
		if err := session.do(statement, nil); err != nil {
			session.end()
			return nil, err
		}
	}
	return session, nil
}

// end gives the connection back; what was not committed is gone. One of which nobody knows what it is
// in the middle of is closed.
func (s *session) end() {
	if !s.over {
		s.rollback()
	}
	_ = s.conn.Close()
}

func (s *session) rollback() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), rollbackTimeout)
	defer cancel()
	if hosts.Lost(s.failed) || s.ctx.Err() != nil {
		s.drop()
	} else if _, err := s.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		s.drop()
	}
}

// rollbackTimeout is short: a connection is easily made anew.
const rollbackTimeout = 500 * time.Millisecond

// drop closes the connection rather than give it back.
func (s *session) drop() { _ = s.conn.Raw(func(any) error { return sqldriver.ErrBadConn }) }

// erDuplicate is a server's error for a key that is there already.
const erDuplicate = 1062

// fail notes an error of the database's, and gives it the caller's word.
func (s *session) fail(err error) error {
	if err == nil {
		return nil
	}
	if s.failed == nil {
		s.failed = err
		if !hosts.Retry(err) && number(err) != erDuplicate { // these are in the way of things
			s.host.Failed(err)
		}
	}
	return hosts.Classify(err)
}

// Query implements portable.Tx.
func (s *session) Query(take func(scan func(dest ...any) error) error, query string, args ...any) error {
	rows, err := s.conn.QueryContext(s.ctx, query, args...)
	if err != nil {
		return s.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return s.fail(rows.Err())
}

// Exec implements portable.Tx.
func (s *session) Exec(query string, args ...any) (changed int64, err error) {
	result, err := s.conn.ExecContext(s.ctx, query, args...)
	if err != nil {
		return 0, s.fail(err)
	}
	changed, err = result.RowsAffected()
	return changed, err
}

// Changes implements portable.Tx.
func (s *session) Changes() *portable.Changes { return &s.changes }

// do runs a statement of which nobody wants to know how many rows it changed.
func (s *session) do(statement string, args []any) error {
	_, err := s.conn.ExecContext(s.ctx, statement, args...)
	return s.fail(err)
}

// commit ends the transaction. Where it cannot be known whether it did, the error is store.ErrUnknown: the connection was lost
// on the way, or the server met a fault of its own while it was at it. Only what is given up for the sake of others
// was surely not kept.
func (s *session) commit() error {
	err := s.do("COMMIT", nil)
	if s.over = err == nil; s.over || hosts.Retry(err) {
		return err
	}
	return fmt.Errorf("%w (%w)", store.ErrUnknown, err)
}
