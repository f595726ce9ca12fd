package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

func openCase(key string, at int64) engine.OpenCase {
	return engine.OpenCase{Policy: storetest.Policy, Key: key, Tier: "t", Rank: 1, Blocks: true, At: at, Owner: "auth:bob", Notify: []string{"notice.desk"}}
}

func stands(r engine.Runtime, key string) engine.Standing {
	st, _ := r.Standings.Find(storetest.Policy, key)
	return st
}

// Two processes, as exipold serve and exipold desk are: a store each on one file.
func TestTwoProcessesAtTheDesk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	both := []*Store{create(t, path, Options{}), create(t, path, Options{})}
	var wg sync.WaitGroup
	for i := range 32 {
		s := both[i%2]
		wg.Go(func() {
			storetest.Do(t, s, openCase("k", 10))
			if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
				n, err := tr.Count(storetest.Policy, "k", storetest.Window, 0, 1<<50)
				known, err2 := tr.Known("gw", "m", fmt.Sprint(n))
				if known {
					t.Errorf("event %d is there before it was counted", n)
				}
				return errors.Join(err, err2, tr.Apply([]engine.Write{storetest.Add("k", 1, 1), engine.PutEvent{Gateway: "gw", Message: "m", Item: fmt.Sprint(n), Kind: plan.Bounce, Owner: "auth:bob", At: 1, Expires: 1 << 50}}))
			}); err != nil {
				t.Error(err)
			}
			if _, err := s.ClaimNotices(t.Context(), fmt.Sprint(i), 20, 1<<50, 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range both {
		if n := storetest.Count(t, s, "k", 0); n != 32 {
			t.Errorf("%d counted", n)
		}
		if cases, err := s.Cases(t.Context(), store.CaseFilter{All: true}); len(cases) != 1 || err != nil {
			t.Errorf("%+v, %v", cases, err)
		}
		if r, err := s.Runtime(t.Context(), 11); r.Standings.Len() != 1 || !stands(r, "k").InForce(11) || err != nil {
			t.Errorf("%+v, %v", r.Standings, err)
		}
	}
	// What one decides, the other sees the next time that it looks.
	if err := both[0].Decide(t.Context(), store.Decision{Case: 1, Release: true, At: 30}); err != nil {
		t.Fatal(err)
	}
	if r, err := both[1].Runtime(t.Context(), 31); r.Standings.Len() != 1 || stands(r, "k").InForce(31) || err != nil {
		t.Errorf("%+v, %v", r.Standings, err)
	}
}

// A store of the last release: what needs no desk works as it did, the desk says what to run, and
// after that all is there, and nothing lost.
func TestMigrateToDesk(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "exipol.db"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	script(t, s, ddl.SQLite(plan.Tables(plan.Needs{Counter: true, Distinct: true}), "0123456789abcdef01234567"))
	storetest.Do(t, s, storetest.Add("k", 1, 3), put("k", engine.SeenRow{First: 1, Passed: 2, Expires: 1 << 50}))
	if _, err := s.SwitchOn(ctx, "limit.x"); err != nil {
		t.Error(err)
	}
	if r, err := s.Runtime(ctx, 1); r.Standings.Len() != 0 || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, _, err := s.Cleanup(ctx, 1, 10); err != nil {
		t.Error(err)
	}
	if stats, err := s.Stats(ctx, 1); len(stats.Tables) != 3 || err != nil {
		t.Errorf("%+v, %v", stats, err)
	}
	missing := func(err error) {
		t.Helper()
		if !errors.Is(err, store.ErrMissing) || !strings.Contains(err.Error(), "run exipold migrate") {
			t.Errorf("before the migration: %v", err)
		}
	}
	_, err = s.Cases(ctx, store.CaseFilter{})
	missing(err)
	_, err = s.ClaimNotices(ctx, "gw", 1, 2, 3)
	missing(err)
	missing(s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{openCase("k", 1)}, nil }))
	missing(s.Batch(ctx, func(tr engine.Transaction) error { _, err := tr.Known("gw", "m", "i"); return err }))
	missing(s.Check(ctx, allTables))
	ran, err := s.Migrate(ctx, allTables)
	if err != nil || slices.ContainsFunc(ran, func(r string) bool { return !strings.HasPrefix(r, "CREATE ") }) {
		t.Fatalf("ran %q, %v", ran, err)
	}
	storetest.Do(t, s, openCase("k", 1))
	if n := storetest.Count(t, s, "k", 0); n != 3 {
		t.Errorf("%d counted", n)
	}
	if r, err := s.Runtime(ctx, 1); r.Standings.Len() != 1 || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// What the desk and the follower write leaves alone what this process remembers; what a batch
