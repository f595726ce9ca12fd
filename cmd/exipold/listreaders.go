package main

import "exipol/generator/plan"

// Why an entry's matches are not counted.
const (
	comparedByExim   = "Exim compares it"
	comparedByNobody = "no policy compares it"
)

// readers says who compares which entries of a plan's lists. Only exipold counts what
// matched: what a limit that Exim counts itself exempts stands in Exim's own text.
type readers struct{ helper, exim map[entriesOf]bool }

// entriesOf are the entries of one list for one field.
type entriesOf struct{ list, field string }

func readersOf(p *plan.Plan) readers {
	r := readers{map[entriesOf]bool{}, map[entriesOf]bool{}}
	for _, g := range p.Greylists {
		note(r.helper, g.Except, "")
		note(r.helper, g.Urgent, "sender")
		for _, f := range g.Spare {
			if f.Name == plan.SPFPass {
				r.helper[entriesOf{f.Arg, "sender"}] = true
			}
		}
	}
	for _, l := range p.Limits {
		by, field := r.helper, ""
		if l.Engine == plan.EngineExim {
			by, field = r.exim, "client" // all that Exim's text compares
		}
		note(by, l.Only, field)
		note(by, l.Except, field)
		for _, o := range l.Overrides {
			note(by, o.Only, field)
		}
	}
	return r
}

// note marks the entries that the references name; field narrows it to one, unless it
// is "".
func note(m map[entriesOf]bool, refs []plan.Ref, field string) {
	for _, ref := range refs {
		for _, f := range []string{"client", "auth", "user", "sender", "recipient"} {
			if ref.List != "" && (ref.Field == "" || ref.Field == f) && (field == "" || field == f) {
				m[entriesOf{ref.List, f}] = true
			}
		}
	}
}

// of says why matches of a list's entries are not counted, "" where they are, and
// whether Exim compares them as well.
func (r readers) of(list, field string) (notCounted string, alsoExim bool) {
	at := entriesOf{list, field}
	switch {
	case r.helper[at]:
		return "", r.exim[at]
	case r.exim[at]:
		return comparedByExim, true
	}
	return comparedByNobody, false
}
