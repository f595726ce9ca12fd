// Package portable is the SQL that every kind of store runs alike: the desk's cases, what was said
// at run time, the log's places, leases, and what commands read. A kind of store brings its
// connections, its transactions and its Dialect, and embeds a Store made of them.
//
// What is asked with each mail (greylists, counters) is not here: each kind does that as is best
// for it.
package portable

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Reader reads outside of transactions that write. *sql.DB and *sql.Tx are readers.
type Reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a transaction that writes. Its errors are the store's already, and end it. Arguments are
// int64, string and []byte.
type Tx interface {
	// Query calls take for each row; scan knows *int64, *int, *string, *[]byte and *bool. take keeps
	// what it gets, and asks the transaction for nothing: a connection may give one answer at a time.
	Query(take func(scan func(dest ...any) error) error, query string, args ...any) error
	// Exec says how many rows were found to be changed, also where they said so before: MySQL counts
	// them so if the client asks for CLIENT_FOUND_ROWS (clientFoundRows=true). Of what Dialect's
	// statements say, nothing is made.
	Exec(query string, args ...any) (changed int64, err error)
	// Changes collects what is to be remembered of the transaction when it is committed. One that
	// is run again begins with new ones.
	Changes() *Changes
}

// Dialect is what one database says otherwise than another. Its functions give the text of a
// statement, and are called when the store is opened.
type Dialect struct {
	// Put inserts a row with these columns, the first keys of which are its primary key; where there is one
	// of that key the other columns are replaced.
	Put func(table string, keys int, columns ...string) string
	// Once inserts a row where there is none of that key.
	Once func(table string, keys int, columns ...string) string
	// CountUp adds 1 to the row of meta that its one place names; the first time it makes it 1.
	CountUp string
	// Locked is a query whose rows nobody else may change until the transaction ends, and which sees what
	// was committed last.
	Locked func(query string) string
}

// Config is what a kind of store brings.
type Config struct {
	Dialect Dialect
	// Name is the store's, for errors: they begin with "store NAME: ".
	Name func() string
	// Now is the time of all who share the store.
	Now func() time.Time
	// Reader reads from the host in use. Its errors, and those of what it gives, are the database's, or the
	// store's without its name.
	Reader func(ctx context.Context) (Reader, error)
	// Snapshot reads one consistent snapshot. Errors are as Reader's, and those of f are given back.
	Snapshot func(ctx context.Context, f func(Reader) error) error
	// Write runs f in one transaction, of its own or among others, and calls Committed after its commit. f may be run more
	// than once, and does not write to the table seen. Errors of f are given back as they are; others are
	// the store's, with its name.
	Write func(ctx context.Context, f func(Tx) error) error
	// Classify puts the store's word (an error of package store) before an error of the
	// database's. What has one already, and other errors, it gives back.
	Classify func(error) error
	// Columns are those that a table has; none where there is no such table.
	Columns func(ctx context.Context, r Reader, table string) (map[string]bool, error)
	// Version is the schema's; 0 for a store without one.
	Version func(ctx context.Context, r Reader) (int, error)
	// Size is how much room the store takes, in bytes.
	Size func(ctx context.Context, r Reader) (int64, error)
}

// Store does what is portable of store.Store. Everything in it is safe for concurrent use.
type Store struct {
	config Config
	text   texts
	stood  stood
}

// texts are the statements that a dialect has words of its own for.
type texts struct {
	putStanding, onceNotice, onceDigest, putSwitched, onceLease, putGateway string
	standing, caseState, heldRow                                            string
}

// New makes a store of a kind.
func New(c Config) *Store {
	d := c.Dialect
	return &Store{config: c, text: texts{
		putStanding: d.Put("standing", 2, "policy", "key_", "case_id", "tier", "ranking", "blocks", "since_at", "until_at", "released_at",
			"cleared_at", "probation_at", "span_ms", "expires_at"),
		onceNotice: d.Once("notice", 3, "case_id", "tier", "receiver", "made_at", "due_at", "tries", "claimed_by", "claimed_until",
			"mailed_at", "posted_at", "error"),
		onceDigest:  d.Once("digest", 1, "receiver", "from_at", "due_at", "claimed_by", "claimed_at", "claimed_until"),
		putSwitched: d.Put("switched", 1, "policy", "owner", "why", "made_at", "until_at"),
		onceLease:   d.Once("lease", 1, "name", "holder", "until_at"),
		putGateway:  d.Put("gateway", 1, "name", "version", "plans", "started_at", "seen_at"),
		standing:    d.Locked(selectStanding),
		caseState:   d.Locked(selectCaseState),
		heldRow:     d.Locked(selectHeldRow),
	}}
}

// named is an error of a reading as the caller gets it.
func (s *Store) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", s.config.Name(), s.config.Classify(err))
}

// read runs f on what the host in use has.
func (s *Store) read(ctx context.Context, f func(Reader) error) error {
	r, err := s.config.Reader(ctx)
	if err == nil {
		err = f(r)
	}
	return s.named(err)
}

// snapshot runs f on one state of the store.
func (s *Store) snapshot(ctx context.Context, f func(Reader) error) error {
	return s.named(s.config.Snapshot(ctx, f))
}

// write runs f in a transaction, perhaps more than once.
func (s *Store) write(ctx context.Context, f func(Tx) error) error {
	return s.config.Write(ctx, func(tx Tx) error {
		if err := f(tx); err != nil {
			return fmt.Errorf("store %s: %w", s.config.Name(), err)
		}
		return nil
	})
}

// all calls take for each row of a query.
func all(ctx context.Context, r Reader, take func(scan func(...any) error) error, query string, values ...any) error {
	rows, err := r.QueryContext(ctx, query, values...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