// writes to the table seen is remembered like an update's.
func TestGlanceBesideDesk(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	glance := func(passes int64) {
		t.Helper()
		err := s.Glance(func(st engine.State) error {
			row, ok, err := st.Seen(policy, "k")
			if err == nil && (!ok || row.Passes != passes) {
				t.Errorf("%+v, %v; want %d passes", row, ok, passes)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	storetest.Do(t, s, put("k", engine.SeenRow{First: 1, Passed: 2, Passes: 1, Expires: 1 << 50}))
	glance(1)
	storetest.Do(t, s, openCase("k", 10), engine.PutHeld{Gateway: "gw", Message: "m", Case: 1, At: 11})
	if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
		return tr.Apply([]engine.Write{storetest.Add("k", 1, 1), engine.PutPlace{Gateway: "gw", Log: "l"}})
	}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.ClaimNotices(t.Context(), "gw", 20, 30, 5); len(all) != 1 || err != nil {
		t.Fatal(all, err)
	}
	if err := s.Decide(t.Context(), store.Decision{Case: 1, Release: true, At: 20}); err != nil {
		t.Fatal(err)
	}
	glance(1)
	row := engine.SeenRow{First: 1, Passed: 2, Passes: 7, Expires: 1 << 50}
	if err := s.Batch(t.Context(), func(tr engine.Transaction) error { return tr.Apply([]engine.Write{put("k", row)}) }); err != nil {
		t.Fatal(err)
	}
	glance(7)
	row.Passes = 9
	if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
		return errors.Join(tr.Apply([]engine.Write{put("k", row)}), errors.New("mine"))
	}); err == nil {
		t.Error("no error")
	}
	glance(7)
	if err := s.Glance(func(st engine.State) error { _, _, err := st.Standing(policy, "k"); return err }); !errors.Is(err, ErrUnseen) {
		t.Error(err)
	}
}

// A batch has a transaction of its own, at its place in the queue: what came before it is
// answered first, what comes after it does not share its fate, and lookups go on.
func TestBatchInTheQueue(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	inside, letGo := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Batch(t.Context(), func(tr engine.Transaction) error {
			if err := tr.Apply([]engine.Write{storetest.Add("first", 1, 1)}); err != nil {
				return err
			}
			close(inside)
			<-letGo
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	for i := range 30 { // all wait behind it: updates, and a batch that fails now and then
		wg.Go(func() {
			if i%3 != 0 {
				storetest.Do(t, s, storetest.Add("updates", 1, 1))
				return
			}
			if err := s.Batch(t.Context(), func(tr engine.Transaction) error {
				return errors.Join(tr.Apply([]engine.Write{storetest.Add("batches", 1, 1)}), map[bool]error{true: errors.New("mine")}[i%2 == 0])
			}); (err != nil) != (i%2 == 0) {
				t.Error(err)
			}
		})
	}
	for len(s.writer.queue) < 30 && !t.Failed() {
		if n := storetest.Count(t, s, "first", 0); n != 0 {
			t.Errorf("a lookup saw what was not committed: %d", n)
		}
	}
	close(letGo)
	wg.Wait()
	if a, b, c := storetest.Count(t, s, "first", 0), storetest.Count(t, s, "updates", 0), storetest.Count(t, s, "batches", 0); a != 1 || b != 20 || c != 5 {
		t.Errorf("%d, %d, %d", a, b, c)
	}
}

// What is asked for again and again reads indexes, not whole tables.
func TestDeskUsesIndexes(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	for name, query := range map[string]string{
		"standing": statementText[getStanding], "held": statementText[getHeld], "known": statementText[getKnown], "bounces": statementText[getBounces], "arrival": statementText[getArrival],
	} {
		rows, err := s.readDB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, 1, 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN ") && detail != "SCAN CONSTANT ROW" || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, detail)
			}
		}
		_ = rows.Close()
	}
}
