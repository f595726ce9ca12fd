package sqlite

import (
	"context"
	"fmt"

	"exipol/generator/plan"
	"exipol/helper/store/schema"
)

// dialect is how schemas are compared here.
var dialect = schema.SQLite()

// asker is what sql.Conn and sql.Tx have in common.
type asker = schema.Reader

// usable is nil for a file that this program may use, as far as the file says itself; else
// store.ErrNewer, or store.ErrCopying unless this is who copies.
func (s *Store) usable(ctx context.Context, db asker) error {
	note, err := dialect.ReadNote(ctx, db)
	if err != nil {
		return err
	}
	if s.options.Copying {
		note.Copying = ""
	}
	return note.Usable()
}

// version is the store's schema version, 0 for a file without a schema.
func version(ctx context.Context, db asker) (int, error) {
	note, err := dialect.ReadNote(ctx, db)
	return note.Version, err
}

// liveColumns are a table's columns; none where there is no such table.
func liveColumns(ctx context.Context, db asker, table string) (map[string]bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
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

// Pending is the statements that Migrate would run now, none where the store has
// all that these tables need. A table that has another shape is store.ErrForeign.
func (s *Store) Pending(ctx context.Context, tables []plan.Table) ([]string, error) {
	changes, err := s.pending(ctx, tables)
	return schema.Statements(changes), err
}

// Check is nil where the store has all that these tables need, else an error that
// says what is missing (store.ErrMissing), or another of package store's.
func (s *Store) Check(ctx context.Context, tables []plan.Table) error {
	changes, err := s.pending(ctx, tables)
	if err == nil {
		err = schema.Missing(changes)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", s.path, err)
	}
	return nil
}

// Migrate creates what is missing, and drops nothing. It gives the statements that
// it ran; all of them took effect, or on an error none.
func (s *Store) Migrate(ctx context.Context, tables []plan.Table) ([]string, error) {
	return s.change(ctx, "migrate", func() ([]schema.Change, error) { return s.pending(ctx, tables) })
}

// Contractions are what Contract would drop now, and the tables that it would leave because they
// only have a name of exipold's.
func (s *Store) Contractions(ctx context.Context, tables []plan.Table) (drops []schema.Drop, left []string, err error) {
	err = s.inspect(ctx, tables, func(tx asker, live schema.Live) error {
		var changes []schema.Change
		changes, left = dialect.Contract(live, tables, schema.Ever())
		drops, err = schema.Weigh(ctx, tx, changes)
		return err
	})
	return drops, left, err
}

// Contract drops what exipold once made and these tables do not need. It gives the statements that
// it ran; all of them took effect, or on an error none.
func (s *Store) Contract(ctx context.Context, tables []plan.Table) ([]string, error) {
	return s.change(ctx, "contract", func() (changes []schema.Change, err error) {
		err = s.inspect(ctx, tables, func(_ asker, live schema.Live) error {
			changes, _ = dialect.Contract(live, tables, schema.Ever())
			return nil
		})
		return changes, err
	})
}

// change runs the changes that are to be made when its turn has come. Until it ends nobody else
// writes to the file: what several want to change, one does, in this process or another.
func (s *Store) change(ctx context.Context, what string, wanted func() ([]schema.Change, error)) (ran []string, err error) {
	if changes, err := wanted(); err != nil || len(changes) == 0 {
		return nil, err
	}
	err = s.submit(ctx, &request{batch: func(t *transaction) error {
		// This transaction has the lock and has written nothing yet, so that what
		// another connection reads is what there is before it.
		changes, err := wanted()
		if err != nil {
			return err
		}
		// Only a statement that reads the file makes a connection see that others have changed the
		// schema: an ALTER TABLE alone goes by what it was.
		look := func(scan func(...any) error) error { return scan(new(int64)) }
		if err := (tx{t.s, t.c}).Query(look, "SELECT count(*) FROM sqlite_master"); err != nil {
			return fmt.Errorf("%s store %s: %w", what, s.path, err)
		}
		ran = schema.Statements(changes)
		for _, statement := range ran {
			if _, err := t.s.run(t.c, statement); err != nil {
				return fmt.Errorf("%s store %s: %w", what, s.path, err)
			}
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return ran, nil
}

// pending compares the store with the tables.
func (s *Store) pending(ctx context.Context, tables []plan.Table) (changes []schema.Change, err error) {
	err = s.inspect(ctx, tables, func(_ asker, live schema.Live) error {
		changes, err = dialect.Expand(live, tables)
		return err
	})
	return changes, err
}

// inspect reads the schema of a store that may be used, in one snapshot.
func (s *Store) inspect(ctx context.Context, tables []plan.Table, f func(asker, schema.Live) error) error {
	tx, err := s.readDB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("inspect store %s: %w", s.path, classify(err))
	}
	defer tx.Rollback()
	live, err := dialect.Inspect(ctx, tx, tables)
	if err == nil && s.options.Copying {
		live.Copying = ""
	}
	if err == nil {
		err = live.Usable()
	}
	if err == nil {
		err = f(tx, live)
	}
	if err != nil {
		return fmt.Errorf("inspect store %s: %w", s.path, classify(err))
	}
	return nil
}
