package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/pools"
)

// endPools writes what was found, or says with the exit status what it is.
func endPools(say io.Writer, p *plan.Plan, out poolsReport, pin string, found []resolved) error {
	if slices.ContainsFunc(out.Pools, func(p poolReport) bool { return p.Error != "" }) {
		if pin != "" {
			fmt.Fprintf(say, "exipold: %s is not written: it would not have all pools\n", pin)
		}
		return cli.Exit(cli.Failed)
	}
	if pin != "" {
		all := pinned(found)
		if err := pools.Write(pin, all); err != nil {
			return err
		}
		sayPinned(say, p, pin, all)
		return nil
	}
	if slices.ContainsFunc(out.Pools, func(p poolReport) bool { return p.Changed }) {
		return cli.Exit(cli.Differs)
	}
	return nil
}

// sayPinned says what was written, and whether exipold will read it.
func sayPinned(w io.Writer, p *plan.Plan, pin string, all []pools.Networks) {
	networks := 0
	for _, n := range all {
		networks += len(n.Networks)
	}
	fmt.Fprintf(w, "exipold: wrote %s: %s with %s\n", pin, number(len(all), "pool", "pools"), number(networks, "network", "networks"))
	path, err := filepath.Abs(pin)
	switch {
	case err == nil && path == filepath.Clean(p.PoolsFile):
		fmt.Fprintln(w, "exipold: it is in force when exipold is reloaded")
	case p.PoolsFile == "":
		fmt.Fprintf(w, "exipold: warning: exipold does not read it: the policies name no file (helper { pools = %q })\n", path)
	default:
		fmt.Fprintf(w, "exipold: warning: exipold does not read it: the policies name another file, %s\n", p.PoolsFile)
	}
}

// pinned is what a file that pins the pools holds: what their SPF records name. What the
// policies give comes with them.
func pinned(found []resolved) (all []pools.Networks) {
	for _, f := range found {
		if len(f.SPF) > 0 {
			f.Resolved = time.Time{}
			all = append(all, f.Networks)
		}
	}
	return all
}
