package ddl

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
)

const testID = "0123456789abcdef01234567"

func TestGolden(t *testing.T) {
	for name, needs := range map[string]plan.Needs{
		"none":    {},
		"counter": {Counter: true},
		"desk":    {Counter: true, Desk: true},
		"log":     {Counter: true, Log: true},
		"all":     everything,
	} {
		tables := plan.Tables(needs)
		golden(t, "schema."+name+".sqlite.sql", SQLite(tables, testID))
		golden(t, "schema."+name+".mysql.sql", MySQL(tables, testID))
	}
}

var everything = plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs from what is generated (UPDATE=1 rewrites it); generated:\n%s", path, got)
	}
}

// Names stand without quotes in both dialects, so none may be a reserved word of
// SQLite, MySQL 8.4 or MariaDB 11.
func TestNoReservedWords(t *testing.T) {
	reserved := map[string]bool{}
	for _, w := range strings.Fields(reservedWords) {
		reserved[strings.ToLower(w)] = true
	}
	check := func(name string) {
		if reserved[name] {
			t.Errorf("%q is a reserved word", name)
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || len(name) > 60 {
			t.Errorf("%q is no plain name", name)
		}
	}
	for _, table := range plan.Tables(everything) {
		check(table.Name)
		columns, long := map[string]bool{}, map[string]bool{} // long: MySQL has no index on it
		for _, c := range table.Columns {
			check(c.Name)
			columns[c.Name], long[c.Name] = true, c.Type == plan.Text || c.Type == plan.Raw
			if strings.HasPrefix(sqlite.Type(c.Type), "UNKNOWN") || strings.HasPrefix(mysql.Type(c.Type), "UNKNOWN") {
				t.Errorf("%s.%s: type %q has no text in a dialect", table.Name, c.Name, c.Type)
			}
		}
		for _, k := range table.Key {
			if !columns[k] || long[k] {
				t.Errorf("%s: key column %s does not exist, or is too long for a key", table.Name, k)
			}
		}
		for _, i := range table.Indexes {
			check(i.Name)
			for _, c := range i.Columns {
				if !columns[c] || long[c] {
					t.Errorf("%s: column %s of index %s does not exist, or is too long for one", table.Name, c, i.Name)
				}
			}
		}
	}
}

// The statements that change tables are those that package schema has databases run; here is how they read.
func TestChanges(t *testing.T) {
	column, index := plan.Column{Name: "note", Type: plan.Text}, plan.Index{Name: "seen_note", Columns: []string{"passes", "policy"}}
	for kind, want := range map[string][]string{
		plan.SQLite: {
			"ALTER TABLE seen ADD COLUMN note TEXT NOT NULL DEFAULT ''",
			"CREATE INDEX IF NOT EXISTS seen_note ON seen (passes, policy)",
			"DROP INDEX IF EXISTS seen_note",
			"ALTER TABLE seen DROP COLUMN note",
			"DROP TABLE IF EXISTS seen",
			"INSERT INTO meta (name, value) VALUES ('schema_version', '1') ON CONFLICT (name) DO NOTHING",
			"UPDATE meta SET value = '1' WHERE name = 'schema_version' AND value = '7'",
		},
		plan.MySQL: {
			"ALTER TABLE seen ADD COLUMN note TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ('')",
			"ALTER TABLE seen ADD INDEX seen_note (passes, policy)",
			"ALTER TABLE seen DROP INDEX seen_note",
			"ALTER TABLE seen DROP COLUMN note",
			"DROP TABLE IF EXISTS seen",
			"INSERT IGNORE INTO meta (name, value) VALUES ('schema_version', '1')",
			"UPDATE meta SET value = '1' WHERE name = 'schema_version' AND value = '7'",
		},
	} {
		d := Of(kind)
		got := []string{
			d.AddColumn("seen", column), d.AddIndex("seen", index), d.DropIndex("seen", index.Name), d.DropColumn("seen", column.Name),
			d.DropTable("seen"), d.NoteVersion(0), d.NoteVersion(7),
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%q\nwant\n%q", kind, got, want)
		}
	}
}

func TestUnknownTypeIsVisible(t *testing.T) {
	bad := plan.Table{Name: "bad", Columns: []plan.Column{{Name: "x", Type: "float"}}, Key: []string{"x"}}
	if s := Of(plan.SQLite).Table(bad)[0]; !strings.Contains(s, "UNKNOWN_TYPE_float") {
		t.Errorf("an unknown type is not refused: %s", s)
	}
}

// reservedWords are the keywords of the three databases that may not be used as
// names without quotes (SQLite: all of its keywords).
const reservedWords = `
ABORT ACCESSIBLE ACTION ADD AFTER ALL ALTER ALWAYS ANALYZE AND AS ASC ASENSITIVE ATTACH AUTOINCREMENT BEFORE BEGIN
BETWEEN BIGINT BINARY BLOB BOTH BY CALL CASCADE CASE CAST CHANGE CHAR CHARACTER CHECK COLLATE COLUMN COMMIT CONDITION
CONFLICT CONSTRAINT CONTINUE CONVERT CREATE CROSS CUBE CUME_DIST CURRENT CURRENT_DATE CURRENT_ROLE CURRENT_TIME
CURRENT_TIMESTAMP CURRENT_USER CURSOR DATABASE DATABASES DAY_HOUR DAY_MICROSECOND DAY_MINUTE DAY_SECOND DEC DECIMAL
DECLARE DEFAULT DEFERRABLE DEFERRED DELAYED DELETE DENSE_RANK DESC DESCRIBE DETACH DETERMINISTIC DISTINCT DISTINCTROW
DIV DO DO_DOMAIN_IDS DOUBLE DROP DUAL EACH ELSE ELSEIF EMPTY ENCLOSED END ESCAPE ESCAPED EXCEPT EXCLUDE EXCLUSIVE
EXISTS EXIT EXPLAIN FAIL FALSE FETCH FILTER FIRST FIRST_VALUE FLOAT FLOAT4 FLOAT8 FOLLOWING FOR FORCE FOREIGN FROM
FULL FULLTEXT FUNCTION GENERAL GENERATED GET GLOB GRANT GROUP GROUPING GROUPS HAVING HIGH_PRIORITY HOUR_MICROSECOND
HOUR_MINUTE HOUR_SECOND IF IGNORE IGNORE_DOMAIN_IDS IGNORE_SERVER_IDS IMMEDIATE IN INDEX INDEXED INFILE INITIALLY
INNER INOUT INSENSITIVE INSERT INSTEAD INT INT1 INT2 INT3 INT4 INT8 INTEGER INTERSECT INTERVAL INTO IO_AFTER_GTIDS
IO_BEFORE_GTIDS IS ISNULL ITERATE JOIN JSON_TABLE KEY KEYS KILL LAG LAST LAST_VALUE LATERAL LEAD LEADING LEAVE LEFT
LIKE LIMIT LINEAR LINES LOAD LOCALTIME LOCALTIMESTAMP LOCK LONG LONGBLOB LONGTEXT LOOP LOW_PRIORITY MANUAL
MASTER_BIND MASTER_HEARTBEAT_PERIOD MASTER_SSL_VERIFY_SERVER_CERT MATCH MATERIALIZED MAXVALUE MEDIUMBLOB MEDIUMINT
MEDIUMTEXT MIDDLEINT MINUTE_MICROSECOND MINUTE_SECOND MOD MODIFIES NATURAL NO NOT NOTHING NOTNULL NO_WRITE_TO_BINLOG
NTH_VALUE NTILE NULL NULLS NUMERIC OF OFFSET ON OPTIMIZE OPTIMIZER_COSTS OPTION OPTIONALLY OR ORDER OTHERS OUT OUTER
OUTFILE OVER PAGE_CHECKSUM PARALLEL PARSE_VCOL_EXPR PARTITION PERCENT_RANK PLAN PORTION PRAGMA PRECEDING PRECISION PRIMARY PROCEDURE
PURGE QUALIFY QUERY RAISE RANGE RANK READ READS READ_WRITE REAL RECURSIVE REFERENCES REF_SYSTEM_ID REGEXP REINDEX
RELEASE RENAME REPEAT REPLACE REQUIRE RESIGNAL RESTRICT RETURN RETURNING REVOKE RIGHT RLIKE ROLLBACK ROW ROWS
ROW_NUMBER SAVEPOINT SCHEMA SCHEMAS SECOND_MICROSECOND SELECT SENSITIVE SEPARATOR SET SHOW SIGNAL SLOW SMALLINT
SPATIAL SPECIFIC SQL SQLEXCEPTION SQLSTATE SQLWARNING SQL_BIG_RESULT SQL_CALC_FOUND_ROWS SQL_SMALL_RESULT SSL
STARTING STATS_AUTO_RECALC STATS_PERSISTENT STATS_SAMPLE_PAGES STORED STRAIGHT_JOIN SYSTEM TABLE TABLESAMPLE TEMP TEMPORARY
TERMINATED THEN TIES TINYBLOB TINYINT TINYTEXT TO TRAILING TRANSACTION TRIGGER TRUE UNBOUNDED UNDO UNION UNIQUE
UNLOCK UNSIGNED UNTIL UPDATE USAGE USE USING UTC_DATE UTC_TIME UTC_TIMESTAMP VACUUM VALUES VARBINARY VARCHAR
VARCHARACTER VARYING VIEW VIRTUAL WHEN WHERE WHILE WINDOW WITH WITHIN WITHOUT WRITE XOR YEAR_MONTH ZEROFILL`
