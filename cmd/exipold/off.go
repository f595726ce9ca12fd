package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
)

func offCommand() *cobra.Command {
	var file, by string
	var end ending
	cmd := &cobra.Command{
		Use:   "off POLICY --why TEXT",
		Short: "switch a policy off, at run time",
		Long: `Switches a policy off within two seconds, on every gateway that shares the store:
it judges nothing and counts nothing, until exipold on, or until its end. It stays
off over restarts and reloads.`,
		Example: `  exipold off greylist.inbound --for 4h --why "a partner cannot retry, ticket 4711"`,
		Args:    cobra.ExactArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			if _, err := end.moment(time.Now()); err != nil { // before anything else is asked
				return err
			}
			return withStore(cmd, file, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				if err := helperPolicy(p, args[0]); err != nil {
					return err
				}
				now := s.Now()
				until, err := end.moment(now)
				if err != nil {
					return err
				}
				if err := s.SwitchOff(ctx, engine.Switch{Policy: args[0], Owner: saidBy(by), Why: end.why, Made: now.UnixMilli(), Until: until}); err != nil {
					return err
				}
				takeUp(ctx, p)
				held := "until exipold on " + args[0]
				if until != 0 {
					held = ends(until) + ", or " + held
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s is off within two seconds: it judges and counts nothing, %s\n", args[0], held)
				return nil
			})
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&by, "by", "", "who wants it; the user who runs this command by default")
	end.flags(cmd)
	return cmd
}

func onCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "on POLICY",
		Short:   "switch a policy on again",
		Long:    `Ends what exipold off began. A policy that was not off is an error.`,
		Example: `  exipold on greylist.inbound`,
		Args:    cobra.ExactArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, file, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				found, err := s.SwitchOn(ctx, args[0])
				if err == nil && !found {
					err = fmt.Errorf("%s was not switched off", args[0])
				}
				if err == nil {
					takeUp(ctx, p)
					fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s is on within two seconds%s\n", args[0], does(p, args[0]))
				}
				return err
			})
		}),
	}
	planFlag(cmd, &file)
	return cmd
}

// does says what a policy does that is on.
func does(p *plan.Plan, ref string) string {
	modes := map[string]string{}
	for _, g := range p.Greylists {
		modes[g.Ref()] = g.Mode
	}
	for _, l := range p.Limits {
		modes[l.Ref()] = l.Mode
	}
	switch modes[ref] {
	case "":
		return ", but this plan does not have it"
	case plan.Observe:
		return ": it observes, as the policies say"
	}
	return ": it judges again"
}
