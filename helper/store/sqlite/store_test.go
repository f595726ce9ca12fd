package sqlite

import (
	"path/filepath"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/store/storetest"
)

var allTables = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})

// create makes a store with all tables, closed at the test's end.
func create(t testing.TB, path string, options Options) *Store {
	t.Helper()
	options.Create = true
	s, err := Open(t.Context(), path, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Migrate(t.Context(), allTables); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	})
}
