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

	"exipol/helper/engine"
)

// Reader reads outside of transactions that write. *sql.DB and *sql.Tx are readers.
type Reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a transaction that writes. Its errors are the store's already, and end it.
type Tx interface {
	// Query calls take for each row; scan knows *int64, *int, *string, *[]byte and *bool.
	Query(take func(scan func(dest ...any) error) error, query string, args ...any) error
	// Exec says how many rows were found to be changed.
	Exec(query string, args ...any) (changed int64, err error)
	// Changes collects what is to be remembered of the transaction when it is committed.
	Changes() *Changes
}

// Changes are the changes of the table standing in one transaction.
type Changes struct {
	first, last int64 // their numbers; 0: there are none
	all         []engine.Standing
	removed     bool // rows went, too
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
