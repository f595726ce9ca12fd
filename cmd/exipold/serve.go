package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/server"
	"exipol/helper/store"
	"exipol/helper/watch"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	plan, socket, group, metrics, stateDir, logFormat, logLevel string
	maxStore                                                    size
	connections                                                 int
	drain                                                       time.Duration
	gateway                                                     string
	noWatch                                                     bool
	mainlog                                                     logFlags
}

func serveCommand() *cobra.Command {
	o := serveOptions{maxStore: defaultMaxStore}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "answer Exim's questions",
		Long: `Answers what Exim asks on the plan's socket, follows Exim's main log where policies count
what is in it, reads what is said at run time, and
cleans up: one process for each gateway. The socket is the one that systemd passes,
or else one of its own, with mode 0660 and Exim's group.

Where the policies want to know what DNS says of a client or a sender, it asks the
DNS servers that the policies name, or those of this machine; the answer leaves in
time whatever DNS does. The pools' networks are resolved in the background, every few
hours.

Where the store is a database server it may be away, also at the start: then blocks stay in
force as they were known last (known.json in the state directory), all else is as
on_failure says, and the log is read on when the server is back.

SIGHUP takes a new plan from the same file, and reads a file of pinned pools again;
where the plan is bad, the old one stays and the log says why. Earlier plans are held beside it, so that Exim processes started
before go on as they were. SIGTERM answers what was asked and ends.`,
		Example: `  exipold serve
  exipold serve --plan out/plan.json --socket /tmp/exipold.sock --log-level debug
  exipold serve --metrics 127.0.0.1:9234`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error { return serve(cmd, o) }),
	}
	planFlag(cmd, &o.plan)
	addGateway(cmd, &o.gateway)
	o.mainlog.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.noWatch, "no-watch", false, "do not follow Exim's main log: another process does (exipold watch)")
	f.StringVar(&o.socket, "socket", "", "listen here rather than on the plan's socket")
	f.StringVar(&o.group, "group", "", "the socket's group; for the layout debian, Debian-exim by default")
	f.StringVar(&o.metrics, "metrics", "", "serve Prometheus metrics here, as in :9234 (on loopback unless an address is given)")
	f.StringVar(&o.stateDir, "state-dir", "", "where the plans and the pools' networks are remembered; systemd's state directory, or that of the store, by default")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.Var(&o.maxStore, "max-store", "the largest size of a store that is a file, as in 512MiB or 4GiB, 0 for none: a flood of new keys must not fill Exim's disk")
	f.IntVar(&o.connections, "max-connections", 1024, "unfinished connections at a time; over that, those that have not asked yet are closed, oldest first")
	f.DurationVar(&o.drain, "drain", 5*time.Second, "how long an end waits for questions that were asked")
	return cmd
}

// daemon is a running exipold serve.
type daemon struct {
	o       serveOptions
	log     *slog.Logger
	gateway string
	store   store.Store
	helper  *helper.Helper
	server  *server.Server
	logs    *watch.Watcher // nil: another process follows the log
	scrape  *scrape        // nil: no metrics
	path    string         // of the socket
}

func serve(cmd *cobra.Command, o serveOptions) error {
	if os.Getenv("GOGC") == "" {
		// What lives is small and what is made for a question dies with it: collecting
		// twice as often costs little, and keeps a mail server's memory for mail.
		debug.SetGCPercent(50)
	}
	log, err := logger(cmd.ErrOrStderr(), o)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	p, err := helper.ReadPlan(o.plan)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := &daemon{o: o, log: log}
	if d.gateway, err = gatewayName(o.gateway); err != nil {
		return err
	}
	starting, stopStarting := context.WithTimeout(ctx, storeTimeout)
	defer stopStarting()
	if d.store, err = openStore(starting, p, d.storeOptions(p)); err != nil {
		return err
	}
	defer func() {
		if err := d.store.Close(); err != nil {
			log.Error("close", "error", err)
		}
	}()
	if os.Getenv("GOMAXPROCS") == "" {
		// The threads that block in accept must not take the processors from those who
		// write: measured, see there. After the store, which has a reader for each.
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + server.AcceptThreads())
	}
	ln, release, err := d.listen(p)
	if err != nil {
		return err
	}
	defer release()
	if err := d.build(starting, p); err != nil {
		ln.Close()
		return err
	}
	return d.run(ctx, ln, signals)
}

// storeOptions are those of a store that answers hang on. A database server may be away, now or at any time; the helper brings
// it to the plan's schema when it is there.
func (d *daemon) storeOptions(p *plan.Plan) storeOptions {
	return storeOptions{
		create: p.Store.Kind == plan.SQLite, maxBytes: int64(d.o.maxStore),
		gateway: d.gateway, answer: helper.StoreTime(p), patient: true, log: d.log,
	}
}

