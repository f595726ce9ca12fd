package endtoend

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/mysqltest"
)

// TestDatabaseKilled: three gateways at work while their database is killed ten times, and in
// between cut off, made late, silent and read-only. No count that was promised is lost, no verdict is wrong,
// and each gateway works again by itself.
func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	db := mysqltest.Start(t)
	shared := db.Database()
	var proxies []*mysqltest.Proxy
	f := newFleet(t, fleetPolicies, 3, func(int) plan.Store {
		p := mysqltest.NewProxy(t, db.Addr())
		proxies = append(proxies, p)
		return at(shared, p.Addr())
	})
	l := f.load(6)
	l.flows()
	a := proxies[rand.IntN(len(proxies))]
	for round := range 10 {
		time.Sleep(rand.N(200 * time.Millisecond))
		db.Kill()
		time.Sleep(rand.N(300 * time.Millisecond))
		db.Start()
		l.flows()
		switch round {
		case 1:
			a.Cut()
		case 2: // longer than an answer may take
			a.Delay(5 * time.Second)
			time.Sleep(2 * time.Second)
		case 3:
			a.Hang()
			time.Sleep(2 * time.Second)
		case 4:
			a.Refuse()
			time.Sleep(time.Second)
		case 5:
			db.ReadOnly()
			time.Sleep(time.Second)
			db.Writable()
		case 6:
			db.Freeze()
			time.Sleep(3 * time.Second)
			db.Thaw()
		case 7: // late, and in time
			a.Delay(50 * time.Millisecond)
			l.flows()
		}
		a.Heal()
		l.flows()
	}
	l.settle(func(client string) int64 { return count(t, db, shared, client) })
	if n := strings.Count(f.logs(), "level=ERROR"); n > 300 {
		t.Errorf("the gateways have logged %d errors: more than one for each change", n)
	}
}

// TestDatabaseFull: the disk of the database is full. What is known is answered, nothing is
// promised that is not kept, and when there is room again all is well.
func TestDatabaseFull(t *testing.T) {
	t.Parallel()
	db := mysqltest.Start(t, mysqltest.WithRoom(-1))
	shared := db.Database()
	f := newFleet(t, fleetPolicies, 2, func(int) plan.Store { return shared })
	l := f.load(4)
	l.flows()
	db.Room(0)
	failed := func() int { l.mu.Lock(); defer l.mu.Unlock(); return l.failed }
	f.eventually("a gateway notices", func() string {
		if failed() == 0 {
			return "all is answered"
		}
		return ""
	})
	db.Room(-1)
	l.flows()
	l.settle(func(client string) int64 { return count(t, db, shared, client) })
}

// TestGalera: three gateways on a cluster of three nodes, whose first is killed, then cut off, and each
// time comes back. No count that was promised is lost, a block is known by all, and the
// gateways move over and back together.
func TestGalera(t *testing.T) {
	t.Parallel()
	c := mysqltest.Cluster(t, 3)
	shared := c.Database()
	f := newFleet(t, fleetPolicies, 3, func(int) plan.Store { return shared })
	f.uses(shared.Hosts[0])
	l := f.load(4)
	l.flows()

	c.Nodes[0].Kill()
	l.flows()
	f.uses(shared.Hosts[1])
	counted := 0
	f.eventually("a block is opened meanwhile", func() string {
		for ; counted < 4; counted++ {
			g := f.gateways[counted%3]
			answer, _, err := g.put(g.thief("second", true))
			if err != nil || answer.Verdict == wire.Failed || answer.Verdict == wire.Away {
				return fmt.Sprintf("%s: %s %v", g.name, answer, err)
			}
		}
		return ""
	})
	f.blocked("second")
	c.Restart(0)
	c.WaitSynced(0)
	f.uses(shared.Hosts[0])
	l.flows()

	c.Isolate(0)
	l.flows()
	f.uses(shared.Hosts[1])
	c.Rejoin(0)
	c.WaitSynced(0)
	f.uses(shared.Hosts[0])
	l.flows()
	f.blocked("second")
	l.settle(func(client string) int64 { return count(t, c.Nodes[0], shared, client) })
	for i := range 3 { // the nodes agree
		c.WaitSynced(i)
		for j := range l.clients {
			client := "192.0.2." + string(rune('0'+j))
			if a, b := count(t, c.Nodes[0], shared, client), count(t, c.Nodes[i], shared, client); a != b {
				t.Errorf("client %s: node 1 has counted %d, node %d %d", client, a, i+1, b)
			}
		}
	}
}
