package schema

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// What exipol build writes makes a store that has nothing to be done, and so does Expand.
func TestSchemaFiles(t *testing.T) {
	beds(t, func(b bed) {
		files, err := filepath.Glob("../../../generator/ddl/testdata/schema.*." + b.kind + ".sql")
		if err != nil || len(files) < 5 {
			b.Fatalf("%d files, %v", len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				b.Fatal(err)
			}
			b.text(string(text))
			b.text(string(text)) // once more changes nothing
			if strings.Contains(file, ".all.") {
				continue
			}
			var tables []plan.Table
			for _, table := range everything {
				if strings.Contains(string(text), "CREATE TABLE IF NOT EXISTS "+table.Name+" (") {
					tables = append(tables, table)
				}
			}
			b.whole(tables)
		}
		b.whole(everything)
	})
}

func TestFromNothing(t *testing.T) {
	beds(t, func(b bed) {
		if note, err := b.d.ReadNote(b.Context(), b.db); note != (Note{}) || err != nil {
			b.Errorf("an empty store: %+v, %v", note, err)
		}
		// The statements of a table that is created have no gentle form, and need none.
		for _, c := range b.pending(everything) {
			b.run(c.SQL)
		}
		b.whole(everything)
		if note, err := b.d.ReadNote(b.Context(), b.db); note != (Note{Version: ddl.Version}) || err != nil {
			b.Errorf("afterwards: %+v, %v", note, err)
		}
		// Of what is there only once the last step has been done: the version.
		b.run("DELETE FROM meta")
		if changes := b.pending(everything); len(changes) != 1 || changes[0].Kind != NoteVersion {
			b.Errorf("without a version: %+v", changes)
		}
	})
}

// A store of an earlier version gets what it has not, while a program of that version goes on with it.
func TestFromEarlier(t *testing.T) {
	old := altered(plan.TableSeen, func(table *plan.Table) {
		table.Columns = slices.DeleteFunc(table.Columns, func(c plan.Column) bool { return c.Name == "why" || c.Name == "who" })
	})
	old = without(old, plan.TableLease, plan.TableGateway)
	wider := altered(plan.TableCounter, func(table *plan.Table) {
		for _, kind := range []string{plan.Name, plan.Bytes, plan.Int, plan.Text, plan.Raw} {
			table.Columns = append(table.Columns, plan.Column{Name: "new_" + kind, Type: kind})
		}
		table.Indexes = append(table.Indexes, plan.Index{Name: "counter_new", Columns: []string{"new_int", "slot"}})
	})
	const insertSeen = "INSERT INTO seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at) VALUES ('p', 'KEY', 1, 2, 3, 4, 5)"
	const insertCounter = "INSERT INTO counter (policy, span, key_, slot, n, expires_at) VALUES ('p', 60, 'KEY', 1, 1, 9)"
	beds(t, func(b bed) {
		writes := func(key string) {
			b.Helper()
			for _, statement := range []string{insertSeen, insertCounter} {
				if b.kind == plan.SQLite {
					statement = strings.Replace(statement, "'KEY'", "CAST('KEY' AS BLOB)", 1)
				}
				b.run(strings.Replace(statement, "KEY", key, 1))
			}
		}
		b.migrate(old)
		writes("a")
		changes := b.migrate(wider)
		var kinds []string
		for _, c := range changes {
			kinds = append(kinds, strings.TrimSuffix(c.Kind+" "+c.Table+"."+c.Name, "."))
		}
		want := []string{"create table lease", "create table gateway", "add column seen.why", "add column seen.who", "add column counter.new_name",
			"add column counter.new_bytes", "add column counter.new_int", "add column counter.new_text", "add column counter.new_raw", "add index counter.counter_new"}
		if !slices.Equal(kinds, want) {
			b.Errorf("changes\n%q\nwant\n%q", kinds, want)
		}
		b.whole(wider)
		b.whole(everything) // of the version before, which still runs
		writes("b")
		if n := b.number("SELECT count(*) FROM seen WHERE why = '' AND who = ''"); n != 2 {
			b.Errorf("%d rows of seen have empty new columns, want both", n)
		}
		if n := b.number("SELECT count(*) FROM counter WHERE new_name = '' AND length(new_bytes) = 0 AND new_int = 0 AND new_text = '' AND length(new_raw) = 0"); n != 2 {
			b.Errorf("%d rows of counter have empty new columns, want both", n)
		}
	})
}

