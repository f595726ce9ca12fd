package mysqltest

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

func TestArgs(t *testing.T) {
	t.Parallel()
	s := Start(t, WithArgs("--max-connections=17"))
	if n := count(t, s.DB(), "SELECT @@max_connections"); n != 17 {
		t.Error(n)
	}
}

// TestRoom: what does not fit is refused, the server lives on, and goes on when there is room again.
func TestRoom(t *testing.T) {
	t.Parallel()
	s := Start(t, WithRoom(1<<20))
	db := open(t, s.Database())
	run(t, db, "CREATE TABLE t (id BIGINT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(3000) CHARACTER SET latin1) ENGINE=InnoDB")
	fill := func() (err error) {
		for n := 0; n < 30000 && err == nil; n++ {
			_, err = db.Exec("INSERT INTO t (text) VALUES (repeat('x', 3000))")
		}
		return err
	}
	full := func() {
		t.Helper()
		if err := fill(); err == nil || !strings.Contains(err.Error(), "1114") {
			t.Fatalf("a full disk: %v", err)
		}
	}
	full()
	rows := count(t, db, "SELECT count(*) FROM t")
	s.Kill()
	s.Start()
	full()
	s.Room(-1)
	for range 500 {
		run(t, db, "INSERT INTO t (text) VALUES (repeat('x', 3000))")
	}
	s.Room(0)
	full()
	if n := count(t, db, "SELECT count(*) FROM t"); n < rows+500 || n > 2*rows+2000 {
		t.Errorf("%d rows at first, and %d at last", rows, n)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := Start(t, WithTLS(), WithArgs("--require-secure-transport=ON"))
	made := s.Database()
	if err := open(t, made).Ping(); err == nil {
		t.Error("it is served without TLS")
	}
	if n := secure(t, s, s.CAFile(), "127.0.0.1"); n != nil {
		t.Error(n)
	}
	if err := secure(t, s, s.CAFile(), "db.example.com"); err == nil {
		t.Error("its certificate is for any host")
	}
	plain := Start(t, WithoutTLS())
	if err := secure(t, plain, s.CAFile(), "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "not support TLS") {
		t.Errorf("a server without TLS: %v", err)
	}
	if err := secure(t, s, OtherCA(t), "127.0.0.1"); err == nil {
		t.Error("its certificate is any CA's")
	}
}

// secure connects with TLS, verified, and says what was wrong.
func secure(t *testing.T, s *Server, file, name string) error {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("no certificate")
	}
	c := s.admin()
	c.Net, c.Addr = "tcp", s.Addr()
	c.TLS = &tls.Config{RootCAs: roots, ServerName: name}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.Ping()
}

// TestClock: all of the server is in its own time, and waits no longer for that.
func TestClock(t *testing.T) {
	t.Parallel()
	const ahead = time.Hour
	s := Start(t, WithClock(ahead))
	db := open(t, s.Database())
	run(t, db, "CREATE TABLE t (id BIGINT PRIMARY KEY) ENGINE=InnoDB")
	run(t, db, "INSERT INTO t VALUES (1)")
	for _, clock := range []string{"now(6)", "sysdate(6)", "utc_timestamp(6)"} {
		var unix float64
		if err := db.QueryRow("SELECT CAST(unix_timestamp(" + clock + ") AS DOUBLE)").Scan(&unix); err != nil {
			t.Fatal(err)
		}
		if off := time.Duration(unix*1e9) - time.Duration(time.Now().UnixNano()) - ahead; off.Abs() > 5*time.Second {
			t.Errorf("%s is %v off", clock, off)
		}
	}
	one, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Exec("UPDATE t SET id = 2"); err != nil {
		t.Fatal(err)
	}
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	began := time.Now()
	if _, err := other.ExecContext(t.Context(), "SET SESSION innodb_lock_wait_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), "UPDATE t SET id = 3"); err == nil || !strings.Contains(err.Error(), "1205") {
		t.Errorf("a row that another has locked: %v", err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > patience/2 {
		t.Errorf("a second lasts %v", took)
	}
	if _, err := other.ExecContext(t.Context(), "DO sleep(0.5)"); err != nil || time.Since(began) > patience {
		t.Errorf("half a second lasts %v: %v", time.Since(began), err)
	}
	if err := one.Commit(); err != nil {
		t.Error(err)
	}
	s.Kill()
	s.Start()
	if n := count(t, db, "SELECT id FROM t"); n != 2 {
		t.Error(n)
	}
	s.Stop()
}
