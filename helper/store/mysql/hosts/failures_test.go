package hosts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// TestKill: a server that is killed under load is missed at once, once in the log, and is used again when it is
// back, without anybody's doing.
func TestKill(t *testing.T) {
	server := mysqltest.Start(t)
	b := ready(t, database(server))
	for range 3 {
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					if b.exec("UPDATE lease SET until_at = until_at") != nil {
						time.Sleep(time.Millisecond)
					}
				}
			}
		}()
		server.Kill()
		killed := time.Now()
		if err := b.away(); !errors.Is(err, store.ErrAway) {
			t.Errorf("%v, want ErrAway", err)
		}
		if took := time.Since(killed); took > 2*time.Second {
			t.Errorf("the dead server was in use for %s", took)
		}
		server.Start()
		b.wait()
		close(stop)
		<-done
		if err := b.exec("UPDATE lease SET until_at = until_at"); err != nil {
			t.Errorf("after the restart: %v", err)
		}
	}
	h := b.Health()
	if h.Failures == 0 || h.Moves != 0 {
		t.Errorf("%d failures and %d moves, want some and none", h.Failures, h.Moves)
	}
	for message, want := range map[string]int{"database host in use": 4, "database host left": 3, "no database host can be used": 3} {
		if got := b.logged(message); got != want {
			t.Errorf("%q was said %d times, want %d", message, got, want)
		}
	}
}

// TestOneLostConnection moves nobody: the host is looked at at once, and stays in use meanwhile.
func TestOneLostConnection(t *testing.T) {
	server := mysqltest.Start(t)
	// Only a failure can be the reason for a look.
	b := ready(t, database(server), func(c *Config) { c.Every = time.Hour })
	h := b.use()
	conn, err := h.DB().Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var id string
	if err := conn.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	before := value(t, server.DB(), "SELECT until_at FROM "+b.config.Store.Database+".lease WHERE name = 'probe'")
	server.Exec("KILL CONNECTION " + id)
	_, err = conn.ExecContext(context.Background(), "SELECT 1")
	if !Lost(err) {
		t.Fatalf("%v, want a lost connection", err)
	}
	h.Failed(err)
	await(t, "a commit that answers the doubt", func() bool {
		if b.use() != h {
			t.Fatal("another host is in use")
		}
		return value(t, server.DB(), "SELECT until_at FROM "+b.config.Store.Database+".lease WHERE name = 'probe'") != before && !h.suspected()
	})
	if health := b.Health(); health.Failures != 1 {
		t.Errorf("%d failures, want 1", health.Failures)
	}
	for _, nothing := range []error{nil, context.Canceled, serverSays(1213, "Deadlock found")} {
		h.Failed(nothing)
	}
	if health := b.Health(); health.Failures != 1 {
		t.Errorf("%d failures, want 1: a caller's own end and a deadlock are none", health.Failures)
	}
}

// TestFrozen: a server that takes connections and says nothing is left within seconds.
func TestFrozen(t *testing.T) {
	server := mysqltest.Start(t)
	b := ready(t, database(server))
	server.Freeze()
	frozen := time.Now()
	if err := b.away(); !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("%v", err)
	}
	if took := time.Since(frozen); took > 5*time.Second {
		t.Errorf("it was in use for %s", took)
	}
	server.Thaw()
	b.wait()
}

// TestNetwork: what networks do.
func TestNetwork(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	proxy := mysqltest.NewProxy(t, server.Addr())
	made := database(server)
	made.Hosts = []string{proxy.Addr()}
	b := ready(t, made)
	for _, c := range []struct {
		name  string
		hurts func()
		want  string
	}{
		{"refuses", proxy.Refuse, "connection refused"},
		{"hangs", proxy.Hang, "no answer within"},
		{"delays", func() { proxy.Delay(3 * time.Second) }, "no answer within"},
	} {
		c.hurts()
		if err := b.away(); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		proxy.Heal()
		b.wait()
	}
	// Connections that are cut while the server is well cost what was under way, and nobody else anything.
	for range 5 {
		proxy.Cut()
		_ = b.exec("SELECT 1")
	}
	b.wait()
	await(t, "statements to go on", func() bool { return b.exec("SELECT 1") == nil })
}

func TestReadOnly(t *testing.T) {
	server := mysqltest.Start(t)
	b := ready(t, database(server))
	server.ReadOnly()
	if err := b.away(); !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v", err)
	}
	if h := b.Health(); h.Hosts[0].Use != store.HostUnready || h.Hosts[0].Version == "" {
		t.Errorf("%+v", h.Hosts[0])
	}
	server.Writable()
	b.wait()
}

// TestFull: a server whose disk is full stays in use, for what can be read, and says so to who writes.
func TestFull(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, mysqltest.WithRoom(-1), mysqltest.WithArgs("--skip-log-bin"))
	made := database(server)
	server.Exec("CREATE TABLE " + made.Database + ".filling (n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, text BLOB NOT NULL)")
	b := ready(t, made)
	server.Room(4 << 20)
	var err error
	await(t, "the disk to be full", func() bool {
		err = b.exec("INSERT INTO filling (text) VALUES (REPEAT('x', 60000))")
		return err != nil
	})
	if !errors.Is(Classify(err), store.ErrFull) || Lost(err) || Retry(err) {
		t.Errorf("%v, want ErrFull", Classify(err))
	}
	h := b.use()
	h.hosts.mu.Lock()
	h.hosts.choice.doubt(0, time.Now())
	h.hosts.mu.Unlock()
	h.wake()
	await(t, "a trial", func() bool { return !h.suspected() })
	if err := b.exec("SELECT COUNT(*) FROM filling"); err != nil {
		t.Errorf("it cannot be read: %v", err)
	}
	if n := b.logged("database host left"); n != 0 {
		t.Errorf("the host was left %d times", n)
	}
}
