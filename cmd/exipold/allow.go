package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
)

func allowCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "allow {add|list|remove}",
		Short: "exempt somebody from policies, at run time",
		Long: `Keeps a list of clients, senders, recipients and authenticated ids that are exempt
from one policy or from all of them that exipold judges (those with engine = "exim"
Exim counts itself). An entry is in force within two seconds, on
every gateway that shares the store, and needs no reload of anything. For entries
that are to stay, write a list into the policies.`,
		Args: cobra.ArbitraryArgs,
		RunE: cli.Action(func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.WrongUsage("allow needs add, list or remove, not %q", args[0])
			}
			return cli.WrongUsage("allow needs add, list or remove")
		}),
	}
	cmd.PersistentFlags().StringVar(&file, "plan", usualPlan, "the plan.json that exipol build wrote")
	_ = cmd.MarkPersistentFlagFilename("plan", "json")
	cmd.AddCommand(allowListCommand(&file), allowAddCommand(&file), allowRemoveCommand(&file))
	return cmd
}

func allowAddCommand(file *string) *cobra.Command {
	var policy, by string
	var end ending
	fields := map[string]*string{"client": new(string), "sender": new(string), "recipient": new(string), "auth": new(string), "user": new(string)}
	cmd := &cobra.Command{
		Use:   "add --why TEXT (--client CIDR | --sender PATTERN | --recipient PATTERN | --auth ID | --user LOGIN)",
		Short: "add an entry",
		Long: "Adds an entry, prints its number, and says on standard error what holds now.\n" +
			"Addresses are `local@domain`, `*@domain`, `*@*.domain` (its subdomains) or `domain`;\n" +
			"--sender also takes `<>`, the null sender.",
		Example: `  exipold allow add --client 192.0.2.0/24 --for 2d --why "mail move, ticket 4711"
  exipold allow add --sender '*@partner.example' --policy greylist.inbound --until 2027-03-01 --why migration`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			a := engine.Allowance{Policy: policy, Owner: saidBy(by), Why: end.why}
			for field, value := range fields {
				if cmd.Flags().Changed(field) {
					a.Field, a.Pattern = field, *value
				}
			}
			var err error
			if a.Pattern, err = pattern(a.Field, a.Pattern); err != nil {
				return err
			}
			if _, err = end.moment(time.Now()); err != nil { // before anything else is asked
				return err
			}
			return withStore(cmd, *file, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				if policy != "" {
					if err := helperPolicy(p, policy); err != nil {
						return err
					}
				}
				now := s.Now()
				a.Made = now.UnixMilli()
				var err error
				if a.Until, err = end.moment(now); err != nil {
					return err
				}
				id, err := s.Allow(ctx, a)
				if err != nil {
					return err
				}
				takeUp(ctx, p)
				fmt.Fprintln(cmd.OutOrStdout(), id)
				fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s %s is exempt from %s, %s (entry %d), in force within two seconds\n",
					a.Field, readable(a.Pattern), cmp.Or(policy, "all policies that exipold judges"), ends(a.Until), id)
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(fields["client"], "client", "", "an IP address or a network")
	cmd.Flags().StringVar(fields["sender"], "sender", "", "an envelope sender, or all of a domain")
	cmd.Flags().StringVar(fields["recipient"], "recipient", "", "a recipient, or all of a domain")
	cmd.Flags().StringVar(fields["auth"], "auth", "", "an authenticated id")
	cmd.Flags().StringVar(fields["user"], "user", "", "the login of a local user")
	cmd.MarkFlagsOneRequired("client", "sender", "recipient", "auth", "user")
	cmd.MarkFlagsMutuallyExclusive("client", "sender", "recipient", "auth", "user")
	cmd.Flags().StringVar(&policy, "policy", "", "only this policy, as greylist.NAME or limit.NAME; without it every policy")
	cmd.Flags().StringVar(&by, "by", "", "who wants it; the user who runs this command by default")
	end.flags(cmd)
	return cmd
}

func allowListCommand(file *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "list the entries",
		Long:    `Lists the entries with their numbers, owners, reasons and ends.`,
		Example: `  exipold allow list --json`,
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, *file, func(ctx context.Context, _ *plan.Plan, s store.Store) error {
				r, err := s.Runtime(ctx, s.Now().UnixMilli())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]any{"format_version": "1.0", "entries": allowances(r)})
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, a := range allowances(r) {
					fmt.Fprintf(w, "%d\t%s\t%s %s\tby %s\t%s\t%s\n", a.ID, cmp.Or(a.Policy, "all policies"), a.Field, readable(a.Pattern), readable(a.Owner), ends(a.Until), strconv.Quote(a.Why))
				}
				return w.Flush()
			})
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func allowRemoveCommand(file *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove NUMBER...",
		Short:   "remove entries",
		Long:    `Removes entries by their numbers, as exipold allow list prints them.`,
		Example: `  exipold allow remove 17`,
		Args:    cobra.MinimumNArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			var ids []int64
			for _, a := range args {
				id, err := strconv.ParseInt(a, 10, 64)
				if err != nil {
					return cli.WrongUsage("%q is not an entry's number", a)
				}
				ids = append(ids, id)
			}
			return withStore(cmd, *file, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				defer takeUp(ctx, p)
				for _, id := range ids {
					found, err := s.Disallow(ctx, id)
					if err == nil && !found {
						err = fmt.Errorf("there is no entry %d", id)
					}
					if err != nil {
						return err
					}
					fmt.Fprintf(cmd.ErrOrStderr(), "exipold: entry %d is removed: within two seconds it exempts nobody\n", id)
				}
				return nil
			})
		}),
	}
	return cmd
}
