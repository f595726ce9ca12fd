package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
	"exipol/helper/store/schema"
	"exipol/helper/store/sqlite"
)

// migrateOptions are the flags of migrate.
type migrateOptions struct {
	plan, user, passwordFile string
	dry, contract, force     bool
}

func migrateCommand() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "bring the store to the plan's schema",
		Long: `Compares the store with the tables that this plan needs, and makes what is missing:
the file where the store is one, tables, columns, indexes. Nothing is dropped, and
exipolds that use the store meanwhile go on, those of an earlier version, too. Where
several are started at once, one does it, and the others wait until it is done.
Prints the statements that it ran; none where the store had everything.

exipold serve does the same when it starts and when it takes a new plan, so this
command is for those who want to do it beforehand, or whose exipold may not: on a
server, --user is who may, and --password-file has his password.

--contract then drops what exipold once made and this plan does not need, with all
that is in it. See first, with --dry-run, what that is. It is refused while another
gateway goes by another plan, which may need it. Questions by earlier plans that
need it fail from then on: wait until every Exim has been reloaded.`,
		Example: `  exipold migrate
  exipold migrate --dry-run   # exit status 3: there is something to do
  exipold migrate --contract --dry-run
  exipold migrate --user root --password-file /root/db-password`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error { return migrate(cmd, o) }),
	}
	planFlag(cmd, &o.plan)
	f := cmd.Flags()
	f.BoolVar(&o.dry, "dry-run", false, "only print the statements; exit with 3 where there are any")
	f.BoolVar(&o.contract, "contract", false, "drop what this plan does not need, too, with its rows")
	f.BoolVar(&o.force, "force", false, "with --contract: although a gateway goes by another plan")
	f.StringVar(&o.user, "user", "", "the user of the database server to do this as, rather than the plan's")
	f.StringVar(&o.passwordFile, "password-file", "", "the file with the password of --user; without it, that user has none")
	_ = cmd.MarkFlagFilename("password-file")
	return cmd
}

func migrate(cmd *cobra.Command, o migrateOptions) error {
	p, err := helper.ReadPlan(o.plan)
	if err != nil {
		return err
	}
	switch {
	case o.force && !o.contract:
		return cli.WrongUsage("--force is for --contract")
	case o.passwordFile != "" && o.user == "":
		return cli.WrongUsage("--password-file is for --user")
	case o.user != "" && p.Store.Kind != plan.MySQL:
		return cli.WrongUsage("--user is for a store on a server, and this plan's is a file")
	case o.user != "":
		p.Store.User, p.Store.PasswordFile = o.user, o.passwordFile
	}
	// Making an index of a large table takes as long as it takes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := openToMigrate(ctx, p, !o.dry)
	if o.dry && p.Store.Kind == plan.SQLite && errors.Is(err, store.ErrMissing) {
		return wouldMake(cmd, p)
	}
	if err != nil {
		return err
	}
	if o.dry {
		err = wouldMigrate(ctx, cmd, p, s, o)
	} else {
		err = doMigrate(ctx, cmd, p, s, o)
		if p.Store.Kind == plan.SQLite {
			inherit(p.Store.Path)
		}
	}
	return errors.Join(withMend(err, p), s.Close())
}

// migrant is a store that can do all that this command does.
type migrant interface {
	store.Store
	schema.Contracter
}

// openToMigrate opens the plan's store as it is. Without create, a file that does not exist is store.ErrMissing.
func openToMigrate(ctx context.Context, p *plan.Plan, create bool) (migrant, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if p.Store.Kind != plan.SQLite {
		s, err := openStore(ctx, p, storeOptions{})
		if err != nil {
			return nil, err
		}
		m, ok := s.(migrant)
		if !ok {
			return nil, errors.Join(fmt.Errorf("store %s cannot be migrated", s.Name()), s.Close())
		}
		return m, nil
	}
	s, err := sqlite.Open(ctx, p.Store.Path, sqlite.Options{Create: create, BusyTimeout: busyTimeout})
	if err != nil {
		return nil, withMend(err, p)
	}
	return s, nil
}

// wouldMake prints what would make a store that is a file and does not exist.
func wouldMake(cmd *cobra.Command, p *plan.Plan) error {
	changes, err := schema.SQLite().Expand(schema.Live{}, p.Tables)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "-- %s does not exist yet and would be made\n", p.Store.Path)
	printSQL(cmd, schema.Statements(changes))
	fmt.Fprintf(cmd.ErrOrStderr(), "exipold: store %s: %s to run\n", p.Store.Path, count(int64(len(changes)), "statement"))
	return cli.Exit(cli.Differs)
}

