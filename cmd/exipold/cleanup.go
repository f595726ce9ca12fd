package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store/sqlite"
)

func cleanupCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "remove what has expired from the store, once",
		Long: `Removes expired rows in small batches, so that a running exipold goes on answering,
and prints how many there were. exipold serve does it every five minutes by itself.`,
		Example: `  exipold cleanup`,
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, file, func(_ context.Context, _ *plan.Plan, s *sqlite.Store) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				n, err := helper.Cleanup(ctx, s, time.Now())
				fmt.Fprintf(cmd.OutOrStdout(), "%s removed\n", number(n, "row", "rows"))
				return err
			})
		}),
	}
	planFlag(cmd, &file)
	return cmd
}
