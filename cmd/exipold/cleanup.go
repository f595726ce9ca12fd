package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
)

func cleanupCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "remove what has expired from the store, once",
		Long: `Removes expired rows in small batches, so that a running exipold goes on answering,
and prints how many there were. exipold serve does it every five minutes by itself.

Of all who share a store one cleans it up at a time. Where another is at it, this says so, and
ends with the exit status 3: what has expired is being removed.`,
		Example: `  exipold cleanup`,
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, file, func(short context.Context, _ *plan.Plan, s store.Store) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				n, err := helper.Cleanup(ctx, s, s.Now())
				if errors.Is(err, helper.ErrCleaning) {
					who := "another process"
					if holder, _, err := s.Holder(short, store.CleanupLease); err == nil && holder != "" {
						who = holderWords(holder)
					}
					fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s cleans the store up already\n", readable(who))
					err = cli.Exit(cli.Differs)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s removed\n", number(n, "row", "rows"))
				return err
			})
		}),
	}
	planFlag(cmd, &file)
	return cmd
}

// holderWords is the holder of a lease for people: the gateway, without what tells its processes apart.
func holderWords(holder string) string {
	if i := strings.LastIndexByte(holder, '/'); i > 0 {
		return holder[:i]
	}
	return holder
}
