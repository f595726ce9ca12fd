// Command exipold is the helper that Exim asks: it answers by the plan that exipol
// made, keeps the counts, and cleans up. It is the only program that touches the
// store.
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
		Use:   "exipold",
		Short: "answer Exim's questions by a plan",
		Long: `exipold answers the questions of the Exim text that exipol generates, keeps what
is to be remembered (who was seen, what was counted), and cleans up.

Exit status: 0 fine, 1 the operation failed, 2 wrong usage, 3 it works but there
is something to do (migrate --dry-run, pools, import).`,
		Version: cli.Version,
	}
	root.AddCommand(
		serveCommand(),
		watchCommand(),
		askCommand(),
		statusCommand(),
		doctorCommand(),
		caseCommand(),
		deskCommand(),
		allowCommand(),
		listCommand(),
		poolsCommand(),
		offCommand(),
		onCommand(),
		migrateCommand(),
		copyStoreCommand(),
		cleanupCommand(),
		importCommand(),
		cli.ManCommand("8"),
		cli.VersionCommand(),
	)
	return root
}
