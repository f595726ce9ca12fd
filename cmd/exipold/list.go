package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

func listCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "list {report}",
		Short: "look after the policies' lists",
		Long:  `Looks after the lists that the policies name. Entries stand in the policies; those made at run time, exipold allow keeps.`,
		Args:  cobra.ArbitraryArgs,
		RunE: cli.Action(func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.WrongUsage("list needs report, not %q", args[0])
			}
			return cli.WrongUsage("list needs report")
		}),
	}
	cmd.PersistentFlags().StringVar(&file, "plan", usualPlan, "the plan.json that exipol build wrote")
	_ = cmd.MarkPersistentFlagFilename("plan", "json")
	cmd.AddCommand(listReportCommand(&file))
	return cmd
}

func listReportCommand(file *string) *cobra.Command {
	var asJSON bool
	unused := "90d"
	cmd := &cobra.Command{
		Use:   "report",
		Short: "say which entries are of use, and which nobody needs any more",
		Long: `Prints each list's entries and what was said at run time: whose they are, why and
until when, how often they matched and when last. Below each stands what should be
looked at: it has ended or will within two weeks, it was not used for a long time,
another entry covers it, the list was not looked through for a year. Of what lists
have learned it prints how much that is.

Matches are counted from the day on which exipold first had a plan with the entry, and
written down every half minute.`,
		Example: `  exipold list report
  exipold list report --unused 180d --json | jq '.lists[].entries[] | select(.findings != [])'`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			after, err := plan.ParseDuration(unused)
			if err != nil {
				return cli.WrongUsage("--unused %s: %v; write it as in 90d", unused, err)
			}
			return withStore(cmd, *file, func(ctx context.Context, p *plan.Plan, s *sqlite.Store) error {
				r := listReport{now: time.Now(), unused: after.Std(), store: s}
				if err := r.gather(ctx, p); err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), r)
				}
				return r.print(cmd.OutOrStdout())
			})
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().StringVar(&unused, "unused", unused, "how long an entry must not have matched to be called unused")
	return cmd
}

// listReport is what exipold list report says, for machines.
type listReport struct {
	FormatVersion string        `json:"format_version"`
	Plan          string        `json:"plan"`
	Lists         []listHealth  `json:"lists"`
	Allowed       []entryHealth `json:"allow"` // what was said at run time

	now    time.Time
	unused time.Duration
	store  *sqlite.Store
}

// listHealth is how one list does.
type listHealth struct {
	List     string         `json:"list"`
	At       string         `json:"at"` // where it stands in the policies
	Reviewed string         `json:"reviewed,omitempty"`
	Findings []listFinding  `json:"findings"`
	Entries  []entryHealth  `json:"entries"`
	Learned  *learnedHealth `json:"learned,omitempty"` // absent where the list does not learn
}

// entryHealth is how one entry does.
type entryHealth struct {
	ID       int64         `json:"id,omitempty"`     // of a run-time entry
	Policy   string        `json:"policy,omitempty"` // of a run-time entry: for this one only
	Field    string        `json:"field"`
	Pattern  string        `json:"pattern"`
	Owner    string        `json:"owner,omitempty"`
	Why      string        `json:"why,omitempty"`
	Until    string        `json:"until,omitempty"` // RFC 3339; absent: no end
	Hits     int64         `json:"hits"`
	LastHit  string        `json:"last_hit,omitempty"` // RFC 3339; absent: never
	Since    string        `json:"since,omitempty"`    // counted since; absent: not yet
	Findings []listFinding `json:"findings"`
}

// learnedHealth is how much a list has learned, and what it was good for.
type learnedHealth struct {
	store.Learned
	Hits    map[string]int64 `json:"hits"` // by the field that was compared
	LastHit string           `json:"last_hit,omitempty"`
}

// listFinding is something to look at.
type listFinding struct {
	Kind string `json:"kind"` // ended, ends_soon, unused, covered, not_reviewed
	Text string `json:"text"`
}

// mostEntries bounds what is read of one list's hits.
const mostEntries = 1 << 20

