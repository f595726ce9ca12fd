package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/single"
	"exipol/helper/store/sqlite"
)

// askFields are the fields of a question that can be given.
var askFields = []string{"client", "helo", "sender", "recipient", "auth", "event"}

func askCommand() *cobra.Command {
	var file, moment string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ask POLICY FIELD=VALUE...",
		Short: "ask what a policy would say, without side effects",
		Long: `Asks one policy (greylist.NAME or limit.NAME) what it would say now, and why. Nothing
is counted, nothing is remembered, and no running exipold is needed.

Fields: client (an IP address), helo, sender (empty or <> for the null sender),
recipient, auth, and event, where a limit counts more than one.`,
		Example: `  exipold ask greylist.inbound client=192.0.2.1 sender=a@b.example recipient=c@d.example
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
				var d engine.Decision
				err = s.View(ctx, func(st engine.State) (err error) {
					d, err = e.Decide(q, now, st, engine.Live{Runtime: &r, Explain: true})
					return err
				})
				if err != nil {
					return err
				}
				return printDecision(cmd, q, d, asJSON)
			})
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&moment, "now", "", "ask as of this moment (RFC 3339) rather than now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

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
		case "event":
			event = value
		}
	}
	if event == "" && strings.HasPrefix(ref, "greylist.") && q.Sender == "" {
		event = plan.NullSender // null senders are asked for at predata
	}
	alone := single.Plan(p, ref)
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
		}
	}
	for _, l := range p.Limits {
		if l.Ref() == ref {
			key = l.Key
		}
	}
	for _, part := range key {
		field, _, _ := strings.Cut(part.Field, ".")
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

// asked is the answer to exipold ask, for machines.
type asked struct {
	FormatVersion string         `json:"format_version"`
	Verdict       string         `json:"verdict"`
	By            string         `json:"by,omitempty"`
	Delay         int64          `json:"delay"` // seconds
	Would         string         `json:"would,omitempty"`
	At            string         `json:"at"`
	Traffic       string         `json:"traffic"`
	Event         string         `json:"event"`
	Writes        int            `json:"writes"` // what a real question would have changed
	Reasons       []engineReason `json:"reasons"`
}

type engineReason struct {
	Policy  string `json:"policy"`
	Tier    string `json:"tier,omitempty"`
	Verdict string `json:"verdict"`
	Observe bool   `json:"observe,omitempty"`
	Text    string `json:"text"`
}

func printDecision(cmd *cobra.Command, q wire.Question, d engine.Decision, asJSON bool) error {
	out := asked{
		FormatVersion: "1.0", Verdict: d.Answer.Verdict, By: d.Answer.By, Delay: d.Answer.Delay, Would: d.Answer.Would,
		At: q.Stage + "." + q.Half, Traffic: q.Traffic, Event: q.Events[0], Writes: len(d.Writes), Reasons: []engineReason{},
	}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, engineReason(r))
	}
	w := cmd.OutOrStdout()
	if asJSON {
		return printJSON(w, out)
	}
	verdict := out.Verdict
	if out.Delay > 0 {
		verdict += fmt.Sprintf(" after %ds", out.Delay)
	}
	if out.Would != "" {
		verdict += fmt.Sprintf(" (observing: would be %s)", out.Would)
	}
	fmt.Fprintln(w, verdict)
	for _, r := range out.Reasons {
		name := r.Policy
		if r.Tier != "" {
			name += "/" + r.Tier
		}
		fmt.Fprintf(w, "  %s: %s: %s\n", name, r.Verdict, readable(r.Text))
	}
	return nil
}
