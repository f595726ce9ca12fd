package mysql

import (
	"context"
	"errors"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/schema"
)

// dialect is how schemas are compared here.
var dialect = schema.MySQL()

// wanted says which changes a store is to have, and reads what it has.
type wanted func(ctx context.Context, r schema.Reader) ([]schema.Change, error)

func (s *Store) expansions(tables []plan.Table) wanted {
	return func(ctx context.Context, r schema.Reader) ([]schema.Change, error) {
		live, err := s.live(ctx, r, tables)
		if err != nil {
			return nil, err
		}
		return dialect.Expand(live, tables)
	}
}

func (s *Store) contractions(tables []plan.Table) wanted {
	return func(ctx context.Context, r schema.Reader) ([]schema.Change, error) {
		live, err := s.live(ctx, r, tables)
		if err != nil {
			return nil, err
		}
		changes, _ := dialect.Contract(live, tables, schema.Ever())
		return changes, nil
	}
}

// live is the schema of a store that may be used.
func (s *Store) live(ctx context.Context, r schema.Reader, tables []plan.Table) (schema.Live, error) {
	live, err := dialect.Inspect(ctx, r, tables)
	if err == nil && s.config.Copying {
		live.Copying = ""
	}
	if err == nil {
		err = live.Usable()
	}
	return live, err
}

// Usable is nil for a store that this program may use, as far as the store says itself; else
// store.ErrNewer, store.ErrForeign, or store.ErrCopying unless this is who copies. It says nothing of whether all
// tables of a plan are there: Pending does.
func (s *Store) Usable(ctx context.Context) error {
	return s.inspect(ctx, func(r schema.Reader) error {
		note, err := dialect.ReadNote(ctx, r)
		if err != nil {
			return err
		}
		if s.config.Copying {
			note.Copying = ""
		}
		return note.Usable()
	})
}

// Pending is the statements that Migrate would run now, none where the store has
// all that these tables need. A table that has another shape is store.ErrForeign.
func (s *Store) Pending(ctx context.Context, tables []plan.Table) ([]string, error) {
	changes, err := s.ask(ctx, s.expansions(tables))
	return schema.Statements(changes), err
}

// Migrate creates what is missing, and drops nothing. Each statement takes effect by itself, so that after an
// error those that it says it ran are done, and the rest is when it is called again. However many
// gateways call it at once, one of them runs the statements, and the others come back when it is done: a lease says
// which (GET_LOCK is granted on two nodes of a Galera cluster at once). Where that one dies another goes on.
//
// Gateways that run meanwhile go on. A statement that needs a table which others use waits for it for a second, then
// stands back for two, as long as the context lets it: store.ErrLocked.
func (s *Store) Migrate(ctx context.Context, tables []plan.Table) ([]string, error) {
	return s.change(ctx, s.expansions(tables))
}

// Contractions are what Contract would drop now, and the tables that it would leave because they
// only have a name of exipold's.
func (s *Store) Contractions(ctx context.Context, tables []plan.Table) (drops []schema.Drop, left []string, err error) {
	err = s.inspect(ctx, func(r schema.Reader) error {
		live, err := s.live(ctx, r, tables)
		if err != nil {
			return err
		}
		var changes []schema.Change
		changes, left = dialect.Contract(live, tables, schema.Ever())
		drops, err = schema.Weigh(ctx, r, changes)
		return err
	})
	return drops, left, err
}

// Contract drops what exipold once made and these tables do not need, in the way of Migrate.
func (s *Store) Contract(ctx context.Context, tables []plan.Table) ([]string, error) {
	return s.change(ctx, s.contractions(tables))
}

// inspect runs f with a connection to the host in use that has time. Its error has the store's name.
func (s *Store) inspect(ctx context.Context, f func(schema.Reader) error) error {
	host, err := s.hosts.Use(ctx)
	if err == nil {
		err = f(host.Long())
		if !isUnfit(err) {
			host.Failed(err)
		}
	}
	return s.named(err)
}

// isUnfit says whether an error is one of what is in the store, and none of the server's.
func isUnfit(err error) bool {
	return errors.Is(err, store.ErrForeign) || errors.Is(err, store.ErrNewer) || errors.Is(err, store.ErrCopying)
}

// ask says what is to be changed.
func (s *Store) ask(ctx context.Context, want wanted) (changes []schema.Change, err error) {
	err = s.inspect(ctx, func(r schema.Reader) error {
		changes, err = want(ctx, r)
		return err
	})
	return changes, err
}

// columnsOf are a table's columns; none where there is no such table.
func columnsOf(ctx context.Context, r schema.Reader, table string) (map[string]bool, error) {
	rows, err := r.QueryContext(ctx, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns[name] = true
	}
	return columns, rows.Err()
}

// version is the store's schema version, 0 for a database without a schema.
func version(ctx context.Context, r schema.Reader) (int, error) {
	note, err := dialect.ReadNote(ctx, r)
	return note.Version, err
}
