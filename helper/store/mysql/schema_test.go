package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/schema"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// wider is everything with a table's columns and indexes of a version to come: four statements.
func wider() []plan.Table {
	tables := plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})
	for i := range tables {
		if tables[i].Name == plan.TableSeen {
			tables[i].Columns = append(tables[i].Columns, plan.Column{Name: "extra", Type: plan.Int}, plan.Column{Name: "note", Type: plan.Text}, plan.Column{Name: "bits", Type: plan.Raw})
			tables[i].Indexes = append(tables[i].Indexes, plan.Index{Name: "seen_extra", Columns: []string{"extra"}})
		}
	}
	return tables
}

const wide = 4 // statements

// whole says that nothing is pending.
func whole(t *testing.T, s *Store, tables []plan.Table) {
	t.Helper()
	if todo, err := s.Pending(t.Context(), tables); len(todo) != 0 || err != nil {
		t.Errorf("still to be done: %q, %v", todo, err)
	}
}

func TestMigrate(t *testing.T) {
	s := open(t, Config{Store: mysqltest.Shared(t).Database(), Gateway: "gw"})
	small := plan.Tables(plan.Needs{})
	todo, err := s.Pending(t.Context(), small)
	if err != nil || len(todo) != len(small)+1 {
		t.Errorf("to be done: %q, %v", todo, err)
	}
	for _, tables := range [][]plan.Table{small, everything, wider()} {
		ran, err := s.Migrate(t.Context(), tables)
		if err != nil || len(ran) == 0 {
			t.Errorf("ran %q, %v", ran, err)
		}
		slices.Sort(ran)
		if len(slices.Compact(ran)) != len(ran) {
			t.Errorf("ran twice: %q", ran)
		}
		whole(t, s, tables)
		if ran, err := s.Migrate(t.Context(), tables); len(ran) != 0 || err != nil {
			t.Errorf("twice: %q, %v", ran, err)
		}
	}
	whole(t, s, small) // of an earlier plan
	if _, err := s.Migrate(t.Context(), everything); err != nil {
		t.Error(err)
	}
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	if n := storetest.Count(t, s, "k", 0); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// However many gateways start at once, each statement runs once, and all come back when it is done.
func TestMigrateAtOnce(t *testing.T) {
	c := Config{Store: mysqltest.Shared(t).Database()}
	migrateAtOnce(t, 10, func(i int) Config {
		c.Gateway = fmt.Sprintf("gw%d", i)
		return c
	})
}

func migrateAtOnce(t *testing.T, n int, config func(i int) Config) {
	t.Helper()
	stores := make([]*Store, n)
	for i := range stores {
		stores[i] = open(t, config(i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for _, step := range []struct {
		tables []plan.Table
		most   int // statements; those that make the table of leases come on top
	}{{everything, len(everything)}, {wider(), wide}} {
		var ran atomic.Int64
		var wg sync.WaitGroup
		for _, s := range stores {
			wg.Go(func() {
				statements, err := s.Migrate(ctx, step.tables)
				if err != nil {
					t.Error(err)
				}
				if todo, err := s.Pending(ctx, step.tables); len(todo) > 0 || err != nil {
					t.Errorf("back from Migrate, to be done: %q, %v", todo, err)
				}
				for _, statement := range statements {
					if !strings.Contains(statement, "EXISTS lease ") {
						ran.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if int(ran.Load()) != step.most {
			t.Errorf("%d statements ran, want %d", ran.Load(), step.most)
		}
	}
}

// A user without the rights is told who is to do it; where nothing is to be done he needs none.
func TestMigrateRefused(t *testing.T) {
	server := mysqltest.Shared(t)
	c := Config{Store: server.Database(), Gateway: "gw"}
	// A connection keeps the rights that its user had when it was made.
	migrate := func(tables []plan.Table) ([]string, error) { return open(t, c).Migrate(t.Context(), tables) }
	refused := func(tables []plan.Table) {
		t.Helper()
		if ran, err := migrate(tables); len(ran) != 0 || !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "run exipold migrate as a user who has the rights") {
			t.Errorf("ran %q, %v", ran, err)
		}
	}
	server.Exec("REVOKE CREATE, ALTER, DROP, INDEX ON " + c.Store.Database + ".* FROM " + c.Store.User + "@'%'")
	refused(everything)
	server.Exec("GRANT CREATE ON " + c.Store.Database + ".* TO " + c.Store.User + "@'%'")
	if _, err := migrate(everything); err != nil {
		t.Error(err)
	}
	server.Exec("REVOKE CREATE ON " + c.Store.Database + ".* FROM " + c.Store.User + "@'%'")
	refused(wider())
	if ran, err := migrate(everything); len(ran) != 0 || err != nil {
		t.Errorf("nothing to be done: ran %q, %v", ran, err)
	}
	storetest.Do(t, open(t, c), storetest.Add("k", 1, 1))
}

// What must not be used is not used.
func TestUnusable(t *testing.T) {
	server := mysqltest.Shared(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw"})
	name := s.config.Store.Database
	for _, c := range []struct {
		statement string
		want      error
	}{
		{"ALTER TABLE %s.allowance MODIFY why BIGINT NOT NULL", store.ErrForeign},
		{"UPDATE %s.meta SET value = 'x' WHERE name = 'schema_version'", store.ErrForeign},
		{"UPDATE %s.meta SET value = '2' WHERE name = 'schema_version'", store.ErrNewer},
		{"UPDATE %s.meta SET value = 'of another', name = 'copying' WHERE name = 'schema_version'", store.ErrCopying},
	} {
		server.Exec(fmt.Sprintf(c.statement, name))
		if _, err := s.Pending(t.Context(), everything); !errors.Is(err, c.want) {
			t.Errorf("%s: pending: %v", c.statement, err)
		}
		if ran, err := s.Migrate(t.Context(), everything); len(ran) != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: migrated: %q, %v", c.statement, ran, err)
		}
		if _, _, err := s.Contractions(t.Context(), nil); !errors.Is(err, c.want) && !strings.Contains(c.statement, "allowance") {
			t.Errorf("%s: to be dropped: %v", c.statement, err)
		}
		// That a single table is of another shape shows when the store is migrated.
		if err := s.Wait(t.Context()); !errors.Is(err, c.want) && !strings.Contains(c.statement, "allowance") {
			t.Errorf("%s: waited: %v", c.statement, err)
		}
	}
	copier := s.config
	copier.Copying = true
	open(t, copier)
}

// A store that is half a copy when a host of it comes into use is not used, until the copy is whole.
func TestHalfACopy(t *testing.T) {
	server := mysqltest.Shared(t)
	at := database(t, server)
	proxy := mysqltest.NewProxy(t, server.Addr())
	proxy.Refuse()
	at.Hosts = []string{proxy.Addr()}
	s, err := Open(t.Context(), Config{Store: at, Gateway: "gw", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server.Exec("INSERT INTO " + at.Database + ".meta (name, value) VALUES ('copying', 'of another')")
	proxy.Heal()
	if err := s.Wait(t.Context()); !errors.Is(err, store.ErrCopying) {
		t.Errorf("waited: %v", err)
	}
	decide := func() error {
		return s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add("k", 1, 1)}, nil })
	}
	look := func() error {
		return s.View(t.Context(), func(st engine.State) error { _, _, err := st.Seen("p", "k"); return err })
	}
	for range 3 {
		for _, err := range []error{decide(), look()} {
			if !errors.Is(err, store.ErrCopying) || !store.AtFault(err) {
				t.Errorf("half a copy was used: %v", err)
			}
		}
		if _, err := s.ListAllowances(t.Context()); !errors.Is(err, store.ErrCopying) {
			t.Errorf("half a copy was used: %v", err)
		}
	}
	server.Exec("DELETE FROM " + at.Database + ".meta WHERE name = 'copying'")
	for deadline := time.Now().Add(time.Minute); decide() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the whole copy is not used: %v", decide())
		}
	}
	if err := look(); err != nil {
		t.Error(err)
	}
}

func TestContract(t *testing.T) {
	server := mysqltest.Shared(t)
	s := open(t, Config{Store: database(t, server), Gateway: "gw"})
	small := plan.Tables(plan.Needs{Counter: true, Distinct: true})
	storetest.Do(t, s, storetest.Add("k", 1, 1))
	server.Exec("CREATE TABLE " + s.config.Store.Database + ".customers (id INT PRIMARY KEY)")
	server.Exec("ALTER TABLE " + s.config.Store.Database + ".audit DROP PRIMARY KEY, ADD PRIMARY KEY (n, case_id)") // so that it is somebody else's
	if ran, err := s.Migrate(t.Context(), small); len(ran) != 0 || err != nil {
		t.Errorf("ran %q, %v", ran, err)
	}
	drops, left, err := s.Contractions(t.Context(), small)
	if len(drops) != 10 || !slices.Equal(left, []string{"audit"}) || err != nil {
		t.Errorf("to be dropped: %+v, left: %q, %v", drops, left, err)
	}
	var wg sync.WaitGroup
	var ran atomic.Int64
	for range 3 {
		wg.Go(func() {
			statements, err := s.Contract(t.Context(), small)
			if err != nil {
				t.Error(err)
			}
			ran.Add(int64(len(statements)))
		})
	}
	wg.Wait()
	if int(ran.Load()) != len(drops) {
		t.Errorf("%d statements ran, want %d", ran.Load(), len(drops))
	}
	whole(t, s, small)
	if n := storetest.Count(t, s, "k", 0); n != 1 {
		t.Errorf("the counter lost a count: %d", n)
	}
	for _, kept := range []string{"customers", "audit"} {
		server.Exec("SELECT * FROM " + s.config.Store.Database + "." + kept)
	}
	var _ schema.Contracter = s
}
