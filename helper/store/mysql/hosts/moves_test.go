package hosts

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// pair is two servers with the same database, and no replication between them.
func pair(t *testing.T, options ...mysqltest.Option) (first, second *mysqltest.Server, made plan.Store) {
	return pairOf(t, mysqltest.Start(t, options...), mysqltest.Start(t))
}

func pairOf(t *testing.T, one, other *mysqltest.Server) (first, second *mysqltest.Server, made plan.Store) {
	first, second = one, other
	made = database(first)
	password, err := ReadPassword(made.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	same(second, made, password)
	made.Hosts = []string{first.Addr(), second.Addr()}
	return first, second, made
}

// connections counts those of the store's user at a server that are open.
func connections(t *testing.T, s *mysqltest.Server, user string) string {
	return value(t, s.DB(), "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '"+user+"'")
}

func TestFailoverToAnotherServer(t *testing.T) {
	first, second, made := pair(t)
	var moves atomic.Int64
	b := ready(t, made)
	b.OnMove(func() { moves.Add(1) })
	uses := func(s *mysqltest.Server) func() bool {
		return func() bool {
			h, err := b.Use(context.Background())
			return err == nil && h.Addr() == s.Addr()
		}
	}
	if !uses(first)() {
		t.Fatal("the first host is not in use")
	}
	before := moves.Load()
	for i := range 2 {
		first.Kill()
		if err := b.exec("SELECT 1"); err == nil {
			t.Error("a dead server answers")
		}
		await(t, "the second host to be in use", uses(second))
		if got := value(t, b.use().DB(), "SELECT @@port"); !strings.HasSuffix(second.Addr(), ":"+got) {
			t.Errorf("port %s, want that of %s", got, second.Addr())
		}
		h := b.Health()
		if h.Host != second.Addr() || h.Hosts[0].Use != store.HostAway || h.Hosts[0].Why == "" || h.Hosts[1].Use != store.HostInUse || h.Moves != int64(2*i+1) {
			t.Errorf("health %+v", h)
		}
		first.Start()
		await(t, "the first host to be refused", func() bool { return b.Health().Hosts[0].Use == store.HostUnready })
		if why := b.Health().Hosts[0].Why; why != "it does not follow the host in use ("+second.Addr()+"): make it its replica first" {
			t.Errorf("the first host is not gone back to, for %s", why)
		}
		// Long enough that it would be gone back to otherwise.
		for end := time.Now().Add(4 * steadyLooks * quick); time.Now().Before(end); time.Sleep(quick) {
			if !uses(second)() || b.Health().Hosts[0].Use != store.HostUnready {
				t.Fatalf("the first host is gone back to, though it lacks what was written: %+v", b.Health())
			}
		}
		second.Kill()
		_ = b.exec("SELECT 1")
		await(t, "the first host to be in use, for there is no other", uses(first))
		second.Start()
		await(t, "the second host to be a standby", func() bool { return b.Health().Hosts[1].Use == store.HostStandby })
		await(t, "the call of OnMove", func() bool { return moves.Load() >= before+2*int64(i+1) })
		// What is left of the store's at the second server is the connection by which it is looked at.
		await(t, "the connections to close", func() bool { return connections(t, second, made.User) == "1" })
	}
	// In the second round the first host may be lost before anybody has written there: then there is nothing to be behind of.
	if n := b.logged("database host may be behind: it was not seen to follow the one that was in use before"); n != 3 && n != 4 {
		t.Errorf("that a host may be behind was said %d times, want 3 or 4:\n%s", n, b.log)
	}
}

// TestReplica: a replica of the host in use is not written to, and what it lags behind is known, until an
// administrator promotes it. The old primary is gone back to when it has become the replica of the new one.
func TestReplica(t *testing.T) {
	t.Parallel()
	binlog := []string{"--log-bin=binlog", "--binlog-format=ROW"}
	first, second, made := pairOf(t, mysqltest.Start(t, mysqltest.WithArgs(append(binlog, "--server-id=1")...)),
		mysqltest.Start(t, mysqltest.WithArgs(append(binlog, "--server-id=2")...)))
	// follow makes one the replica of another, from now on: what both have is the same.
	follow := func(replica, primary *mysqltest.Server) {
		primary.Exec("CREATE USER IF NOT EXISTS replica@'%' IDENTIFIED BY 'replica'")
		primary.Exec("GRANT REPLICATION SLAVE ON *.* TO replica@'%'")
		primary.Exec("RESET MASTER")
		host, port, _ := strings.Cut(primary.Addr(), ":")
		replica.Exec("CHANGE MASTER TO MASTER_HOST = '" + host + "', MASTER_PORT = " + port + ", MASTER_USER = 'replica', MASTER_PASSWORD = 'replica'/*M! , MASTER_USE_GTID = no */")
		replica.Exec("START SLAVE")
	}
	follow(second, first)
	second.ReadOnly()
	b := ready(t, made)
	row := func(s *mysqltest.Server) string {
		return value(t, s.DB(), "SELECT COALESCE(MAX(until_at), '') FROM "+made.Database+".lease WHERE name = 'probe'")
	}
	await(t, "the row to be replicated", func() bool { return row(second) != "" })
	await(t, "the replica to be known", func() bool { return b.Health().Hosts[1].Use == store.HostUnready })
	if h := b.Health(); !strings.Contains(h.Hosts[1].Why, "read-only") || h.Slow || h.Hosts[1].Lag > lagging {
		t.Errorf("health %+v", h)
	}
	second.Exec("STOP SLAVE SQL_THREAD")
	await(t, "the replica to lag", func() bool { return b.Slow() })
	if h := b.Health(); h.Hosts[1].Lag < lagging || h.Hosts[1].Lag > time.Minute || h.Host != first.Addr() || !h.Slow {
		t.Errorf("health %+v", h)
	}
	second.Exec("START SLAVE SQL_THREAD")
	await(t, "the replica to catch up", func() bool { return !b.Slow() && b.Health().Hosts[1].Lag < lagging })
	await(t, "the replica to be seen to follow", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.choice.follows(1, time.Now())
	})
	first.Kill()
	if err := b.away(); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v, want both reasons", err)
	}
	second.Exec("STOP SLAVE")
	second.Writable()
	await(t, "the promoted replica to be in use", func() bool {
		h, err := b.Use(context.Background())
		return err == nil && h.Addr() == second.Addr()
	})
	if n := b.logged("database host may be behind: it was not seen to follow the one that was in use before"); n != 0 {
		t.Errorf("it is said of a replica that it may be behind:\n%s", b.log)
	}
	first.Start()
	await(t, "the old primary to be refused", func() bool {
		h := b.Health().Hosts[0]
		return h.Use == store.HostUnready && strings.Contains(h.Why, "make it its replica first")
	})
	if b.use().Addr() != second.Addr() {
		t.Error("the old primary is gone back to")
	}
	follow(first, second)
	await(t, "the old primary to be in use again", func() bool {
		h, err := b.Use(context.Background())
		return err == nil && h.Addr() == first.Addr()
	})
	if row(first) == "" || b.Health().Moves != 2 {
		t.Errorf("health %+v", b.Health())
	}
}

// TestClocks: Now is the time of the host in use, whatever this host's clock says, and another host's after a move.
func TestClocks(t *testing.T) {
	const ahead = time.Hour
	first, second, made := pair(t, mysqltest.WithClock(ahead))
	b := ready(t, made)
	differs := func() time.Duration { return time.Until(b.Now()) }
	if d := differs() - ahead; d.Abs() > 5*time.Second {
		t.Errorf("Now is %s off the server's", d)
	}
	if h := b.Health(); (h.Skew + ahead).Abs() > 5*time.Second {
		t.Errorf("skew %s, want %s", h.Skew, -ahead)
	}
	before := b.Now()
	for range 1000 {
		now := b.Now()
		if now.Before(before) {
			t.Fatalf("the clock went back by %s", before.Sub(now))
		}
		before = now
	}
	second.Kill()
	first.Kill()
	b.away()
	if d := differs() - ahead; d.Abs() > 5*time.Second {
		t.Errorf("Now is %s off while no server is there: it goes on as before", d)
	}
	second.Start()
	b.wait()
	if d := differs(); d.Abs() > 5*time.Second {
		t.Errorf("Now is %s off the second server's", d)
	}
}