// wouldMigrate prints what is to be done.
func wouldMigrate(ctx context.Context, cmd *cobra.Command, p *plan.Plan, s migrant, o migrateOptions) error {
	todo, err := s.Pending(ctx, p.Tables)
	if err != nil {
		return err
	}
	printSQL(cmd, todo)
	n := len(todo)
	if o.contract {
		drops, err := showDrops(ctx, cmd, p, s)
		if err != nil {
			return err
		}
		for _, d := range drops {
			printSQL(cmd, []string{d.SQL})
		}
		n += len(drops)
		if err := othersPlans(ctx, p, s); err != nil && len(drops) > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "exipold: it would be refused now: %v\n", err)
		}
	}
	if n == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: store %s: nothing to do\n", s.Name())
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "exipold: store %s: %s to run\n", s.Name(), count(int64(n), "statement"))
	return cli.Exit(cli.Differs)
}

// doMigrate does it.
func doMigrate(ctx context.Context, cmd *cobra.Command, p *plan.Plan, s migrant, o migrateOptions) error {
	began := time.Now()
	ran, err := s.Migrate(ctx, p.Tables)
	printSQL(cmd, ran)
	if err != nil {
		return err
	}
	if o.contract {
		drops, err := showDrops(ctx, cmd, p, s)
		if err == nil && len(drops) > 0 && !o.force {
			err = othersPlans(ctx, p, s)
		}
		if err != nil {
			return err
		}
		dropped, err := s.Contract(ctx, p.Tables)
		printSQL(cmd, dropped)
		if err != nil {
			return err
		}
		ran = append(ran, dropped...)
	}
	if len(ran) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: store %s: nothing to do\n", s.Name())
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "exipold: store %s: %s run, in %s\n", s.Name(), count(int64(len(ran)), "statement"), time.Since(began).Round(time.Millisecond))
	return nil
}

// showDrops prints what goes, as comments among the statements.
func showDrops(ctx context.Context, cmd *cobra.Command, p *plan.Plan, s migrant) ([]schema.Drop, error) {
	drops, left, err := s.Contractions(ctx, p.Tables)
	if err != nil {
		return nil, err
	}
	w := cmd.OutOrStdout()
	for _, name := range left {
		fmt.Fprintf(w, "-- %s has the name of a table of exipold's and another shape: it stays\n", name)
	}
	for _, d := range drops {
		switch {
		case d.Kind == schema.DropIndex:
			fmt.Fprintf(w, "-- index %s of %s goes\n", d.Name, d.Table)
		case d.Kind == schema.DropColumn:
			fmt.Fprintf(w, "-- column %s of %s goes, in %s\n", d.Name, d.Table, count(d.Rows, "row"))
		case d.Open != "":
			fmt.Fprintf(w, "-- table %s goes, with %s (%s)\n", d.Table, count(d.Rows, "row"), d.Open)
		default:
			fmt.Fprintf(w, "-- table %s goes, with %s\n", d.Table, count(d.Rows, "row"))
		}
	}
	return drops, nil
}

// planInUse is how long after a gateway was seen its plan counts as in use.
const planInUse = 2 * time.Minute

// othersPlans is which gateways go by another plan, nil for none.
func othersPlans(ctx context.Context, p *plan.Plan, s store.Store) error {
	gateways, err := s.Gateways(ctx)
	if err != nil {
		return err
	}
	now := s.Now()
	var others []string
	for _, g := range gateways {
		ago := now.Sub(time.UnixMilli(g.Seen))
		if ago > planInUse || len(g.Plans) > 0 && g.Plans[0] == p.ID {
			continue
		}
		goesBy := "no plan that is known"
		if len(g.Plans) > 0 {
			goesBy = "plan " + g.Plans[0]
		}
		others = append(others, fmt.Sprintf("gateway %s goes by %s (seen %s ago)", g.Name, goesBy, max(ago, 0).Round(time.Second)))
	}
	if len(others) == 0 {
		return nil
	}
	return fmt.Errorf("another plan than this one (%s) is in use, and may need what would be dropped: %s; have all gateways take this plan first, or say --force",
		p.ID, strings.Join(others, ", "))
}

func printSQL(cmd *cobra.Command, statements []string) {
	for _, s := range statements {
		fmt.Fprintf(cmd.OutOrStdout(), "%s;\n", s)
	}
}

// count is "1 row", "2 rows".
func count(n int64, one string) string {
	if n != 1 {
		one += "s"
	}
	return fmt.Sprintf("%d %s", n, one)
}