// What is not exipold's stays, and is no reason to do anything.
func TestLeftAlone(t *testing.T) {
	beds(t, func(b bed) {
		b.migrate(everything)
		b.run("CREATE TABLE customers (id INTEGER PRIMARY KEY)", "CREATE INDEX theirs ON counter (n)",
			"ALTER TABLE counter ADD COLUMN note INTEGER DEFAULT 1")
		if b.kind == plan.MySQL {
			b.run("ALTER TABLE counter ADD COLUMN made TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, ADD COLUMN double_n BIGINT AS (n * 2) STORED, COMMENT 'ours'",
				"ALTER TABLE held PARTITION BY KEY (gateway) PARTITIONS 2", "ALTER TABLE audit ROW_FORMAT=COMPRESSED")
		} else {
			b.run("ALTER TABLE counter ADD COLUMN double_n INTEGER AS (n * 2) VIRTUAL")
		}
		b.whole(everything)
		changes, left := b.d.Contract(b.live(everything), everything, Ever())
		if len(changes) != 0 || len(left) != 0 {
			b.Errorf("to be dropped: %+v, left: %q", changes, left)
		}
	})
}

func TestForeign(t *testing.T) {
	type shape struct {
		name       string
		statements []string
		say        []string
	}
	both := []shape{
		{"another table of that name", []string{"DROP TABLE audit", "CREATE TABLE audit (id INTEGER PRIMARY KEY, what VARCHAR(10))"}, []string{"audit", "RENAME TO audit_old"}},
		{"a view", []string{"DROP TABLE digest", "CREATE VIEW digest AS SELECT name AS receiver FROM meta"}, []string{"digest: it is a view"}},
		{"an index on other columns", []string{"INDEX held_case", "CREATE INDEX held_case ON held (gone_at, case_id)"}, []string{"index held_case of held is on (gone_at, case_id), not (case_id, gone_at)", "run exipold migrate"}},
		{"a unique index", []string{"CREATE UNIQUE INDEX one ON counter (n)"}, []string{"index one of counter is unique"}},
	}
	own := map[string][]shape{
		plan.SQLite: {
			{"another type", []string{"ALTER TABLE allowance DROP COLUMN why", "ALTER TABLE allowance ADD COLUMN why INTEGER NOT NULL DEFAULT 0"}, []string{"allowance.why is INTEGER NOT NULL, not TEXT NOT NULL"}},
			{"not strict", []string{"DROP TABLE log_place", "CREATE TABLE log_place (gateway TEXT NOT NULL, log BLOB NOT NULL, place BLOB NOT NULL, read_at INTEGER NOT NULL, PRIMARY KEY (gateway, log)) WITHOUT ROWID"}, []string{"log_place: it is not a table that is STRICT"}},
			{"another key", []string{"DROP TABLE log_place", "CREATE TABLE log_place (gateway TEXT NOT NULL, log BLOB NOT NULL, place BLOB NOT NULL, read_at INTEGER NOT NULL, PRIMARY KEY (log, gateway)) STRICT, WITHOUT ROWID"}, []string{"primary key of log_place is (log, gateway), not (gateway, log)"}},
			{"a key without regard to case", []string{"DROP TABLE log_place", "CREATE TABLE log_place (gateway TEXT NOT NULL COLLATE NOCASE, log BLOB NOT NULL, place BLOB NOT NULL, read_at INTEGER NOT NULL, PRIMARY KEY (gateway, log)) STRICT, WITHOUT ROWID"}, []string{"gateway COLLATE NOCASE"}},
			{"without a column of the key", []string{"DROP TABLE log_place", "CREATE TABLE log_place (gateway TEXT NOT NULL, place BLOB NOT NULL, read_at INTEGER NOT NULL, PRIMARY KEY (gateway)) STRICT, WITHOUT ROWID"}, []string{"log_place has no column log"}},
			{"null", []string{"DROP TABLE log_place", "CREATE TABLE log_place (gateway TEXT NOT NULL, log BLOB NOT NULL, place BLOB, read_at INTEGER NOT NULL, PRIMARY KEY (gateway, log)) STRICT, WITHOUT ROWID"}, []string{"log_place.place is BLOB, not BLOB NOT NULL"}},
			{"an index's name is taken", []string{"DROP INDEX held_case", "CREATE INDEX held_case ON audit (n)"}, []string{"table audit has an index of the name held_case"}},
			{"a part of an index", []string{"DROP INDEX held_case", "CREATE INDEX held_case ON held (case_id, gone_at) WHERE gone_at = 0"}, []string{"index held_case of held"}},
			{"a column that must be given", []string{"DROP TABLE log_place", "CREATE TABLE log_place (gateway TEXT NOT NULL, log BLOB NOT NULL, place BLOB NOT NULL, read_at INTEGER NOT NULL, must TEXT NOT NULL, PRIMARY KEY (gateway, log)) STRICT, WITHOUT ROWID"}, []string{"log_place.must is not exipold's, and has no default"}},
		},
		plan.MySQL: {
			{"another type", []string{"ALTER TABLE allowance MODIFY why BIGINT NOT NULL"}, []string{"allowance.why is bigint NOT NULL, not text utf8mb4_bin NOT NULL", "ALTER TABLE allowance MODIFY why TEXT"}},
			{"no sign", []string{"ALTER TABLE counter MODIFY n BIGINT UNSIGNED NOT NULL"}, []string{"counter.n is bigint unsigned NOT NULL"}},
			{"a collation without regard to case", []string{"ALTER TABLE gateway MODIFY name VARCHAR(96) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL"}, []string{"gateway.name is varchar(96) ascii_general_ci"}},
			{"another charset", []string{"ALTER TABLE audit CONVERT TO CHARACTER SET latin1"}, []string{"audit.who is text latin1", "audit.gateway is varchar(96) latin1"}},
			{"shorter", []string{"ALTER TABLE seen MODIFY key_ VARBINARY(100) NOT NULL"}, []string{"seen.key_ is varbinary(100)"}},
			{"null", []string{"ALTER TABLE log_place MODIFY place BLOB"}, []string{"log_place.place is blob, not blob NOT NULL"}},
			{"another engine", []string{"ALTER TABLE switched ENGINE=MyISAM"}, []string{"its engine is MyISAM, not InnoDB"}},
			{"another key", []string{"ALTER TABLE log_place DROP PRIMARY KEY, ADD PRIMARY KEY (log, gateway)"}, []string{"primary key of log_place is (log, gateway)"}},
			{"a part of a column", []string{"ALTER TABLE log_event DROP INDEX log_event_owner, ADD INDEX log_event_owner (owner(10), kind, seen_at)"}, []string{"index log_event_owner of log_event"}},
			{"made by an expression", []string{"ALTER TABLE counter DROP COLUMN n, ADD COLUMN n BIGINT AS (slot) STORED"}, []string{"counter.n is made by an expression"}},
			{"a column that must be given", []string{"ALTER TABLE counter ADD COLUMN must INT NOT NULL"}, []string{"counter.must is not exipold's, and has no default"}},
		},
	}
	beds(t, func(b bed) {
		for _, s := range append(slices.Clone(both), own[b.kind]...) {
			for _, table := range everything {
				_, err := b.db.ExecContext(b.Context(), "DROP TABLE IF EXISTS "+table.Name)
				if err != nil {
					b.run("DROP VIEW " + table.Name)
				}
			}
			b.run("DROP VIEW IF EXISTS digest")
			for _, c := range b.pending(everything) {
				b.run(c.SQL)
			}
			for _, statement := range s.statements {
				if index, ok := strings.CutPrefix(statement, "INDEX "); ok {
					statement = b.d.ddl.DropIndex(plan.TableHeld, index)
				}
				b.run(statement)
			}
			_, err := b.d.Expand(b.live(everything), everything)
			if !errors.Is(err, store.ErrForeign) {
				b.Errorf("%s: %v", s.name, err)
				continue
			}
			for _, words := range s.say {
				if !strings.Contains(err.Error(), words) {
					b.Errorf("%s: %q is not said: %v", s.name, words, err)
				}
			}
		}
	})
}

