package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/pools"
	"exipol/helper/single"
	"exipol/helper/store"
)

// askFields are the fields of a question that can be given.
var askFields = []string{"client", "helo", "host", "sender", "recipient", "auth", "user", "relay", "owner", "from", "dkim", "event"}

func askCommand() *cobra.Command {
	var file, state, moment string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ask POLICY FIELD=VALUE...",
		Short: "ask what a policy would say, without side effects",
		Long: `Asks one policy (greylist.NAME or limit.NAME) what it would say now, and why. Nothing
is counted, nothing is remembered, and no running exipold is needed. Where a block is in
force it says so, and by which case. What the policy wants to know of the client and the sender is looked up in DNS, and printed; of
clients of private networks (but not of loopback) nothing is looked up. The traffic is
the policy's own: whether Exim would take the client for a relay host is not asked.

Fields: client (an IP address), helo, host (its name, where Exim knows it; - where it
has none), sender (empty or <> for the null sender), recipient, auth (an authenticated
id), user (a local login), relay (a relay host's id or address), owner (auth:ID,
user:LOGIN or relay:HOST, which says the same), from (the address of the From header),
dkim (the domains whose signatures verified, with commas between them), and event, where
a limit counts more than one.`,
		Example: `  exipold ask greylist.selective client=203.0.113.5 helo=mail.b.example sender=a@b.example recipient=c@d.example
  exipold ask greylist.selective client=203.0.113.5 helo=mail.b.example sender= recipient=c@d.example
  exipold ask limit.tarpit client=192.0.2.1 --json
  exipold ask limit.stolen_password auth=bob@example.com`,
		Args: cobra.MinimumNArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			var now time.Time
			if moment != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, moment); err != nil {
					return cli.WrongUsage("--now %s: a moment as in 2027-03-01T12:00:00Z belongs there", moment)
				}
			}
			return withStore(cmd, file, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				e, q, err := askOne(p, args[0], args[1:])
				if err != nil {
					return err
				}
				if now.IsZero() {
					now = s.Now()
				}
				r, err := s.Runtime(ctx, now.UnixMilli())
				if err != nil {
					return err
				}
				d, facts, err := decide(ctx, p, state, s, e, q, now, &r)
				if err != nil {
					return err
				}
				return printDecision(cmd, q, d, facts, asJSON)
			})
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&state, "state-dir", "", "where exipold remembers the pools; systemd's state directory, or that of the store, by default")
	cmd.Flags().StringVar(&moment, "now", "", "ask as of this moment (RFC 3339) rather than now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// decide asks the engine, and looks up what it needs to know.
func decide(ctx context.Context, p *plan.Plan, state string, s store.Store, e *engine.Engine, q wire.Question, now time.Time, r *engine.Runtime) (engine.Decision, []factFound, error) {
	live := engine.Live{Runtime: r, Explain: true}
	if len(p.Pools) > 0 {
		used, err := poolsInUse(p, state)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return engine.Decision{}, nil, err
		}
		live.Pool = pools.NewTable(helper.PoolNetworks(p, used)).Pool
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var out helper.Outside
	facts := []factFound{}
	for {
		var d engine.Decision
		err := s.View(ctx, func(st engine.State) (err error) {
			d, err = e.Decide(q, now, st, live)
			return err
		})
		if err != nil || len(d.Needs) == 0 || len(facts) > mostFacts {
			return d, facts, err
		}
		if out == nil {
			out = helper.NewOutside(p.DNS, nil, nil)
		}
		short, done := context.WithTimeout(ctx, askTime/4)
		live.Facts = helper.Complete(out.Gather(short, q, d.Needs, live.Facts), d.Needs)
		done()
		for _, f := range d.Needs {
			facts = append(facts, factFound{f.String(), helper.Finding(live.Facts, f)})
		}
	}
}

// askTime is how long exipold ask takes at most; mostFacts ends what would go on for ever.
const (
	askTime   = 20 * time.Second
	mostFacts = 100
)

// askOne is an engine that knows of the one policy only, and the question to put.
func askOne(p *plan.Plan, ref string, given []string) (*engine.Engine, wire.Question, error) {
	q := wire.Question{Plan: p.ID}
	if err := helperPolicy(p, ref); err != nil {
		return nil, q, err
	}
	event, err := fill(&q, given)
	if err != nil {
		return nil, q, err
	}
	alone := single.Plan(p, ref)
	if event == "" && q.Sender == "" && slices.Contains(events(alone), plan.NullSender) {
		event = plan.NullSender // a greylist asks for null senders at predata
	}
	switch all := events(alone); {
	case len(all) == 0:
		return nil, q, fmt.Errorf("nothing is asked about %s: it counts what is in the log, and only tells somebody of it (exipold case list)", ref)
	case event != "" && !slices.Contains(all, event):
		return nil, q, cli.WrongUsage("%s counts no event %q, but %s", ref, event, listed(all))
	}
	if missing := unnamed(p, ref, given); len(missing) > 0 {
		return nil, q, cli.WrongUsage("%s: name %s, too", ref, listed(missing))
	}
	if !place(alone, event, &q) {
		return nil, q, cli.WrongUsage("%s counts no event %q of that traffic", ref, event)
	}
	e, err := engine.New(alone)
	return e, q, err
}
