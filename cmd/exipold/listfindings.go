package main

import (
	"fmt"
	"time"

	"exipol/generator/plan"
)

// When an entry's end is worth a word, and how old a review may be.
const (
	endsSoon  = 14 * 24 * time.Hour
	endsToday = 24 * time.Hour // of one made at run time, which is to end soon anyway
	oldView   = 365 * 24 * time.Hour
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
		return []listFinding{{"not_reviewed", "last looked through " + days(r.now.Sub(day)) + " ago"}}
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
		soon := endsSoon
		if e.ID != 0 {
			soon = endsToday
		}
		switch left := end.Sub(r.now); {
		case left <= 0:
			say("ended", "ended on %s: it does nothing any more", end.Format(time.DateOnly))
			return out
		case left < time.Hour:
			say("ends_soon", "ends within an hour")
		case left < endsToday:
			say("ends_soon", "ends in %s", number(int(left.Hours()), "hour", "hours"))
		case left < soon:
			say("ends_soon", "ends in %s", days(left))
		}
	}
	if last, err := time.Parse(time.RFC3339, later(e.LastHit, e.Since)); err == nil && r.now.Sub(last) > r.unused {
		also := ""
		if e.alsoExim {
			also = " (but Exim compares it, too, and that is not counted)"
		}
		if e.LastHit == "" {
			say("unused", "never matched in the %s since it is known%s", days(r.now.Sub(last)), also)
		} else {
			say("unused", "not matched for %s%s", days(r.now.Sub(last)), also)
		}
	}
	if e.NotCounted == comparedByNobody {
		say("unused", "it does nothing: no policy names %s entries of this list", e.Field)
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

// days is a length of time in whole days.
func days(d time.Duration) string { return number(int(d.Hours()/24), "day", "days") }

// howOften says how often something was of use. A day is enough.
func howOften(n int64, last, since string) string {
	day := func(moment string) string { return moment[:len(time.DateOnly)] }
	switch {
	case n > 0 && last != "":
		return number(n, "hit", "hits") + ", the last on " + day(last)
	case since != "":
		return "no hit since " + day(since)
	}
	return "no hit"
}
