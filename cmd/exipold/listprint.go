package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// print is the report for people.
func (r *listReport) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range r.Lists {
		reviewed := ""
		if l.Reviewed != "" {
			reviewed = ", reviewed " + l.Reviewed
		}
		fmt.Fprintf(w, "%s (%s%s)\n", l.List, l.At, reviewed)
		printFindings(w, "  ", l.Findings)
		r.printEntries(w, l.Entries)
		if len(l.Entries) == 0 && l.Learned == nil {
			fmt.Fprintf(w, "  no entries\n")
		}
		if n := l.Learned; n != nil {
			fmt.Fprintf(w, "  learned\t%s, %s\t%s\n", number(n.Addresses, "address", "addresses"), number(n.Domains, "domain", "domains"), howOften(n.Hits["sender"]+n.Hits["recipient"], n.LastHit, ""))
		}
	}
	if len(r.Allowed) > 0 {
		fmt.Fprintf(w, "said at run time (exipold allow)\n")
		r.printEntries(w, r.Allowed)
	}
	if len(r.Lists)+len(r.Allowed) == 0 {
		fmt.Fprintln(w, "this plan has no lists, and nothing was said at run time")
	}
	return w.Flush()
}

// printEntries prints those that somebody has to look at, or used. Of a long list that
// is a part that can be read.
func (r *listReport) printEntries(w io.Writer, all []entryHealth) {
	quiet := map[bool]int{} // by whether matches are counted
	for _, e := range all {
		if !r.all && e.Hits == 0 && len(e.Findings) == 0 {
			quiet[e.NotCounted == ""]++
			continue
		}
		var notes []string
		if e.ID != 0 {
			notes = append(notes, fmt.Sprintf("entry %d", e.ID))
		}
		if e.Policy != "" {
			notes = append(notes, "for "+e.Policy)
		}
		if e.Owner != "" {
			notes = append(notes, "of "+readable(e.Owner))
		}
		if e.Until != "" {
			notes = append(notes, "until "+e.Until)
		}
		if e.Why != "" {
			notes = append(notes, strconv.Quote(e.Why))
		}
		often := howOften(e.Hits, e.LastHit, e.Since)
		if e.NotCounted != "" {
			often = "not counted: " + e.NotCounted
		}
		fmt.Fprintf(w, "  %s %s\t%s\t%s\n", e.Field, readable(e.Pattern), often, strings.Join(notes, ", "))
		printFindings(w, "    ", e.Findings)
	}
	one, more := "other", "others"
	if quiet[true]+quiet[false] == len(all) {
		one, more = "entry", "entries"
	}
	if n := quiet[true]; n > 0 {
		fmt.Fprintf(w, "  %s, without a hit\n", number(n, one, more))
	}
	if n := quiet[false]; n > 0 { // those that nobody compares are findings
		fmt.Fprintf(w, "  %s, not counted: %s\n", number(n, one, more), comparedByExim)
	}
}

func printFindings(w io.Writer, indent string, all []listFinding) {
	for _, f := range all {
		fmt.Fprintf(w, "%s! %s\n", indent, readable(f.Text))
	}
}
