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
	"strings"
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
answer for a pool. As exipold resolves them every few hours, it also says what the last
time changed, and when.

--pin writes the file that helper.pools names. exipold then reads that file alone and
never resolves the pools: for hosts without DNS, for tests, and for whoever wants to
see a change before it is in force. Nothing is written where DNS did not answer for
all pools.`,
		Example: `  exipold pools
  exipold pools --pin /etc/exipol/pools.json   # then reload exipold
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
				if pin == "" {
					return err
				}
				// Perhaps it is the very file that is to be written anew.
				fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %v: compared with nothing\n", err)
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
			if more := helper.UnknownPools(p, used); len(more) > 0 && p.PoolsFile != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s has pools that no policy names: %s\n", p.PoolsFile, listed(more))
			}
			return endPools(cmd.ErrOrStderr(), p, out, pin, found)
		}),
	}
	planFlag(cmd, &file)
	cmd.Flags().StringVar(&state, "state-dir", "", "where exipold remembers the pools; systemd's state directory, or that of the store, by default")
	cmd.Flags().StringVar(&pin, "pin", "", "write the networks into this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
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

// resolveAll asks DNS for all pools at once, except for those that have no SPF domains.
func resolveAll(ctx context.Context, p *plan.Plan) []resolved {
	out := helper.NewOutside(p.DNS, nil, nil)
	found := make([]resolved, len(p.Pools))
	var wg sync.WaitGroup
	for i, pool := range p.Pools {
		found[i].Name = pool.Name
		if len(pool.SPF) > 0 {
			wg.Go(func() { found[i].Networks, found[i].err = helper.ResolvePool(ctx, out, pool, time.Now()) })
		}
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

	resolvable int // so many have SPF domains
}

type poolReport struct {
	Name     string         `json:"name"`
	Networks []netip.Prefix `json:"networks"`
	Notes    []string       `json:"notes"` // what of the SPF records is no network
	Changed  bool           `json:"changed"`
	Added    []netip.Prefix `json:"added"` // not in use yet
	Removed  []netip.Prefix `json:"removed"`
	Error    string         `json:"error,omitempty"`
	Reason   string         `json:"reason,omitempty"` // of Error, without the name that was asked for

	LastChange *pools.LastChange `json:"last_change,omitempty"` // by the running exipold; absent: none yet, or pinned
}

// comparePools says how what DNS has now differs from what is in use; both with what the
// policies give.
func comparePools(p *plan.Plan, state string, used []pools.Networks, found []resolved) poolsReport {
	out := poolsReport{FormatVersion: "1.0", Plan: p.ID, InUse: poolsFile(p, state), Pools: []poolReport{}}
	var news []pools.Networks
	for _, f := range found {
		news = append(news, f.Networks)
	}
	olds := helper.PoolNetworks(p, used)
	for i, now := range helper.PoolNetworks(p, news) {
		r := poolReport{Name: now.Name, Notes: listOf(now.Notes), Networks: []netip.Prefix{}, Added: []netip.Prefix{}, Removed: []netip.Prefix{}, LastChange: olds[i].Last}
		if hasSPF(p.Pools[i]) {
			out.resolvable++
		}
		if err := found[i].err; err != nil {
			r.Error, r.Reason = helper.PoolError(now.Name, err), helper.Reason(err)
		} else {
			r.Networks = listOf(now.Networks)
			for _, c := range pools.Diff(olds[i:i+1], []pools.Networks{now}) {
				r.Changed, r.Added, r.Removed = true, listOf(c.Added), listOf(c.Removed)
			}
		}
		out.Pools = append(out.Pools, r)
	}
	return out
}

// allFor is the reason why all of so many pools cannot be resolved, if it is the same
// for all of them; "" otherwise, and for a single one.
func allFor(reasons []string, pools int) string {
	if pools < 2 || len(reasons) != pools || len(slices.Compact(slices.Clone(reasons))) != 1 {
		return ""
	}
	return reasons[0]
}

// changed is a pool's last change in a few words.
func changed(c *pools.LastChange) string {
	return fmt.Sprintf("changed %s: +%d -%d networks", c.At.UTC().Format(time.DateOnly), len(c.Added), len(c.Removed))
}

// details are the networks of a change, as far as there is room for them.
func details(c *pools.LastChange) string {
	const most = 10
	var all []string
	for _, n := range c.Added {
		all = append(all, "+"+n.String())
	}
	for _, n := range c.Removed {
		all = append(all, "-"+n.String())
	}
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("%d more", len(all)-most))
	}
	return strings.Join(all, ", ")
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
	var failed []string
	for _, p := range r.Pools {
		if p.Error != "" {
			failed = append(failed, p.Reason)
		}
	}
	common := allFor(failed, r.resolvable)
	if common != "" {
		say("none of %d pools could be resolved: %s", r.resolvable, readable(common))
		say("%s", helper.PoolsMend)
	}
	for _, p := range r.Pools {
		if p.Error != "" {
			if common == "" {
				say("%s: %s", p.Name, readable(p.Error))
			}
			continue
		}
		say("%s: %s", p.Name, number(len(p.Networks), "network", "networks"))
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
		if p.LastChange != nil {
			say("  %s (%s)", changed(p.LastChange), details(p.LastChange))
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
