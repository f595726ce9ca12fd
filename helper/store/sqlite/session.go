package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"io"
	"runtime/debug"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// prepared is a statement of one connection. The spare is for a second use while
// the first holds the snapshot.
type prepared struct{ main, spare sqldriver.Stmt }

// session is one connection with its prepared statements. It talks to the driver
// itself, under the connection's lock (sql.Conn.Raw): measured, that takes a third
// off a lookup. One goroutine at a time.
type session struct {
	conn  *sql.Conn
	stmts [statements]prepared
	args  [20]sqldriver.NamedValue
	dest  [16]sqldriver.Value

	holds    bool // each decision is to see one snapshot, and there is no transaction
	snapshot sqldriver.Rows
	holder   sqldriver.Stmt
	broken   error // the last error that may have ended the transaction

	cache   *cache                    // for what is read; nil for the writer, whose rows are not committed yet
	changes uint64                    // of the cache, when this decision began to read
	version int64                     // of the file, as the writer saw it last
	texts   map[string]sqldriver.Stmt // of what tx was asked
	desk    *portable.Store           // of the writer's
	changed *portable.Changes         // by the writer's transaction
}

// open connects. The context is for that only.
func open(ctx context.Context, db *sql.DB, holds bool) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	return &session{conn: conn, holds: holds}, nil
}

// close gives up the connection, and with it an unfinished transaction.
func (s *session) close() {
	_ = s.locked(func(sqldriver.Conn) error {
		s.release()
		for _, p := range s.stmts {
			for _, stmt := range []sqldriver.Stmt{p.main, p.spare} {
				if stmt != nil {
					_ = stmt.Close()
				}
			}
		}
		for _, stmt := range s.texts {
			_ = stmt.Close()
		}
		return nil
	})
	// ErrBadConn makes the pool close it rather than hand it out again.
	_ = s.conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	_ = s.conn.Close()
}

// locked runs f with the driver's connection. A panic of f's becomes an error here:
// it would cost the connection, and leak its statements.
func (s *session) locked(f func(sqldriver.Conn) error) error {
	var err error
	if raw := s.conn.Raw(func(c any) error {
		defer func() {
			if p := recover(); p != nil {
				err = panicked(p)
			}
		}()
		err = f(c.(sqldriver.Conn))
		return nil
	}); raw != nil {
		return raw
	}
	return err
}

func panicked(p any) error {
	return fmt.Errorf("%w: it panicked: %v\n%s", store.ErrDecision, p, debug.Stack())
}

// each runs f with the session as what the decision reads, and lets the snapshot go.
func (s *session) each(f func(engine.State) error) error {
	return s.locked(func(c sqldriver.Conn) error {
		defer s.release()
		s.changes = s.cache.changes.Load()
		return f(state{s, c})
	})
}

func (s *session) release() {
	if s.snapshot != nil {
		_ = s.snapshot.Close()
		s.snapshot, s.holder = nil, nil
	}
}

// stmt is a prepared statement that is not in use.
func (s *session) stmt(c sqldriver.Conn, which statement) (sqldriver.Stmt, error) {
	slot := &s.stmts[which].main
	if s.holder != nil && *slot == s.holder {
		slot = &s.stmts[which].spare
	}
	if *slot == nil {
		stmt, err := c.(sqldriver.ConnPrepareContext).PrepareContext(context.Background(), statementText[which])
		if err != nil {
			return nil, s.failed(err)
		}
		*slot = stmt
	}
	return *slot, nil
}

func (s *session) bind(values []any) []sqldriver.NamedValue {
	for i, v := range values {
		s.args[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return s.args[:len(values)]
}

// failed notes an error and gives it the caller's word.
func (s *session) failed(err error) error {
	err = classify(err)
	if breaksConnection(err) {
		s.broken = err
	}
	return err
}

// query runs a statement that gives one row, of so many columns.
func (s *session) query(c sqldriver.Conn, which statement, columns int, values ...any) ([]sqldriver.Value, error) {
	stmt, err := s.stmt(c, which)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.(sqldriver.StmtQueryContext).QueryContext(context.Background(), s.bind(values))
	if err != nil {
		return nil, s.failed(err)
	}
	dest := s.dest[:columns]
	if err := rows.Next(dest); err != nil {
		_ = rows.Close()
		if err == io.EOF {
			return nil, fmt.Errorf("statement %d gave no row", which)
		}
		return nil, s.failed(err)
	}
	if s.holds && s.snapshot == nil {
		s.snapshot, s.holder = rows, stmt
		return dest, nil
	}
	if err := rows.Close(); err != nil {
		return nil, s.failed(err)
	}
	return dest, nil
}

// exec runs a statement that gives nothing.
func (s *session) exec(c sqldriver.Conn, which statement, values ...any) error {
	stmt, err := s.stmt(c, which)
	if err != nil {
		return err
	}
	if _, err := stmt.(sqldriver.StmtExecContext).ExecContext(context.Background(), s.bind(values)); err != nil {
		return s.failed(err)
	}
	return nil
}

// run executes any other statement and says how many rows it changed.
func (s *session) run(c sqldriver.Conn, query string, values ...any) (int64, error) {
	stmt, err := c.(sqldriver.ConnPrepareContext).PrepareContext(context.Background(), query)
	if err != nil {
		return 0, s.failed(err)
	}
	defer stmt.Close()
	result, err := stmt.(sqldriver.StmtExecContext).ExecContext(context.Background(), s.bind(values))
	if err != nil {
		return 0, s.failed(err)
	}
	return result.RowsAffected()
}
