package mysql

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// recorder keeps statements instead of running them.
type recorder struct {
	statements []string
	args       [][]any
}

func (r *recorder) Query(_ func(func(...any) error) error, query string, args ...any) error {
	return r.run(query, args)
}

func (r *recorder) run(statement string, args []any) error {
	r.statements, r.args = append(r.statements, statement), append(r.args, args)
	return nil
}

// Every statement of the hot path, and of the clean-up, finds its rows by an index, and looks at no others.
func TestIndexes(t *testing.T) {
	s := open(t, Config{Store: database(t, mysqltest.Shared(t)), Gateway: "gw"})
	const rows, some = 4000, 20
	for from := 0; from < rows; from += 500 {
		var writes []engine.Write
		for i := from; i < from+500; i++ {
			key, message := fmt.Sprint("k", i), fmt.Sprint("m", i)
			expires := int64(i%2) * 1000
			writes = append(writes, engine.PutSeen{Policy: "greylist.x", Key: key, Row: engine.SeenRow{First: 1, Expires: expires}},
				engine.AddCount{Policy: storetest.Policy, Key: key, Window: storetest.Window, Slot: int64(i % 36), N: 1, Expires: expires},
				engine.PutDistinct{Policy: storetest.Policy, Key: fmt.Sprint("k", i/10), Member: key, At: 5, Expires: expires},
				engine.PutSample{Policy: storetest.Policy, Key: key, Expires: expires}, bounce(message, key, expires), engine.PutArrival{Gateway: "gw", Message: message, Expires: expires})
		}
		storetest.Do(t, s, writes...)
	}
	for i := range 300 {
		storetest.Do(t, s, blocking(fmt.Sprint("k", i), 1))
	}
	host, err := s.hosts.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := host.DB()
	for _, e := range everything {
		if _, err := db.Exec("ANALYZE TABLE " + e.Name); err != nil {
			t.Fatal(err)
		}
	}

	r := &recorder{}
	m := &memory{}
	st := &state{m: m, missing: func() error { return nil }}
	for i := range some {
		key, message := fmt.Sprint("k", 97*i), fmt.Sprint("m", 97*i)
		_, _, _ = st.Seen("greylist.x", key)
		_, _ = st.Count(storetest.Policy, key, storetest.Window, 0, 36)
		_, _, _ = st.Distinct(storetest.Policy, fmt.Sprint("k", i), key, 0, 9, 9)
		_, _, _ = st.Standing(storetest.Policy, fmt.Sprint("k", i))
		_, _ = st.Known("gw", message, key)
		_, _, _ = st.Arrival("gw", message)
	}
	_, _ = st.Held(7)
	_, _ = st.Bounces("auth:k7", 0)
	counters, crowds := m.wanted.counters, m.wanted.crowds
	if err := m.fetch(r); err != nil {
		t.Fatal(err)
	}
	_ = lockSlots(r, keysOf(counters), func(counterKey) {})
	_ = lockMembers(r, keysOf(crowds), func(rowKey) {})
	_ = m.readSeen(r, set[rowKey]{{"greylist.x", "k1"}: {}, {"greylist.y", "k2"}: {}}, forUpdate)
	for _, e := range expiring {
		_ = r.run(e.ended(e.index), []any{int64(0), int64(some)})
		found := [][]any{}
		rows, err := db.Query(e.ended(e.index), int64(0), int64(some))
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			key, err := e.scanKey(rows.Scan)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, key)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		b := e.matching("DELETE "+e.name, stillEnded, func(statement string, args []any) error { return r.run(statement, append(args, int64(0))) })
		for _, key := range found {
			_ = b.add(key...)
		}
		_ = b.end()
	}
	if len(r.statements) < 20 {
		t.Errorf("only %d statements", len(r.statements))
	}
	for i, statement := range r.statements {
		most := int64(12 * some)
		if strings.HasSuffix(statement, " LIMIT ?") { // it stops, and servers do not take that into account here
			most = rows
		}
		explained(t, db, statement, r.args[i], most)
	}
}

func keysOf[K comparable](m stretches[K]) (keys set[K]) {
	for k := range m {
		keys.add(k)
	}
	return keys
}

func bounce(message, item string, expires int64) engine.PutEvent {
	return engine.PutEvent{Gateway: "gw", Message: message, Item: item, Kind: "bounce", Owner: "auth:" + item, At: 1, Expires: expires}
}

// explained fails the test where a statement looks at more rows than that.
func explained(t *testing.T, db *sql.DB, statement string, args []any, most int64) {
	t.Helper()
	rows, err := db.Query("EXPLAIN "+statement, args...)
	if err != nil {
		t.Errorf("%s: %v", statement, err)
		return
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		dest := make([]any, len(columns))
		values := make([]sql.NullString, len(columns))
		for i := range dest {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for i, c := range columns {
			said[strings.ToLower(c)] = values[i].String
		}
		var n int64
		_, _ = fmt.Sscan(said["rows"], &n)
		impossible := strings.Contains(said["extra"], "Impossible") || strings.Contains(said["extra"], "no matching row")
		if !impossible && (strings.Contains(said["extra"], "filesort") || said["key"] == "" || said["type"] == "ALL" || said["type"] == "index" || n > most) {
			t.Errorf("%s\n%v", statement, said)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}
