// Package copying copies a store into another one, of the same kind or of another: all that exipold keeps, with
// its numbers, from one snapshot of the source, which is only read.
//
// A copy is whole or it is none. Before the first row is written the target gets a mark
// (schema.CopyingName), with which nobody opens it but who copies (store.ErrCopying); it goes when all rows have been
// read back and are those of the source. A copy that ended before is begun anew by the next one.
//
// Two tables stay behind, for they say what is now and not what was: the leases, and which gateways there are.
package copying

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/schema"
)

// Errors of Copy, besides those of package store.
var (
	ErrServed   = errors.New("an exipold uses the store")
	ErrNotEmpty = errors.New("there is something in the store that is copied to")
	ErrDiffers  = errors.New("the copy is not what was copied")
)

// Store is what a store that is copied, or copied to, does besides all that stores do.
type Store interface {
	store.Store
	// Snapshot runs f on one state of the store, for as long as that takes. store.ErrConflict: others were changing
	// its tables.
	Snapshot(ctx context.Context, f func(schema.Reader) error) error
	// Insert inserts rows in one transaction, each with the values of all columns: int64, string (of plan.Name and plan.Text)
	// or []byte. Where a row of that key is there already it is replaced, so that Insert may be done twice.
	Insert(ctx context.Context, t plan.Table, rows [][]any) error
	// Empty removes all rows of a table.
	Empty(ctx context.Context, table string) error
	// SetMeta sets a row of the table meta, or removes it where the value is "".
	SetMeta(ctx context.Context, name, value string) error
	// Written changes whenever somebody else writes to the store; "" for one that cannot tell.
	Written() string
}

// Options of a copy.
type Options struct {
	Tables  []plan.Table // that the target is to have; it also gets those that the source has
	Replace bool         // empty the target first
	Live    bool         // copy although an exipold uses the source: what it writes from then on is not in the copy

	// Looked is told what there is to copy, once that is not refused; nil for nobody.
	Looked func(Look)
	// Progress is told after each batch how many rows of a table have been copied, or read back; nil for nobody.
	Progress func(doing, table string, rows int64)
	// Ran is told of the statements that made the target's tables; nil for nobody.
	Ran func(statements []string)
}

// Report is what was copied.
type Report struct {
	Tables []Count
	Mended int64         // texts that were not valid in the source, and are now
	Took   time.Duration // all told
}

// Rows is how many rows were copied.
func (r Report) Rows() (n int64) {
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// Copy makes to what from is. Where it does not come to its end, to stays marked, and the next Copy begins anew.
// Errors: ErrServed, ErrNotEmpty, ErrDiffers, and those of package store.
func Copy(ctx context.Context, from, to Store, o Options) (Report, error) {
	began := time.Now()
	look, err := Inspect(ctx, from, to)
	if err == nil {
		err = look.Refused(from, to, o)
	}
	if err != nil {
		return Report{}, err
	}
	if o.Looked != nil {
		o.Looked(look)
	}
	ran, err := to.Migrate(ctx, united(o.Tables, look))
	if o.Ran != nil {
		o.Ran(ran)
	}
	if err != nil {
		return Report{}, err
	}
	ctx, done, err := lease(ctx, to)
	if err != nil {
		return Report{}, err
	}
	defer done()
	report, err := copyAll(ctx, from, to, o)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		return Report{}, err
	}
	report.Took = time.Since(began)
	return report, nil
}

// united are the tables that the target's plan needs, those that every plan does, and those that the source has.
func united(tables []plan.Table, look Look) []plan.Table {
	always := plan.Tables(plan.Needs{})
	named := func(list []plan.Table, name string) bool {
		return slices.ContainsFunc(list, func(t plan.Table) bool { return t.Name == name })
	}
	all := slices.Clone(tables)
	for _, t := range schema.Ever().Tables {
		copied := slices.ContainsFunc(look.Tables, func(c Count) bool { return c.Table == t.Name })
		if (copied || named(always, t.Name)) && !named(all, t.Name) {
			all = append(all, t)
		}
	}
	return all
}

// copyAll copies, and reads back. The lease is held.
func copyAll(ctx context.Context, from, to Store, o Options) (Report, error) {
	// Who had the lease before may have copied all of it since.
	target, err := inspectTarget(ctx, to)
	if err == nil {
		err = Look{Target: target}.Refused(from, to, o)
	}
	if err != nil {
		return Report{}, err
	}
	if err := to.SetMeta(ctx, schema.CopyingName, fmt.Sprintf("of %s, begun at %s", from.Name(), time.Now().UTC().Format(time.RFC3339))); err != nil {
		return Report{}, err
	}
	if err := empty(ctx, to); err != nil {
		return Report{}, err
	}
	var report Report
	sums := map[string]sum{}
	written := from.Written()
	err = from.Snapshot(ctx, func(r schema.Reader) error {
		tables, _, err := sourceTables(ctx, from, r)
		for i := 0; err == nil && i < len(tables); i++ {
			name := tables[i].Name
			var mended int64
			if sums[name], mended, err = transfer(ctx, r, to, tables[i], o.told("copied", name)); err == nil {
				report.Tables = append(report.Tables, Count{name, sums[name].rows})
				report.Mended += mended
			}
		}
		return err
	})
	if err != nil {
		return Report{}, err
	}
	if err := readBack(ctx, to, sums, o); err != nil {
		return Report{}, err
	}
	if !o.Live {
		serves, err := serving(ctx, from)
		if err != nil {
			return Report{}, err
		}
		if len(serves) > 0 || from.Written() != written {
			return Report{}, fmt.Errorf("store %s: %w: it was written to while it was copied, and that is not in the copy; stop exipold there and copy again, or say --live", from.Name(), ErrServed)
		}
	}
	if err := to.SetMeta(ctx, schema.CopyingName, ""); err != nil {
		return Report{}, err
	}
	return report, nil
}

// lease takes the lease on copying to this store, which others wait for no longer than it lasts where its holder died.
func lease(ctx context.Context, to Store) (held context.Context, done func(), err error) {
	const name, lasts = "copy", 10 * time.Second
	host, _ := os.Hostname()
	holder := host + "/" + rand.Text()
	for {
		ours, err := to.Lease(ctx, name, holder, lasts)
		if err != nil {
			return nil, nil, err
		}
		if ours {
			break
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("store %s: %w (another one copies to it)", to.Name(), store.ErrLocked)
		case <-time.After(time.Second):
		}
	}
	held, stop := store.KeepLease(ctx, to, name, holder, lasts)
	return held, func() {
		stop()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = to.Yield(last, name, holder) // it would end by itself
	}, nil
}

// empty removes all rows of exipold's from a store, but for what it says of itself.
func empty(ctx context.Context, to Store) error {
	target, err := inspectTarget(ctx, to)
	if err != nil {
		return err
	}
	for _, c := range target.Rows {
		if c.Table != plan.TableMeta {
			if err := to.Empty(ctx, c.Table); err != nil {
				return err
			}
			continue
		}
		var names []string
		err := to.Snapshot(ctx, func(r schema.Reader) error {
			names = nil
			return each(ctx, r, plan.Table{Name: plan.TableMeta, Columns: []plan.Column{{Name: "name", Type: plan.Name}}, Key: []string{"name"}},
				func(row []any, _ int) error { names = append(names, row[0].(string)); return nil })
		})
		for i := 0; err == nil && i < len(names); i++ {
			err = to.SetMeta(ctx, names[i], "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o Options) told(doing, table string) func(rows int64) {
	return func(rows int64) {
		if o.Progress != nil {
			o.Progress(doing, table, rows)
		}
	}
}
