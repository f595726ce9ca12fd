package hosts

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

func TestUse(t *testing.T) {
	server := mysqltest.Shared(t)
	made := database(server)
	for _, host := range []string{server.Addr(), server.Socket()} {
		made.Hosts = []string{host}
		b := ready(t, made)
		h := b.use()
		if h.Addr() != host {
			t.Errorf("host %q, want %q", h.Addr(), host)
		}
		for _, db := range []struct{ got, want string }{
			{"@@sql_mode", "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"}, {"@@time_zone", "+00:00"}, {"/*M! @@tx_isolation */ /*!80000 @@transaction_isolation */", "READ-COMMITTED"},
			{"@@innodb_lock_wait_timeout", "1"}, {"@@lock_wait_timeout", "1"}, {"@@autocommit", "1"}, {"@@wait_timeout", "60"},
			{"/*M! @@idle_write_transaction_timeout */ /*!80000 5 */", "5"}, {"@@collation_connection", "utf8mb4_bin"}, {"@@character_set_results", "utf8mb4"},
			{"DATABASE()", made.Database},
		} {
			if got := value(t, h.DB(), "SELECT "+db.got); got != db.want {
				t.Errorf("%s: %s is %s, want %s", host, db.got, got, db.want)
			}
			if got := value(t, h.Long(), "SELECT "+db.got); got != db.want {
				t.Errorf("%s: %s is %s on a long connection, want %s", host, db.got, got, db.want)
			}
		}
		health := b.Health()
		if health.Kind != plan.MySQL || health.Host != host || health.Away != "" || health.Since.IsZero() || health.Skew.Abs() > time.Second || health.Slow {
			t.Errorf("health %+v", health)
		}
		if len(health.Hosts) != 1 || health.Hosts[0].Use != store.HostInUse || health.Hosts[0].Version != value(t, server.DB(), "SELECT VERSION()") {
			t.Errorf("hosts %+v", health.Hosts)
		}
	}
}

// TestSetAgain: a connection that is made again begins with the same settings.
func TestSetAgain(t *testing.T) {
	server := mysqltest.Shared(t)
	made := database(server)
	b := ready(t, made, func(c *Config) { c.Store.Connections = 1 })
	db := b.use().DB()
	first := value(t, db, "SELECT CONNECTION_ID()")
	server.Exec("KILL CONNECTION " + first)
	await(t, "a new connection", func() bool {
		var id, mode string
		err := db.QueryRow("SELECT CONNECTION_ID(), @@sql_mode").Scan(&id, &mode)
		if err == nil && !strings.HasPrefix(mode, "STRICT_ALL_TABLES") {
			t.Fatalf("sql_mode is %q", mode)
		}
		return err == nil && id != first
	})
}

// TestCountsFoundRows: an UPDATE counts the rows that it found, as SQLite's does.
func TestCountsFoundRows(t *testing.T) {
	made := database(mysqltest.Shared(t))
	db := ready(t, made).use().DB()
	for _, want := range []int64{0, 0} {
		if r, err := db.Exec("UPDATE lease SET until_at = ? WHERE name = ?", 1, "x"); err != nil {
			t.Fatal(err)
		} else if n, _ := r.RowsAffected(); n != want {
			t.Errorf("%d rows, want %d", n, want)
		}
	}
	if _, err := db.Exec("INSERT INTO lease VALUES ('x', 'me', 1)"); err != nil {
		t.Fatal(err)
	}
	r, err := db.Exec("UPDATE lease SET until_at = ? WHERE name = ?", 1, "x")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := r.RowsAffected(); n != 1 {
		t.Errorf("%d rows were found, want 1", n)
	}
	if _, err := db.Exec("UPDATE lease SET holder = ?", strings.Repeat("x", 97)); err == nil {
		t.Error("a string that is too long was cut")
	}
}

