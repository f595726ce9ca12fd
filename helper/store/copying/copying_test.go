package copying_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/copying"
	"exipol/internal/mysqltest"
)

func TestCopy(t *testing.T) {
	kinds := []string{plan.SQLite, plan.MySQL}
	for _, from := range kinds {
		_, a := source(t, from, 40)
		for _, to := range kinds {
			t.Run(from+" to "+to, func(t *testing.T) {
				target := places(t, to)
				b := target.must(true)
				report, err := copying.Copy(t.Context(), a, b, copying.Options{Tables: plan.Tables(plan.Needs{})})
				if err != nil {
					t.Fatal(err)
				}
				if report.Mended != 0 || report.Rows() < many+15*15 {
					t.Errorf("%d rows, %d mended", report.Rows(), report.Mended)
				}
				same(t, a, b)
				c := target.must(false) // as any exipold
				if todo, err := c.Pending(t.Context(), everything); len(todo) != 0 || err != nil {
					t.Errorf("to be done: %q, %v", todo, err)
				}
				// Numbers that were given, to what has gone too, are not given again.
				if id, err := c.Allow(t.Context(), engine.Allowance{Field: "client", Pattern: "192.0.2.2"}); id != 4 || err != nil {
					t.Errorf("the next entry has the number %d, %v", id, err)
				}

				if _, err := copying.Copy(t.Context(), a, b, copying.Options{}); !errors.Is(err, copying.ErrNotEmpty) || !strings.Contains(err.Error(), "--replace") {
					t.Errorf("copied to what is not empty: %v", err)
				}
				if err := b.Insert(t.Context(), everything[1], [][]any{{int64(99), "p", "f", "", "", "", int64(0), int64(0)}}); err != nil {
					t.Fatal(err)
				}
				if _, err := copying.Copy(t.Context(), a, b, copying.Options{Replace: true}); err != nil {
					t.Errorf("replaced: %v", err)
				}
				same(t, a, b)
			})
		}
	}
}

