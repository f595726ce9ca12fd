package portable_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/store/portable"
	"exipol/helper/store/sqlite"
)

// What is asked for again and again reads indexes, not whole tables.
func TestLookupsUseIndexes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Migrate(t.Context(), plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, query := range portable.Lookups {
		values := make([]any, strings.Count(query, "?"))
		for i := range values {
			values[i] = int64(i)
		}
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, values...)
		if err != nil {
			t.Fatal(name, err)
		}
		steps := 0
		for ; rows.Next(); steps++ {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN ") && detail != "SCAN one" && detail != "SCAN CONSTANT ROW" || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, detail)
			}
		}
		if err := rows.Close(); err != nil || steps == 0 {
			t.Errorf("%s: %d steps, %v", name, steps, err)
		}
	}
}
