package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/imports"
	"exipol/helper/pools"
	"exipol/helper/store"
)

// importKinds are what can be imported: how, and from what.
var importKinds = []struct {
	name, what string
	read       func(*importer, *importFile) error
}{
	{"blocked-users", "a file blocked_authenticated_users (Exim's lookup lsearch): blocks them", (*importer).blockedUsers},
	{"blocked-relays", "a file blocked_relay_users, of relay hosts or their ids: blocks them", (*importer).blockedRelays},
	{"greylistd", "its folder, or its files states and triplets: who came back need not wait again", nil},
	{"postgrey", "what db5.3_dump -p prints of postgrey.db and postgrey_clients.db: likewise", (*importer).postgrey},
	{"bouncelist", "the table Bounces (mysqldump, or mysql -B): counts them", (*importer).bouncelist},
	{"tarlist", "the tables Tarlist and IPlist (mysqldump, or mysql -B): counts offences, trusts clients", (*importer).tarlist},
}

func importCommand() *cobra.Command {
	var file, by string
	var o importOptions
	var kinds, names []string
	for _, k := range importKinds {
		names = append(names, k.name)
		kinds = append(kinds, fmt.Sprintf("  %-15s %s", k.name, k.what))
	}
	cmd := &cobra.Command{
		Use:   "import KIND FILE...",
		Short: "take over what other programs have kept",
		Long: `Takes over what other programs have kept. FILE may be - for standard input. KIND is
one of

` + strings.Join(kinds, "\n") + `

Each goes to the first policy of the plan that it fits, or to the one named with
--policy. Doing it again changes nothing, so that an import that was broken off is
simply repeated; who was released from a block meanwhile is not blocked again. What
cannot be read is said with its line, and the rest is imported. Nobody is told of
blocks that are imported.

Exit status 3 where something could not be read.`,
		Example: `  exipold import blocked-users /var/spool/exim4/blocked_authenticated_users
  exipold import greylistd /var/lib/greylistd
  db5.3_dump -h /var/lib/postgrey -p postgrey.db | exipold import postgrey -
  mysqldump bouncelist Bounces | exipold import bouncelist --dry-run -`,
		Args: cobra.ArbitraryArgs,
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			at := -1
			if len(args) > 0 {
				at = slices.Index(names, args[0])
			}
			switch {
			case at < 0 && len(args) > 0:
				return cli.WrongUsage("import what? %q is none of %s", args[0], listed(names))
			case len(args) < 2:
				return cli.WrongUsage("import needs a kind (%s) and a file", listed(names))
			}
			o.by = saidBy(by)
			return runImport(cmd, file, at, args[1:], o)
		}),
	}
	planFlag(cmd, &file)
	addGateway(cmd, &o.gateway)
	cmd.Flags().StringSliceVar(&o.policies, "policy", nil, "the policy that it goes to, as limit.NAME or greylist.NAME; the first that fits by default")
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "change nothing, only say what would be done")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "as JSON")
	cmd.Flags().StringVar(&by, "by", "", "who does it; the user who runs this command by default")
	return cmd
}

// importOptions are the command's flags.
type importOptions struct {
	policies    []string
	dry, asJSON bool
	by, gateway string
}

// importer imports one kind.
type importer struct {
	importOptions
	ctx    context.Context
	kind   string
	plan   *plan.Plan
	engine *engine.Engine
	store  store.Store
	live   engine.Live
	now    time.Time

	report  importReport
	waiting []step
}

// importFile is one file, and how often each of its rows was there so far.
type importFile struct {
	io.Reader
	name string
	seen map[string]int
	bad  imports.Bad
}

func runImport(cmd *cobra.Command, file string, kind int, names []string, o importOptions) (err error) {
	im, err := newImporter(cmd, file, importKinds[kind].name, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, im.store.Close()) }()
	if read := importKinds[kind].read; read != nil {
		err = im.each(names, cmd.InOrStdin(), func(f *importFile) error { return read(im, f) })
	} else {
		err = im.greylistd(names, cmd.InOrStdin())
	}
	if err == nil {
		err = im.flush()
	}
	if im.report.Imported > 0 && !o.dry {
		keepLastKnown(im.ctx, cmd.ErrOrStderr(), im.plan, im.store)
	}
	printErr := im.print(cmd)
	switch {
	case err != nil:
		return errors.Join(withMend(err, im.plan), printErr)
	case printErr != nil:
		return printErr
	case im.report.NotRead > 0:
		return cli.Exit(cli.Differs)
	}
	return nil
}

