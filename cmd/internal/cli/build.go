package cli

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is the release. It is a constant, and not taken from how the program was
// built, so that two builds of one release write the same manifest.
const Version = "0.1.0"

// build says how this program was built: the compiler, and the commit where it is
// known.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

// current is the running program's build.
func current() build {
	b := build{Version: Version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// VersionCommand is the command "version".
func VersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "say which version this is",
		Args:  cobra.NoArgs,
		RunE: Action(func(cmd *cobra.Command, _ []string) error {
			b := current()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			line := cmd.Root().Name() + " " + b.Version + " " + b.Go
			if b.Revision != "" {
				line += " " + b.Revision
			}
			if b.Modified {
				line += " (modified)"
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
