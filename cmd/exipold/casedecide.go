package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/store"
)

// decisions are what exipold case release and remove say, for machines.
type decisions struct {
	FormatVersion string     `json:"format_version"`
	DryRun        bool       `json:"dry_run"`
	Cases         []decision `json:"cases"`
}

type decision struct {
	ID        int64            `json:"id"`
	Who       string           `json:"who"`
	Released  bool             `json:"released"`            // the block is lifted
	Removed   bool             `json:"removed"`             // the held messages are, else thawed where it is released
	Held      int64            `json:"held"`                // messages that this is about
	Gateways  map[string]int64 `json:"gateways"`            // where they are
	Probation string           `json:"probation,omitempty"` // until when lower rates hold
}

func caseReleaseCommand(flags *caseFlags) *cobra.Command {
	var d decided
	cmd := &cobra.Command{
		Use:   "release NUMBER... --reason TEXT",
		Short: "lift the block, and deliver what is held",
		Long: `Closes cases: the block is lifted on every gateway within two seconds, the messages that
it holds are thawed and delivered, and what was counted so far counts no more. Where
the policy has a probation, lower rates hold for that time.

What a block has counted against a user may be what a thief did with his password:
change it first.`,
		Example: `  exipold case release 17 --reason "password changed, ticket 4711"
  exipold case release 17 18 --reason "our own newsletter" --dry-run`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: flags.complete(false),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			return decideCases(cmd, flags, &d, args, store.Decision{Release: true})
		}),
	}
	d.flags(cmd, flags)
	return cmd
}

func caseRemoveCommand(flags *caseFlags) *cobra.Command {
	var d decided
	var release bool
	cmd := &cobra.Command{
		Use:   "remove NUMBER... --reason TEXT",
		Short: "delete what is held, without a bounce",
		Long: `Deletes the messages that cases hold now, on every gateway: nobody gets them, and nobody a
bounce. The block stays in force, unless --release is given, which closes the case as
exipold case release does.`,
		Example: `  exipold case remove 17 --reason "spam"
  exipold case remove 17 --release --reason "spam; password changed"`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: flags.complete(false),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			return decideCases(cmd, flags, &d, args, store.Decision{Remove: true, Release: release})
		}),
	}
	d.flags(cmd, flags)
	cmd.Flags().BoolVar(&release, "release", false, "lift the block, too")
	return cmd
}

// decideCases carries out one decision for several cases. One that cannot be decided keeps
// no other from it.
func decideCases(cmd *cobra.Command, flags *caseFlags, d *decided, args []string, what store.Decision) error {
	ids, err := caseIDs(args)
	if err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	gateway, err := gatewayName(flags.gateway)
	if err != nil {
		return err
	}
	return withCases(cmd, flags, func(ctx context.Context, p *plan.Plan, s store.Store) error {
		now := s.Now()
		said := decisions{FormatVersion: desk.FormatVersion, DryRun: d.dryRun, Cases: []decision{}}
		var all []error
		for _, id := range ids {
			w := what
			w.Case, w.Who, w.Why, w.Gateway, w.At = id, saidBy(""), d.reason, gateway, now.UnixMilli()
			one, err := decideCase(ctx, p, s, w, d.dryRun, now)
			if err != nil {
				all = append(all, err)
				continue
			}
			said.Cases = append(said.Cases, one.decision)
			if !flags.asJSON {
				fmt.Fprintln(cmd.OutOrStdout(), one.words(d.dryRun))
			}
		}
		if what.Release && !d.dryRun {
			keepLastKnown(ctx, cmd.ErrOrStderr(), p, s)
		}
		if flags.asJSON {
			all = append(all, printJSON(cmd.OutOrStdout(), said))
		}
		return errors.Join(all...)
	})
}

// outcome is a decision with what else is said about it.
type outcome struct {
	decision
	held   []store.Held
	blocks bool
}

func decideCase(ctx context.Context, p *plan.Plan, s store.Store, w store.Decision, dryRun bool, now time.Time) (outcome, error) {
	file, err := s.Case(ctx, w.Case)
	if err != nil {
		return outcome{}, err
	}
	if file.State != store.CaseOpen {
		return outcome{}, fmt.Errorf("case %d is %s since %s already", w.Case, file.State, rfc3339(file.Decided))
	}
	if w.Release {
		w.Probation = desk.Probation(p, file.Case, now)
	}
	o := outcome{held: file.Held, blocks: file.Blocks, decision: decision{
		ID: w.Case, Who: file.Who, Released: w.Release, Removed: w.Remove, Held: int64(len(file.Held)), Gateways: map[string]int64{},
	}}
	for _, h := range file.Held {
		o.Gateways[h.Gateway]++
	}
	if w.Probation != 0 {
		o.Probation = rfc3339(w.Probation)
	}
	if !dryRun {
		err = s.Decide(ctx, w)
	}
	return o, err
}

// words are the outcome for people.
func (o outcome) words(dryRun bool) string {
	is, are := "is", "are"
	if dryRun {
		is, are = "would be", "would be"
	}
	text := fmt.Sprintf("case %d (%s)", o.ID, readable(o.Who))
	switch {
	case o.Released && o.blocks:
		text += fmt.Sprintf(" %s released, and the block lifted within two seconds", is)
	case o.Released:
		text += fmt.Sprintf(" %s closed", is)
	case o.blocks:
		text += " stays open, and the block in force"
	default:
		text += " stays open"
	}
	if len(o.held) > 0 {
		done := "thawed and delivered"
		if o.Removed {
			done = "removed"
		}
		text += fmt.Sprintf("; by exipold desk there %s %s: %s", are, done, desk.HeldWords(o.held))
	} else {
		text += "; no message is held"
	}
	if o.Probation != "" {
		text += "; lower limits hold until " + o.Probation
	}
	return text
}
