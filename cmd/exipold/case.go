package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// caseFlags are those that the commands about cases share.
type caseFlags struct {
	plan, gateway string
	asJSON        bool
}

func caseCommand() *cobra.Command {
	var f caseFlags
	cmd := &cobra.Command{
		Use:   "case {list|show|open|release|remove}",
		Short: "the abuse desk: see and decide cases",
		Long: `A tier of a limit that blocks, or notifies somebody, opens a case for its key: one, however
often it is exceeded, on all gateways that share the store together. These commands list
the cases, show what is known of one, and decide.

What is decided holds on every gateway within two seconds. Held messages are let go, or
removed, by exipold desk on each gateway that has some; where it does not run, they wait.`,
		Args: cobra.ArbitraryArgs,
		RunE: cli.Action(func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.WrongUsage("case needs list, show, open, release or remove, not %q", args[0])
			}
			return cli.WrongUsage("case needs list, show, open, release or remove")
		}),
	}
	cmd.PersistentFlags().StringVar(&f.plan, "plan", usualPlan, "the plan.json that exipol build wrote")
	_ = cmd.MarkPersistentFlagFilename("plan", "json")
	cmd.PersistentFlags().BoolVar(&f.asJSON, "json", false, "as JSON")
	cmd.AddCommand(caseListCommand(&f), caseShowCommand(&f), caseOpenCommand(&f), caseReleaseCommand(&f), caseRemoveCommand(&f))
	return cmd
}

// withCases runs f on the store, where the plan has cases at all.
func withCases(cmd *cobra.Command, flags *caseFlags, f func(ctx context.Context, p *plan.Plan, s store.Store) error) error {
	return withStore(cmd, flags.plan, func(ctx context.Context, p *plan.Plan, s store.Store) error {
		err := f(ctx, p, s)
		if errors.Is(err, store.ErrMissing) && !desk.Needed(p) {
			return errors.New("no policy of this plan blocks or notifies anybody, so there are no cases")
		}
		return err
	})
}

// caseIDs reads the numbers of cases.
func caseIDs(args []string) ([]int64, error) {
	var ids []int64
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil || id <= 0 {
			return nil, cli.WrongUsage("%q is not a case's number", a)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// complete offers a shell the open cases that were not named yet. one: the command takes no more.
func (f *caseFlags) complete(one bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (offers []cobra.Completion, _ cobra.ShellCompDirective) {
		if one && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		err := withStoreSoon(cmd, f.plan, storeOptions{wait: awayWait}, func(ctx context.Context, _ *plan.Plan, s store.Store) error {
			cases, err := s.Cases(ctx, store.CaseFilter{Now: s.Now().UnixMilli()})
			for _, c := range cases {
				if id := strconv.FormatInt(c.ID, 10); !slices.Contains(args, id) {
					offers = append(offers, cobra.CompletionWithDesc(id, readable(c.Who)+", "+c.Policy))
				}
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// decided are the flags of what decides something.
type decided struct {
	reason string
	dryRun bool
}

func (d *decided) flags(cmd *cobra.Command, flags *caseFlags) {
	cmd.Flags().StringVar(&d.reason, "reason", "", "why, for whoever looks at the case later")
	_ = cmd.MarkFlagRequired("reason")
	cmd.Flags().BoolVar(&d.dryRun, "dry-run", false, "only say what would be done")
	addGateway(cmd, &flags.gateway)
}

func (d *decided) check() error {
	if strings.TrimSpace(d.reason) == "" {
		return cli.WrongUsage("--reason needs a reason")
	}
	return nil
}

// idle says why the blocks of a policy act on nobody; "" where they do.
type idle func(policy string) string

// idlePolicies looks at the plan, and at what was switched off.
func idlePolicies(ctx context.Context, p *plan.Plan, s store.Store, now int64) (idle, error) {
	r, err := s.Runtime(ctx, now)
	return func(policy string) string {
		i := slices.IndexFunc(p.Limits, func(l plan.Limit) bool { return l.Ref() == policy })
		switch {
		case i < 0:
			return "the policies have no " + policy
		case p.Limits[i].Mode == plan.Observe:
			return policy + " only observes"
		case slices.ContainsFunc(r.Off, func(o engine.Switch) bool { return o.Policy == policy && (o.Until == 0 || now < o.Until) }):
			return policy + " is switched off"
		}
		return ""
	}, err
}
