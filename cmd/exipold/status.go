package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
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
	"exipol/helper/store/sqlite"
)

// status is what exipold status says, for machines.
type status struct {
	FormatVersion string         `json:"format_version"`
	Plan          string         `json:"plan"`    // of the file
	Socket        string         `json:"socket"`  //
	Running       *helper.Status `json:"running"` // null where nobody answers
	NotRunning    string         `json:"not_running,omitempty"`
	Store         store.Stats    `json:"store"`
	Contacts      []contacts     `json:"contacts"` // of each greylist: whom it defers, or would, and why
	Top           []policyTop    `json:"top"`
	Allow         []said         `json:"allow"`
	Off           []said         `json:"off"`
}

// trustedRows ends the name of the rows of the clients that a greylist trusts, or may.
const trustedRows = ".trusted"

type policyTop struct {
	Policy string         `json:"policy"`
	Keys   []store.TopKey `json:"keys"`
}

func statusCommand() *cobra.Command {
	var file, socket string
	var asJSON bool
	var most int
	cmd := &cobra.Command{
		Use:   "status",
		Short: "say what exipold sees and does",
		Long: `Prints which plans the running exipold holds, what it answered, how large the store
is, whom each greylist defers, or would if it did not only observe, and why, each
policy's busiest keys, the pools, and what was said at run time (allow, off). Works
without a running exipold, too, as far as the store tells.

The first contacts of a greylist are counted over the time in which a retry may come
(retry), each once, however often it was deferred, and listed by what made it
suspicious.`,
		Example: `  exipold status
  exipold status --json | jq .running.unknown_plan
  exipold status --json | jq '.contacts[].whys'`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, file, func(ctx context.Context, p *plan.Plan, s *sqlite.Store) error {
				st, err := gather(ctx, p, s, cmp.Or(socket, p.Socket), most)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), st)
				}
				return st.print(cmd.OutOrStdout())
			})
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&socket, "socket", "", "ask here rather than on the plan's socket")
	cmd.Flags().IntVar(&most, "top", 5, "how many of each policy's busiest keys, and of each greylist's newest first contacts")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

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

func gather(ctx context.Context, p *plan.Plan, s *sqlite.Store, socket string, most int) (status, error) {
	at := time.Now()
	now := at.UnixMilli()
	st := status{FormatVersion: "1.0", Plan: p.ID, Socket: socket, Contacts: []contacts{}, Top: []policyTop{}}
	var err error
	if st.Running, err = running(ctx, socket); err != nil {
		st.NotRunning = err.Error()
	}
	if st.Store, err = s.Stats(ctx, now); err != nil {
		return st, err
	}
	for _, g := range p.Greylists {
		c, err := greylistContacts(ctx, s, g, most, at)
		if err != nil {
			return st, err
		}
		st.Contacts = append(st.Contacts, c)
	}
	for _, ref := range policyRefs(p) {
		for _, name := range []string{ref, ref + trustedRows, "observe:" + ref, "observe:" + ref + trustedRows} {
			keys, err := s.Top(ctx, name, most, now)
			if err != nil {
				return st, err
			}
			if len(keys) > 0 {
				st.Top = append(st.Top, policyTop{name, keys})
			}
		}
	}
	r, err := s.Runtime(ctx, now)
	st.Allow, st.Off = allowances(r), switches(r)
	return st, err
}

// print is the status for people.
func (st status) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "plan\t%s\n", st.Plan)
	if r := st.Running; r != nil {
		fmt.Fprintf(w, "running\tsince %s, on %s\n", r.Started.Format(time.RFC3339), st.Socket)
		fmt.Fprintf(w, "holds\t%s\n", strings.Join(r.Plans, ", "))
		fmt.Fprintf(w, "questions\t%d (%d by an unknown plan, %d repeated, %d unreadable), %d in old verbs\n", r.Questions, r.UnknownPlan, r.Repeated, r.Malformed, r.OldVerbs)
		if r.Trouble != "" {
			fmt.Fprintf(w, "trouble\t%s\n", readable(r.Trouble))
		}
		printOutside(w, r)
	} else {
		fmt.Fprintf(w, "running\tno: %s\n", st.NotRunning)
	}
	fmt.Fprintf(w, "store\t%d KiB, schema version %d\n", st.Store.Bytes/1024, st.Store.Version)
	for _, t := range st.Store.Tables {
		fmt.Fprintf(w, "  %s\t%d rows, %d of them expired\n", t.Name, t.Rows, t.Expired)
		for _, p := range t.Policies {
			fmt.Fprintf(w, "    %s\t%d rows\n", p.Policy, p.Rows)
		}
	}
	for _, c := range st.Contacts {
		c.print(w)
	}
	for _, t := range st.Top {
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
	return w.Flush()
}

// printOutside says what was found out, and what is known of the pools.
func printOutside(w io.Writer, r *helper.Status) {
	if n := r.DNS; n != nil && n.Asked+n.Known > 0 {
		fmt.Fprintf(w, "DNS\t%d lookups, %d of them failed; %d more known already\n", n.Asked, n.Failed, n.Known)
	}
	for _, fact := range slices.Sorted(maps.Keys(r.Facts)) {
		var words []string
		for _, word := range slices.Sorted(maps.Keys(r.Facts[fact])) {
			words = append(words, fmt.Sprintf("%d %s", r.Facts[fact][word], word))
		}
		fmt.Fprintf(w, "  %s\t%s\n", readable(fact), readable(strings.Join(words, ", ")))
	}
	if r.PoolsFile != "" {
		fmt.Fprintf(w, "pinned pools\t%s\n", readable(r.PoolsFile))
	}
	for _, p := range r.Pools {
		from := "never resolved"
		switch {
		case p.Pinned:
			from = "pinned"
		case !p.Resolved.IsZero():
			from = "resolved " + p.Resolved.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "pool %s\t%d networks, %s\n", p.Name, p.Networks, from)
		if p.Error != "" {
			fmt.Fprintf(w, "\tcannot be resolved at the moment: %s\n", readable(p.Error))
		}
		for _, n := range p.Notes {
			fmt.Fprintf(w, "\tnot counted: %s\n", readable(n))
		}
	}
}

// howBusy says what is known of one of a policy's keys.
func howBusy(policy string, k store.TopKey) string {
	switch {
	case k.Table == "counter":
		return fmt.Sprintf("%d counted in %s", k.N, plan.Duration(time.Duration(k.Span)*time.Second))
	case k.Table == "distinct_member":
		return fmt.Sprintf("%d different", k.N)
	case strings.HasSuffix(policy, trustedRows) && k.N == 1:
		return "1 pass"
	case strings.HasSuffix(policy, trustedRows):
		return fmt.Sprintf("%d passes", k.N)
	case k.LetIn:
		return "let in"
	}
	return "waiting"
}

// readable shows what others chose (a key, a name) without letting it do anything to a terminal.
func readable(s string) string {
	q := strconv.Quote(s)
	if q == `"`+s+`"` {
		return s
	}
	return q
}
