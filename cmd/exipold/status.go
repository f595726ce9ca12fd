package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
)

// status is what exipold status says, for machines.
type status struct {
	FormatVersion string          `json:"format_version"`
	Plan          string          `json:"plan"`    // of the file
	Socket        string          `json:"socket"`  //
	Running       *helper.Status  `json:"running"` // null where nobody answers
	NotRunning    string          `json:"not_running,omitempty"`
	Store         storeStatus     `json:"store"`
	Contacts      []contacts      `json:"contacts"` // of each greylist: whom it defers, or would, and why
	Top           []policyTop     `json:"top"`
	Allow         []said          `json:"allow"`
	Off           []said          `json:"off"`
	Desk          *deskStatus     `json:"desk,omitempty"` // absent where no policy has anything for the desk
	Bouncers      []store.Bouncer `json:"bouncers"`       // the owners whose mail bounced most in the last day
	Logs          []logStatus     `json:"logs,omitempty"` // absent where nothing is counted from a log

	now time.Time // of the store, as far as it can be had
}

// trustedRows ends the name of the rows of the clients that a greylist trusts, or may.
const trustedRows = ".trusted"

type policyTop struct {
	Policy string         `json:"policy"`
	Keys   []store.TopKey `json:"keys"`
}

func statusCommand() *cobra.Command {
	var file, socket, exim, config, gateway string
	var asJSON bool
	var most int
	cmd := &cobra.Command{
		Use:   "status",
		Short: "say what exipold sees and does",
		Long: `Prints which plans the running exipold holds, what it answered, whom each greylist
defers, or would if it did not only observe, and why, what DNS said, the pools, how
large the store is, each policy's busiest keys, and what was said at run time (allow,
off), open cases, the mail that they hold and how long Exim will keep it, notices that
wait or were given up, whose mail bounced most in the last hour and day, and how far the
logs were read. Works without a running exipold, too, as far as the store tells; and
without the store as far as the running exipold tells, with the exit status 1.

Of a store on a server it says how each host does, as the running exipold sees it, which
gateways share the store and by which plan they go, and who cleans it up at the moment.

The first contacts of a greylist are counted over the time in which a retry may come
(retry), those of one that only observes over 14 days, or retry, if that is longer;
each once, however often it was deferred. They are listed by what made them suspicious
and by the sender's domain, and the newest with client, sender and recipient, as far as
the greylist's key has them.`,
		Example: `  exipold status
  exipold status --json | jq .running.unknown_plan
  exipold status --json | jq '.contacts[].whys'`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			p, err := helper.ReadPlan(file)
			if err != nil {
				return err
			}
			here, err := gatewayName(gateway)
			if err != nil {
				return err
			}
			ctx, cancel := storeContext(cmd)
			defer cancel()
			st := newStatus(ctx, p, cmp.Or(socket, p.Socket))
			options := storeOptions{gateway: here}
			if st.Store.Health.Away != "" {
				options.wait = awayWait
			}
			s, err := openStore(ctx, p, options)
			if err == nil {
				err = st.gather(ctx, p, s, most)
				if err == nil {
					st.Desk, err = deskOf(ctx, p, s, st.now, exim, config)
				}
				if err == nil {
					st.Logs, err = logsOf(ctx, p, s, here)
				}
				err = errors.Join(withMend(err, p), s.Close())
			}
			if err != nil && st.Running == nil && p.Store.Kind == plan.SQLite {
				return err // there is nothing else to say
			}
			if err != nil {
				st.Store.Error = err.Error()
			}
			if asJSON {
				return errors.Join(err, printJSON(cmd.OutOrStdout(), st))
			}
			return errors.Join(err, st.print(cmd.OutOrStdout()))
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&socket, "socket", "", "ask here rather than on the plan's socket")
	cmd.Flags().IntVar(&most, "top", 5, "how many of each policy's busiest keys, of each greylist's newest first contacts, and of the owners of bounces")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().StringVar(&exim, "exim", "", "ask this Exim `BINARY` how long it keeps frozen mail; the usual places by default")
	cmd.Flags().StringVar(&config, "exim-config", "", "Exim's configuration `FILE`; the binary's own by default")
	addGateway(cmd, &gateway)
	return cmd
}

// awayWait is how long a store on a server is waited for where nobody wants to wait: the running exipold knows it to
// be away, or a shell asks on behalf of somebody who types.
const awayWait = 2 * time.Second

// running asks the running exipold how it does.
func running(ctx context.Context, socket string) (*helper.Status, error) {
	b, err := askSocket(ctx, socket, helper.StatusQuestion, 3*time.Second)
	if err != nil {
		return nil, err
	}
	var s helper.Status
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("who listens on %s is no exipold: %w", socket, err)
	}
	return &s, nil
}

