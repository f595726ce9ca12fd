package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store/copying"
	"exipol/helper/store/mysql"
	"exipol/helper/store/sqlite"
)

// copyOptions are the flags of copy-store.
type copyOptions struct {
	plan, from, fromPlan, to string
	replace, live, dry       bool
}

func copyStoreCommand() *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy-store [FROM]",
		Short: "copy another store into this plan's",
		Long: `Copies all that another store keeps into the store of --plan, which may be of another
kind: FROM is a store that is a file; --from-plan names the plan of any other. What
is copied is one snapshot of the source, which is only read. --to copies the other way
round, this plan's store into a file, for a backup.

The copy is read back and compared. Until that is done no exipold uses what is there;
a copy that ended before (whatever ended it) is begun anew by the same command. Where
there is something in the store already it is refused, unless --replace empties it.

Stop exipold before: what it counts after the copy has begun would not be in the copy.
So where one uses the source the copy is refused, unless --live says that this does not
matter. Exim does as the policies' on_failure says meanwhile.

Cases, entries and counters keep their numbers. The places in the logs and the held
messages are known by the gateway's name: it must stay the same (exipold serve
--gateway, or the host's name).`,
		Example: `  exipold copy-store --dry-run /var/lib/exipol/exipol.db
  exipold copy-store /var/lib/exipol/exipol.db
  exipold copy-store --plan new/plan.json --from-plan /etc/exipol/plan.json
  exipold copy-store --live --to backup.db`,
		Args: cobra.MaximumNArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.from = args[0]
			}
			if n := countSet(o.from, o.fromPlan, o.to); n != 1 {
				return cli.WrongUsage("name what is to be copied: a file, or a plan with --from-plan; or a file with --to that the plan's store is copied to")
			}
			return copyStore(cmd, o)
		}),
		ValidArgsFunction: cobra.FixedCompletions([]string{"db"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	planFlag(cmd, &o.plan)
	f := cmd.Flags()
	f.StringVar(&o.fromPlan, "from-plan", "", "copy the store of this plan")
	f.StringVar(&o.to, "to", "", "copy this plan's store to a file")
	f.BoolVar(&o.replace, "replace", false, "empty the store that is copied to first")
	f.BoolVar(&o.live, "live", false, "although an exipold uses the source: what it counts from now on is not in the copy")
	f.BoolVar(&o.dry, "dry-run", false, "only say what there is to copy, and what is in the way")
	_ = cmd.MarkFlagFilename("from-plan", "json")
	_ = cmd.MarkFlagFilename("to", "db")
	return cmd
}

func copyStore(cmd *cobra.Command, o copyOptions) error {
	p, err := helper.ReadPlan(o.plan)
	if err != nil {
		return err
	}
	source := p
	switch {
	case o.fromPlan != "":
		source, err = helper.ReadPlan(o.fromPlan)
	case o.from != "":
		source, err = ofFile(p, o.from)
	default:
		p, err = ofFile(p, o.to)
	}
	if err != nil {
		return err
	}
	if sameStore(source.Store, p.Store) {
		return cli.WrongUsage("that is the plan's own store")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	from, err := openToCopy(ctx, source, false)
	if err != nil {
		return err
	}
	var to copying.Store
	_, gone := os.Stat(p.Store.Path)
	fresh := p.Store.Kind == plan.SQLite && errors.Is(gone, fs.ErrNotExist)
	if !fresh || !o.dry {
		if to, err = openToCopy(ctx, p, true); err != nil {
			return errors.Join(err, from.Close())
		}
	}
	if fresh && !o.dry {
		defer inherit(p.Store.Path)
	}
	what := copying.Options{Tables: p.Tables, Replace: o.replace, Live: o.live}
	if o.dry {
		err = wouldCopy(ctx, cmd, p, from, to, what)
	} else {
		err = doCopy(ctx, cmd, from, to, what)
	}
	if to != nil {
		err = errors.Join(withMend(err, p), to.Close())
	}
	return errors.Join(err, from.Close())
}

// ofFile is a plan with a file as its store.
func ofFile(p *plan.Plan, file string) (*plan.Plan, error) {
	path, err := filepath.Abs(file)
	of := *p
	of.Store = plan.Store{Kind: plan.SQLite, Path: path}
	return &of, err
}

func countSet(words ...string) (n int) {
	for _, w := range words {
		if w != "" {
			n++
		}
	}
	return n
}

// sameStore says whether both are one and the same.
func sameStore(a, b plan.Store) bool {
	if a.Kind != b.Kind {
		return false
	}
	if a.Kind == plan.SQLite {
		one, err := os.Stat(a.Path)
		other, also := os.Stat(b.Path)
		return a.Path == b.Path || err == nil && also == nil && os.SameFile(one, other)
	}
	return a.Database == b.Database && slices.ContainsFunc(a.Hosts, func(host string) bool { return slices.Contains(b.Hosts, host) })
}

// openToCopy opens a plan's store to be copied from, or to.
func openToCopy(ctx context.Context, p *plan.Plan, target bool) (copying.Store, error) {
	if p.Store.Kind == plan.SQLite {
		s, err := sqlite.Open(ctx, p.Store.Path, sqlite.Options{Create: target, Copying: target, BusyTimeout: busyTimeout})
		if err != nil {
			return nil, withMend(err, p)
		}
		return s, nil
	}
	gateway, err := gatewayName("")
	if err != nil {
		return nil, err
	}
	s, err := mysql.Open(ctx, mysql.Config{
		Store: p.Store, Gateway: gateway, Timeout: serverAnswer, Copying: target, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, withMend(err, p)
	}
	waiting, cancel := context.WithTimeout(ctx, serverWait)
	defer cancel()
	if err := s.Wait(waiting); err != nil {
		return nil, errors.Join(withMend(err, p), s.Close())
	}
	return s, nil
}

// wouldCopy says what there is to copy.
func wouldCopy(ctx context.Context, cmd *cobra.Command, p *plan.Plan, from, to copying.Store, o copying.Options) error {
	look, err := copying.Inspect(ctx, from, to)
	if err != nil {
		return err
	}
	var rows int64
	for _, t := range look.Tables {
		rows += t.Rows
		fmt.Fprintf(cmd.OutOrStdout(), "%-16s %10d\n", t.Table, t.Rows)
	}
	warn(cmd, from, look, o)
	if err := look.Refused(from, to, o); err != nil {
		return fmt.Errorf("it would be refused now: %w", err)
	}
	name := p.Store.Path
	if to != nil {
		name = to.Name()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s would be copied from %s to %s\n", count(rows, "row"), from.Name(), name)
	return nil
}

// warn says what of the source will not be in the copy.
func warn(cmd *cobra.Command, from copying.Store, look copying.Look, o copying.Options) {
	for _, name := range look.Left {
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: the table %s of %s has another shape than exipold's: it is not copied\n", name, from.Name())
	}
	if len(look.Serving) > 0 && o.Live {
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: gateway %s uses %s: what it counts from now on is not in the copy\n", strings.Join(look.Serving, ", "), from.Name())
	}
}

// doCopy copies, and says how far it is.
func doCopy(ctx context.Context, cmd *cobra.Command, from, to copying.Store, o copying.Options) error {
	w := cmd.ErrOrStderr()
	o.Looked = func(look copying.Look) { warn(cmd, from, look, o) }
	o.Ran = func(statements []string) {
		if len(statements) > 0 {
			fmt.Fprintf(w, "exipold: store %s: %s run, which made its tables\n", to.Name(), count(int64(len(statements)), "statement"))
		}
	}
	const every = 2 * time.Second
	said := time.Now()
	o.Progress = func(doing, table string, rows int64) {
		if time.Since(said) > every {
			said = time.Now()
			fmt.Fprintf(w, "exipold: %s: %s %s\n", table, count(rows, "row"), doing)
		}
	}
	report, err := copying.Copy(ctx, from, to, o)
	if err != nil {
		return err
	}
	for _, t := range report.Tables {
		if t.Rows > 0 {
			fmt.Fprintf(w, "exipold: %s: %s\n", t.Table, count(t.Rows, "row"))
		}
	}
	if report.Mended > 0 {
		fmt.Fprintf(w, "exipold: not valid as text in the source, and mended: %s\n", count(report.Mended, "value"))
	}
	fmt.Fprintf(w, "exipold: %s of %s are now in %s; they were read back and are the same (%s)\n",
		count(report.Rows(), "row"), from.Name(), to.Name(), report.Took.Round(time.Millisecond))
	return nil
}
