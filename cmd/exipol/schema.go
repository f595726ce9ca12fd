package main

import (
	"io"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/ddl"
)

func schemaCommand() *cobra.Command {
	var o options
	var dialect string
	cmd := &cobra.Command{
		Use:     "schema [--dialect sqlite|mysql] PATH...",
		Short:   "print the tables that these policies need",
		Example: "  exipol schema /etc/exipol/policies | sqlite3 new.db",
		Args:    needPaths,
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			print := ddl.SQLite
			switch dialect {
			case "sqlite":
			case "mysql":
				print = ddl.MySQL
			default:
				return cli.WrongUsage("--dialect %s: one of sqlite, mysql", dialect)
			}
			r, err := o.build(cmd, args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), print(r.Plan.Tables, r.Plan.ID))
			return err
		}),
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&dialect, "dialect", "sqlite", "sqlite or mysql")
	_ = cmd.RegisterFlagCompletionFunc("dialect", cobra.FixedCompletions([]string{"sqlite", "mysql"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
