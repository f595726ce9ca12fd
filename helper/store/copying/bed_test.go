package copying_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store/copying"
	"exipol/helper/store/mysql"
	"exipol/helper/store/schema"
	"exipol/helper/store/sqlite"
	"exipol/internal/mysqltest"
)

var everything = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})

// place is where a store is, to be opened more than once.
type place struct {
	t  testing.TB
	at plan.Store
}

// places are new ones of each kind.
func places(t testing.TB, kind string) place {
	if kind == plan.SQLite {
		return place{t, plan.Store{Kind: plan.SQLite, Path: filepath.Join(t.TempDir(), "exipol.db")}}
	}
	return place{t, mysqltest.Shared(t).Database()}
}

// open opens the store there; as who copies to it, or as any exipold.
func (p place) open(ctx context.Context, copier bool) (copying.Store, error) {
	if p.at.Kind == plan.SQLite {
		return sqlite.Open(ctx, p.at.Path, sqlite.Options{Create: true, Copying: copier, BusyTimeout: 20 * time.Second})
	}
	s, err := mysql.Open(ctx, mysql.Config{Store: p.at, Gateway: "test", Timeout: 20 * time.Second, Copying: copier, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := s.Wait(waiting); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// must opens it, or the test fails.
func (p place) must(copier bool) copying.Store {
	p.t.Helper()
	s, err := p.open(p.t.Context(), copier)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = s.Close() })
	return s
}

// many is how many rows the table of counters has, of which there are several batches.
const many = 1500

// source is a store with all tables: many counters, and of the others n rows of anything that fits.
func source(t testing.TB, kind string, n int) (place, copying.Store) {
	t.Helper()
	p := places(t, kind)
	s := p.must(false)
	if _, err := s.Migrate(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
	// What the program itself counts.
	for range 3 {
		if _, err := s.Allow(t.Context(), engine.Allowance{Field: "client", Pattern: "192.0.2.1", Owner: "jane", Why: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Disallow(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for _, table := range everything {
		if table.Name == plan.TableLease || table.Name == plan.TableGateway || table.Name == plan.TableMeta {
			continue
		}
		rows := hostile(table, n)
		if table.Name == plan.TableCounter {
			rows = hostile(table, many)
		}
		if err := s.Insert(t.Context(), table, rows); err != nil {
			t.Fatal(err)
		}
	}
	return p, s
}

// hostile are rows that are as odd as the columns of a table let them be.
func hostile(t plan.Table, n int) [][]any {
	r := rand.New(rand.NewPCG(1, uint64(len(t.Name))))
	all := string(func() (b []byte) {
		for i := range 255 {
			b = append(b, byte(i))
		}
		return b
	}())
	ints := []int64{0, -1, math.MinInt64, math.MaxInt64, 1790000000000}
	names := []string{"", "a", "A", `\#'"%_;--`, strings.Repeat("n", 96)}
	raws := []string{"", "\x00", "\xff\xfe invalid \xc3", all, "trailing "}
	texts := []string{"", "nul \x00 inside", "😀 \U0010ffff é", `'"\%_`, "line\r\nline\x1a", "trailing "}
	longRaw, longText := []byte(strings.Repeat("\x80'\\", 1<<16/3)), strings.Repeat("é", 1<<15-1)
	keys := []string{"", "\x00", "\xff", "k ", "k", "K", all}
	rows := make([][]any, n)
	for i := range rows {
		for _, c := range t.Columns {
			isKey := false
			for _, k := range t.Key {
				isKey = isKey || k == c.Name
			}
			var v any
			switch c.Type {
			case plan.Int:
				v = ints[r.IntN(len(ints))]
				if isKey {
					v = int64(i) * 7919 * (1 - 2*int64(i%2))
				}
			case plan.Name:
				v = names[r.IntN(len(names))]
				if isKey && len(t.Key) == 1 {
					v = fmt.Sprintf("name%d", i)
				} else if isKey && i >= len(names) {
					v = fmt.Sprint("n", i)
				}
			case plan.Text:
				if v = texts[r.IntN(len(texts))]; i == 5 {
					v = longText
				}
			case plan.Bytes:
				v = []byte(keys[r.IntN(len(keys))])
				if isKey && i < len(keys) {
					v = []byte(keys[i])
				}
			case plan.Raw:
				if v = []byte(raws[r.IntN(len(raws))]); i == 5 {
					v = longRaw
				}
			}
			rows[i] = append(rows[i], v)
		}
	}
	// Those of which the key came twice are put in twice, and the last remains.
	return rows
}

// dump is all rows of a store as text, but for what is not copied.
func dump(t testing.TB, s copying.Store) (tables map[string][]string) {
	t.Helper()
	err := s.Snapshot(t.Context(), func(r schema.Reader) error {
		tables = map[string][]string{}
		for _, table := range everything {
			if table.Name == plan.TableLease || table.Name == plan.TableGateway {
				continue
			}
			rows, err := r.QueryContext(t.Context(), "SELECT * FROM "+table.Name+" ORDER BY "+strings.Join(table.Key, ", "))
			if err != nil {
				return err
			}
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			for rows.Next() {
				values, dest := make([]sql.NullString, len(names)), make([]any, len(names))
				for i := range values {
					dest[i] = &values[i]
				}
				if err := rows.Scan(dest...); err != nil {
					return err
				}
				var text strings.Builder
				for i, v := range values {
					fmt.Fprintf(&text, "%s=%q ", names[i], v.String)
				}
				tables[table.Name] = append(tables[table.Name], text.String())
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// same says that both stores have the same rows.
func same(t testing.TB, from, to copying.Store) {
	t.Helper()
	a, b := dump(t, from), dump(t, to)
	for _, table := range everything {
		x, y := a[table.Name], b[table.Name]
		if len(x) != len(y) {
			t.Errorf("%s: %d rows, copied %d", table.Name, len(x), len(y))
			continue
		}
		for i := range x {
			if x[i] != y[i] {
				t.Errorf("%s: row\n%.300s\ncopied as\n%.300s", table.Name, x[i], y[i])
				break
			}
		}
	}
}
