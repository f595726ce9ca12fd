package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/owner"
	"exipol/helper/store/sqlite"
)

// storeTimeout bounds what a command (not serve) waits for the store.
const storeTimeout = 30 * time.Second

// busyTimeout is how long a command waits for another process's lock: exipold serve writes one
// transaction after the other while it catches up with a log.
const busyTimeout = 10 * time.Second

// usualPlan is where INSTALL.txt puts the plan.
const usualPlan = "/etc/exipol/plan.json"

// planFlag adds --plan, which nearly every command has.
func planFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "plan", usualPlan, "the plan.json that exipol build wrote")
	_ = cmd.MarkFlagFilename("plan", "json")
}

// openStore opens the plan's store. With Create it also makes it, and brings it to the
// plan's schema. An error says what mends it.
func openStore(ctx context.Context, p *plan.Plan, options sqlite.Options) (*sqlite.Store, error) {
	if p.Store.Kind != "sqlite" {
		return nil, fmt.Errorf("store %q: this exipold knows sqlite only", p.Store.Kind)
	}
	_, err := os.Lstat(p.Store.Path)
	fresh := errors.Is(err, os.ErrNotExist)
	if !options.Create && options.BusyTimeout == 0 {
		options.BusyTimeout = busyTimeout
	}
	s, err := sqlite.Open(ctx, p.Store.Path, options)
	if err != nil {
		return nil, withMend(err, p)
	}
	if !options.Create {
		return s, nil
	}
	if _, err := s.Migrate(ctx, p.Tables); err != nil {
		return nil, errors.Join(withMend(err, p), s.Close())
	}
	if fresh {
		inherit(p.Store.Path)
	}
	return s, nil
}

// inherit gives a store that root has made to the owner of its directory: exipold
// runs as a user of its own and must be able to open it. SQLite does the same for
// the files that it makes beside a store.
func inherit(store string) { owner.Inherit(store, store+"-wal", store+"-shm") }

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
	s, err := openStore(ctx, p, sqlite.Options{})
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
