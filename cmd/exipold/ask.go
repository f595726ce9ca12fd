package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/pools"
	"exipol/helper/single"
	"exipol/helper/store/sqlite"
)

// askFields are the fields of a question that can be given.
var askFields = []string{"client", "helo", "host", "sender", "recipient", "auth", "from", "dkim", "event"}

func askCommand() *cobra.Command {
	var file, state, moment string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ask POLICY FIELD=VALUE...",
		Short: "ask what a policy would say, without side effects",
		Long: `Asks one policy (greylist.NAME or limit.NAME) what it would say now, and why. Nothing
is counted, nothing is remembered, and no running exipold is needed. What the policy
wants to know of the client and the sender is looked up in DNS, and printed; of
clients of private networks (but not of loopback) nothing is looked up. The traffic is
the policy's own: whether Exim would take the client for a relay host is not asked.

Fields: client (an IP address), helo, host (its name, where Exim knows it; - where it
has none), sender (empty or <> for the null sender), recipient, auth, from (the
address of the From header), dkim (the domains whose signatures verified, with commas
between them), and event, where a limit counts more than one.`,
		Example: `  exipold ask greylist.selective client=203.0.113.5 helo=mail.b.example sender=a@b.example recipient=c@d.example
  exipold ask greylist.selective client=203.0.113.5 helo=mail.b.example sender= recipient=c@d.example
  exipold ask limit.tarpit client=192.0.2.1 --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			now := time.Now()
			if moment != "" {
				var err error
				if now, err = time.Parse(time.RFC3339, moment); err != nil {
					return cli.WrongUsage("--now %s: a moment as in 2027-03-01T12:00:00Z belongs there", moment)
				}
			}
			return withStore(cmd, file, func(ctx context.Context, p *plan.Plan, s *sqlite.Store) error {
				e, q, err := askOne(p, args[0], args[1:])
				if err != nil {
					return err
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
func decide(ctx context.Context, p *plan.Plan, state string, s *sqlite.Store, e *engine.Engine, q wire.Question, now time.Time, r *engine.Runtime) (engine.Decision, []factFound, error) {
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
	event := ""
	for _, g := range given {
		name, value, found := strings.Cut(g, "=")
		if !found || !slices.Contains(askFields, name) {
			return nil, q, cli.WrongUsage("%q is not FIELD=VALUE with one of the fields %s", g, listed(askFields))
		}
		switch name {
		case "client":
			a, err := netip.ParseAddr(value)
			if err != nil {
				return nil, q, cli.WrongUsage("client=%s: not an IP address", value)
			}
			q.Client = a.Unmap().WithZone("")
		case "helo":
			q.Helo = value
		case "sender":
			q.Sender = strings.TrimSuffix(strings.TrimPrefix(value, "<"), ">")
		case "recipient":
			q.Recipient = value
		case "auth":
			q.Auth = value
		case "host":
			q.Host = value
		case "from":
			q.From = value
		case "dkim":
			q.Dkim = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		case "event":
			event = value
		}
	}
	alone := single.Plan(p, ref)
	if event == "" && q.Sender == "" && slices.Contains(events(alone), plan.NullSender) {
		event = plan.NullSender // a greylist asks for null senders at predata
	}
	if !place(alone, event, &q) {
		return nil, q, cli.WrongUsage("%s counts no event %q, but %s", ref, event, listed(events(alone)))
	}
	if missing := unnamed(p, ref, given); len(missing) > 0 {
		return nil, q, cli.WrongUsage("%s: name %s, too", ref, listed(missing))
	}
	e, err := engine.New(alone)
	return e, q, err
}

// unnamed are the fields that the policy judges by and nobody gave: one that is left
// out is not one that is empty.
func unnamed(p *plan.Plan, ref string, given []string) (missing []string) {
	var fields []string
	var key []plan.Part
	for _, g := range p.Greylists {
		if g.Ref() == ref {
			fields, key = []string{"sender", "recipient"}, g.Key
			if len(g.Suspicious)+len(g.Spare)+len(g.Urgent) > 0 {
				fields = append(fields, "client", "helo")
			}
		}
	}
	for _, l := range p.Limits {
		if l.Ref() == ref {
			key = l.Key
		}
	}
	for _, part := range key {
		field, _, _ := strings.Cut(part.Field, ".")
		if field == "pool" {
			field = "client"
		}
		fields = append(fields, field)
	}
	for _, field := range askFields {
		has := func(g string) bool { return strings.HasPrefix(g, field+"=") }
		if slices.Contains(fields, field) && !slices.ContainsFunc(given, has) {
			missing = append(missing, field+"=")
		}
	}
	return missing
}

// place says where the question is asked: the first place in a session where the plan
// asks for the event, or for any where it is empty.
func place(p *plan.Plan, event string, q *wire.Question) bool {
	for _, s := range p.Stages {
		for _, half := range []string{plan.Before, plan.After} {
			for _, a := range asksOf(s, half) {
				if event == "" || a.Event == event {
					q.Stage, q.Half, q.Traffic, q.Events = s.Name, half, a.Traffic, []string{a.Event}
					return true
				}
			}
		}
	}
	return false
}

func asksOf(s plan.Stage, half string) []plan.Ask {
	if half == plan.Before {
		return s.Before
	}
	return s.After
}

// events are all that a plan asks for, each once.
func events(p *plan.Plan) []string {
	var out []string
	for _, s := range p.Stages {
		for _, a := range slices.Concat(s.Before, s.After) {
			if !slices.Contains(out, a.Event) {
				out = append(out, a.Event)
			}
		}
	}
	return out
}
