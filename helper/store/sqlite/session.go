package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"exipol/generator/ddl"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// statement names one of the statements of the hot path, which each connection
// prepares once, when it first needs it.
type statement int

const (
	begin statement = iota
	commit
	rollback
	getSeen
	getCount
	getDistinct
	putSeen
	addCount
	putDistinct
	getVersion
	statements
)

// Each query gives exactly one row, also where there is nothing: a statement that
// has given its row and was not asked for more keeps its connection's snapshot.
var statementText = [statements]string{
	begin:    "BEGIN IMMEDIATE",
	commit:   "COMMIT",
	rollback: "ROLLBACK",
	getSeen: `SELECT first_at, passed_at, passes, counted_at, expires_at, why, who FROM seen WHERE policy = ? AND key_ = ?
		UNION ALL SELECT 0, 0, 0, 0, -1, '', ''`,
	getCount: `SELECT coalesce(sum(n), 0) FROM counter WHERE policy = ? AND span = ? AND key_ = ? AND slot BETWEEN ? AND ?`,
	getDistinct: `SELECT count(*), coalesce((SELECT seen_at FROM distinct_member WHERE policy = ? AND key_ = ? AND member_ = ? AND seen_at BETWEEN ? AND ?), 0)
		FROM (SELECT 1 FROM distinct_member WHERE policy = ? AND key_ = ? AND seen_at BETWEEN ? AND ? LIMIT ?)`,
	putSeen: `INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at, why, who) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, key_) DO UPDATE SET first_at = excluded.first_at, passed_at = excluded.passed_at,
		passes = excluded.passes, counted_at = excluded.counted_at, expires_at = excluded.expires_at, why = excluded.why, who = excluded.who`,
	addCount: `INSERT INTO counter (policy, span, key_, slot, n, expires_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (policy, span, key_, slot) DO UPDATE SET n = n + excluded.n, expires_at = max(expires_at, excluded.expires_at)`,
	putDistinct: `INSERT INTO distinct_member (policy, key_, member_, seen_at, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (policy, key_, member_) DO UPDATE SET seen_at = excluded.seen_at, expires_at = excluded.expires_at`,
	getVersion: "PRAGMA data_version",
}

// prepared is a statement of one connection. The spare is for a second use while
// the first holds the snapshot.
type prepared struct{ main, spare sqldriver.Stmt }

// session is one connection with its prepared statements. It talks to the driver
// itself, under the connection's lock (sql.Conn.Raw): measured, that takes a third
// off a lookup. One goroutine at a time.
type session struct {
	conn  *sql.Conn
	stmts [statements]prepared
	args  [10]sqldriver.NamedValue
	dest  [7]sqldriver.Value

	holds    bool // each decision is to see one snapshot, and there is no transaction
	snapshot sqldriver.Rows
	holder   sqldriver.Stmt
	broken   error // the last error that may have ended the transaction

	cache   *cache // for what is read; nil for the writer, whose rows are not committed yet
	changes uint64 // of the cache, when this decision began to read
	version int64  // of the file, as the writer saw it last
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

// write applies one change.
func (s *session) write(c sqldriver.Conn, w engine.Write) error {
	switch w := w.(type) {
	case engine.PutSeen:
		r := w.Row
		return s.exec(c, putSeen, w.Policy, []byte(w.Key), r.First, r.Passed, r.Passes, r.Counted, r.Expires, r.Why, r.Who)
	case engine.AddCount:
		return s.exec(c, addCount, w.Policy, seconds(w.Window), []byte(w.Key), w.Slot, w.N, w.Expires)
	case engine.PutDistinct:
		return s.exec(c, putDistinct, w.Policy, []byte(w.Key), []byte(w.Member), w.At, w.Expires)
	}
	return fmt.Errorf("a write of unknown type %T", w)
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

// textLength is the most bytes of a column for people: a TEXT of MySQL's has 65,535.
const textLength = 1<<16 - 1

// checkWrite refuses what the columns of another dialect could not hold, before
// anything is written.
func checkWrite(w engine.Write) error {
	var policy, key, member string
	switch w := w.(type) {
	case engine.PutSeen:
		policy, key = w.Policy, w.Key
		if len(w.Row.Why) > textLength || len(w.Row.Who) > textLength {
			return fmt.Errorf("%w: the reason of a key of policy %q, or whose it is, is longer than %d bytes", store.ErrDecision, policy, textLength)
		}
	case engine.AddCount:
		policy, key = w.Policy, w.Key
		if w.N < 0 || w.Window < time.Second {
			return fmt.Errorf("%w: a counter of policy %q: %d more in a window of %s", store.ErrDecision, policy, w.N, w.Window)
		}
	case engine.PutDistinct:
		policy, key, member = w.Policy, w.Key, w.Member
	default:
		return fmt.Errorf("%w: a write of unknown type %T", store.ErrDecision, w)
	}
	switch {
	case policy == "" || len(policy) > ddl.NameLength:
		return fmt.Errorf("%w: policy name %q: 1 to %d bytes belong there", store.ErrDecision, policy, ddl.NameLength)
	case len(key) > ddl.BytesLength || len(member) > ddl.BytesLength:
		return fmt.Errorf("%w: a key of policy %q is longer than %d bytes", store.ErrDecision, policy, ddl.BytesLength)
	}
	return nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// state is engine.State over a session.
type state struct {
	s *session
	c sqldriver.Conn
}

func (st state) Seen(policy, key string) (engine.SeenRow, bool, error) {
	v, err := st.s.query(st.c, getSeen, 7, policy, []byte(key))
	if err != nil {
		return engine.SeenRow{}, false, err
	}
	row := engine.SeenRow{First: v[0].(int64), Passed: v[1].(int64), Passes: v[2].(int64), Counted: v[3].(int64), Expires: v[4].(int64), Why: v[5].(string), Who: v[6].(string)}
	if row.Expires < 0 {
		if st.s.cache != nil {
			st.s.cache.readNone(cacheKey{policy, key}, st.s.changes)
		}
		return engine.SeenRow{}, false, nil
	}
	if st.s.cache != nil {
		st.s.cache.read(cacheKey{policy, key}, row, st.s.changes)
	}
	return row, true, nil
}

func (st state) Count(policy, key string, window time.Duration, from, to int64) (int64, error) {
	v, err := st.s.query(st.c, getCount, 1, policy, seconds(window), []byte(key), from, to)
	if err != nil {
		return 0, err
	}
	return v[0].(int64), nil
}

func (st state) Distinct(policy, key, member string, since, until, most int64) (n, at int64, err error) {
	k := []byte(key)
	v, err := st.s.query(st.c, getDistinct, 2, policy, k, []byte(member), since, until, policy, k, since, until, most)
	if err != nil {
		return 0, 0, err
	}
	return v[0].(int64), v[1].(int64), nil
}
