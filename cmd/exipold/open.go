package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store/sqlite"
)

// storeTimeout bounds what a command (not serve) waits for the store.
const storeTimeout = 30 * time.Second

// planFlag adds --plan, which nearly every command has.
func planFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "plan", "", "the plan.json that exipol build wrote")
	_ = cmd.MarkFlagRequired("plan")
	_ = cmd.MarkFlagFilename("plan", "json")
}

// openStore opens the plan's store. create also makes it, and brings it to the
// plan's schema.
func openStore(ctx context.Context, p *plan.Plan, create bool) (*sqlite.Store, error) {
	if p.Store.Kind != "sqlite" {
		return nil, fmt.Errorf("store %q: this exipold knows sqlite only", p.Store.Kind)
	}
	_, err := os.Lstat(p.Store.Path)
	fresh := errors.Is(err, os.ErrNotExist)
	s, err := sqlite.Open(ctx, p.Store.Path, sqlite.Options{Create: create})
	if err != nil {
		return nil, err
	}
	if !create {
		return s, nil
	}
	if _, err := s.Migrate(ctx, p.Tables); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if fresh {
		giveAway(p.Store.Path)
	}
	return s, nil
}

// giveAway gives a store that root has made to the owner of its directory: exipold
// runs as a user of its own and must be able to open it. SQLite does the same for
// the files that it makes beside a store.
func giveAway(path string) {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Lchown(path+suffix, int(owner.Uid), int(owner.Gid))
	}
}

// withStore runs f on the store of a plan file, with a deadline.
func withStore(cmd *cobra.Command, file string, f func(ctx context.Context, p *plan.Plan, s *sqlite.Store) error) error {
	p, err := helper.ReadPlan(file)
	if err != nil {
		return err
	}
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, storeTimeout)
	defer cancel()
	s, err := openStore(ctx, p, false)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, p, s), s.Close())
}

// printJSON prints a value for machines.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// policyRefs are the full names of a plan's policies.
func policyRefs(p *plan.Plan) []string {
	var refs []string
	for _, g := range p.Greylists {
		refs = append(refs, g.Ref())
	}
	for _, l := range p.Limits {
		refs = append(refs, l.Ref())
	}
	return refs
}

// knownPolicy is wrong usage where the plan has no such policy.
func knownPolicy(p *plan.Plan, ref string) error {
	refs := policyRefs(p)
	for _, r := range refs {
		if r == ref {
			return nil
		}
	}
	if len(refs) == 0 {
		return cli.WrongUsage("no policy %q: this plan has none at all", ref)
	}
	return cli.WrongUsage("no policy %q in this plan, which has %s", ref, listed(refs))
}

func listed(words []string) string {
	out := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			out += " and "
		default:
			out += ", "
		}
		out += w
	}
	return out
}