// TestNoServer: without one Use fails at once, Wait waits, and the hosts come into use when one is there.
func TestNoServer(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	made := database(server)
	server.Stop()
	b := connect(t, made)
	for range 1000 {
		if _, err := b.Use(context.Background()); !errors.Is(err, store.ErrAway) {
			t.Fatalf("%v, want ErrAway", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), made.Hosts[0]+": dial tcp") {
		t.Errorf("%v, want ErrAway and why", err)
	}
	if h := b.Health(); !strings.Contains(h.Away, "connection refused") || h.Host != "" || h.Hosts[0].Use != store.HostAway {
		t.Errorf("health %+v", h)
	}
	server.Start()
	b.wait()
	if n := b.logged("no database host can be used"); n != 1 {
		t.Errorf("that there is none was said %d times, want once", n)
	}
}

// TestRefused: who is not let in hears so at once, with the server's words.
func TestRefused(t *testing.T) {
	server := mysqltest.Shared(t)
	made := database(server)
	server.Exec("CREATE DATABASE " + made.Database + "_other")
	defer server.Exec("DROP DATABASE " + made.Database + "_other")
	server.Exec("CREATE DATABASE " + made.Database + "_bare")
	defer server.Exec("DROP DATABASE " + made.Database + "_bare")
	leaseTable(server, made.Database+"_bare")
	server.Exec("GRANT SELECT ON " + made.Database + "_bare.* TO " + made.User + "@'%'")
	server.Exec("GRANT SELECT ON " + made.Database + "_gone.* TO " + made.User + "@'%'")
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a wrong password", func(c *Config) { c.Password = "sesame" }, "Error 1045"},
		{"no such user", func(c *Config) { c.Store.User = "nobody" }, "Error 1045"},
		{"another's database", func(c *Config) { c.Store.Database += "_other" }, "Error 1044"},
		{"no such database", func(c *Config) { c.Store.Database += "_gone" }, "Error 1049"},
		{"may not write", func(c *Config) { c.Store.Database += "_bare" }, "Error 1142"},
	} {
		b := connect(t, made, c.change)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := b.Wait(ctx)
		if ctx.Err() != nil || !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Wait: %v, want ErrRefused with %q, at once", c.name, err, c.want)
		}
		cancel()
		if _, err := b.Use(context.Background()); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Use: %v, want ErrAway with %q", c.name, err, c.want)
		}
		if h := b.Health(); h.Hosts[0].Use != store.HostUnready {
			t.Errorf("%s: %+v", c.name, h.Hosts[0])
		}
		for _, secret := range []string{"sesame", b.password} {
			if strings.Contains(fmt.Sprint(err, b.Health(), b.log), secret) {
				t.Errorf("%s: the password is told", c.name)
			}
		}
	}
}

// TestTooManyConnections: when others have taken them all, that is said, and it is used when one is free.
func TestTooManyConnections(t *testing.T) {
	server := mysqltest.Shared(t)
	made := database(server)
	server.Exec("ALTER USER " + made.User + "@'%' WITH MAX_USER_CONNECTIONS 1")
	first := ready(t, made)
	b := connect(t, made)
	await(t, "the server's answer", func() bool { return strings.Contains(b.Health().Away, "max_user_connections") })
	if h := b.Health(); h.Hosts[0].Use != store.HostUnready {
		t.Errorf("%+v", h.Hosts[0])
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	b.wait()
}

// TestClose: nothing goes on, nothing can be used, and it can be said twice.
func TestClose(t *testing.T) {
	made := database(mysqltest.Shared(t))
	before := runtime.NumGoroutine()
	made.Hosts = append(made.Hosts, "127.0.0.1:1")
	b := ready(t, made)
	if err := b.exec("SELECT 1"); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if _, err := b.Use(context.Background()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Use: %v, want ErrClosed", err)
		}
		go func() { waited <- b.Wait(context.Background()) }()
		if err := <-waited; !errors.Is(err, store.ErrClosed) {
			t.Errorf("Wait: %v, want ErrClosed", err)
		}
	}
	await(t, "all goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
