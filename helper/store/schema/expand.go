package schema

import (
	"fmt"
	"slices"
	"strings"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
)

// Expand is the changes that give a store all that these tables need, none where it has it; the version
// comes last, so that a store which has one is whole. A store of a newer version is store.ErrNewer; a table
// of another shape is store.ErrForeign, with all that is wrong, and what mends it.
func (d Dialect) Expand(live Live, tables []plan.Table) ([]Change, error) {
	if live.Version > ddl.Version {
		return nil, Note{Version: live.Version}.Usable()
	}
	var changes []Change
	var wrong []string
	for _, want := range tables {
		have, ok := live.Tables[want.Name]
		if !ok {
			changes = append(changes, d.create(want)...)
			wrong = append(wrong, live.takenIndexes(want)...)
			continue
		}
		if faults := d.faults(want, have); len(faults) > 0 {
			wrong = append(wrong, faults...)
			continue
		}
		for _, c := range want.Columns {
			if _, ok := have.Columns[c.Name]; !ok {
				changes = append(changes, d.change(AddColumn, want.Name, c.Name, d.ddl.AddColumn(want.Name, c)))
			}
		}
		for _, i := range want.Indexes {
			if _, ok := have.Indexes[i.Name]; !ok {
				changes = append(changes, d.change(AddIndex, want.Name, i.Name, d.ddl.AddIndex(want.Name, i)))
			}
		}
		wrong = append(wrong, live.takenIndexes(want)...)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%w: %s", store.ErrForeign, strings.Join(wrong, "; "))
	}
	if live.Version < ddl.Version {
		changes = append(changes, d.change(NoteVersion, plan.TableMeta, "", d.ddl.NoteVersion(live.Version)))
	}
	return changes, nil
}

// create is the changes that make a table.
func (d Dialect) create(t plan.Table) []Change {
	statements := d.ddl.Table(t)
	changes := []Change{d.change(CreateTable, t.Name, "", statements[0])}
	for i, statement := range statements[1:] {
		changes = append(changes, d.change(AddIndex, t.Name, t.Indexes[i].Name, statement))
	}
	return changes
}

// faults is what makes a table one that exipold cannot work with, each with its mend.
func (d Dialect) faults(want plan.Table, have Table) []string {
	aside := fmt.Sprintf("put it aside (ALTER TABLE %s RENAME TO %s_old) and run exipold migrate", want.Name, want.Name)
	if have.Wrong != "" {
		return []string{fmt.Sprintf("%s: %s; %s", want.Name, have.Wrong, aside)}
	}
	var wrong []string
	say := func(mend, format string, args ...any) {
		if mend == "" {
			mend = aside
		}
		wrong = append(wrong, fmt.Sprintf(format, args...)+": "+mend)
	}
	known := map[string]bool{}
	for _, c := range want.Columns {
		known[c.Name] = true
		column, ok := have.Columns[c.Name]
		switch {
		case !ok && slices.Contains(want.Key, c.Name):
			say("", "%s has no column %s", want.Name, c.Name)
		case !ok:
		case column.Made:
			say("", "%s.%s is made by an expression", want.Name, c.Name)
		case column.Type != d.types[c.Type]:
			say(d.mend(want.Name, c.Name, c.Type), "%s.%s is %s, not %s", want.Name, c.Name, column.Type, d.types[c.Type])
		}
	}
	if !slices.Equal(have.Key, want.Key) {
		say("", "the primary key of %s is (%s), not (%s)", want.Name, strings.Join(have.Key, ", "), strings.Join(want.Key, ", "))
	}
	for _, name := range sorted(have.Columns) {
		if !known[name] && !have.Columns[name].Fills {
			say("give it a default, or drop it", "%s.%s is not exipold's, and has no default", want.Name, name)
		}
	}
	for _, i := range want.Indexes {
		index, ok := have.Indexes[i.Name]
		if ok && !slices.Equal(index.Columns, i.Columns) {
			say("drop it ("+d.ddl.DropIndex(want.Name, i.Name)+") and run exipold migrate",
				"the index %s of %s is on (%s), not (%s)", i.Name, want.Name, strings.Join(index.Columns, ", "), strings.Join(i.Columns, ", "))
		}
	}
	for _, name := range sorted(have.Indexes) {
		if have.Indexes[name].Unique {
			say("drop it ("+d.ddl.DropIndex(want.Name, name)+")", "the index %s of %s is unique, and would refuse rows", name, want.Name)
		}
	}
	return wrong
}

// takenIndexes are names of a table's indexes that another table's have.
func (l Live) takenIndexes(want plan.Table) []string {
	var wrong []string
	for _, i := range want.Indexes {
		if table, ok := l.Indexes[i.Name]; ok && table != want.Name {
			wrong = append(wrong, fmt.Sprintf("the table %s has an index of the name %s, which one of %s is to have: drop it, and run exipold migrate", table, i.Name, want.Name))
		}
	}
	return wrong
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
