package schema

import (
	"context"
	"fmt"
	"slices"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// Made is what exipold made in stores, in this version or an earlier one.
type Made struct {
	Tables  []plan.Table // as the last version that made them did
	Columns []Place      // that were given up, of tables that are in use
	Indexes []Place
}

// Place is a column or an index of a table.
type Place struct{ Table, Name string }

// Ever is all that exipold ever made. Whoever takes a table, a column or an index out of the plan
// puts it in here; else it would stay in every store for ever.
func Ever() Made {
	return Made{Tables: plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})}
}

// Ours are the tables that exipold made and the store has, each with those columns that it has there. left are
// tables that only have the name of one, and another shape: somebody else's.
func (d Dialect) Ours(live Live, made Made) (tables []plan.Table, left []string) {
	for _, t := range made.Tables {
		have, ok := live.Tables[t.Name]
		switch {
		case !ok:
		case len(d.faults(t, have)) > 0:
			left = append(left, t.Name)
		default:
			t.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c plan.Column) bool { return !have.has(c.Name) })
			tables = append(tables, t)
		}
	}
	return tables, left
}

func (t Table) has(column string) bool { _, ok := t.Columns[column]; return ok }

// Contract is the changes that drop what exipold made and these tables do not need: indexes first, for
// they may be on a column that goes. left are tables that have the name of one that would be dropped, and
// another shape: somebody else's, which stay.
func (d Dialect) Contract(live Live, tables []plan.Table, made Made) (changes []Change, left []string) {
	needed := map[string]plan.Table{}
	for _, t := range tables {
		needed[t.Name] = t
	}
	for _, p := range made.Indexes {
		table, inUse := needed[p.Table]
		if _, ok := live.Tables[p.Table].Indexes[p.Name]; ok && inUse && !hasIndex(table, p.Name) {
			changes = append(changes, d.change(DropIndex, p.Table, p.Name, d.ddl.DropIndex(p.Table, p.Name)))
		}
	}
	for _, p := range made.Columns {
		table, inUse := needed[p.Table]
		if live.Tables[p.Table].has(p.Name) && inUse && !hasColumn(table, p.Name) {
			changes = append(changes, d.change(DropColumn, p.Table, p.Name, d.ddl.DropColumn(p.Table, p.Name)))
		}
	}
	isNeeded := func(name string) bool { _, ok := needed[name]; return ok }
	ours, left := d.Ours(live, made)
	for _, t := range ours {
		if !isNeeded(t.Name) {
			changes = append(changes, d.change(DropTable, t.Name, "", d.ddl.DropTable(t.Name)))
		}
	}
	return changes, slices.DeleteFunc(left, isNeeded)
}

func hasIndex(t plan.Table, name string) bool {
	for _, i := range t.Indexes {
		if i.Name == name {
			return true
		}
	}
	return false
}

func hasColumn(t plan.Table, name string) bool {
	for _, c := range t.Columns {
		if c.Name == name {
			return true
		}
	}
	return false
}

// Drop is a change that drops something, and what goes with it.
type Drop struct {
	Change
	Rows int64  // of the table
	Open string // what of them people still work on, in words; "": nothing
}

// open are what people still work on, by table: a query that counts it, and words for the number.
var open = map[string]struct{ query, words string }{
	plan.TableCase: {"SELECT count(*) FROM desk_case WHERE state = '" + store.CaseOpen + "'", "open cases: %d"},
	plan.TableHeld: {"SELECT count(*) FROM held WHERE gone_at = 0", "messages held in queues: %d"},
}

// Weigh counts what each of Contract's changes would drop. Errors are the database's.
func Weigh(ctx context.Context, r Reader, changes []Change) ([]Drop, error) {
	drops := make([]Drop, len(changes))
	for i, c := range changes {
		drops[i].Change = c
		if c.Kind == DropIndex {
			continue
		}
		if err := r.QueryRowContext(ctx, "SELECT count(*) FROM "+c.Table).Scan(&drops[i].Rows); err != nil {
			return nil, err
		}
		if o, ok := open[c.Table]; ok && c.Kind == DropTable {
			var n int64
			if err := r.QueryRowContext(ctx, o.query).Scan(&n); err != nil {
				return nil, err
			}
			if n > 0 {
				drops[i].Open = fmt.Sprintf(o.words, n)
			}
		}
	}
	return drops, nil
}

// Contracter is what every kind of store does with all this.
type Contracter interface {
	// Contractions are what Contract would drop now, and the tables that it would leave because they only
	// have a name of exipold's.
	Contractions(ctx context.Context, tables []plan.Table) (drops []Drop, left []string, err error)
	// Contract drops what exipold once made and these tables do not need, with all rows. It says which
	// statements it ran, those before an error, too.
	Contract(ctx context.Context, tables []plan.Table) (ran []string, err error)
}
