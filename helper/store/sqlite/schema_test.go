package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	small := plan.Tables(plan.Needs{})
	if err := s.Check(ctx, small); !errors.Is(err, store.ErrMissing) || !strings.Contains(err.Error(), "run exipold migrate") {
		t.Errorf("an empty file: %v", err)
	}
	if err := s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add("k", 1, 1)}, nil }); !errors.Is(err, store.ErrMissing) {
		t.Errorf("an update of an empty file: %v", err)
	}
	ran, err := s.Migrate(ctx, small)
	if err != nil || len(ran) != 8 { // six tables, an index, and the version

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
	more := plan.Tables(plan.Needs{Counter: true, Distinct: true})
	if err := s.Check(ctx, more); !errors.Is(err, store.ErrMissing) {
		t.Errorf("more tables: %v", err)
	}
	if ran, err := s.Migrate(ctx, more); len(ran) != 4 || err != nil {
		t.Errorf("more tables: %q, %v", ran, err)
	}
	storetest.Do(t, s, storetest.Add("k", 1, 1)) // by the same connection, after its failure

	wider := plan.Tables(plan.Needs{Counter: true, Distinct: true})
	for i := range wider {
		if wider[i].Name == plan.TableCounter {
			wider[i].Columns = append(wider[i].Columns, plan.Column{Name: "extra", Type: plan.Int}, plan.Column{Name: "note", Type: plan.Bytes})
		}
	}
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

// A store from before rows had a reason: what only looks works on it, what decides
// says what to run, and after that all is there, and nothing lost.
func TestMigrateWithoutReasons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s, err := Open(t.Context(), path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	old := plan.Tables(plan.Needs{Counter: true, Distinct: true})
	for i, table := range old {
		if table.Name == plan.TableSeen {
			old[i].Columns = slices.DeleteFunc(slices.Clone(table.Columns), func(c plan.Column) bool { return c.Name == "why" || c.Name == "who" })
		}
	}
	if _, err := s.Migrate(ctx, old); err != nil {
		t.Fatal(err)
	}
	script(t, s, "INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at) VALUES ('"+policy+"', CAST('k' AS BLOB), 1, 2, 3, 4, 1000)")
	if whys, err := s.Whys(ctx, policy, 0, 1); len(whys) != 0 || err != nil {
		t.Errorf("reasons before the migration: %v, %v", whys, err)
	}
	if recent, err := s.Recent(ctx, policy, 5, 1); len(recent) != 0 || err != nil {
		t.Errorf("contacts before the migration: %v, %v", recent, err)
	}
	read := func() (row engine.SeenRow, ok bool, err error) {
		err = s.View(ctx, func(st engine.State) (err error) {
			row, ok, err = st.Seen(policy, "k")
			return err
		})
		return row, ok, err
	}
	if _, _, err := read(); !errors.Is(err, store.ErrMissing) {
		t.Errorf("a decision before the migration: %v", err)
	}
	if ran, err := s.Migrate(ctx, plan.Tables(plan.Needs{Counter: true, Distinct: true})); err != nil || len(ran) != 2 || !strings.Contains(ran[0], "ADD COLUMN why") {
		t.Errorf("ran %q, %v", ran, err)
	}
	if row, ok, err := read(); !ok || err != nil || row != (engine.SeenRow{First: 1, Passed: 2, Passes: 3, Counted: 4, Expires: 1000}) {
		t.Errorf("after the migration: %+v, %v, %v", row, ok, err)
	}
	storetest.Do(t, s, put("k", engine.SeenRow{First: 5, Expires: 1000, Why: "spf_fail", Who: "192.0.2.1 (x)"}))
	if whys, err := s.Whys(ctx, policy, 0, 1); len(whys) != 1 || err != nil {
		t.Errorf("reasons after the migration: %v, %v", whys, err)
	}
	// Where an earlier program goes on with this file, its rows have no reason.
	script(t, s, "INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at) VALUES ('p', x'00', 1, 2, 3, 4, 1000)")
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
	if a, b := dump(t, s), dump(t, migrated); a != b {
		t.Errorf("the file makes\n%s\nmigrate\n%s", a, b)
	}
}

func dump(t *testing.T, s *Store) (text string) {
	t.Helper()
	if err := s.readDB.QueryRowContext(t.Context(), "SELECT group_concat(sql, char(10) ORDER BY name) || (SELECT group_concat(name || value) FROM meta) FROM sqlite_master").Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// Clean-up and statistics read indexes, not whole tables.
func TestCleanupUsesIndex(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	for _, e := range expiring {
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

// However many open a store at once, of this process and of others, each statement runs once.
func TestMigrateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	first := create(t, path, Options{})
	script(t, first, "ALTER TABLE seen DROP COLUMN why; DROP INDEX held_case; DROP TABLE audit")
	var ran atomic.Int64
	var wg sync.WaitGroup
	for i := range 10 {
		s := first
		if i%2 == 1 { // a pool of its own, as another process has
			var err error
			if s, err = Open(t.Context(), path, Options{BusyTimeout: 20 * time.Second}); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		}
		wg.Go(func() {
			statements, err := s.Migrate(t.Context(), allTables)
			if err != nil {
				t.Error(err)
			}
			if err := s.Check(t.Context(), allTables); err != nil {
				t.Errorf("back from Migrate: %v", err)
			}
			ran.Add(int64(len(statements)))
		})
	}
	wg.Wait()
	if ran.Load() != 3 {
		t.Errorf("%d statements ran, want 3", ran.Load())
	}
}

// An unfinished copy is opened by nobody but who makes it.
func TestUnfinishedCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s := create(t, path, Options{})
	script(t, s, "INSERT INTO meta (name, value) VALUES ('copying', 'of another, since noon')")
	if other, err := Open(t.Context(), path, Options{}); !errors.Is(err, store.ErrCopying) || !strings.Contains(err.Error(), "of another, since noon") {
		t.Errorf("opened: %v, %v", other, err)
	}
	if _, err := s.Migrate(t.Context(), allTables); !errors.Is(err, store.ErrCopying) {
		t.Errorf("migrated: %v", err)
	}
	copier, err := Open(t.Context(), path, Options{Copying: true})
	if err != nil {
		t.Fatal(err)
	}
	defer copier.Close()
	if _, err := copier.Migrate(t.Context(), allTables); err != nil {
		t.Error(err)
	}
}

func TestContract(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	ctx := t.Context()
	small := plan.Tables(plan.Needs{Counter: true, Distinct: true})
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	if _, err := s.Migrate(ctx, small); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx, allTables); err != nil {
		t.Errorf("after a migration to less: %v", err)
	}
	drops, left, err := s.Contractions(ctx, small)
	if len(drops) != 11 || len(left) != 0 || err != nil {
		t.Errorf("to be dropped: %+v, left: %q, %v", drops, left, err)
	}
	if err := s.Check(ctx, allTables); err != nil {
		t.Errorf("after a look: %v", err)
	}
	if ran, err := s.Contract(ctx, small); len(ran) != len(drops) || err != nil {
		t.Errorf("ran %q, %v", ran, err)
	}
	if ran, err := s.Contract(ctx, small); len(ran) != 0 || err != nil {
		t.Errorf("twice: %q, %v", ran, err)
	}
	if err := s.Check(ctx, small); err != nil {
		t.Error(err)
	}
	if n := storetest.Count(t, s, "k", 0); n != 1 {
		t.Errorf("the counter lost a count: %d", n)
	}
}
