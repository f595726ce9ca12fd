package main

import (
	"path/filepath"
	"testing"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// putStore puts the store of a test plan elsewhere.
type putStore func(*plan.Plan)

// onEachStore runs a test of commands with a store of each kind: a file, and a database of a real server.
func onEachStore(t *testing.T, f func(t *testing.T, put putStore)) {
	t.Helper()
	t.Run(plan.SQLite, func(t *testing.T) { f(t, func(*plan.Plan) {}) })
	t.Run(plan.MySQL, func(t *testing.T) { f(t, onServer(mysqltest.Shared(t).Database())) })
}

// onServer puts the store into a database; exipold's own files stay where they are.
func onServer(s plan.Store) putStore {
	return func(p *plan.Plan) {
		p.Blocked = filepath.Join(ownDir(p), "blocked")
		p.Store = s
	}
}

// openPlanned makes the store of a plan file; it is closed with the test.
func openPlanned(t *testing.T, file string) store.Store {
	t.Helper()
	p, err := helper.ReadPlan(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
