package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s, err := Open(t.Context(), path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	small := plan.Tables(true, false, false)
	if err := s.Check(ctx, small); !errors.Is(err, store.ErrMissing) || !strings.Contains(err.Error(), "run exipold migrate") {
		t.Errorf("an empty file: %v", err)
	}
	if err := s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add("k", 1, 1)}, nil }); !errors.Is(err, store.ErrMissing) {
		t.Errorf("an update of an empty file: %v", err)
	}
	ran, err := s.Migrate(ctx, small)
	if err != nil || len(ran) != 6 {
		t.Fatalf("ran %q, %v", ran, err)
	}
	if err := s.Check(ctx, small); err != nil {
		t.Error(err)
	}
	if ran, err := s.Migrate(ctx, small); len(ran) != 0 || err != nil {
		t.Errorf("twice: %q, %v", ran, err)
	}
	if removed, _, err := s.Cleanup(ctx, 1, 10); removed != 0 || err != nil {
		t.Errorf("clean-up without the other tables: %d, %v", removed, err)
	}
	if stats, err := s.Stats(ctx, 1); len(stats.Tables) != 1 || err != nil {
		t.Errorf("stats without the other tables: %+v, %v", stats, err)
	}
	if err := s.Check(ctx, allTables); !errors.Is(err, store.ErrMissing) {
		t.Errorf("more tables: %v", err)
	}
	if ran, err := s.Migrate(ctx, allTables); len(ran) != 4 || err != nil {
		t.Errorf("more tables: %q, %v", ran, err)
	}
	storetest.Do(t, s, storetest.Add("k", 1, 1)) // by the same connection, after its failure

	wider := plan.Tables(true, true, true)
	wider[4].Columns = append(wider[4].Columns, plan.Column{Name: "extra", Type: plan.Int}, plan.Column{Name: "note", Type: plan.Bytes})
	script(t, s, "DROP INDEX counter_expires")
	if ran, err := s.Migrate(ctx, wider); len(ran) != 3 || err != nil {
		t.Errorf("wider: %q, %v", ran, err)
	}
	if err := s.Check(ctx, wider); err != nil {
		t.Error(err)
	}
	if n := storetest.Count(t, s, "k", 0); n != 1 {
		t.Errorf("the migration lost a count: %d", n)
	}
	script(t, s, "ALTER TABLE allowance DROP COLUMN why")
	script(t, s, "ALTER TABLE allowance ADD COLUMN why INTEGER NOT NULL DEFAULT 0")
	if _, err := s.Migrate(ctx, wider); !errors.Is(err, store.ErrForeign) || !strings.Contains(err.Error(), "allowance.why") {
		t.Errorf("a column of another type: %v", err)
	}
	script(t, s, "UPDATE meta SET value = '2' WHERE name = 'schema_version'")
	if _, err := s.Migrate(ctx, wider); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer schema: %v", err)
	}
}

// The schema file that exipol build writes makes the store that Migrate makes.
func TestSchemaFile(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "exipol.db"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		script(t, s, ddl.SQLite(allTables, "0123456789abcdef01234567"))
	}
	if err := s.Check(t.Context(), allTables); err != nil {
		t.Error(err)
	}
	migrated := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	if a, b := schema(t, s), schema(t, migrated); a != b {
		t.Errorf("the file makes\n%s\nmigrate\n%s", a, b)
	}
}

func schema(t *testing.T, s *Store) (text string) {
	t.Helper()
	if err := s.readDB.QueryRowContext(t.Context(), "SELECT group_concat(sql, char(10) ORDER BY name) || (SELECT group_concat(name || value) FROM meta) FROM sqlite_master").Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// Clean-up and statistics read indexes, not whole tables.
func TestCleanupUsesIndex(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	for _, e := range expiring[:3] {
		rows, err := s.readDB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+e.remove, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, detail)
		}
		_ = rows.Close()
		text := strings.Join(steps, "; ")
		if strings.Contains(text, "SCAN "+e.table) || !strings.Contains(text, "USING COVERING INDEX") || strings.Contains(text, "ORDER BY") {
			t.Errorf("%s: %s", e.table, text)
		}
	}
}
