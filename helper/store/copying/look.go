package copying

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/schema"
)

// Look is what there is to copy, and what is in the way.
type Look struct {
	Tables  []Count  // of the source, with their rows
	Left    []string // tables of the source that have a name of exipold's and another shape: they are not copied
	Serving []string // gateways that use the source
	Target  Target
}

// Target is what there is where the copy is to go.
type Target struct {
	Rows       []Count  // tables that are not empty
	Serving    []string // gateways that use it
	Unfinished string   // what is there is an unfinished copy, and this says of what; "": it is not
}

// Count is a table's rows.
type Count struct {
	Table string
	Rows  int64
}

// servedFor is how long after a gateway was seen it counts as there.
const servedFor = 30 * time.Second

// stays are the tables that are not copied.
func stays(table string) bool { return table == plan.TableLease || table == plan.TableGateway }

// Inspect says what there is to copy. It changes nothing. to is nil where it does not exist yet.
func Inspect(ctx context.Context, from, to Store) (Look, error) {
	var l Look
	var err error
	if l.Serving, err = serving(ctx, from); err != nil {
		return l, err
	}
	err = from.Snapshot(ctx, func(r schema.Reader) error {
		var tables []plan.Table
		if tables, l.Left, err = sourceTables(ctx, from, r); err != nil {
			return err
		}
		l.Tables, err = counts(ctx, r, tables, false)
		return err
	})
	if err == nil && to != nil {
		l.Target, err = inspectTarget(ctx, to)
	}
	return l, err
}

func inspectTarget(ctx context.Context, to Store) (t Target, err error) {
	if t.Serving, err = serving(ctx, to); err != nil {
		return t, err
	}
	// Another one may be making its tables.
	for try := 1; ; try++ {
		err = to.Snapshot(ctx, func(r schema.Reader) error {
			live, err := schema.Of(to.Health().Kind).Inspect(ctx, r, nil)
			if err != nil {
				return err
			}
			t.Unfinished = live.Copying
			tables, _ := schema.Of(to.Health().Kind).Ours(live, schema.Ever())
			t.Rows, err = counts(ctx, r, slices.DeleteFunc(tables, func(t plan.Table) bool { return stays(t.Name) }), true)
			return err
		})
		if !errors.Is(err, store.ErrConflict) || try == tries {
			return t, err
		}
		select {
		case <-ctx.Done():
			return t, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tries is how often a look at the target is begun.
const tries = 50

// Refused is why Copy would refuse, nil where it would not: ErrServed or ErrNotEmpty.
func (l Look) Refused(from, to Store, o Options) error {
	switch {
	case len(l.Target.Serving) > 0:
		return fmt.Errorf("store %s: %w: %s; stop exipold there, or have it use another store", to.Name(), ErrServed, strings.Join(l.Target.Serving, ", "))
	case len(l.Serving) > 0 && !o.Live:
		return fmt.Errorf("store %s: %w: %s; what is counted after the copy has begun would be lost: stop exipold there, or say --live", from.Name(), ErrServed, strings.Join(l.Serving, ", "))
	case len(l.Target.Rows) > 0 && l.Target.Unfinished == "" && !o.Replace:
		var full []string
		for _, c := range l.Target.Rows {
			full = append(full, fmt.Sprintf("%s (%d rows)", c.Table, c.Rows))
		}
		return fmt.Errorf("store %s: %w: %s; --replace empties it first", to.Name(), ErrNotEmpty, strings.Join(full, ", "))
	}
	return nil
}

// serving are the gateways that use a store now.
func serving(ctx context.Context, s Store) (names []string, err error) {
	gateways, err := s.Gateways(ctx)
	if errors.Is(err, store.ErrMissing) { // it is from before gateways were noted, or has nothing yet
		return nil, nil
	}
	since := s.Now().Add(-servedFor).UnixMilli()
	for _, g := range gateways {
		if g.Seen >= since && !g.Ended {
			names = append(names, g.Name)
		}
	}
	return names, err
}

// sourceTables are the tables to be copied, each with the columns that it has there.
func sourceTables(ctx context.Context, from Store, r schema.Reader) (tables []plan.Table, left []string, err error) {
	d := schema.Of(from.Health().Kind)
	live, err := d.Inspect(ctx, r, nil)
	if err == nil {
		err = live.Usable()
	}
	if err == nil && live.Version == 0 {
		err = fmt.Errorf("%w (the store that is copied has no schema)", store.ErrMissing)
	}
	if err != nil {
		return nil, nil, err
	}
	tables, left = d.Ours(live, schema.Ever())
	return slices.DeleteFunc(tables, func(t plan.Table) bool { return stays(t.Name) }), left, nil
}

// counts counts the rows of tables, those of meta that are not copied left out; full leaves empty tables out.
func counts(ctx context.Context, r schema.Reader, tables []plan.Table, full bool) ([]Count, error) {
	var all []Count
	for _, t := range tables {
		c := Count{Table: t.Name}
		if err := r.QueryRowContext(ctx, "SELECT count(*) FROM "+t.Name+where(t.Name)).Scan(&c.Rows); err != nil {
			return nil, err
		}
		if c.Rows > 0 || !full {
			all = append(all, c)
		}
	}
	return all, nil
}

// where leaves out what a store says of itself.
func where(table string) string {
	if table != plan.TableMeta {
		return ""
	}
	return " WHERE name NOT IN ('" + ddl.VersionName + "', '" + schema.CopyingName + "')"
}
