package main

import (
	"fmt"
	"time"

	"exipol/generator/plan"
)

// When an entry's end is worth a word, and how old a review may be.
const (
	endsSoon = 14 * 24 * time.Hour
	oldView  = 365 * 24 * time.Hour
)

// review says whether somebody should look a list through again. One that has learned
// all it has looks after itself.
func (r *listReport) review(l plan.List) []listFinding {
	if len(l.Entries) == 0 {
		return []listFinding{}
	}
	if l.Reviewed == "" {
		return []listFinding{{"not_reviewed", "nobody says when it was last looked through (reviewed = \"" + r.now.UTC().Format(time.DateOnly) + "\")"}}
	}
	day, err := time.Parse(time.DateOnly, l.Reviewed)
	if err == nil && r.now.Sub(day) > oldView {
		return []listFinding{{"not_reviewed", fmt.Sprintf("last looked through %d days ago", int(r.now.Sub(day).Hours()/24))}}
	}
	return []listFinding{}
}

// examine says what is to be looked at about an entry; cover is the one that makes it
// superfluous, "" for none.
func (r *listReport) examine(e entryHealth, cover string) []listFinding {
	out := []listFinding{}
	say := func(kind, format string, args ...any) {
		out = append(out, listFinding{kind, fmt.Sprintf(format, args...)})
	}
	if end, err := time.Parse(time.RFC3339, e.Until); err == nil {
		switch left := end.Sub(r.now); {
		case left <= 0:
			say("ended", "ended on %s: it does nothing any more", end.Format(time.DateOnly))
			return out
		case left < endsSoon:
			say("ends_soon", "ends in %d days", int(left.Hours()/24))
		}
	}
	if last, err := time.Parse(time.RFC3339, later(e.LastHit, e.Since)); err == nil && r.now.Sub(last) > r.unused {
		if e.LastHit == "" {
			say("unused", "never matched in the %d days since it is known", int(r.now.Sub(last).Hours()/24))
		} else {
			say("unused", "not matched for %d days", int(r.now.Sub(last).Hours()/24))
		}
	}
	if cover != "" {
		say("covered", "%s covers it", cover)
	}
	return out
}

// later is the later of two moments in the same form; "" is before any.
func later(a, b string) string {
	if a > b {
		return a
	}
	return b
}
