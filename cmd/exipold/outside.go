package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"exipol/helper"
)

// printOutside says what was found out, and what is known of the pools.
func printOutside(w io.Writer, r *helper.Status) {
	if n := r.DNS; n != nil && n.Asked+n.Known+n.Refused > 0 {
		fmt.Fprintf(w, "DNS\t%s, %d failed; %d more known already\n", number(n.Asked, "lookup", "lookups"), n.Failed, n.Known)
		if n.Refused > 0 {
			fmt.Fprintf(w, "\t%s\n", notMade(n.Refused))
		}
	}
	for _, fact := range slices.Sorted(maps.Keys(r.Facts)) {
		var words []string
		for _, word := range slices.Sorted(maps.Keys(r.Facts[fact])) {
			words = append(words, fmt.Sprintf("%d %s", r.Facts[fact][word], word))
		}
		fmt.Fprintf(w, "  %s\t%s\n", readable(fact), readable(strings.Join(words, ", ")))
	}
	if r.PoolsFile != "" {
		fmt.Fprintf(w, "pinned pools\t%s\n", readable(r.PoolsFile))
	}
	common := noPool(r.Pools)
	if common != "" {
		fmt.Fprintf(w, "pools\tnone of %d pools can be resolved: %s\n\t%s\n", resolvable(r.Pools), readable(common), helper.PoolsMend)
	}
	for _, p := range r.Pools {
		if p.Reason != "" && p.Reason == common {
			if p.Networks == 0 {
				continue
			}
			p.Error = ""
		}
		fmt.Fprintf(w, "pool %s\t%s\n", p.Name, howPool(p))
		for _, n := range p.Notes {
			fmt.Fprintf(w, "\tnot counted: %s\n", readable(n))
		}
	}
}

// resolvable is how many pools have something to resolve.
func resolvable(all []helper.PoolStatus) (n int) {
	for _, p := range all {
		if !p.Given {
			n++
		}
	}
	return n
}

// noPool is the reason why none of the running exipold's pools can be resolved, where it
// is one for all of them.
func noPool(all []helper.PoolStatus) string {
	var reasons []string
	for _, p := range all {
		if p.Error != "" {
			reasons = append(reasons, p.Reason)
		}
	}
	return allFor(reasons, resolvable(all))
}

// notMade says what so many refused lookups are.
func notMade(n uint64) string {
	return number(n, "lookup", "lookups") + " not made: too many at once"
}

// howPool says how a pool does, in a line.
func howPool(p helper.PoolStatus) string {
	text := number(p.Networks, "network", "networks") + ", "
	switch {
	case p.Given:
		text += "given in the policies"
	case p.Pinned:
		text += "pinned"
	case p.Resolved.IsZero():
		text += "never resolved"
	default:
		text += "resolved " + p.Resolved.Format(time.RFC3339)
	}
	if p.LastChange != nil {
		text += ", " + changed(p.LastChange)
	}
	switch {
	case p.Error == "":
		return text
	case p.Resolved.IsZero():
		return text + ": " + readable(p.Error)
	}
	return text + "; cannot be resolved at the moment: " + readable(p.Error)
}
