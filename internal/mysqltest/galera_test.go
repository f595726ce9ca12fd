package mysqltest

import (
	"database/sql"
	"testing"
	"time"
)

func TestGalera(t *testing.T) {
	t.Parallel()
	began := time.Now()
	took := func(what string) {
		t.Logf("%6.2f s %s", time.Since(began).Seconds(), what)
		began = time.Now()
	}
	g := Cluster(t, 3)
	took("three nodes stand")
	made := g.Database()
	if len(made.Hosts) != 3 {
		t.Fatalf("hosts: %v", made.Hosts)
	}
	// node is a connection that waits for what was done at the others.
	node := func(i int) *sql.DB {
		made := made
		made.Hosts = made.Hosts[i:]
		return open(t, made, "wsrep_sync_wait")
	}
	one, two, three := node(0), node(1), node(2)
	run(t, one, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
	run(t, two, "INSERT INTO t VALUES (1)")
	if n := count(t, three, "SELECT count(*) FROM t"); n != 1 {
		t.Errorf("%d rows", n)
	}

	began = time.Now()
	g.Nodes[0].Kill()
	run(t, two, "INSERT INTO t VALUES (2)")
	took("until the others commit after a death")
	g.WaitSize(1, 2)
	g.WaitSize(2, 2)
	took("until the others know")
	g.Restart(0)
	took("until it is back")
	g.WaitSize(1, 3)
	if n := count(t, one, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows", n)
	}

	began = time.Now()
	g.Isolate(0)
	run(t, two, "INSERT INTO t VALUES (3)")
	took("until the others commit after one was cut off")
	g.Wait(0, "wsrep_cluster_status", "non-Primary")
	took("until the one knows")
	if _, err := one.Exec("INSERT INTO t VALUES (4)"); err == nil {
		t.Error("a node without quorum takes rows")
	}
	g.WaitSize(1, 2)
	g.Rejoin(0)
	g.WaitSize(0, 3)
	g.WaitSynced(0)
	took("until it is back")
	if n := count(t, one, "SELECT count(*) FROM t"); n != 3 {
		t.Errorf("%d rows", n)
	}

	g.Nodes[2].Stop()
	g.WaitSize(0, 2)
	began = time.Now()
	g.Replace(2)
	took("until a new one has all data")
	if n := count(t, three, "SELECT count(*) FROM t"); n != 3 {
		t.Errorf("%d rows", n)
	}

	for _, s := range g.Nodes {
		s.Kill()
	}
	began = time.Now()
	g.Restart(0, 1, 2)
	took("until all are back that died together")
	if n := count(t, one, "SELECT count(*) FROM t"); n != 3 {
		t.Errorf("%d rows", n)
	}
}
