package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"exipol/cmd/internal/cli"
	"exipol/helper/store"
)

// orders are those in which cases can be listed, the worst first.
var orders = map[string]func(a, b store.Case) int{
	"opened": func(a, b store.Case) int { return cmp.Compare(b.ID, a.ID) },
	"held":   func(a, b store.Case) int { return cmp.Or(cmp.Compare(b.Held, a.Held), cmp.Compare(b.ID, a.ID)) },
}

// worstFirst puts cases into an order, and leaves so many of them; 0 leaves all.
func worstFirst(cases []store.Case, by string, most int) ([]store.Case, error) {
	order, known := orders[by]
	if !known {
		return nil, cli.WrongUsage("--by %s: opened or held belongs there", by)
	}
	slices.SortFunc(cases, order)
	if most > 0 && most < len(cases) {
		cases = cases[:most]
	}
	return cases, nil
}

// printBouncers lists the owners whose mail bounces.
func printBouncers(w io.Writer, all []store.Bouncer) {
	if len(all) > 0 {
		fmt.Fprintln(w, "bounces of the last hour and the last day")
	}
	for _, b := range all {
		fmt.Fprintf(w, "  %s\t%d and %d\n", readable(b.Owner), b.Hour, b.Day)
	}
}
