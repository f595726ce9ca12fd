package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/exipol/verify"
	"exipol/cmd/internal/cli"
	"exipol/generator/load"
	"exipol/generator/policy"
	"exipol/policies"
)

// eximWait is how long a question to an Exim binary may take. It reads its
// configuration and answers; a minute is for a machine in trouble.
const eximWait = time.Minute

func initCommand() *cobra.Command {
	var exim string
	var with []string
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "write a small working set of policies",
		Long: `init writes a small set of policies into DIR (this directory where none is
given): greylisting of what looks bad, with the pools and lists that keep it from
delaying honest mail, and a tarpit for those who guess recipients. Where there is an
Exim, it is asked which configuration and which ACLs it has, and who its postmaster
is. No file that is there
already is overwritten.

--with adds ready-made policies by their names, with the files that they need, also to
a set that is there already; names of files that are there stay as they are:

  ` + strings.Join(policies.Names(), "\n  ") + "\n",
		Example: "  exipol init /etc/exipol/policies\n  exipol init --with stolen-password,bounce-slow /etc/exipol/policies\n  exipol check /etc/exipol/policies",
		Args:    cobra.MaximumNArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			more, err := readyMade(with)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), eximWait)
			defer cancel()
			site, err := askSite(ctx, exim)
			if err != nil {
				return err
			}
			return writeSet(cmd, dir, site, more)
		}),
	}
	cmd.Flags().StringVar(&exim, "exim", "", "the Exim `BINARY` to ask (exim4 or exim on PATH where none is named)")
	cmd.Flags().StringSliceVar(&with, "with", nil, "add these ready-made policies, separated by commas")
	return cmd
}

// askSite asks the Exim binary what it has; where none is named and none is on
// PATH, the result is nil.
func askSite(ctx context.Context, exim string) (*verify.Site, error) {
	if exim == "" {
		for _, name := range []string{"exim4", "exim"} {
			if path, err := exec.LookPath(name); err == nil {
				exim = path
				break
			}
		}
		if exim == "" {
			return nil, nil
		}
		// An Exim that nobody named and that does not answer (no configuration yet,
		// say) is no reason not to write the files.
		site, err := verify.AskSite(ctx, exim, "")
		if err != nil {
			return nil, nil
		}
		return &site, nil
	}
	site, err := verify.AskSite(ctx, exim, "")
	if err != nil {
		return nil, err
	}
	return &site, nil
}

// readyMade are the files of the policies of these names, each once.
func readyMade(names []string) ([]policies.File, error) {
	var out []policies.File
	var errs []error
	for _, name := range names {
		files, err := policies.With(strings.TrimSuffix(name, ".hcl"))
		errs = append(errs, err)
		for _, f := range files {
			if !slices.ContainsFunc(out, func(have policies.File) bool { return have.Name == f.Name }) {
				out = append(out, f)
			}
		}
	}
	return out, errors.Join(errs...)
}

// writeSet writes the starter set, where there are no policies yet, and the files that were asked
// for besides. Nothing that is there is written over; where nothing is to be done, that is an error.
func writeSet(cmd *cobra.Command, dir string, site *verify.Site, more []policies.File) error {
	present, err := policyFiles(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var set []policies.File
	if len(present) == 0 {
		if set, err = policies.Starter(); err != nil {
			return err
		}
	} else if len(more) == 0 {
		return fmt.Errorf("%s holds policies already (%s): nothing was written", dir, filepath.Base(present[0]))
	}
	for _, f := range more {
		if !slices.ContainsFunc(set, func(have policies.File) bool { return have.Name == f.Name }) {
			set = append(set, f)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range set {
		text := file.Text
		if file.Name == "exipol.hcl" && site != nil {
			text, _ = load.Format(fitSite(text, *site), file.Name)
		}
		path := filepath.Join(dir, file.Name)
		err := writeNew(path, text)
		if errors.Is(err, fs.ErrExist) && len(more) > 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "kept", path)
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "wrote", path)
	}
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// siteWith is what policies make of a site block with this line; it is false where they refuse it.
func siteWith(line string) (policy.Site, bool) {
	text := "exipol {\n  format = 1\n}\nsite {\n" + line + "\n}\n"
	set, diags := load.Parse(map[string][]byte{"site.hcl": []byte(text)}, nil)
	return set.Site, !diags.HasErrors()
}

// admin is the address that the starter set names.
const admin = "postmaster@localhost"

// postmaster is the one at a domain, where the policies take that for an address, and otherwise the
// starter set's.
func postmaster(domain string) string {
	address := "postmaster@" + domain
	if site, ok := siteWith(fmt.Sprintf("admin = %q", address)); !ok || site.Admin.V != address {
		return admin
	}
	return address
}

// spool is the line that names a site's spool, "" where its layout's is the same.
func spool(site verify.Site) string {
	line := fmt.Sprintf("spool = %q", site.Spool)
	if usual, _ := siteWith(fmt.Sprintf("layout = %q", site.Layout)); usual.Spool.V == site.Spool {
		return ""
	}
	if named, ok := siteWith(line); !ok || named.Spool.V != site.Spool {
		return ""
	}
	return "  " + line + "\n"
}

// fitSite puts into the site block what the site's Exim says of itself: the layout, the log, the spool,
// the postmaster, and the ACLs that the layout does not know.
func fitSite(text []byte, site verify.Site) []byte {
	const end = "  max_delay = \"25s\"\n"
	layout := []byte(`layout = "debian" # or "upstream" for Exim's own default configuration, or "custom"`)
	if site.Layout != "debian" {
		text = bytes.Replace(text, layout, []byte(fmt.Sprintf("layout = %q", site.Layout)), 1)
	}
	if site.Mainlog != "" {
		text = bytes.Replace(text, []byte("/var/log/exim4/mainlog"), []byte(site.Mainlog), 1)
	}
	text = bytes.Replace(text, []byte(strconv.Quote(admin)), []byte(strconv.Quote(postmaster(site.Domain))), 1)
	var acl bytes.Buffer
	for _, s := range site.Unknown() {
		if !s.Named() {
			fmt.Fprintf(&acl, "    # %s is %q here, which is not the name of an ACL: give it one\n", verify.ACLOption(s.Stage), s.ACL)
			continue
		}
		fmt.Fprintf(&acl, "    %s = %q\n", s.Stage, s.ACL)
	}
	var more string
	if line := spool(site); line != "" {
		more = "\n  # Exim's spool_directory.\n" + line
	}
	if acl.Len() > 0 {
		more += "\n  # The ACLs that this Exim has; those of the policies run around them.\n  acl {\n" + acl.String() + "  }\n"
	}
	return bytes.Replace(text, []byte(end), []byte(end+more), 1)
}
