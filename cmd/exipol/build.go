package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/tools/txtar"

	"exipol/cmd/internal/cli"
	"exipol/generator/emit"
)

func buildCommand() *cobra.Command {
	var o options
	var out string
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "build -o DIR PATH...",
		Short: "write Exim text, schema, plan and INSTALL.txt",
		Long: `build compiles the policies of PATH... (directories, files, or - for standard
input) and writes everything into DIR: all files, or on any error none. A file
that is the same already is not touched. With "-o -" all of them are printed as
one txtar archive.

With --check nothing is written: build says which files differ, and exits 3 if
any does. "edited" is a file that someone changed after it was built, "stale" one
that the policies have left behind, "missing" one that is not there.`,
		Example: "  exipol build -o /etc/exim4/exipol /etc/exipol/policies\n  exipol build --check -o /etc/exim4/exipol /etc/exipol/policies",
		Args:    needPaths,
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			switch {
			case out == "":
				return cli.WrongUsage("build where? -o DIR, or -o - for standard output")
			case out == "-" && checkOnly:
				return cli.WrongUsage("--check compares with a directory: -o DIR")
			}
			r, err := o.build(cmd, args, o.stream(cmd, out == "-" || checkOnly))
			if err != nil {
				return err
			}
			switch {
			case checkOnly:
				return checkOutputs(cmd, out, r.Files, o.format == "json")
			case out == "-":
				_, err := cmd.OutOrStdout().Write(archive(r.Files))
				return err
			}
			return writeAll(out, r.Files)
		}),
	}
	o.flags(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "the `DIR` to write to, or - for standard output")
	cmd.Flags().BoolVar(&checkOnly, "check", false, "write nothing; exit 3 where DIR differs")
	return cmd
}

// archive is all files as one txtar.
func archive(files []emit.File) []byte {
	var a txtar.Archive
	for _, f := range files {
		a.Files = append(a.Files, txtar.File{Name: f.Name, Data: f.Data})
	}
	return txtar.Format(&a)
}

// checkOutputs says how a directory differs from what would be built.
func checkOutputs(cmd *cobra.Command, dir string, files []emit.File, asJSON bool) error {
	states, err := compare(dir, files)
	if err != nil {
		return err
	}
	differs := false
	for _, s := range states {
		if s.State == same {
			continue
		}
		differs = true
		if !asJSON {
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", s.Name, s.State); err != nil {
				return err
			}
		}
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		report := struct {
			FormatVersion string  `json:"format_version"`
			Differs       bool    `json:"differs"`
			Files         []state `json:"files"`
		}{"1.0", differs, states}
		if err := enc.Encode(report); err != nil {
			return err
		}
	}
	if differs {
		return cli.Exit(cli.Differs)
	}
	return nil
}
