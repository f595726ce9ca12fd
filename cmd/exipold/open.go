package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/owner"
	"exipol/helper/store"
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

// storeOptions say how a store is opened; the zero value is for a command that uses what is there.
type storeOptions struct {
	// create makes the store, where it is a file, and brings it to the plan's schema.
	create bool
	// maxBytes is the largest size of a store that is a file; 0 for none. A server's size is the server's matter.
	maxBytes int64

	// The rest is for a store on a server.
	gateway string        // who this is; "": the host's name
	answer  time.Duration // how long an operation may take; 0: as long as somebody waits for a command
	wait    time.Duration // for a host that can be used; 0: as long as a cluster may need to change
	patient bool          // come back although no server answers, and leave create undone then
	log     *slog.Logger  // of what the servers do; nil: nobody is told
}

// openStore opens the plan's store, of whichever kind. An error says what mends it.
func openStore(ctx context.Context, p *plan.Plan, o storeOptions) (store.Store, error) {
	switch p.Store.Kind {
	case plan.SQLite:
		return openFile(ctx, p, o)
	case plan.MySQL:
		return openServer(ctx, p, o)
	}
	return nil, fmt.Errorf("store %q: this exipold knows %s and %s only", p.Store.Kind, plan.SQLite, plan.MySQL)
}

// openFile opens a store that is a file.
func openFile(ctx context.Context, p *plan.Plan, o storeOptions) (store.Store, error) {
	_, err := os.Lstat(p.Store.Path)
	fresh := errors.Is(err, os.ErrNotExist)
	options := sqlite.Options{Create: o.create, MaxBytes: o.maxBytes}
	if !o.create {
		options.BusyTimeout = busyTimeout
	}
	s, err := sqlite.Open(ctx, p.Store.Path, options)
	if err != nil {
		return nil, withMend(err, p)
	}
	if !o.create {
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
func inherit(file string) { owner.Inherit(file, file+"-wal", file+"-shm") }

// withStore runs f on the store of a plan file, with a deadline.
func withStore(cmd *cobra.Command, file string, f func(ctx context.Context, p *plan.Plan, s store.Store) error) error {
	return withStoreSoon(cmd, file, storeOptions{}, f)
}

// withStoreSoon is withStore for somebody who does not wait for a server as long as that.
func withStoreSoon(cmd *cobra.Command, file string, o storeOptions, f func(ctx context.Context, p *plan.Plan, s store.Store) error) error {
	p, err := helper.ReadPlan(file)
	if err != nil {
		return err
	}
	ctx, cancel := storeContext(cmd)
	defer cancel()
	s, err := openStore(ctx, p, o)
	if err != nil {
		return err
	}
	return errors.Join(withMend(f(ctx, p, s), p), s.Close())
}

// storeContext ends when a command has waited long enough for the store.
func storeContext(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	return context.WithTimeout(parent, storeTimeout)
}

// printJSON prints a value for machines.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
