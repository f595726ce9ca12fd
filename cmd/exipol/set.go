package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator"
	"exipol/generator/diag"
	"exipol/generator/load"
)

// options are the flags of every command that reads policies.
type options struct {
	vars   []string
	format string
	json   bool
}

// formats are the ways to print diagnostics.
var formats = []string{"text", "json", "sarif", "github"}

func (o *options) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.vars, "var", nil, "`NAME=VALUE` of a variable, also EXIPOL_VAR_NAME in the environment (repeatable)")
	f.StringVar(&o.format, "format", "text", "how to print diagnostics: "+strings.Join(formats, ", "))
	f.BoolVar(&o.json, "json", false, "the same as --format json")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// check completes the flags and refuses what they do not take.
func (o *options) check() error {
	if o.json {
		if o.format != "text" && o.format != "json" {
			return cli.WrongUsage("--json and --format %s exclude each other", o.format)
		}
		o.format = "json"
	}
	if !slices.Contains(formats, o.format) {
		return cli.WrongUsage("--format %s: one of %s", o.format, strings.Join(formats, ", "))
	}
	return nil
}

// varPrefix is what names of environment variables that set a variable begin with.
const varPrefix = "EXIPOL_VAR_"

// variables are the values from the environment and the flags; the flags win.
func (o *options) variables() (map[string]string, error) {
	vars := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if name, ok := strings.CutPrefix(name, varPrefix); ok && name != "" {
			vars[name] = value
		}
	}
	for _, v := range o.vars {
		name, value, found := strings.Cut(v, "=")
		if !found || name == "" {
			return nil, cli.WrongUsage("--var %s: NAME=VALUE is wanted", v)
		}
		vars[name] = value
	}
	return vars, nil
}

// generate runs the generator on paths; what is wrong with the policies is in the
// result.
func (o *options) generate(cmd *cobra.Command, paths []string) (generator.Result, error) {
	if err := o.check(); err != nil {
		return generator.Result{}, err
	}
	vars, err := o.variables()
	if err != nil {
		return generator.Result{}, err
	}
	return generator.Build(load.Input{Paths: paths, Stdin: cmd.InOrStdin(), Vars: vars}, cli.Version)
}

// build is generate, and reports to w; where the policies have errors, the error is
// an exit status.
func (o *options) build(cmd *cobra.Command, paths []string, w io.Writer) (generator.Result, error) {
	r, err := o.generate(cmd, paths)
	if err != nil {
		return r, err
	}
	return r, o.report(w, r.Diags, r.Set.Files)
}

// report prints diagnostics; with errors among them it returns an exit status. In a
// machine's format it prints even where there is nothing to say.
func (o *options) report(w io.Writer, list diag.List, files map[string]*hcl.File) error {
	var err error
	switch o.format {
	case "json":
		err = diag.JSON(w, list)
	case "sarif":
		err = diag.SARIF(w, list, cli.Version)
	case "github":
		err = diag.GitHub(w, list)
	default:
		err = diag.Text(w, list, files)
	}
	if err != nil {
		return err
	}
	if list.HasErrors() {
		return cli.Exit(cli.Failed)
	}
	return nil
}

// stream is where diagnostics go: for people beside the result, for machines they
// are the result, unless something else is.
func (o *options) stream(cmd *cobra.Command, taken bool) io.Writer {
	if taken || o.format == "text" && !o.json {
		return cmd.ErrOrStderr()
	}
	return cmd.OutOrStdout()
}

// policyFiles lists the policy files of a directory, sorted by name.
func policyFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && load.IsPolicyFile(e.Name()) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

// needPaths wants at least one path, and says what a path is.
func needPaths(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which policies? name a directory, files, or - for standard input")
	}
	return nil
}
