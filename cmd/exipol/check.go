package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/exipol/verify"
	"exipol/cmd/internal/cli"
	"exipol/generator"
	"exipol/generator/diag"
	"exipol/generator/lower"
)

// verifyWait bounds what a real Exim may take for all of its sessions.
const verifyWait = 10 * time.Minute

// Codes of what only a real Exim can say.
const (
	codeLostACL    = "EP311"
	codeStrictVars = "EP312"
	codeExim       = "EP313"
)

func checkCommand() *cobra.Command {
	var o options
	var exim, config string
	cmd := &cobra.Command{
		Use:   "check PATH...",
		Short: "judge policies",
		Long: `check reads the policies of PATH... (directories, files, or - for standard
input), and says what is wrong with them and what may hurt. It writes nothing.

With --exim that Exim also reads the text that the policies make, and runs all of
it, in sessions that reach nobody and with a stand-in for exipold; and its own
configuration (or that of --exim-config) is asked which ACLs the site has, so that
none is lost.`,
		Example: "  exipol check /etc/exipol/policies\n  exipol check --exim /usr/sbin/exim4 /etc/exipol/policies\n  exipol check --format github policies",
		Args:    needPaths,
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			if config != "" && exim == "" {
				return cli.WrongUsage("--exim-config needs --exim BINARY")
			}
			w := o.stream(cmd, false)
			if exim == "" {
				_, err := o.build(cmd, args, w)
				return err
			}
			r, err := o.generate(cmd, args)
			if err != nil {
				return err
			}
			list := r.Diags
			if r.Plan != nil {
				ctx, cancel := context.WithTimeout(cmd.Context(), verifyWait)
				defer cancel()
				found, err := askExim(ctx, exim, config, r)
				if err != nil {
					return err
				}
				list = append(list, found...).Sorted()
			}
			return o.report(w, list, r.Set.Files)
		}),
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&exim, "exim", "", "also have this Exim `BINARY` read and run the text")
	cmd.Flags().StringVar(&config, "exim-config", "", "ask for the site's ACLs in this `FILE`, instead of the binary's own configuration")
	return cmd
}

// askExim has a real Exim judge.
func askExim(ctx context.Context, exim, config string, r generator.Result) (diag.List, error) {
	site, err := verify.AskSite(ctx, exim, config)
	if err != nil {
		return nil, err
	}
	list := lostACLs(site, r)
	if site.StrictACLVars {
		list = append(list, diag.Diagnostic{
			Code: codeStrictVars, Severity: diag.Error,
			Summary: "this Exim's configuration sets strict_acl_vars",
			Detail:  "With it an ACL variable that was never set is an error, and the generated text reads variables that only some sessions set: every client would get a temporary error.",
			Help:    "take strict_acl_vars out of the site's configuration",
		})
	}
	faults, err := verify.Run(ctx, exim, r.Plan)
	if err != nil {
		return nil, err
	}
	for _, f := range faults {
		list = append(list, diag.Diagnostic{
			Code: codeExim, Severity: diag.Error,
			Summary: "Exim cannot run the generated text",
			Detail:  fmt.Sprintf("%s: %s", f.Where, f.Text),
		})
	}
	return list, nil
}

// lostACLs finds the ACLs that would no longer run: the site has one where the
// policies need the stage, and they name another one or none.
func lostACLs(site verify.Site, r generator.Result) diag.List {
	var list diag.List
	for _, s := range r.Plan.Stages {
		has := site.ACL[s.Name]
		if has == "exipol_"+s.Name {
			continue // installed before: what it wraps cannot be seen from here
		}
		if named := lower.SiteACL(r.Set.Site, s.Name); named == has {
			continue
		}
		d := diag.Diagnostic{Code: codeLostACL, Severity: diag.Error, Subject: r.Set.Site.DeclRange}
		if v, ok := r.Set.Site.ACL[s.Name]; ok {
			d.Subject = v.Range
		}
		stage := verify.StageACL{Stage: s.Name, ACL: has}
		switch {
		case has == "":
			d.Summary = fmt.Sprintf("the site has no ACL %s at the stage %s", s.SiteACL, s.Name)
			d.Detail = fmt.Sprintf("The generated text would call it, and every client would get a temporary error. In this Exim's configuration acl_smtp_%s is not set.", s.Name)
			d.Help = fmt.Sprintf("say so in the site block: acl { %s = \"\" }", s.Name)
		case !stage.Named():
			d.Summary = fmt.Sprintf("the site's ACL at the stage %s would be lost", s.Name)
			d.Detail = fmt.Sprintf("In this Exim's configuration acl_smtp_%s is %q, which is not the name of an ACL, so it cannot be called from another one.", s.Name, has)
			d.Help = "move it into the ACL section under a name, and name it in the site block: acl { " + s.Name + " = \"...\" }"
		default:
			d.Summary = fmt.Sprintf("the site's ACL %s at the stage %s would be lost", has, s.Name)
			d.Detail = fmt.Sprintf("In this Exim's configuration acl_smtp_%s is %s; these policies take its place and do not call it.", s.Name, has)
			d.Help = fmt.Sprintf("name it in the site block: acl { %s = %q }", s.Name, has)
		}
		list = append(list, d)
	}
	return list
}
