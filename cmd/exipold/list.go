package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/store"
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
	var asJSON, all bool
	unused := "90d"
	cmd := &cobra.Command{
		Use:   "report",
		Short: "say which entries are of use, and which nobody needs any more",
		Long: `Prints the entries of each list, and those made at run time, that have matched or want
looking at: whose they are, why and until when, how often they matched and when last.
The others are only counted, unless --all is given. Below each stands what should be
looked at: it has ended or will within two weeks (one made at run time within a day),
it was not used for a long time, another entry covers it, the list was not looked
through for a year. Of what lists have learned it prints how much that is. --json
prints all entries in any case.

Matches are counted from the day on which exipold first had a plan with the entry, and
written down every half minute. What Exim compares itself (engine = "exim") is not
counted.`,
		Example: `  exipold list report
  exipold list report --all
  exipold list report --unused 180d --json | jq '.lists[].entries[] | select(.findings != [])'`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			after, err := plan.ParseDuration(unused)
			if err != nil {
				return cli.WrongUsage("--unused %s: %v; write it as in 90d", unused, err)
			}
			return withStore(cmd, *file, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				r := listReport{now: s.Now(), unused: after.Std(), all: all, store: s}
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
	cmd.Flags().BoolVar(&all, "all", false, "print the entries, too, that have no hit and nothing to look at")
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
	all    bool // print all entries
	store  store.Store
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
	ID         int64         `json:"id,omitempty"`     // of a run-time entry
	Policy     string        `json:"policy,omitempty"` // of a run-time entry: for this one only
	Field      string        `json:"field"`
	Pattern    string        `json:"pattern"`
	Owner      string        `json:"owner,omitempty"`
	Why        string        `json:"why,omitempty"`
	Until      string        `json:"until,omitempty"` // RFC 3339; absent: no end
	Hits       int64         `json:"hits"`
	LastHit    string        `json:"last_hit,omitempty"`    // RFC 3339; absent: never
	Since      string        `json:"since,omitempty"`       // counted since; absent: not yet
	NotCounted string        `json:"not_counted,omitempty"` // why its matches are not counted; absent: they are
	Findings   []listFinding `json:"findings"`

	alsoExim bool // Exim compares it, too: its matches there are not counted
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
	readers := readersOf(p)
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
			one.NotCounted, one.alsoExim = readers.of(l.Name, e.Field)
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
	if !ok || e.NotCounted != "" {
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