// build makes the helper, the metrics and the server.
func (d *daemon) build(ctx context.Context, p *plan.Plan) error {
	state := stateDir(d.o.stateDir, p)
	options := helper.Options{
		Store: d.store,
		Prepare: func(ctx context.Context, p *plan.Plan) error {
			_, err := d.store.Migrate(ctx, p.Tables)
			return withMend(err, p)
		},
		Plans:   filepath.Join(state, "plans"),
		Pools:   filepath.Join(state, poolsState),
		Outside: func(servers []string) helper.Outside { return helper.NewOutside(servers, d.log, nil) },
		Gateway: d.gateway,
		Version: cli.Version,
		Clock:   d.store.Now,
		Log:     d.log,
	}
	if p.Store.Kind != plan.SQLite { // a file is there whenever this is
		options.Known = filepath.Join(state, knownState)
	}
	lines, err := d.o.mainlog.lines()
	if err != nil {
		return err
	}
	if d.o.metrics != "" {
		if d.scrape, err = d.listenMetrics(); err != nil {
			return err
		}
		options.Observer = d.scrape
	}
	if d.helper, err = helper.New(ctx, p, options); err != nil {
		return err
	}
	if !d.o.noWatch {
		d.logs = watch.New(watch.Options{
			Gateway: options.Gateway, Plan: d.helper.Plan, Counter: d.helper, Places: d.store,
			Lines: lines, Syslog: d.o.mainlog.syslog, Log: d.log, Now: d.store.Now,
		})
	}
	d.server = server.New(d.helper.Handle, server.Options{MaxConns: d.o.connections, Log: d.log})
	return nil
}

// Files in the state directory: poolsState remembers the pools' networks, knownState what was said at run time and
// which blocks are in force.
const (
	poolsState = "pools.json"
	knownState = "known.json"
)

// listen takes the socket that systemd passed, or makes one.
func (d *daemon) listen(p *plan.Plan) (ln *net.UnixListener, release func(), err error) {
	ln, err = server.Activated()
	if err != nil {
		return nil, nil, err
	}
	if ln != nil {
		d.path = ln.Addr().String()
		return ln, func() {}, nil
	}
	d.path = cmp.Or(d.o.socket, p.Socket)
	ln, release, err = server.Listen(d.path, d.socketGroup(p))
	return ln, release, err
}

// socketGroup is the group that was asked for, or Exim's where this process may
// give the socket to it.
func (d *daemon) socketGroup(p *plan.Plan) string {
	if d.o.group != "" || p.Layout != "debian" {
		return d.o.group
	}
	const exim = "Debian-exim"
	g, err := user.LookupGroup(exim)
	if err != nil {
		return ""
	}
	if os.Geteuid() == 0 {
		return exim
	}
	if me, err := user.Current(); err == nil {
		if groups, err := me.GroupIds(); err == nil {
			for _, id := range groups {
				if id == g.Gid {
					return exim
				}
			}
		}
	}
	d.log.Warn("the socket is not for Exim: this user is not in its group", "group", exim)
	return ""
}

// run answers until a signal says otherwise.
func (d *daemon) run(ctx context.Context, ln *net.UnixListener, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { d.helper.Run(ctx) })
	if d.logs != nil {
		wg.Go(func() { _ = d.logs.Run(ctx) }) // its errors are said in the log
	}
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(ln) }()
	wg.Go(func() { d.watchdog(ctx) })
	if d.scrape != nil {
		wg.Go(func() { d.scrape.serve(ctx, d.log) })
	}
	d.log.Info("ready", "socket", d.path, "plan", d.helper.Plan().ID, "store", d.store.Name())
	d.notifyReady()
	wg.Go(debug.FreeOSMemory) // see reload
	for {
		select {
		case err := <-served:
			return fmt.Errorf("the server ended: %w", err)
		case s := <-signals:
			if s == syscall.SIGHUP {
				d.reload(ctx)
				continue
			}
			d.log.Info("ending", "signal", s.String())
			d.notify(stopping)
			drain, done := context.WithTimeout(context.Background(), d.o.drain)
			defer done()
			if err := d.server.Shutdown(drain); err != nil {
				d.log.Warn("some questions were not answered", "error", err)
			}
			if err := <-served; !errors.Is(err, server.ErrClosed) {
				return err
			}
			return nil
		}
	}
}

// reload takes the plan file as it is now.
func (d *daemon) reload(ctx context.Context) {
	d.notifyReloading()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := d.helper.Reload(ctx, d.o.plan); err == nil && d.o.socket == "" {
		if now := d.helper.Plan().Socket; now != d.path {
			d.log.Warn("the new plan names another socket; restart exipold to move", "plan", now, "socket", d.path)
		}
	}
	d.notifyReady()
	// Reading a large plan leaves several times its size behind, and a quiet host might
	// not collect that for hours. Nobody who asks waits for this.
	debug.FreeOSMemory()
}
