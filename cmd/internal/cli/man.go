package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// date stands in the pages instead of that of the build, so that the same source
// makes the same pages.
var date = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// ManCommand is the command "man DIR" of a program whose pages are of a section (1 for
// users' programs, 8 for daemons).
func ManCommand(section string) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "write the manual pages into a directory",
		Long: `Writes a manual page for the program and one for each of its commands into DIR,
which is made if it is not there.`,
		Args: cobra.ExactArgs(1),
		RunE: Action(func(cmd *cobra.Command, args []string) error {
			return writePages(cmd.Root(), section, args[0])
		}),
	}
}

func writePages(root *cobra.Command, section, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the manual pages: %w", err)
	}
	root.DisableAutoGenTag = true
	header := doc.GenManHeader{Section: section, Date: &date, Source: root.Name() + " " + Version, Manual: "exipol"}
	if err := doc.GenManTree(root, &header, dir); err != nil {
		return fmt.Errorf("write the manual pages: %w", err)
	}
	return nil
}