// Nothing is copied from or to what an exipold uses.
func TestServed(t *testing.T) {
	for _, kind := range []string{plan.SQLite, plan.MySQL} {
		t.Run(kind, func(t *testing.T) {
			_, a := source(t, kind, 10)
			b := places(t, kind).must(true)
			if err := a.SeeGateway(t.Context(), store.Gateway{Name: "mx1", Plans: []string{"p"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := copying.Copy(t.Context(), a, b, copying.Options{}); !errors.Is(err, copying.ErrServed) || !strings.Contains(err.Error(), "mx1") || !strings.Contains(err.Error(), "--live") {
				t.Errorf("from a store in use: %v", err)
			}
			if look, err := copying.Inspect(t.Context(), a, b); err != nil || len(look.Serving) != 1 || len(look.Target.Rows) != 0 {
				t.Errorf("%+v, %v", look, err)
			}
			if err := a.LeaveGateway(t.Context(), "mx1", 0); err != nil {
				t.Fatal(err)
			}
			if look, err := copying.Inspect(t.Context(), a, b); err != nil || len(look.Serving) != 0 {
				t.Errorf("it has ended: %+v, %v", look, err)
			}
			if err := a.SeeGateway(t.Context(), store.Gateway{Name: "mx1", Plans: []string{"p"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := copying.Copy(t.Context(), a, b, copying.Options{Live: true}); err != nil {
				t.Error(err)
			}
			same(t, a, b)
			if gateways, err := b.Gateways(t.Context()); len(gateways) != 0 || err != nil {
				t.Errorf("gateways were copied: %+v, %v", gateways, err)
			}
			c := places(t, kind).must(true)
			if _, err := copying.Copy(t.Context(), b, a, copying.Options{Live: true, Replace: true}); !errors.Is(err, copying.ErrServed) {
				t.Errorf("to a store in use: %v", err)
			}
			if _, err := copying.Copy(t.Context(), b, c, copying.Options{}); err != nil {
				t.Errorf("from a store that nobody uses: %v", err)
			}
		})
	}
}

// What was written while it was copied makes a copy of a file one that must not be used.
func TestWrittenMeanwhile(t *testing.T) {
	from, a := source(t, plan.SQLite, 10)
	other := from.must(false)
	target := places(t, plan.SQLite)
	b := target.must(true)
	var once sync.Once
	write := func(string, string, int64) {
		once.Do(func() {
			if err := other.SwitchOff(t.Context(), engine.Switch{Policy: "greylist.inbound"}); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := copying.Copy(t.Context(), a, b, copying.Options{Progress: write}); !errors.Is(err, copying.ErrServed) {
		t.Errorf("copied: %v", err)
	}
	if s, err := target.open(t.Context(), false); !errors.Is(err, store.ErrCopying) {
		t.Errorf("it was opened: %v, %v", s, err)
	}
	if _, err := copying.Copy(t.Context(), a, b, copying.Options{}); err != nil {
		t.Error(err)
	}
	same(t, a, b)
	target.must(false)
}

// Nor is a copy used that is not what was copied.
func TestDiffers(t *testing.T) {
	for _, kind := range []string{plan.SQLite, plan.MySQL} {
		t.Run(kind, func(t *testing.T) {
			_, a := source(t, plan.SQLite, 10)
			target := places(t, kind)
			b, other := target.must(true), target.must(true)
			done := false
			spoil := func(doing, table string, _ int64) {
				if table == plan.TableLogPlace && !done {
					done = true
					if err := other.Insert(t.Context(), everything[2], [][]any{{"greylist.x", "", "", int64(0), int64(0)}}); err != nil {
						t.Error(err)
					}
				}
			}
			if _, err := copying.Copy(t.Context(), a, b, copying.Options{Progress: spoil}); !errors.Is(err, copying.ErrDiffers) || !strings.Contains(err.Error(), "switched") {
				t.Errorf("copied: %v", err)
			}
			if s, err := target.open(t.Context(), false); !errors.Is(err, store.ErrCopying) {
				t.Errorf("it was opened: %v, %v", s, err)
			}
		})
	}
}

// Of two who copy to one store at once, one does.
func TestAtOnce(t *testing.T) {
	for _, kind := range []string{plan.SQLite, plan.MySQL} {
		t.Run(kind, func(t *testing.T) {
			_, a := source(t, plan.SQLite, 10)
			target := places(t, kind)
			errs := make(chan error, 2)
			for range 2 {
				b := target.must(true)
				go func() {
					_, err := copying.Copy(t.Context(), a, b, copying.Options{Tables: everything})
					errs <- err
				}()
			}
			first, second := <-errs, <-errs
			if first != nil || !errors.Is(second, copying.ErrNotEmpty) {
				t.Errorf("%v, and %v", first, second)
			}
			same(t, a, target.must(false))
		})
	}
}

// A store of an earlier version lacks tables and columns; one of SQLite's may have text that no server takes.
func TestEarlier(t *testing.T) {
	for _, kind := range []string{plan.SQLite, plan.MySQL} {
		t.Run(kind, func(t *testing.T) {
			from := places(t, plan.SQLite)
			a := from.must(false)
			if _, err := a.Migrate(t.Context(), plan.Tables(plan.Needs{})); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", from.at.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range []string{
				"DROP TABLE lease", "DROP TABLE gateway", "ALTER TABLE seen DROP COLUMN why",
				"INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at, who) VALUES ('p', x'00', 1, 2, 3, 4, 5, CAST(x'ff41' AS TEXT)), ('grün', x'01', 1, 2, 3, 4, 5, 'w')",
				"CREATE TABLE audit (id INTEGER PRIMARY KEY)", "CREATE TABLE customers (id INTEGER PRIMARY KEY)",
			} {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			b := places(t, kind).must(true)
			var left []string
			report, err := copying.Copy(t.Context(), a, b, copying.Options{Tables: everything, Looked: func(l copying.Look) { left = l.Left }})
			if err != nil || report.Mended != 2 || len(left) != 1 || left[0] != "audit" {
				t.Errorf("%+v, left %q, %v", report, left, err)
			}
			if rows := fmt.Sprint(dump(t, b)[plan.TableSeen]); !strings.Contains(rows, `why="" who="`+"\ufffd"+`A"`) || !strings.Contains(rows, `policy="gr?n"`) {
				t.Error(rows)
			}
		})
	}
}

// Whatever ends a copy, nobody uses what there is of it, and the next one begins anew.
func TestKilled(t *testing.T) {
	if at := os.Getenv("COPY_TO"); at != "" {
		copyAndDie(t, at)
		return
	}
	from, a := source(t, plan.SQLite, 20)
	for _, kind := range []string{plan.SQLite, plan.MySQL} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // the dead one's lease is waited for
			target := places(t, kind)
			dies(t, from, target)
			if s, err := target.open(t.Context(), false); !errors.Is(err, store.ErrCopying) {
				t.Fatalf("half a copy was opened: %v, %v", s, err)
			}
			b := target.must(true)
			if half := dump(t, b); len(half[plan.TableCounter]) == 0 || len(half[plan.TableCounter]) >= many || len(half[plan.TableLogPlace]) != 0 {
				t.Fatalf("it did not die in the middle: %d and %d rows", len(half[plan.TableCounter]), len(half[plan.TableLogPlace]))
			}
			if look, err := copying.Inspect(t.Context(), a, b); err != nil || !strings.Contains(look.Target.Unfinished, from.at.Path) {
				t.Errorf("%+v, %v", look, err)
			}
			if _, err := copying.Copy(t.Context(), a, b, copying.Options{Tables: everything}); err != nil {
				t.Fatal(err)
			}
			same(t, a, b)
			target.must(false)
		})
	}
}

// A million first contacts, read back. The server has the memory of a small one.
func BenchmarkCopy(b *testing.B) {
	const rows = 1_000_000
	server := mysqltest.Start(b, mysqltest.WithArgs("--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"))
	from := places(b, plan.SQLite)
	s := from.must(false)
	tables := plan.Tables(plan.Needs{})
	if _, err := s.Migrate(b.Context(), tables); err != nil {
		b.Fatal(err)
	}
	seen := tables[len(tables)-1]
	var batch [][]any
	for i := range rows {
		key := fmt.Appendf(nil, "203.0.%d.0/24 sender%d@example.com recipient%d@example.net", i%256, i, i%5000)
		batch = append(batch, []any{"greylist.inbound", key, int64(1790000000000 + i), int64(0), int64(0), int64(0), int64(1790000000000 + i), "first_contact", "203.0.113.9 (mail.example.com)"})
		if len(batch) == 5000 {
			if err := s.Insert(b.Context(), seen, batch); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
	for _, kind := range []string{plan.SQLite, plan.MySQL} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				at := places(b, plan.SQLite)
				if kind == plan.MySQL {
					at = place{b, server.Database()}
				}
				to := at.must(true)
				if _, err := copying.Copy(b.Context(), s, to, copying.Options{Tables: tables}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
