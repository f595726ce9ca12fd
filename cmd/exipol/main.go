// Command exipol turns policies into Exim text, the schema of the helper's store,
// and the plan that the helper runs. It needs neither root nor a network nor a
// running helper.
package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return cli.Run(command(), args, stdin, stdout, stderr)
}

// command is the command table.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "exipol",
		Short: "compile mail policies into Exim text, a schema and a plan",
		Long: `exipol compiles policies (greylisting, limits, tarpits), written in HCL, into
text for Exim, the SQL schema behind it, and the plan that exipold runs.

Exit status: 0 fine, 1 the policies or the operation failed, 2 wrong usage,
3 it works but differs (build --check, fmt --check).`,
		Version: cli.Version,
	}
	root.AddCommand(
		initCommand(),
		fmtCommand(),
		checkCommand(),
		buildCommand(),
		schemaCommand(),
		cli.ManCommand("1"),
		cli.VersionCommand(),
	)
	return root
}
