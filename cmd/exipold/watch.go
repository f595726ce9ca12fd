package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/mainlog"
	"exipol/helper/store"
	"exipol/helper/watch"
)

// logFlags say how Exim's log is written, as far as it does not say so itself.
type logFlags struct {
	zone, process              string
	syslog, mailAuth, junkHelo bool
}

func (o *logFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.zone, "mainlog-timezone", "", "the log's time zone, as in Europe/Berlin or UTC, where its lines do not say it (Exim's option timezone); this host's by default")
	f.BoolVar(&o.syslog, "mainlog-syslog", false, "the log is what a syslog wrote")
	f.StringVar(&o.process, "mainlog-process", "", "Exim's name in the syslog (its option syslog_processname); all that begin with exim by default")
	f.BoolVar(&o.mailAuth, "mainlog-mailauth", false, "Exim's log_selector has +smtp_mailauth: ids end at their first colon")
	f.BoolVar(&o.junkHelo, "mainlog-junk-helo", false, "Exim has helo_accept_junk_hosts: clients may give any text as their name")
}

// lines is how to read a line.
func (o *logFlags) lines() (mainlog.Options, error) {
	zone := time.Local
	if o.zone != "" {
		var err error
		if zone, err = time.LoadLocation(o.zone); err != nil {
			return mainlog.Options{}, cli.WrongUsage("--mainlog-timezone %s: the name of a time zone belongs there, as in Europe/Berlin: %v", o.zone, err)
		}
	}
	return mainlog.Options{Location: zone, Process: o.process, MailAuth: o.mailAuth, JunkHelo: o.junkHelo}, nil
}

// watchOptions are the flags of watch.
type watchOptions struct {
	serveOptions
	once bool
	logs []string
}

func watchCommand() *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch [LOG...]",
		Short: "follow Exim's main log, without answering questions",
		Long: `Reads what Exim logs, and counts it for the limits of the plan: bounces, recipients that
were refused, logins, and logins that failed. exipold serve does the same by itself; this is
for a host that only logs, for cron (--once), or for a log that is to be read in after the fact.

It goes on where it was left, across rotation; predecessors of the log, also those that gzip or bzip2
have compressed, are found beside it. The first time it begins eight days back. What was counted once is never
counted again, whoever reads it, as long as the gateway has the same name.

SIGHUP takes a new plan from the same file.`,
		Example: `  exipold watch
  exipold watch --once
  exipold watch --once --gateway mx1.example.net /var/log/exim4/mainlog`,
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			o.logs = args
			return runWatch(cmd, o)
		}),
	}
	planFlag(cmd, &o.plan)
	addGateway(cmd, &o.gateway)
	o.mainlog.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "end at the end of the log")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// judge is the plan in use, and who counts by it.
type judge struct {
	plan *plan.Plan
	*helper.Counter
}

// judges is the newest judge.
type judges struct{ atomic.Pointer[judge] }

// Count implements watch.Counter.
func (j *judges) Count(ctx context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error {
	return j.Load().Count(ctx, f)
}

// take takes a plan.
func (j *judges) take(p *plan.Plan, s store.Store, gateway string) error {
	e, err := engine.New(p)
	if err != nil {
		return fmt.Errorf("plan %s: %w", p.ID, err)
	}
	j.Store(&judge{p, &helper.Counter{Store: s, Engine: e, Gateway: gateway, Clock: s.Now}})
	return nil
}

func runWatch(cmd *cobra.Command, o watchOptions) (err error) {
	log, err := logger(cmd.ErrOrStderr(), o.serveOptions)
	if err != nil {
		return err
	}
	gateway, err := gatewayName(o.gateway)
	if err != nil {
		return err
	}
	lines, err := o.mainlog.lines()
	if err != nil {
		return err
	}
	p, err := helper.ReadPlan(o.plan)
	if err != nil {
		return err
	}
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, stop := signal.NotifyContext(parent, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	opening, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := openStore(opening, p, storeOptions{gateway: gateway, patient: !o.once, log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // as in serve
	}
	var now judges
	if err := now.take(p, s, gateway); err != nil {
		return err
	}
	if !watch.Needed(p) {
		log.Warn("no limit of the plan counts what is in a log", "plan", p.ID)
	}
	w := watch.New(watch.Options{
		Gateway: gateway, Plan: func() *plan.Plan { return now.Load().plan }, Counter: &now, Places: s,
		Logs: o.logs, Lines: lines, Syslog: o.mainlog.syslog, Once: o.once, Log: log, Now: s.Now,
	})
	if !o.once {
		onHangup(ctx, func() { retake(o.plan, &now, s, gateway, log) })
	}
	err = w.Run(ctx)
	for _, read := range w.Status() {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s read, %s\n", read.Log, number(int(read.Lines), "line", "lines"), number(int(read.Counted), "event", "events"))
	}
	if ctx.Err() != nil && parent.Err() == nil {
		return nil // somebody ended it
	}
	return err
}

// onHangup calls f for every SIGHUP, until ctx ends.
func onHangup(ctx context.Context, f func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				f()
			}
		}
	}()
}

// retake takes the plan file as it is now.
func retake(file string, now *judges, s store.Store, gateway string, log *slog.Logger) {
	p, err := helper.ReadPlan(file)
	if old := now.Load().plan; err == nil && !p.Store.Same(old.Store) {
		err = fmt.Errorf("plan %s: its store is not the one in use: restart exipold to change it", p.ID)
	}
	if err == nil {
		err = now.take(p, s, gateway)
	}
	if err != nil {
		log.Error("the new plan is refused, the old one stays", "file", file, "error", err)
		return
	}
	log.Info("plan taken", "plan", p.ID)
}
