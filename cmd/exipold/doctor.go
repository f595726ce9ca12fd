package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
)

// finding is what the doctor has to say of one thing.
type finding struct {
	Level string `json:"level"` // ok, info, warning, error
	Check string `json:"check"` // a stable short name
	Text  string `json:"text"`
	Mend  string `json:"mend,omitempty"` // what to do about it
}

// Levels of a finding.
const (
	fine    = "ok"
	remark  = "info" // nothing is wrong, but whoever wonders should know
	warning = "warning"
	broken  = "error"
)

// doctor looks at one gateway.
type doctor struct {
	planFile, socket, exim, config string

	plan     *plan.Plan
	running  *helper.Status
	helper   account   // that exipold runs as
	known    bool      // the running exipold says so; else it is a guess
	eximUser *eximUser // nil where no Exim says who it is
	findings []finding
}

func doctorCommand() *cobra.Command {
	var d doctor
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say what is wrong with this gateway, and the mend",
		Long: `Looks at everything that has to fit together on this host: the plan, the running
exipold, its socket and its rights, the store and its disk, the DNS servers and DNS
lists that the policies ask, the pools, the Exim text that is installed, Exim's own
configuration, and whether exipold desk runs and can do its work. Each finding comes with what mends it.
Changes nothing. Exit status 1 where there is an error; warnings alone are 0.

Of a store on a server it looks at each host by itself: whether it can be reached, as
the policies want it secured, and written to, what exipold's user may do there, what a
crash would cost, its clock, its limits, and, in a Galera cluster, how the node stands
and how long one that is cut off would go on as if nothing were.

Run it as root, so that it can look everywhere. What Exim and exipold may do it tells
from the owners, groups and modes of files.`,
		Example: `  exipold doctor
  exipold doctor --exim /usr/sbin/exim4 --json`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			d.examine(ctx)
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), map[string]any{"format_version": "1.0", "findings": d.findings}); err != nil {
					return err
				}
			} else {
				d.print(cmd.OutOrStdout())
			}
			for _, f := range d.findings {
				if f.Level == broken {
					return cli.Exit(cli.Failed)
				}
			}
			return nil
		}),
	}
	planFlag(cmd, &d.planFile)
	f := cmd.Flags()
	f.StringVar(&d.socket, "socket", "", "look at this socket rather than the plan's")
	f.StringVar(&d.exim, "exim", "", "Exim's binary; the usual places by default")
	f.StringVar(&d.config, "exim-config", "", "Exim's configuration file; the binary's own by default")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// examine makes all checks that can be made.
func (d *doctor) examine(ctx context.Context) {
	d.findings = []finding{}
	p, err := helper.ReadPlan(d.planFile)
	if err != nil {
		remedy := "run exipol build, and install what it writes"
		if errors.Is(err, fs.ErrPermission) {
			remedy = asRoot(d.planFile)
		}
		d.say(broken, "plan", err.Error(), remedy)
		return
	}
	d.plan = p
	d.say(fine, "plan", "plan "+p.ID, "")
	d.socket = cmp.Or(d.socket, p.Socket)
	d.checkRunning(ctx)
	d.findHelper()
	d.checkPlanRights()
	d.findEximUser(ctx)
	d.checkSocketRights()
	d.checkText()
	d.checkStore(ctx)
	d.checkStoreRights()
	d.checkDisk()
	d.checkDNS(ctx)
	d.checkDNSLists(ctx)
	d.checkPools()
	d.checkExim(ctx)
	d.checkMainlog()
	d.checkBlocked()
	d.checkDesk(ctx)
}

func (d *doctor) say(level, check, text, mend string) {
	d.findings = append(d.findings, finding{level, check, text, mend})
}

// print is the findings for people. Nothing in it depends on colour.
func (d *doctor) print(w io.Writer) {
	for i, f := range d.findings {
		fmt.Fprintf(w, "%-8s %s: %s\n", f.Level, f.Check, strings.ReplaceAll(f.Text, "\n", " "))
		same := i+1 < len(d.findings) && d.findings[i+1].Mend == f.Mend // one mend for several
		if f.Mend != "" && !same {
			fmt.Fprintf(w, "%-8s %s\n", "", "mend: "+f.Mend)
		}
	}
}
