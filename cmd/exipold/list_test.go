package main

import (
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

func TestCover(t *testing.T) {
	entries := []plan.Entry{
		{Field: "client", Pattern: "192.0.2.0/24"},
		{Field: "client", Pattern: "192.0.2.7/32"},
		{Field: "client", Pattern: "192.0.0.0/16", Until: "2027-01-01T00:00:00Z"},
		{Field: "client", Pattern: "2001:db8::/64"},
		{Field: "sender", Pattern: "*@b.example"},
		{Field: "sender", Pattern: "a@B.example"},
		{Field: "sender", Pattern: "b.example", Until: "2027-01-01T00:00:00Z"},
		{Field: "sender", Pattern: "*@*.b.example"},
		{Field: "sender", Pattern: "*@*.sub.b.example"},
		{Field: "sender", Pattern: "x@deep.sub.b.example"},
		{Field: "recipient", Pattern: "a@b.example"},
		{Field: "sender", Pattern: "<>"},
		{Field: "auth", Pattern: "joe"},
		{Field: "auth", Pattern: "joe"},
		{Field: "client", Pattern: "192.0.2.0/24"},
	}
	want := map[int]string{
		1: "client 192.0.2.0/24", 5: "sender *@b.example", 6: "sender *@b.example", 8: "sender *@*.b.example",
		9: "sender *@*.sub.b.example", 13: "auth joe", 14: "client 192.0.2.0/24",
	}
	c := coverOfEntries(entries)
	for i := range entries {
		if got := c.of(i); got != want[i] {
			t.Errorf("entry %d (%+v): covered by %q, want %q", i, entries[i], got, want[i])
		}
	}
	allowed := coverOfAllowances([]engine.Allowance{
		{ID: 1, Field: "client", Pattern: "192.0.2.0/24", Policy: "greylist.x"},
		{ID: 2, Field: "client", Pattern: "192.0.2.1/32", Policy: "greylist.y"},
		{ID: 3, Field: "client", Pattern: "192.0.2.1/32"},
		{ID: 4, Field: "client", Pattern: "192.0.2.1/32", Policy: "greylist.x", Until: 5},
	})
	for i, want := range []string{"", "entry 3 (192.0.2.1/32)", "", "entry 3 (192.0.2.1/32)"} {
		if got := allowed.of(i); got != want {
			t.Errorf("entry %d: covered by %q, want %q", i+1, got, want)
		}
	}
}

func TestListFindings(t *testing.T) {
	r := listReport{now: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC), unused: 90 * 24 * time.Hour}
	for name, c := range map[string]struct {
		e     entryHealth
		cover string
		want  []string
	}{
		"new":       {entryHealth{Since: "2026-12-31T00:00:00Z"}, "", nil},
		"uncounted": {entryHealth{}, "", nil},
		"used":      {entryHealth{Since: "2025-01-01T00:00:00Z", LastHit: "2026-12-31T00:00:00Z"}, "", nil},
		"unused":    {entryHealth{Since: "2025-01-01T00:00:00Z", LastHit: "2026-09-01T00:00:00Z"}, "", []string{"unused"}},
		"never":     {entryHealth{Since: "2026-01-01T00:00:00Z"}, "x", []string{"unused", "covered"}},
		"ended":     {entryHealth{Since: "2026-01-01T00:00:00Z", Until: "2027-01-02T00:00:00Z"}, "x", []string{"ended"}},
		"soon":      {entryHealth{Until: "2027-01-15T00:00:00Z"}, "", []string{"ends_soon"}},
		"not soon":  {entryHealth{Until: "2027-01-16T00:00:00Z"}, "", nil},
	} {
		var got []string
		for _, f := range r.examine(c.e, c.cover) {
			got = append(got, f.Kind)
		}
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] || len(got) > 1 && got[1] != c.want[1] {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	entries := []plan.Entry{{Field: "client", Pattern: "192.0.2.0/24"}}
	for _, c := range []struct {
		l    plan.List
		want int
	}{
		{plan.List{}, 0}, {plan.List{Entries: entries}, 1}, {plan.List{Entries: entries, Reviewed: "2026-01-03"}, 0}, {plan.List{Entries: entries, Reviewed: "2026-01-01"}, 1},
	} {
		if got := r.review(c.l); len(got) != c.want {
			t.Errorf("reviewed %q: %v", c.l.Reviewed, got)
		}
	}
}
