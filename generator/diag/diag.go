// Package diag is what the program has to say about policies: faults and
// warnings with their place, and the ways to print them. It decides nothing and
// reads no file.
package diag

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Severity says how bad it is.
type Severity string

const (
	Error   Severity = "error"   // nothing can be built
	Warning Severity = "warning" // it can, but look at it
)

// Diagnostic is one fault. Only Code, Severity and Summary are always there; a
// fault of the set as a whole has no Subject.
type Diagnostic struct {
	Code     string // "EP104": a row of Codes
	Severity Severity
	Summary  string // one line, without a full stop
	Detail   string // sentences, "" for none
	Subject  hcl.Range
	Notes    []Note
	Help     string // what to do, "" for none
	Secret   bool   // the line holds what does not belong into a log: Text leaves it out
}

// Note is another place that belongs to a fault, or a further remark where it
// has no Range.
type Note struct {
	Text  string
	Range hcl.Range
}

// List is any number of diagnostics.
type List []Diagnostic

// HasErrors says whether any of them is an error.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Counts are the numbers of errors and of warnings.
func (l List) Counts() (errors, warnings int) {
	for _, d := range l {
		if d.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Sorted is the list by file, byte and code, each diagnostic once: the parsers
// below walk maps, and the same fault must not move about from run to run.
func (l List) Sorted() List {
	out := slices.Clone(l)
	slices.SortStableFunc(out, compare)
	return slices.CompactFunc(out, func(a, b Diagnostic) bool { return compare(a, b) == 0 })
}

func compare(a, b Diagnostic) int {
	return cmp.Or(
		strings.Compare(a.Subject.Filename, b.Subject.Filename),
		cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
		strings.Compare(a.Code, b.Code),
		cmp.Compare(a.Subject.End.Byte, b.Subject.End.Byte),
		strings.Compare(a.Summary, b.Summary),
		strings.Compare(a.Detail, b.Detail),
		strings.Compare(a.Help, b.Help),
	)
}

// placed says whether a range is a place in a file. Ranges of defaults have no
// file name.
func placed(r hcl.Range) bool { return r.Filename != "" && r.Start.Line > 0 }
