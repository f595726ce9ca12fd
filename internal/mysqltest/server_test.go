package mysqltest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"exipol/generator/plan"
)

// open connects to a store at its first host as exipold would, with some of the session's switches on.
func open(t *testing.T, s plan.Store, on ...string) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.DBName = "tcp", s.Hosts[0], s.User, s.Database
	if strings.HasPrefix(c.Addr, "/") {
		c.Net = "unix"
	}
	password, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	c.Passwd = strings.TrimSuffix(string(password), "\n")
	c.Logger = &mysql.NopLogger{}
	c.Params = map[string]string{}
	for _, name := range on {
		c.Params[name] = "15" // all bits of those that have some
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestKill: what was committed is there after a crash.
func TestKill(t *testing.T) {
	t.Parallel()
	s := Start(t)
	db := open(t, s.Database())
	run(t, db, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
	run(t, db, "INSERT INTO t VALUES (1), (2)")
	addr, pid := s.Addr(), s.PID()
	s.Kill()
	if s.PID() != 0 {
		t.Errorf("it runs as %d", s.PID())
	}
	if _, err := db.Exec("INSERT INTO t VALUES (3)"); err == nil {
		t.Error("a dead server takes rows")
	}
	s.Start()
	if s.Addr() != addr || s.PID() == pid || s.PID() == 0 {
		t.Errorf("%s, %d: it was %s, %d", s.Addr(), s.PID(), addr, pid)
	}
	if n := count(t, db, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows", n)
	}
	s.Stop()
	s.Start()
	if n := count(t, db, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows after an orderly end", n)
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	s := Start(t)
	db := open(t, s.Database())
	run(t, db, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
	s.Freeze()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (1)"); err == nil {
		t.Error("a frozen server answers")
	}
	s.Thaw()
	run(t, db, "INSERT INTO t VALUES (2)")
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := Start(t)
	db := open(t, s.Database())
	run(t, db, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
	s.ReadOnly()
	if _, err := db.Exec("INSERT INTO t VALUES (1)"); err == nil || !strings.Contains(err.Error(), "1290") {
		t.Errorf("read-only: %v", err)
	}
	s.Writable()
	run(t, db, "INSERT INTO t VALUES (1)")
}

// TestDatabase: the user may do what exipold does, in its own database, and nothing elsewhere; and neither stays.
func TestDatabase(t *testing.T) {
	s := Shared(t)
	var made plan.Store
	t.Run("of its own", func(t *testing.T) {
		s := Shared(t)
		made = s.Database()
		other := s.Database()
		db := open(t, made)
		for _, query := range []string{
			"CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)", "CREATE INDEX i ON t (n)", "ALTER TABLE t ADD COLUMN more TEXT",
			"INSERT INTO t VALUES (1, 2, 'x')", "UPDATE t SET n = 3", "DELETE FROM t", "DROP INDEX i ON t", "DROP TABLE t",
		} {
			run(t, db, query)
		}
		if _, err := db.Exec("CREATE TABLE " + other.Database + ".t (id BIGINT)"); err == nil {
			t.Error("it may write into another's database")
		}
		if _, err := db.Exec("SET GLOBAL read_only = ON"); err == nil {
			t.Error("it may change the server")
		}
		made.Hosts = []string{s.Socket()}
		if n := count(t, open(t, made), "SELECT 1"); n != 1 {
			t.Error(n)
		}
		if st, err := os.Stat(made.PasswordFile); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("password file: %v, %v", st.Mode(), err)
		}
	})
	if n := count(t, s.DB(), "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '"+made.Database+"'"); n != 0 {
		t.Error("the database stays")
	}
	if n := count(t, s.DB(), "SELECT count(*) FROM mysql.user WHERE user = '"+made.User+"'"); n != 0 {
		t.Error("the user stays")
	}
	if again := Shared(t); again.PID() != s.PID() {
		t.Errorf("shared is %d, and then %d", s.PID(), again.PID())
	}
}

// leftOver is set in the processes that TestNothingStays makes.
const leftOver = "MYSQLTEST_LEFT_OVER"

// TestNothingStays: however a process of tests ends, its servers and their folders go with it.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	if how := os.Getenv(leftOver); how != "" {
		leave(t, how)
		return
	}
	for _, how := range []string{"end", "kill", "panic"} { // a timeout is a panic, too
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestNothingStays$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), leftOver+"="+how)
			out, err := cmd.Output()
			if (err == nil) != (how == "end") {
				t.Errorf("it ends with %v", err)
			}
			var pids [2]int
			var dir string
			if n, err := fmt.Sscan(string(out), &pids[0], &pids[1], &dir); n != 3 {
				t.Fatalf("%v: %s", err, out)
			}
			for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				_, err := os.Stat(dir)
				if alive(pids[0]) || alive(pids[1]) || err == nil {
					if time.Now().Before(end) {
						continue
					}
					t.Errorf("the servers run: %v, %v; their folder: %v", alive(pids[0]), alive(pids[1]), err)
				}
				break
			}
		})
	}
}

// leave starts servers and ends in a way.
func leave(t *testing.T, how string) {
	fmt.Println(Start(t).PID(), Shared(t).PID(), filepath.Dir(Shared(t).Dir()))
	switch how {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "panic":
		go panic("as a test does that has a bug")
	}
	if how != "end" {
		<-t.Context().Done()
	}
}

// alive says whether a process runs; one that has ended and that nobody has waited for does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(after, "Z")
}
