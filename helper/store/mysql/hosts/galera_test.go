package hosts

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// TestGalera: a node that is killed, and one that is cut off from the others while it says it is ready, is
// left; what was committed is seen by those that move; and it is gone back to.
func TestGalera(t *testing.T) {
	t.Parallel() // it waits most of its time
	cluster := mysqltest.Cluster(t, 3)
	made := cluster.Database()
	leaseTable(cluster.Nodes[0], made.Database)
	cluster.Nodes[0].Exec("CREATE TABLE " + made.Database + ".counted (n BIGINT NOT NULL PRIMARY KEY)")
	b := ready(t, made, func(c *Config) { c.Every = 300 * time.Millisecond })
	uses := func(i int) {
		t.Helper()
		await(t, "node "+strconv.Itoa(i)+" to be in use", func() bool {
			h, err := b.Use(context.Background())
			return err == nil && h.n == i
		})
	}
	uses(0)
	if h := b.Health().Hosts[0]; h.Cluster != "Primary, Synced, 3 nodes" {
		t.Errorf("%+v", h)
	}
	last := 0
	count := func() { // until one more is committed
		t.Helper()
		await(t, "a commit", func() bool {
			last++
			return b.exec("INSERT INTO counted VALUES ("+strconv.Itoa(last)+")") == nil
		})
	}
	kept := func() {
		t.Helper()
		if got := value(t, b.use().DB(), "SELECT COUNT(*) FROM counted WHERE n = "+strconv.Itoa(last)); got != "1" {
			t.Errorf("after the move %s rows of the last commit are there, want 1", got)
		}
	}
	count()

	cluster.Nodes[0].Kill()
	left := time.Now()
	uses(1)
	t.Logf("killed: moved after %s", time.Since(left).Round(time.Millisecond))
	kept()
	count()
	cluster.Restart(0)
	back := time.Now()
	uses(0)
	t.Logf("restarted: moved back after %s", time.Since(back).Round(time.Millisecond))
	kept()
	count()

	cluster.Isolate(0)
	left = time.Now()
	count()
	t.Logf("cut off: the first commit elsewhere after %s", time.Since(left).Round(time.Millisecond))
	if h := b.use(); h.n == 0 {
		t.Error("a node that is cut off has committed")
	}
	if took := time.Since(left); took > 15*time.Second {
		t.Errorf("it took %s to commit elsewhere", took)
	}
	uses(1)
	await(t, "the node to know that it is cut off", func() bool { return strings.Contains(b.Health().Hosts[0].Cluster, "non-Primary") })
	if h := b.Health().Hosts[0]; h.Use != store.HostUnready || !strings.Contains(h.Why, "not in the cluster's primary component") {
		t.Errorf("the node that is cut off: %+v", h)
	}
	kept()
	cluster.Rejoin(0)
	back = time.Now()
	uses(0)
	t.Logf("rejoined: moved back after %s", time.Since(back).Round(time.Millisecond))
	kept()
	count()
	if h := b.Health(); h.Moves < 4 || h.Host != made.Hosts[0] || h.Away != "" {
		t.Errorf("health %+v", h)
	}

	cluster.Nodes[0].Exec("SET GLOBAL wsrep_desync = ON")
	await(t, "a look at the node", func() bool { return strings.Contains(b.Health().Hosts[0].Cluster, "Donor/Desynced") })
	if h := b.use(); h.n != 0 {
		t.Errorf("node %d is in use, want the first one still: it is only out of step", h.n)
	}
	count()
	cluster.Nodes[0].Exec("SET GLOBAL wsrep_desync = OFF")
	cluster.Nodes[0].Exec("SET GLOBAL wsrep_reject_queries = ALL")
	uses(1)
	if h := b.Health().Hosts[0]; !strings.Contains(h.Why, "wsrep_reject_queries") {
		t.Errorf("%+v", h)
	}
	cluster.Nodes[0].Exec("SET GLOBAL wsrep_reject_queries = NONE")
	uses(0)
}

// TestConflicts: writers at several nodes get in each other's way, and each of these errors says so.
func TestConflicts(t *testing.T) {
	cluster := mysqltest.Cluster(t, 3)
	made := cluster.Database()
	leaseTable(cluster.Nodes[0], made.Database)
	cluster.Nodes[0].Exec("CREATE TABLE " + made.Database + ".counted (n BIGINT NOT NULL PRIMARY KEY, k BIGINT NOT NULL)")
	cluster.Nodes[0].Exec("INSERT INTO " + made.Database + ".counted VALUES (1, 0), (2, 0)")
	const each = 60
	var work sync.WaitGroup
	var mu sync.Mutex
	done, retried, others := 0, 0, map[string]int{}
	for i := range 3 {
		s := made
		s.Hosts = made.Hosts[i : i+1]
		b := ready(t, s, func(c *Config) { c.Timeout, c.Every = patience, time.Second })
		for w := range 2 {
			work.Go(func() {
				for range each {
					for {
						err := addOne(b, w)
						mu.Lock()
						if err == nil {
							done++
							mu.Unlock()
							break
						}
						if Retry(err) {
							retried++
						} else {
							others[err.Error()]++
						}
						stop := len(others) > 0
						mu.Unlock()
						if stop {
							return
						}
					}
				}
			})
		}
	}
	work.Wait()
	t.Logf("%d done, %d run again", done, retried)
	if len(others) != 0 {
		t.Errorf("errors that are none of a conflict: %v", others)
	}
	if retried == 0 {
		t.Error("there was no conflict: the test shows nothing")
	}
	for i := range cluster.Nodes {
		await(t, "all to be counted", func() bool {
			return value(t, cluster.Nodes[i].DB(), "SELECT SUM(k) FROM "+made.Database+".counted") == strconv.Itoa(2*done)
		})
	}
}

// addOne adds 1 to both rows, in an order of the writer's own.
func addOne(b *bed, writer int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := b.Use(ctx)
	if err != nil {
		return err
	}
	tx, err := h.DB().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for i := range 2 {
		if _, err := tx.ExecContext(ctx, "UPDATE counted SET k = k + 1 WHERE n = ?", 1+(writer+i)%2); err != nil {
			return err
		}
	}
	return tx.Commit()
}