// newStatus is what can be said without the store.
func newStatus(ctx context.Context, p *plan.Plan, socket string) *status {
	st := &status{
		FormatVersion: "1.0", Plan: p.ID, Socket: socket, Contacts: []contacts{}, Top: []policyTop{}, Allow: []said{}, Off: []said{}, Bouncers: []store.Bouncer{},
		Store: storeStatus{Name: p.Store.String(), Stats: store.Stats{Tables: []store.TableStats{}}, Gateways: []gatewayStatus{}}, now: time.Now(),
	}
	var err error
	if st.Running, err = running(ctx, socket); err != nil {
		st.NotRunning = err.Error()
	} else {
		st.Store.Health = st.Running.Store
	}
	return st
}

// gather adds what the store says.
func (st *status) gather(ctx context.Context, p *plan.Plan, s store.Store, most int) error {
	st.now = s.Now()
	at, now := st.now, st.now.UnixMilli()
	err := st.Store.gather(ctx, p, s, now)
	if err != nil {
		return err
	}
	for _, g := range p.Greylists {
		c, err := greylistContacts(ctx, s, g, most, at)
		if err != nil {
			return err
		}
		st.Contacts = append(st.Contacts, c)
	}
	for _, ref := range policyRefs(p) {
		for _, name := range []string{ref, ref + trustedRows, "observe:" + ref, "observe:" + ref + trustedRows} {
			keys, err := s.Top(ctx, name, most, now)
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				st.Top = append(st.Top, policyTop{name, keys})
			}
		}
	}
	bouncers, err := s.Bouncers(ctx, at.Add(-time.Hour).UnixMilli(), at.Add(-24*time.Hour).UnixMilli(), most)
	if err != nil {
		return err
	}
	st.Bouncers = append(st.Bouncers, bouncers...)
	r, err := s.Runtime(ctx, now)
	st.Allow, st.Off = allowances(r), switches(r)
	return err
}

// print is the status for people.
func (st *status) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var err error
	fmt.Fprintf(w, "plan\t%s\n", st.Plan)
	if r := st.Running; r != nil {
		fmt.Fprintf(w, "running\tsince %s, on %s\n", r.Started.Format(time.RFC3339), st.Socket)
		fmt.Fprintf(w, "holds\t%s\n", strings.Join(r.Plans, ", "))
		fmt.Fprintf(w, "questions\t%d (%d by an unknown plan, %d repeated, %d unreadable), %d in old verbs\n", r.Questions, r.UnknownPlan, r.Repeated, r.Malformed, r.OldVerbs)
		if r.Trouble != "" {
			fmt.Fprintf(w, "trouble\t%s\n", readable(r.Trouble))
		}
	} else {
		fmt.Fprintf(w, "running\tno: %s\n", st.NotRunning)
	}
	for _, c := range st.Contacts {
		c.print(w)
		err = errors.Join(err, w.Flush()) // each is as wide as it needs
	}
	if st.Running != nil {
		printOutside(w, st.Running)
	}
	if st.Desk != nil {
		st.Desk.print(w, st.now)
	}
	printBouncers(w, st.Bouncers)
	printLogs(w, st.Logs)
	st.Store.print(w, st.now)
	for _, t := range st.Top {
		if slices.ContainsFunc(st.Contacts, func(c contacts) bool { return c.rows == t.Policy && len(c.Newest) > 0 }) {
			continue // its keys stand above already
		}
		fmt.Fprintf(w, "top of %s\n", t.Policy)
		for _, k := range t.Keys {
			fmt.Fprintf(w, "  %s\t%s\n", readable(k.Key), howBusy(t.Policy, k))
		}
	}
	for _, a := range st.Allow {
		fmt.Fprintf(w, "allowed\t%d: %s %s, %s, by %s, %s: %s\n", a.ID, a.Field, readable(a.Pattern), cmp.Or(a.Policy, "all policies"), readable(a.Owner), ends(a.Until), strconv.Quote(a.Why))
	}
	for _, o := range st.Off {
		fmt.Fprintf(w, "off\t%s, by %s, %s: %s\n", o.Policy, readable(o.Owner), ends(o.Until), strconv.Quote(o.Why))
	}
	return errors.Join(err, w.Flush())
}

// howBusy says what is known of one of a policy's keys.
func howBusy(policy string, k store.TopKey) string {
	switch {
	case k.Table == "counter" && k.Since != 0:
		return fmt.Sprintf("%d of them since the release at %s", k.N, rfc3339(k.Since))
	case k.Table == "counter":
		return fmt.Sprintf("%d counted in %s", k.N, plan.Duration(time.Duration(k.Span)*time.Second))
	case k.Table == "distinct_member":
		return fmt.Sprintf("%d different", k.N)
	case strings.HasSuffix(policy, trustedRows):
		return number(k.N, "pass", "passes")
	case k.LetIn:
		return "let in"
	}
	return "waiting"
}

// number is so many of something, in words.
func number[N int | int64 | uint64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// readable shows what others chose (a key, a name) without letting it do anything to a terminal.
func readable(s string) string {
	q := strconv.Quote(s)
	if q == `"`+s+`"` {
		return s
	}
	return q
}
