package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
	"exipol/helper/testplan"
	"exipol/internal/mysqltest"
)

// serverPlan is a plan whose store is on a server.
func serverPlan(t *testing.T, s plan.Store) *plan.Plan {
	t.Helper()
	p := testplan.Desk(t.TempDir())
	p.Store = s
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// starts does what serve does until it listens.
func starts(t *testing.T, p *plan.Plan) (*daemon, *strings.Builder, error) {
	t.Helper()
	said := &strings.Builder{}
	d := &daemon{o: serveOptions{stateDir: t.TempDir()}, log: slog.New(slog.NewTextHandler(said, nil)), gateway: "mx1"}
	var err error
	if d.store, err = openStore(t.Context(), p, d.storeOptions(p)); err != nil {
		return nil, said, err
	}
	t.Cleanup(func() { d.store.Close() })
	return d, said, d.build(t.Context(), p)
}

// TestServeOnServer: the store is brought to the plan's schema, and known as what it is.
func TestServeOnServer(t *testing.T) {
	t.Parallel()
	p := serverPlan(t, mysqltest.Shared(t).Database())
	d, _, err := starts(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if todo, err := d.store.Pending(t.Context(), p.Tables); err != nil || len(todo) != 0 {
		t.Errorf("%v, %q", err, todo)
	}
	s := d.helper.Status()
	if s.Gateway != "mx1" || s.Store.Kind != plan.MySQL || s.Store.Host != p.Store.Hosts[0] || s.Store.Away != "" || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
	if f := storeFigures(s); !f.Up || f.Hosts[p.Store.Hosts[0]] != store.HostInUse {
		t.Errorf("%+v", f)
	}
	if got := string(d.helper.Answer(t.Context(), []byte(helper.RefreshQuestion))); got != helper.Refreshed {
		t.Errorf("%q", got)
	}
}

// TestServeWithoutServer: where no server answers exipold serves nevertheless.
func TestServeWithoutServer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	d, said, err := starts(t, serverPlan(t, plan.Store{Kind: plan.MySQL, Hosts: []string{nobody}, Database: "exipol", User: "exipol", TLS: plan.TLSOff}))
	if err != nil {
		t.Fatal(err)
	}
	if s := d.helper.Status(); s.Store.Away == "" || s.Trouble == "" || len(s.Plans) != 1 {
		t.Errorf("%+v", s)
	}
	if f := storeFigures(d.helper.Status()); f.Up {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(said.String(), "cannot be prepared for it yet") {
		t.Errorf("%s", said)
	}
}

// TestServeRefused: where the server does not let the user in, exipold says what mends it, and does not serve.
func TestServeRefused(t *testing.T) {
	t.Parallel()
	p := serverPlan(t, mysqltest.Shared(t).Database())
	p.Store.PasswordFile = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(p.Store.PasswordFile, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := starts(t, p)
	if !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "compare the user") || strings.Contains(err.Error(), "another") {
		t.Errorf("%v", err)
	}
}

// TestServeForeign: a table of another shape refuses the plan.
func TestServeForeign(t *testing.T) {
	t.Parallel()
	db := mysqltest.Shared(t)
	p := serverPlan(t, db.Database())
	db.Exec("CREATE TABLE `" + p.Store.Database + "`.seen (x INT PRIMARY KEY)")
	if _, _, err := starts(t, p); !errors.Is(err, store.ErrForeign) {
		t.Errorf("%v", err)
	}
}
