package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

func migrateCommand() *cobra.Command {
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "bring the store to the plan's schema",
		Long: `Creates the store where there is none, and the tables and indexes that this plan
needs and the store does not have. Nothing is ever dropped. Prints the statements
that it ran; none where the store had everything.

exipold serve does the same when it starts and when it takes a new plan, so this
command is for those who want to do it beforehand.`,
		Example: `  exipold migrate
  exipold migrate --dry-run   # exit status 3: there is something to do`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			p, err := helper.ReadPlan(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
			defer cancel()
			if dry {
				return wouldMigrate(ctx, cmd, p)
			}
			s, err := sqlite.Open(ctx, p.Store.Path, sqlite.Options{Create: true})
			if err != nil {
				return withMend(err, p)
			}
			done, err := s.Migrate(ctx, p.Tables)
			inherit(p.Store.Path)
			printSQL(cmd, done)
			return errors.Join(err, s.Close())
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only print the statements; exit with 3 where there are any")
	return cmd
}

func wouldMigrate(ctx context.Context, cmd *cobra.Command, p *plan.Plan) error {
	s, err := sqlite.Open(ctx, p.Store.Path, sqlite.Options{})
	if errors.Is(err, store.ErrMissing) {
		fmt.Fprintf(cmd.OutOrStdout(), "-- %s does not exist yet and would be made\n", p.Store.Path)
		return cli.Exit(cli.Differs)
	}
	if err != nil {
		return withMend(err, p)
	}
	defer s.Close()
	todo, err := s.Pending(ctx, p.Tables)
	if err != nil {
		return err
	}
	printSQL(cmd, todo)
	if len(todo) > 0 {
		return cli.Exit(cli.Differs)
	}
	return nil
}

func printSQL(cmd *cobra.Command, statements []string) {
	for _, s := range statements {
		fmt.Fprintf(cmd.OutOrStdout(), "%s;\n", s)
	}
}