func newImporter(cmd *cobra.Command, file, kind string, o importOptions) (*importer, error) {
	p, err := helper.ReadPlan(file)
	if err != nil {
		return nil, err
	}
	for _, ref := range o.policies {
		if err := helperPolicy(p, ref); err != nil {
			return nil, err
		}
	}
	e, err := engine.New(p)
	if err != nil {
		return nil, err
	}
	gateway, err := gatewayName(o.gateway)
	if err != nil {
		return nil, err
	}
	im := &importer{
		importOptions: o, kind: kind, plan: p, engine: e, ctx: cmd.Context(),
		live:   engine.Live{Gateway: gateway},
		report: importReport{FormatVersion: "1.0", Kind: kind, DryRun: o.dry, Policies: []string{}, Problems: []importProblem{}, Remarks: []string{}},
	}
	if im.ctx == nil {
		im.ctx = context.Background()
	}
	if used, err := poolsInUse(p, ""); err == nil {
		im.live.Pool = pools.NewTable(helper.PoolNetworks(p, used)).Pool
	}
	ctx, cancel := context.WithTimeout(im.ctx, storeTimeout)
	defer cancel()
	if im.store, err = openStore(ctx, p, storeOptions{}); err != nil {
		return nil, err
	}
	im.now = im.store.Now()
	return im, nil
}

// each opens the files one after the other.
func (im *importer) each(names []string, stdin io.Reader, read func(*importFile) error) error {
	for _, name := range names {
		if err := im.open(name, stdin, read); err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) open(name string, stdin io.Reader, read func(*importFile) error) error {
	f := &importFile{Reader: stdin, name: name, seen: map[string]int{}}
	f.bad = func(line int, why string) { im.bad(name, line, why) }
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		f.Reader = file
	}
	if err := read(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// importOutcome is what came of a record.
type importOutcome int

const (
	known importOutcome = iota
	imported
	old
	released
)

// step imports one record, in the transaction that it is given.
type step struct {
	file string
	line int
	do   func(engine.State) ([]engine.Write, importOutcome, error)
}

// chunk is how many records make one transaction: exipold, which may run meanwhile, waits no longer for it than
// for a few of its own.
const chunk = 250

// add takes a record, which goes to a policy.
func (im *importer) add(f *importFile, ref string, line int, do func(engine.State) ([]engine.Write, importOutcome, error)) error {
	im.report.Read++
	if !slices.Contains(im.report.Policies, ref) {
		im.report.Policies = append(im.report.Policies, ref)
	}
	im.waiting = append(im.waiting, step{f.name, line, do})
	if len(im.waiting) < chunk {
		return nil
	}
	return im.flush()
}

// errRehearsed undoes what a dry run did.
var errRehearsed = errors.New("a dry run keeps nothing")

// flush imports what waits, all of it or nothing.
func (im *importer) flush() error {
	if len(im.waiting) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(im.ctx, storeTimeout)
	defer cancel()
	var counted map[importOutcome]int
	var unfit []importProblem
	err := im.store.Batch(ctx, func(tx engine.Transaction) error {
		counted, unfit = map[importOutcome]int{}, nil // it may be run more than once
		for _, s := range im.waiting {
			writes, what, err := s.do(tx)
			if errors.Is(err, engine.ErrUnlike) {
				unfit = append(unfit, importProblem{s.file, s.line, err.Error()})
				continue
			}
			if err == nil && len(writes) > 0 {
				err = tx.Apply(writes)
			}
			if err != nil {
				return err
			}
			counted[what]++
		}
		if im.dry {
			return errRehearsed
		}
		return nil
	})
	if err != nil && !errors.Is(err, errRehearsed) {
		return err
	}
	im.report.Imported += counted[imported]
	im.report.Known += counted[known]
	im.report.Old += counted[old]
	im.report.Released += counted[released]
	for _, p := range unfit {
		im.bad(p.File, p.Line, p.Why)
	}
	im.waiting = im.waiting[:0]
	return nil
}

// goesTo is the policy that something goes to: the one that was named, or the first that fits.
func (im *importer) goesTo(kind string, fits []string) (string, error) {
	ref, wanted := "", ""
	for _, named := range im.policies {
		if strings.HasPrefix(named, kind+".") {
			wanted = named
		}
	}
	switch {
	case wanted != "" && !slices.Contains(fits, wanted):
		return "", fmt.Errorf("%s does not fit: %s", wanted, cmp.Or(listed(fits), "no policy of this plan does"))
	case wanted != "":
		ref = wanted
	case len(fits) == 0:
		return "", nil
	default:
		ref = fits[0]
	}
	return ref, nil
}

// begin is how a file begins, and all of it.
func begin(r io.Reader) (head []byte, whole io.Reader) {
	in := bufio.NewReader(r)
	head, _ = in.Peek(256)
	return head, in
}