// gather reads what the store knows.
func (r *listReport) gather(ctx context.Context, p *plan.Plan) error {
	r.FormatVersion, r.Plan = "1.0", p.ID
	r.Lists, r.Allowed = []listHealth{}, []entryHealth{}
	for _, l := range p.Lists {
		hits, err := r.hits(ctx, l.Ref())
		if err != nil {
			return err
		}
		h := listHealth{List: l.Ref(), At: fmt.Sprintf("%s:%d", l.Origin.File, l.Origin.Line), Reviewed: l.Reviewed, Entries: []entryHealth{}}
		h.Findings = r.review(l)
		cover := coverOfEntries(l.Entries)
		for i, e := range l.Entries {
			one := entryHealth{Field: e.Field, Pattern: e.Pattern, Owner: e.Owner, Why: e.Why, Until: e.Until}
			r.used(&one, hits)
			one.Findings = r.examine(one, cover.of(i))
			h.Entries = append(h.Entries, one)
		}
		if len(l.Learn) > 0 {
			if h.Learned, err = r.learned(ctx, l.Ref(), hits); err != nil {
				return err
			}
		}
		r.Lists = append(r.Lists, h)
	}
	return r.allowed(ctx)
}

// hits is the rows of a list's entries, by key.
func (r *listReport) hits(ctx context.Context, list string) (map[string]engine.SeenRow, error) {
	rows, err := r.store.SeenKeys(ctx, helper.HitRows(list), mostEntries, r.now.UnixMilli())
	out := make(map[string]engine.SeenRow, len(rows))
	for _, k := range rows {
		out[k.Key] = k.Row
	}
	return out, err
}

// used adds how often an entry was of use.
func (r *listReport) used(e *entryHealth, hits map[string]engine.SeenRow) {
	row, ok := hits[helper.HitKey(e.Field, e.Pattern)]
	if !ok {
		return
	}
	e.Hits, e.Since, e.LastHit = row.Passes, moment(row.First), moment(row.Counted)
}

// moment is a time in Unix milliseconds as RFC 3339, "" for never.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

// learned says how much a list has learned.
func (r *listReport) learned(ctx context.Context, list string, hits map[string]engine.SeenRow) (*learnedHealth, error) {
	n, err := r.store.Learned(ctx, list, r.now.UnixMilli())
	if err != nil {
		return nil, err
	}
	out := &learnedHealth{Learned: n, Hits: map[string]int64{}}
	last := int64(0)
	for _, field := range []string{"sender", "recipient"} {
		if row, ok := hits[helper.HitKey(field, "")]; ok {
			out.Hits[field] = row.Passes
			last = max(last, row.Counted)
		}
	}
	out.LastHit = moment(last)
	return out, nil
}

// allowed adds what was said at run time.
func (r *listReport) allowed(ctx context.Context) error {
	all, err := r.store.ListAllowances(ctx)
	if err != nil {
		return err
	}
	hits, err := r.hits(ctx, "allow")
	if err != nil {
		return err
	}
	cover := coverOfAllowances(all)
	for i, a := range all {
		e := entryHealth{ID: a.ID, Policy: a.Policy, Field: a.Field, Pattern: a.Pattern, Owner: a.Owner, Why: a.Why, Until: moment(a.Until)}
		r.used(&e, hits)
		e.Since = moment(a.Made)
		e.Findings = r.examine(e, cover.of(i))
		r.Allowed = append(r.Allowed, e)
	}
	return nil
}

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
		printEntries(w, l.Entries)
		if n := l.Learned; n != nil {
			fmt.Fprintf(w, "  learned\t%d addresses, %d domains\t%s\n", n.Addresses, n.Domains, howOften(n.Hits["sender"]+n.Hits["recipient"], n.LastHit, ""))
		}
	}
	if len(r.Allowed) > 0 {
		fmt.Fprintf(w, "said at run time (exipold allow)\n")
		printEntries(w, r.Allowed)
	}
	if len(r.Lists)+len(r.Allowed) == 0 {
		fmt.Fprintln(w, "this plan has no lists, and nothing was said at run time")
	}
	return w.Flush()
}

func printEntries(w io.Writer, all []entryHealth) {
	for _, e := range all {
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
		fmt.Fprintf(w, "  %s %s\t%s\t%s\n", e.Field, readable(e.Pattern), howOften(e.Hits, e.LastHit, e.Since), strings.Join(notes, ", "))
		printFindings(w, "    ", e.Findings)
	}
}

func printFindings(w io.Writer, indent string, all []listFinding) {
	for _, f := range all {
		fmt.Fprintf(w, "%s! %s\n", indent, readable(f.Text))
	}
}

// howOften says how often something was of use. A day is enough.
func howOften(n int64, last, since string) string {
	day := func(moment string) string { return moment[:len(time.DateOnly)] }
	switch {
	case n > 0 && last != "":
		return fmt.Sprintf("%d hits, the last on %s", n, day(last))
	case since != "":
		return "no hit since " + day(since)
	}
	return "no hit"
}
