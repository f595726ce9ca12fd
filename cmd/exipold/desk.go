package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/cmd/internal/eximconf"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/desk"
	"exipol/helper/queue"
	"exipol/helper/store"
)

// deskOptions are the flags of desk.
type deskOptions struct {
	plan, gateway, exim, config, logFormat, logLevel string
	once                                             bool
}

func deskCommand() *cobra.Command {
	var o deskOptions
	cmd := &cobra.Command{
		Use:   "desk",
		Short: "tell people of cases, and handle what Exim holds",
		Long: `Does the abuse desk's work on this gateway, every two seconds: mails and posts the notices
of new cases, each once, and tries those again that fail, for five days; sends the
digests that are due; thaws and delivers, or removes, the messages in Exim's queue
of which exipold case release or remove says so; freezes what of a blocked owner's waits
in the queue already, where the policy wants that (queued = "freeze"); and notes which
messages are held. It takes a new plan by itself.

It runs beside exipold serve, as a process of its own, since it needs Exim's rights: the user
has to be in Exim's group, which makes it one of Exim's admin users. All other commands of
exipold do without. Messages are thawed with exim -Mt and delivered with exim -Mc, so that
hold_domains and retry times are heeded; they are removed with exim -Mrm, without a bounce.`,
		Example: `  exipold desk
  exipold desk --once`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error { return runDesk(cmd, o) }),
	}
	planFlag(cmd, &o.plan)
	addGateway(cmd, &o.gateway)
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "do what is due once, wait for the deliveries, and end: for cron")
	f.StringVar(&o.exim, "exim", "", "Exim's binary; the usual places by default")
	f.StringVar(&o.config, "exim-config", "", "Exim's configuration file; the binary's own by default")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// deliveriesWait is how long --once waits for the deliveries that it has begun.
const deliveriesWait = 10 * time.Minute

func runDesk(cmd *cobra.Command, o deskOptions) error {
	log, err := logger(cmd.ErrOrStderr(), serveOptions{logFormat: o.logFormat, logLevel: o.logLevel})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	plans, err := newLivePlan(o.plan, log)
	if err != nil {
		return err
	}
	gateway, err := gatewayName(o.gateway)
	if err != nil {
		return err
	}
	exim, err := eximProgram(o.exim, o.config)
	if err != nil {
		return err
	}
	outages := desk.NewOutages(desk.OutageOptions{
		Plan: plans.now, Gateway: gateway, Exim: exim, Log: log, File: filepath.Join(ownDir(plans.now()), outageState),
		Serve: func(ctx context.Context) string { return serveTrouble(ctx, plans.now().Socket) },
	})
	s, err := deskStore(ctx, plans.now(), o.once, outages, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if leave, err := leaveMark(plans.now(), gateway); err == nil {
		defer leave()
	} else {
		log.Warn("exipold doctor will not know that this runs", "error", err)
	}
	options := desk.Options{Plan: plans.now, Store: s, Gateway: gateway, Exim: exim, Agent: "exipold/" + cli.Version, Log: log, Outages: outages, Clock: s.Now}
	if plans.now().Store.Kind == plan.MySQL {
		options.Skew = func() time.Duration { return s.Health().Skew }
	}
	d := desk.New(options)
	if o.once {
		ctx, cancel := context.WithTimeout(ctx, deliveriesWait)
		defer cancel()
		return errors.Join(d.Once(ctx), s.Close())
	}
	log.Info("ready", "gateway", gateway, "plan", plans.now().ID, "exim", exim.Path)
	d.Run(ctx)
	log.Info("ending")
	return s.Close()
}

// outageState is the file, beside the store or the file of blocks, that remembers what the admin was told of
// the store.
const outageState = "outage.json"

// serveTrouble is what the exipold that answers Exim says is wrong with the store, "" for nothing, or where none runs.
func serveTrouble(ctx context.Context, socket string) string {
	s, err := running(ctx, socket)
	if err != nil {
		return ""
	}
	return s.Trouble
}

// deskStore opens the store. exipold serve makes it: where that has not come to it yet, this waits. A server may be away.
func deskStore(ctx context.Context, p *plan.Plan, once bool, outages *desk.Outages, log *slog.Logger) (store.Store, error) {
	const again = 5 * time.Second
	said := ""
	for {
		short, cancel := context.WithTimeout(ctx, storeTimeout)
		s, err := openStore(short, p, storeOptions{patient: !once, log: log})
		cancel()
		outages.Saw("open", err)
		if err == nil || once {
			if err != nil {
				outages.Tell(ctx)
			}
			return s, err
		}
		outages.Tell(ctx)
		if text := err.Error(); text != said {
			said = text
			log.Warn("the store cannot be opened yet", "error", text)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(again):
		}
	}
}

// eximProgram finds Exim.
func eximProgram(path, config string) (queue.Exim, error) {
	exim := queue.Exim{Path: cmp.Or(path, eximconf.Find())}
	if config != "" {
		whole, err := filepath.Abs(config) // Exim runs in another directory
		if err != nil {
			return exim, err
		}
		exim.Arguments = []string{"-C", whole}
	}
	if exim.Path == "" {
		return exim, errors.New("no Exim in the usual places; name it with --exim")
	}
	found, err := exec.LookPath(exim.Path)
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return exim, fmt.Errorf("--exim: %w", err)
	}
	exim.Path = found
	return exim, nil
}

// livePlan is a plan file as it is now. One that is bad leaves the last good one in place.
type livePlan struct {
	file string
	log  *slog.Logger

	mu   sync.Mutex
	plan *plan.Plan
	seen os.FileInfo
}

func newLivePlan(file string, log *slog.Logger) (*livePlan, error) {
	seen, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	p, err := helper.ReadPlan(file)
	return &livePlan{file: file, log: log, plan: p, seen: seen}, err
}

func (l *livePlan) now() *plan.Plan {
	l.mu.Lock()
	defer l.mu.Unlock()
	is, err := os.Stat(l.file)
	if err != nil || os.SameFile(is, l.seen) && is.ModTime().Equal(l.seen.ModTime()) && is.Size() == l.seen.Size() {
		return l.plan
	}
	l.seen = is
	p, err := helper.ReadPlan(l.file)
	switch {
	case err != nil:
		l.log.Error("the new plan is not taken", "error", err)
	case !p.Store.Same(l.plan.Store):
		l.log.Error("the new plan is not taken: it names another store; restart exipold desk", "plan", p.ID)
	default:
		l.log.Info("new plan", "plan", p.ID)
		l.plan = p
	}
	return l.plan
}
