package mysqltest

import (
	"context"
	"database/sql"
	"net"
	"testing"
	"time"
)

// behind makes a database with one table t, seen directly and by way of a proxy with at most one connection.
func behind(t *testing.T) (p *Proxy, direct, far *sql.DB) {
	t.Helper()
	s := Shared(t)
	made := s.Database()
	direct = open(t, made)
	run(t, direct, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
	p = NewProxy(t, s.Addr())
	made.Hosts = []string{p.Addr()}
	far = open(t, made)
	far.SetMaxOpenConns(1)
	return p, direct, far
}

func ask(db *sql.DB, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return db.PingContext(ctx)
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	p, _, far := behind(t)
	run(t, far, "INSERT INTO t VALUES (1)")
	const late = 300 * time.Millisecond
	p.Delay(late)
	if err := ask(far, late/2); err == nil {
		t.Error("an answer comes before it is due")
	}
	before := time.Now()
	if count(t, far, "SELECT count(*) FROM t") != 1 || time.Since(before) < late {
		t.Errorf("an answer came after %v, and was due after %v", time.Since(before), late)
	}
	p.Heal()
	run(t, far, "INSERT INTO t VALUES (2)")
}

func TestProxyCut(t *testing.T) {
	t.Parallel()
	p, _, far := behind(t)
	c, err := far.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.Cut()
	if _, err := c.ExecContext(context.Background(), "INSERT INTO t VALUES (1)"); err == nil {
		t.Error("a connection outlived its cut")
	}
	_ = c.Close()
	run(t, far, "INSERT INTO t VALUES (1)")
}

func TestProxyRefuse(t *testing.T) {
	t.Parallel()
	p, _, far := behind(t)
	run(t, far, "INSERT INTO t VALUES (1)")
	p.Refuse()
	if _, err := far.Exec("INSERT INTO t VALUES (2)"); err == nil {
		t.Error("a connection outlived its end")
	}
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		c.Close()
		t.Error("a connection was taken")
	}
	p.Heal()
	run(t, far, "INSERT INTO t VALUES (2)")
}

func TestProxyHang(t *testing.T) {
	t.Parallel()
	p, direct, far := behind(t)
	far.SetMaxOpenConns(2)
	c, err := far.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.Hang()
	ended := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), "INSERT INTO t VALUES (1)")
		ended <- err
	}()
	if err := ask(far, 200*time.Millisecond); err == nil {
		t.Error("a new connection was answered")
	}
	select {
	case err := <-ended:
		t.Errorf("a connection was answered: %v", err)
	default:
	}
	if n := count(t, direct, "SELECT count(*) FROM t"); n != 0 {
		t.Error("a question came through")
	}
	p.Heal()
	if err := <-ended; err != nil {
		t.Errorf("what hung did not go on: %v", err)
	}
	if err := ask(far, patience); err != nil {
		t.Error(err)
	}
}

func TestProxyTo(t *testing.T) {
	t.Parallel()
	p, _, far := behind(t)
	run(t, far, "INSERT INTO t VALUES (1)")
	nobody := NewProxy(t, "127.0.0.1:1")
	p.To(nobody.Addr())
	run(t, far, "INSERT INTO t VALUES (2)") // by the connection that is there
	p.Cut()
	if err := ask(far, patience); err == nil {
		t.Error("somebody answers at port 1")
	}
}

// TestProxyCommit: the client cannot tell whether it was done, and it was, or was not.
func TestProxyCommit(t *testing.T) {
	t.Parallel()
	p, direct, far := behind(t)
	write := func(id int) error {
		tx, err := far.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.Exec("INSERT INTO t VALUES (?)", id); err != nil {
			t.Fatal(err)
		}
		return tx.Commit()
	}
	for _, c := range []struct {
		fate Fate
		rows int
		fine bool
	}{{Answered, 1, true}, {Lost, 1, false}, {Unanswered, 2, false}} {
		p.LoseCommit(c.fate)
		if err := write(int(c.fate)); (err == nil) != c.fine {
			t.Errorf("fate %d: %v", c.fate, err)
		}
		if n := count(t, direct, "SELECT count(*) FROM t"); n != c.rows {
			t.Errorf("fate %d: %d rows, not %d", c.fate, n, c.rows)
		}
		if err := write(10 + int(c.fate)); err != nil {
			t.Errorf("the commit after that of fate %d: %v", c.fate, err)
		}
		run(t, direct, "DELETE FROM t WHERE id >= 10")
	}
}