// A way out that an error names leads out.
func TestForeignMended(t *testing.T) {
	b := serverBed(t, mysqltest.Shared(t))
	for _, c := range b.pending(everything) {
		b.run(c.SQL)
	}
	b.run("ALTER TABLE audit CONVERT TO CHARACTER SET latin1")
	_, err := b.d.Expand(b.live(everything), everything)
	if !errors.Is(err, store.ErrForeign) {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(err.Error(), ": ")
	mended := 0
	for _, fault := range strings.Split(rest, "; ") {
		_, statement, ok := strings.Cut(fault, ": ALTER")
		if !ok {
			t.Fatalf("no statement in %q", fault)
		}
		b.run("ALTER" + statement)
		mended++
	}
	if mended != 4 {
		t.Errorf("%d columns were mended: %v", mended, err)
	}
	// TEXT takes the table's charset where none is said: that is another one now.
	if _, err := b.d.Expand(b.live(everything), everything); err != nil {
		t.Error(err)
	}
}

// What a server takes for granted is none of the schema's business: rows of another format, another charset.
func TestOddServer(t *testing.T) {
	t.Parallel()
	b := serverBed(t, mysqltest.Start(t, mysqltest.WithArgs("--innodb-default-row-format=compact", "--character-set-server=ucs2", "--sql-mode=ANSI")))
	for _, c := range b.pending(everything) {
		b.run(c.SQL)
	}
	b.whole(everything)
	longest := strings.Repeat("k", ddl.BytesLength)
	b.run("INSERT INTO distinct_member (policy, key_, member_, seen_at, expires_at) VALUES ('" + strings.Repeat("n", ddl.NameLength) + "', '" + longest + "', '" + longest + "', 1, 1)")
}

func TestVersions(t *testing.T) {
	beds(t, func(b bed) {
		for _, c := range b.pending(everything) {
			b.run(c.SQL)
		}
		b.run("UPDATE meta SET value = '2' WHERE name = 'schema_version'")
		if _, err := b.d.Expand(b.live(everything), everything); !errors.Is(err, store.ErrNewer) {
			b.Errorf("a newer one: %v", err)
		}
		note, err := b.d.ReadNote(b.Context(), b.db)
		if err != nil || !errors.Is(note.Usable(), store.ErrNewer) {
			b.Errorf("a newer one: %+v, %v", note, err)
		}
		for _, nonsense := range []string{"0", "-1", "1.5", "one"} {
			b.run("UPDATE meta SET value = '" + nonsense + "' WHERE name = 'schema_version'")
			if _, err := b.d.ReadNote(b.Context(), b.db); !errors.Is(err, store.ErrForeign) {
				b.Errorf("version %q: %v", nonsense, err)
			}
			if _, err := b.d.Inspect(b.Context(), b.db, everything); !errors.Is(err, store.ErrForeign) {
				b.Errorf("version %q: %v", nonsense, err)
			}
		}
		b.run("UPDATE meta SET value = '1' WHERE name = 'schema_version'", "INSERT INTO meta (name, value) VALUES ('copying', 'of /var/lib/exipol/exipol.db')")
		note, err = b.d.ReadNote(b.Context(), b.db)
		if err != nil || !errors.Is(note.Usable(), store.ErrCopying) || !strings.Contains(note.Usable().Error(), "of /var/lib/exipol/exipol.db") {
			b.Errorf("half a copy: %+v, %v", note, err)
		}
	})
	// From one version to the next, once there is one.
	if s := ddl.Of(plan.MySQL).NoteVersion(7); s != "UPDATE meta SET value = '1' WHERE name = 'schema_version' AND value = '7'" {
		t.Error(s)
	}
	if err := Missing(nil); err != nil {
		t.Error(err)
	}
	if err := Missing([]Change{{Kind: AddColumn, Table: "seen", Name: "why"}}); !errors.Is(err, store.ErrMissing) || !strings.Contains(err.Error(), "add column seen.why") {
		t.Error(err)
	}
}

func TestContract(t *testing.T) {
	made := Ever()
	made.Columns = []Place{{"seen", "gave_up"}, {"seen", "never_was"}, {"seen", "why"}, {"counter", "of_a_table_that_goes"}}
	made.Indexes = []Place{{"seen", "seen_gave_up"}, {"seen", "seen_never_was"}, {"seen", "seen_expires"}}
	small := plan.Tables(plan.Needs{Distinct: true})
	beds(t, func(b bed) {
		for _, c := range b.pending(everything) {
			b.run(c.SQL)
		}
		b.run("ALTER TABLE seen ADD COLUMN gave_up INTEGER NOT NULL DEFAULT 0", "CREATE INDEX seen_gave_up ON seen (gave_up)",
			"CREATE TABLE customers (id INTEGER PRIMARY KEY)",
			"DROP TABLE audit", "CREATE TABLE audit (id INTEGER PRIMARY KEY, what VARCHAR(10))", // somebody else's
			"INSERT INTO held (gateway, message, case_id, since_at, size, wanted, gone_at, expires_at) VALUES ('g', 'm', 1, 1, 1, '', 0, 1), ('g', 'n', 1, 1, 1, '', 5, 1)",
		)
		blob := map[string]string{plan.SQLite: "x''", plan.MySQL: "''"}[b.kind]
		b.run("INSERT INTO desk_case (id, policy, key_, tier, who, owner, opened_at, gateway, state, blocks, until_at, queued, counted, rate, decided_at, expires_at) VALUES (1, 'p', " +
			blob + ", 't', " + blob + ", " + blob + ", 1, 'g', 'open', 1, 0, 0, 0, '', 0, 0)")
		changes, left := b.d.Contract(b.live(small), small, made)
		if !slices.Equal(left, []string{"audit"}) {
			b.Errorf("left: %q", left)
		}
		drops, err := Weigh(b.Context(), b.db, changes)
		if err != nil {
			b.Fatal(err)
		}
		var kinds []string
		for _, d := range drops {
			kinds = append(kinds, strings.TrimSuffix(d.Kind+" "+d.Table+"."+d.Name, "."))
			if wantRows, wantOpen := map[string]int64{"held": 2, "desk_case": 1}[d.Table], map[string]string{"held": "messages held in queues: 1", "desk_case": "open cases: 1"}[d.Table]; d.Rows != wantRows || d.Open != wantOpen {
				b.Errorf("%s: %d rows, %q", d.SQL, d.Rows, d.Open)
			}
			b.change(d.Change)
		}
		want := []string{"drop index seen.seen_gave_up", "drop column seen.gave_up", "drop table counter", "drop table sample", "drop table standing", "drop table desk_case",
			"drop table evidence", "drop table held", "drop table notice", "drop table digest", "drop table arrival", "drop table log_event", "drop table log_place"}
		if !slices.Equal(kinds, want) {
			b.Errorf("changes\n%q\nwant\n%q", kinds, want)
		}
		b.whole(small)
		if changes, _ := b.d.Contract(b.live(small), small, made); len(changes) != 0 {
			b.Errorf("still to be dropped: %+v", changes)
		}
		b.run("INSERT INTO customers (id) VALUES (1)", "INSERT INTO audit (id) VALUES (1)")
		b.run("DROP TABLE audit")
		for _, c := range b.pending(everything) {
			b.run(c.SQL)
		}
		b.whole(everything)
	})
}
