package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/diag"
	"exipol/generator/load"
)

func fmtCommand() *cobra.Command {
	var o options
	var checkOnly, showDiff bool
	cmd := &cobra.Command{
		Use:   "fmt [--check] [--diff] PATH...",
		Short: "write policies in their canonical form",
		Long: `fmt rewrites policies in their canonical form, and names the files that it
changed. A file that does not parse is left alone, and so is the JSON form. Of
"-" the result goes to standard output.

With --check or --diff nothing is written: --check names the files that are not
in that form and exits 3 if there is any, --diff shows what would change.`,
		Example: "  exipol fmt /etc/exipol/policies\n  exipol fmt --check --diff .",
		Args:    needPaths,
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			f := formatter{cmd: cmd, write: !checkOnly && !showDiff, diff: showDiff, sources: map[string]*hcl.File{}}
			for _, path := range args {
				if err := f.path(path); err != nil {
					return err
				}
			}
			if len(f.diags) > 0 {
				if err := o.report(cmd.ErrOrStderr(), f.diags, f.sources); err != nil {
					return err
				}
			}
			if checkOnly && f.differs {
				return cli.Exit(cli.Differs)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&checkOnly, "check", false, "write nothing; exit 3 where a file is not in its canonical form")
	cmd.Flags().BoolVar(&showDiff, "diff", false, "write nothing; show what would change")
	cmd.Flags().StringVar(&o.format, "format", "text", "how to print diagnostics: "+strings.Join(formats, ", "))
	cmd.Flags().BoolVar(&o.json, "json", false, "the same as --format json")
	return cmd
}

// formatter is one run of fmt.
type formatter struct {
	cmd         *cobra.Command
	write, diff bool
	differs     bool
	diags       diag.List
	sources     map[string]*hcl.File
}

func (f *formatter) path(path string) error {
	if path == "-" {
		text, err := io.ReadAll(f.cmd.InOrStdin())
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		return f.text(load.Stdin, text, func(formatted []byte) error {
			_, err := f.cmd.OutOrStdout().Write(formatted)
			return err
		})
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	files := []string{path}
	if info.IsDir() {
		// Proofs are formatted, too: they are HCL beside the policies.
		if files, err = hclFiles(path); err != nil {
			return err
		}
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := f.text(name, text, nil); err != nil {
			return err
		}
	}
	return nil
}

// text formats one file. Of standard input the result is always printed, by print.
func (f *formatter) text(name string, text []byte, print func([]byte) error) error {
	formatted, diags := load.Format(text, name)
	if len(diags) > 0 {
		f.diags = append(f.diags, diags...)
		f.sources[name] = &hcl.File{Bytes: text}
	}
	if diags.HasErrors() {
		return nil
	}
	same := bytes.Equal(text, formatted)
	f.differs = f.differs || !same
	out := f.cmd.OutOrStdout()
	switch {
	case f.write && print != nil:
		return print(formatted)
	case same:
		return nil
	case f.diff:
		_, err := out.Write(diff.Diff(name, text, name+" (canonical)", formatted))
		return err
	case f.write:
		if err := renameio.WriteFile(name, formatted, 0o644, renameio.WithExistingPermissions()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, name)
	return err
}

// hclFiles lists the native files of a directory, proofs included, sorted by name.
func hclFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".hcl") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}
