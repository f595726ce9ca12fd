package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
	"exipol/helper/store/schema"
)

// Who changes the schema holds a lease, and prolongs it as long as that takes; others look so often
// whether he is done. Statements wait for this long for a table that others use, because whatever is asked of
// the table meanwhile waits behind them, and lookups have little more time; then they stand back for a while.
const (
	changeLease = 30 * time.Second
	changePoll  = 250 * time.Millisecond
	tableWait   = time.Second
	standBack   = 2 * time.Second
)

// Errors of servers that a change of the schema may meet. MariaDB and MySQL share them.
const (
	erTableExists   = 1050
	erColumnExists  = 1060
	erIndexExists   = 1061
	erCannotDrop    = 1091 // there is no such column or index
	erNoSuchWay     = 1800 // a word after ALGORITHM= that this server does not know
	erNotThatWay    = 1845 // ALGORITHM or LOCK cannot be had for this change
	erNotThatWayWhy = 1846
)

// change makes the changes, or waits until somebody else has.
func (s *Store) change(ctx context.Context, want wanted) (ran []string, err error) {
	changes, err := s.ask(ctx, want)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	made, err := s.makeLeases(ctx, changes)
	if err != nil {
		return nil, err
	}
	holder := s.config.Gateway + "/" + rand.Text()
	for {
		held, err := s.Lease(ctx, store.MigrateLease, holder, changeLease)
		if err != nil {
			return nil, err
		}
		if held {
			break
		}
		if !sleep(ctx, changePoll) {
			return nil, fmt.Errorf("store %s: %w (another exipold changes its tables; %w)", s.Name(), store.ErrLocked, context.Cause(ctx))
		}
		if changes, err = s.ask(ctx, want); err != nil || len(changes) == 0 {
			return nil, err
		}
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Timeout)
		defer cancel()
		_ = s.Yield(last, store.MigrateLease, holder) // it would end by itself
	}()
	ctx, done := store.KeepLease(ctx, s, store.MigrateLease, holder, changeLease)
	defer done()
	if changes, err = s.ask(ctx, want); err != nil || len(changes) == 0 {
		return made, err
	}
	ran, err = s.run(ctx, changes)
	return append(made, ran...), err
}

// makeLeases makes the table of leases, where that is one of the changes: nobody needs a lease for it, for the statement
// does nothing where it has been run.
func (s *Store) makeLeases(ctx context.Context, changes []schema.Change) (ran []string, err error) {
	for _, c := range changes {
		if c.Kind == schema.CreateTable && c.Table == plan.TableLease {
			return s.run(ctx, []schema.Change{c})
		}
	}
	return nil, nil
}

// run makes the changes, one after another, and says which statements it ran.
func (s *Store) run(ctx context.Context, changes []schema.Change) (ran []string, err error) {
	host, err := s.hosts.Use(ctx)
	if err != nil {
		return nil, s.named(err)
	}
	conn, err := host.Long().Conn(ctx)
	if err == nil {
		defer func() {
			// It goes rather than back to the others, for its settings.
			_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
			_ = conn.Close()
		}()
		_, err = conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d", int(tableWait/time.Second)))
	}
	for i := 0; err == nil && i < len(changes); i++ {
		var statement string
		if statement, err = s.apply(ctx, conn, changes[i]); statement != "" {
			ran = append(ran, statement)
		}
	}
	if err == nil {
		return ran, nil
	}
	host.Failed(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	err = hosts.Classify(err)
	if errors.Is(err, store.ErrRefused) {
		err = fmt.Errorf("%w: run exipold migrate as a user who has the rights CREATE, ALTER, INDEX and DROP on %s", err, s.config.Store.Database)
	}
	return ran, s.named(err)
}

// apply makes one change in the gentlest way that the server knows, and gives the statement that did
// it, "" for none, because it was made already. Errors are the database's.
func (s *Store) apply(ctx context.Context, conn *sql.Conn, c schema.Change) (statement string, err error) {
	log := cmp.Or(s.config.Log, slog.Default())
	for _, statement := range append(append([]string(nil), c.Gentle...), c.SQL) {
		for {
			_, err = conn.ExecContext(ctx, statement)
			if !hosts.Retry(err) {
				break
			}
			log.Info("a change of the store's tables waits for others that use the table", "table", c.Table, "error", err)
			if !sleep(ctx, standBack) {
				return "", fmt.Errorf("%w (%s: others use the table %s: %w)", store.ErrLocked, statement, c.Table, err)
			}
		}
		switch number(err) {
		case 0:
			if err == nil {
				return statement, nil
			}
			return "", err
		case erNoSuchWay, erNotThatWay, erNotThatWayWhy:
		case erTableExists, erColumnExists, erIndexExists, erCannotDrop:
			return "", nil
		default:
			return "", err
		}
	}
	return "", err
}

// number is the number of a server's error, 0 for no error and for others.
func number(err error) uint16 {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}
