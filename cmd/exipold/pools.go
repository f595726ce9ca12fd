package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/pools"
)

func poolsCommand() *cobra.Command {
	var file, state, pin string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pools",
		Short: "resolve the pools, and say what has changed",
		Long: `Asks DNS for the networks of each of the plan's pools, prints them, and compares them
with those in use: the file that helper.pools in the policies names, or what the
running exipold resolved last. Exit status 3 where they differ, 1 where DNS did not
answer for a pool.

--pin writes the file that helper.pools names. exipold then reads that file alone and
never resolves the pools: for hosts without DNS, for tests, and for whoever wants to
see a change before it is in force. Nothing is written where DNS did not answer for
all pools.`,
		Example: `  exipold pools
  exipold pools --pin /etc/exipol/pools.json && systemctl reload exipold
  exipold pools --json | jq '.pools[] | select(.changed)'`,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command, _ []string) error {
			p, err := helper.ReadPlan(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			found := resolveAll(ctx, p)
			used, err := poolsInUse(p, state)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			out := comparePools(p, state, used, found)
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), out)
			} else {
				err = out.print(cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			return endPools(out, pin, found)
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&state, "state-dir", "", "where exipold remembers the pools; systemd's state directory, or that of the store, by default")
	cmd.Flags().StringVar(&pin, "pin", "", "write the networks into this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// endPools writes what was found, or says with the exit status what it is.
func endPools(out poolsReport, pin string, found []resolved) error {
	for _, p := range out.Pools {
		if p.Error != "" {
			return cli.Exit(cli.Failed)
		}
	}
	if pin != "" {
		var all []pools.Networks
		for _, f := range found {
			all = append(all, f.Networks)
		}
		return pools.Write(pin, all)
	}
	if slices.ContainsFunc(out.Pools, func(p poolReport) bool { return p.Changed }) {
		return cli.Exit(cli.Differs)
	}
	return nil
}

// poolsFile is the file that the networks in use are in.
func poolsFile(p *plan.Plan, state string) string {
	if p.PoolsFile != "" {
		return p.PoolsFile
	}
	return filepath.Join(stateDir(state, p), poolsState)
}

// poolsInUse is the networks that a running exipold uses, as far as files tell.
func poolsInUse(p *plan.Plan, state string) ([]pools.Networks, error) {
	return pools.Read(poolsFile(p, state))
}

// resolved is a pool as DNS has it now.
type resolved struct {
	pools.Networks
	err error
}

// resolveAll asks DNS for all pools at once.
func resolveAll(ctx context.Context, p *plan.Plan) []resolved {
	out := helper.NewOutside(p.DNS, nil, nil)
	found := make([]resolved, len(p.Pools))
	var wg sync.WaitGroup
	for i, pool := range p.Pools {
		wg.Go(func() {
			f := &found[i]
			f.Name = pool.Name
			f.Networks.Networks, f.Notes, f.err = out.Resolve(ctx, pool)
		})
	}
	wg.Wait()
	return found
}

// poolsReport is what exipold pools says, for machines.
type poolsReport struct {
	FormatVersion string       `json:"format_version"`
	Plan          string       `json:"plan"`
	InUse         string       `json:"in_use"` // the file that this was compared with
	Pools         []poolReport `json:"pools"`
}

type poolReport struct {
	Name     string         `json:"name"`
	Networks []netip.Prefix `json:"networks"`
	Notes    []string       `json:"notes"` // what of the SPF records is no network
	Changed  bool           `json:"changed"`
	Added    []netip.Prefix `json:"added"` // not in use yet
	Removed  []netip.Prefix `json:"removed"`
	Error    string         `json:"error,omitempty"`
}

// comparePools says how what DNS has now differs from what is in use.
func comparePools(p *plan.Plan, state string, used []pools.Networks, found []resolved) poolsReport {
	out := poolsReport{FormatVersion: "1.0", Plan: p.ID, InUse: poolsFile(p, state), Pools: []poolReport{}}
	for _, f := range found {
		r := poolReport{Name: f.Name, Networks: listOf(f.Networks.Networks), Notes: listOf(f.Notes), Added: []netip.Prefix{}, Removed: []netip.Prefix{}}
		var old []pools.Networks
		if i := slices.IndexFunc(used, func(n pools.Networks) bool { return n.Name == f.Name }); i >= 0 {
			old = used[i : i+1]
		}
		switch {
		case f.err != nil:
			r.Error = f.err.Error()
		default:
			for _, c := range pools.Diff(old, []pools.Networks{f.Networks}) {
				r.Changed, r.Added, r.Removed = true, listOf(c.Added), listOf(c.Removed)
			}
		}
		out.Pools = append(out.Pools, r)
	}
	return out
}

// listOf is a list that is [] in JSON where it is empty.
func listOf[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// print is the report for people.
func (r poolsReport) print(w io.Writer) error {
	if len(r.Pools) == 0 {
		_, err := fmt.Fprintln(w, "this plan has no pools")
		return err
	}
	var err error
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	for _, p := range r.Pools {
		if p.Error != "" {
			say("%s: %s", p.Name, readable(p.Error))
			continue
		}
		say("%s: %d networks", p.Name, len(p.Networks))
		for _, n := range p.Networks {
			mark := " "
			if slices.Contains(p.Added, n) {
				mark = "+"
			}
			say("%s %s", mark, n)
		}
		for _, n := range p.Removed {
			say("- %s", n)
		}
		for _, n := range p.Notes {
			say("  not counted: %s", readable(n))
		}
	}
	if slices.ContainsFunc(r.Pools, func(p poolReport) bool { return p.Changed }) {
		say("differs from what is in use (%s): + is new, - is gone", r.InUse)
	}
	return err
}
