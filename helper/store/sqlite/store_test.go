package sqlite

import (
	"path/filepath"
	"testing"
	"time"

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

func TestShared(t *testing.T) {
	storetest.RunShared(t, func(t *testing.T) (a, b storetest.Store) {
		path := filepath.Join(t.TempDir(), "exipol.db")
		patient := Options{BusyTimeout: time.Minute} // two that write all the time let each other wait, longer than exipold would
		return create(t, path, patient), create(t, path, patient)
	})
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	})
}
