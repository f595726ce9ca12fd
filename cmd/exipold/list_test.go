package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/testplan"
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
		"by Exim":   {entryHealth{NotCounted: comparedByExim, alsoExim: true}, "", nil},
		"by nobody": {entryHealth{NotCounted: comparedByNobody}, "", []string{"unused"}},
		"soon":      {entryHealth{Until: "2027-01-15T00:00:00Z"}, "", []string{"ends_soon"}},
		"not soon":  {entryHealth{Until: "2027-01-16T00:00:00Z"}, "", nil},
		"allowed":   {entryHealth{ID: 1, Until: "2027-01-03T00:00:00Z"}, "", nil},
		"last day":  {entryHealth{ID: 1, Until: "2027-01-02T23:59:00Z"}, "", []string{"ends_soon"}},
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

// Matches are counted where exipold compares an entry, and nowhere else.
func TestReaders(t *testing.T) {
	list := func(name, field string) []plan.Ref {
		return []plan.Ref{{Trusted: "x"}, {Pool: "y"}, {List: name, Field: field}}
	}
	p := &plan.Plan{
		Greylists: []plan.Grey{{Except: list("grey", ""), Urgent: list("codes", ""), Spare: []plan.Fact{{Name: plan.DNSWL, Arg: "zone"}, {Name: plan.SPFPass, Arg: "known"}}}},
		Limits: []plan.Limit{
			{Engine: plan.EngineHelper, Only: list("only", "auth"), Except: list("both", "client"), Overrides: []plan.Override{{Only: list("better", "")}}},
			{Engine: plan.EngineExim, Only: list("exim", ""), Except: list("both", "")},
		},
	}
	r := readersOf(p)
	for _, c := range []struct {
		list, field, want string
		also              bool
	}{
		{"grey", "client", "", false}, {"grey", "recipient", "", false},
		{"codes", "sender", "", false}, {"codes", "client", comparedByNobody, false},
		{"known", "sender", "", false}, {"known", "auth", comparedByNobody, false}, {"zone", "sender", comparedByNobody, false},
		{"only", "auth", "", false}, {"only", "sender", comparedByNobody, false},
		{"better", "sender", "", false},
		{"both", "client", "", true}, {"both", "sender", comparedByNobody, false},
		{"exim", "client", comparedByExim, true}, {"exim", "sender", comparedByNobody, false},
		{"none", "client", comparedByNobody, false},
	} {
		if why, also := r.of(c.list, c.field); why != c.want || also != c.also {
			t.Errorf("list.%s.%s: %q, %v", c.list, c.field, why, also)
		}
	}
	report := listReport{now: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)}
	found := report.examine(entryHealth{Since: "2026-01-01T00:00:00Z", alsoExim: true}, "")
	if len(found) != 1 || !strings.Contains(found[0].Text, "Exim compares it, too") {
		t.Errorf("%v", found)
	}
}

// What only Exim compares is not called unused, however long it is there.
func TestListReportOfExim(t *testing.T) {
	dir := t.TempDir()
	p := testplan.New(dir)
	p.Lists = []plan.List{{Name: "ours", Reviewed: "2027-01-01", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.0/24"}, {Field: "sender", Pattern: "*@b.example"}}}}
	p.Limits[0].Engine, p.Limits[0].Except = plan.EngineExim, []plan.Ref{{List: "ours"}}
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Migrate(t.Context(), p.Tables); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)
	if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
		row := engine.SeenRow{First: now.AddDate(-1, 0, 0).UnixMilli(), Expires: now.AddDate(1, 0, 0).UnixMilli()}
		return []engine.Write{engine.PutSeen{Policy: "list.ours.hits", Key: helper.HitKey("client", "192.0.2.0/24"), Row: row}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	r := listReport{now: now, unused: 90 * 24 * time.Hour, store: s, all: true}
	var out strings.Builder
	if err := errors.Join(r.gather(t.Context(), p), r.print(&out)); err != nil {
		t.Fatal(err)
	}
	entries := r.Lists[0].Entries
	if len(entries[0].Findings) != 0 || entries[0].Since != "" || !strings.Contains(out.String(), "client 192.0.2.0/24  not counted: Exim compares it") {
		t.Errorf("%+v\n%s", entries[0], out.String())
	}
	if len(entries[1].Findings) != 1 || !strings.Contains(out.String(), "no policy names sender entries of this list") {
		t.Errorf("%+v\n%s", entries[1], out.String())
	}
}

// A long list is shown as far as somebody used it or should look at it.
func TestListReportIsShort(t *testing.T) {
	entries := []entryHealth{
		{Field: "client", Pattern: "192.0.2.1/32", Hits: 1, LastHit: "2027-01-01T00:00:00Z"},
		{Field: "client", Pattern: "192.0.2.2/32"}, {Field: "client", Pattern: "192.0.2.3/32"},
		{Field: "client", Pattern: "192.0.2.4/32", Findings: []listFinding{{"covered", "something covers it"}}},
		{Field: "client", Pattern: "192.0.2.5/32", NotCounted: comparedByExim},
	}
	for _, c := range []struct {
		entries []entryHealth
		all     bool
		want    []string
		not     string
	}{
		{entries, false, []string{"192.0.2.1/32", "1 hit, the last on 2027-01-01", "192.0.2.4/32", "\n  2 others, without a hit\n", "\n  1 other, not counted: Exim compares it\n"}, "192.0.2.2"},
		{entries, true, []string{"192.0.2.2/32", "192.0.2.3/32", "192.0.2.5/32"}, "other"},
		{entries[1:2], false, []string{"\n  1 entry, without a hit\n"}, "192.0.2.2"},
	} {
		r := listReport{all: c.all, Lists: []listHealth{{List: "list.x", Entries: c.entries}}}
		var out strings.Builder
		if err := r.print(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
		if strings.Contains(out.String(), c.not) {
			t.Errorf("%q in\n%s", c.not, out.String())
		}
	}
}
