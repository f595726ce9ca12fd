package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/store"
)

// caseList is what exipold case list says, for machines.
type caseList struct {
	FormatVersion string        `json:"format_version"`
	Cases         []desk.Record `json:"cases"` // in the order of --by
}

func caseListCommand(flags *caseFlags) *cobra.Command {
	var which store.CaseFilter
	var by string
	var most int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the cases",
		Long: `Lists the open cases, newest first or those that hold most first: number, when it was
opened, who, by which policy and tier, how many messages are held, and how it stands. A
closed case is kept for 90 days. Whose mail bounces most, exipold status says.`,
		Example: `  exipold case list
  exipold case list --by held --most 10
  exipold case list --all --owner auth:bob@example.com
  exipold case list --json | jq '.cases[] | select(.held > 0)'`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			return withCases(cmd, flags, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				if which.Policy != "" {
					if err := helperPolicy(p, which.Policy); err != nil {
						return err
					}
				}
				which.Now = s.Now().UnixMilli()
				if by == "opened" {
					which.Most = max(most, 0)
				}
				cases, err := s.Cases(ctx, which)
				if err == nil {
					cases, err = worstFirst(cases, by, most)
				}
				if err != nil {
					return err
				}
				if flags.asJSON {
					list := caseList{FormatVersion: desk.FormatVersion, Cases: []desk.Record{}}
					for _, c := range cases {
						list.Cases = append(list.Cases, desk.NewRecord(c))
					}
					return printJSON(cmd.OutOrStdout(), list)
				}
				if len(cases) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "exipold: no such cases"+map[bool]string{false: " are open; --all lists closed ones, too"}[which.All])
					return nil
				}
				idle, err := idlePolicies(ctx, p, s, which.Now)
				if err != nil {
					return err
				}
				return printCases(cmd.OutOrStdout(), cases, idle, which.Now)
			})
		}),
	}
	cmd.Flags().BoolVar(&which.All, "all", false, "closed cases, too")
	cmd.Flags().StringVar(&which.Policy, "policy", "", "only those of this policy, as limit.NAME")
	cmd.Flags().StringVar(&which.Owner, "owner", "", "only those of this owner: auth:ID, user:LOGIN or relay:HOST")
	cmd.Flags().StringVar(&by, "by", "opened", "the order: opened or held")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(slices.Sorted(maps.Keys(orders)), cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().IntVar(&most, "most", 0, "only the first so many")
	return cmd
}

func printCases(out io.Writer, cases []store.Case, idle idle, now int64) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CASE\tOPENED\tWHO\tPOLICY/TIER\tHELD\tSTATE")
	for _, c := range cases {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s/%s\t%d\t%s\n", c.ID, rfc3339(c.Opened), readable(c.Who), c.Policy, c.Tier, c.Held, caseState(c, idle, now))
	}
	return w.Flush()
}

// caseState is how a case stands at now, in words.
func caseState(c store.Case, idle idle, now int64) string {
	switch why := idle(c.Policy); {
	case c.State != store.CaseOpen:
		return c.State + " " + rfc3339(c.Decided)
	case c.Blocks && why != "":
		return "open; blocks nobody, as " + why
	case c.Blocks && c.Until != 0 && c.Until <= now:
		if c.Held == 0 {
			return "the block has ended"
		}
		return "the block has ended; mail is held"
	case c.Blocks && c.Until != 0:
		return "blocked until " + rfc3339(c.Until)
	case c.Blocks:
		return "blocked"
	}
	return "open"
}

// rfc3339 is a stored time for people and machines.
func rfc3339(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// caseFile is what exipold case show says, for machines.
type caseFile struct {
	FormatVersion string    `json:"format_version"`
	Case          desk.File `json:"case"`
}

func caseShowCommand(flags *caseFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show NUMBER",
		Short: "show all that is known of a case",
		Long: `Shows a case with its history, the evidence (the last offences before it was opened, or
raised to a higher tier, with their log lines), the messages that are held in each
gateway's queue, and what became of the notices.`,
		Example: `  exipold case show 17
  exipold case show 17 --json | jq -r '.case.messages[].message'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: flags.complete(true),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			ids, err := caseIDs(args)
			if err != nil {
				return err
			}
			return withCases(cmd, flags, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				file, err := s.Case(ctx, ids[0])
				if err != nil {
					return err
				}
				idle, err := idlePolicies(ctx, p, s, s.Now().UnixMilli())
				if err != nil {
					return err
				}
				if flags.asJSON {
					return printJSON(cmd.OutOrStdout(), caseFile{desk.FormatVersion, desk.NewFile(file)})
				}
				return printCase(cmd.OutOrStdout(), file, idle, s.Now().UnixMilli())
			})
		}),
	}
}

func printCase(out io.Writer, f store.CaseFile, idle idle, now int64) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "case\t%d\n", f.ID)
	fmt.Fprintf(w, "who\t%s\n", readable(f.Who))
	fmt.Fprintf(w, "policy\t%s, tier %s\n", f.Policy, f.Tier)
	fmt.Fprintf(w, "state\t%s\n", caseState(f.Case, idle, now))
	counted := ""
	if f.Rate != "" {
		counted = fmt.Sprintf(": %s, over %s", store.Tally(f.Counted, f.Rate), f.Rate)
	}
	fmt.Fprintf(w, "opened\t%s on %s%s\n", rfc3339(f.Opened), readable(f.Gateway), counted)
	fmt.Fprintf(w, "held\t%s\n", desk.HeldWords(f.Held))
	fmt.Fprintln(w, "history")
	for _, a := range f.Audit {
		fmt.Fprintf(w, "  %s\t%s by %s on %s: %s\n", rfc3339(a.At), a.Did, readable(a.Who), readable(a.Gateway), readable(a.Why))
	}
	fmt.Fprintf(w, "evidence\t%d, oldest first\n", len(f.Evidence))
	for _, e := range f.Evidence {
		fmt.Fprintf(w, "  %s\t%s %s %s\n", rfc3339(e.At), readable(e.Gateway), readable(e.Message), readable(e.Line))
	}
	fmt.Fprintf(w, "messages\t%d, oldest first\n", len(f.Held))
	for _, h := range f.Held {
		fmt.Fprintf(w, "  %s\t%s %s%s%s\n", rfc3339(h.Since), readable(h.Gateway), readable(h.Message), sizeWords(h.Size), wantedWords(h.Wanted))
	}
	fmt.Fprintln(w, "notices")
	for _, n := range f.Notices {
		fmt.Fprintf(w, "  %s\tof tier %s, for %s: %s\n", rfc3339(n.Made), n.Tier, n.Receiver, toldWords(n))
	}
	return w.Flush()
}

func sizeWords(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d bytes", n)
}

func wantedWords(wanted string) string {
	switch wanted {
	case store.Thaw:
		return ", is to be thawed"
	case store.Remove:
		return ", is to be removed"
	}
	return ""
}

// toldWords say what became of a notice.
func toldWords(n store.Notice) string {
	text := ""
	if n.Mailed != 0 {
		text = "mailed " + rfc3339(n.Mailed)
	}
	if n.Posted != 0 {
		text = join(text, "posted "+rfc3339(n.Posted))
	}
	if n.Error != "" {
		text = join(text, fmt.Sprintf("tried %s: %s", number(n.Tries, "time", "times"), readable(n.Error)))
	}
	if n.Due != 0 {
		text = join(text, "due "+rfc3339(n.Due))
	}
	return text
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}
