package mysqltest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"exipol/generator/plan"
)

// Galera is a cluster of servers, which MariaDB calls a Galera cluster.
type Galera struct {
	Nodes []*Server

	t T
}

// node is what a server needs besides to be one of a cluster: ports for the talk among the nodes, and for taking over
// another node's state, in parts or as a whole.
type node struct {
	talk, parts, whole *port
}

// Cluster starts n servers, two or more, as a cluster, and waits until each can be used. It ends with the test. What the nodes' own
// methods do to a server they do to a node, but for Start: see [Galera.Restart].
func Cluster(t T, n int, options ...Option) *Galera {
	t.Helper()
	library, err := provider()
	if err != nil {
		t.Fatalf("a cluster for tests: %v", err)
	}
	if n < 2 {
		t.Fatalf("a cluster of %d", n)
	}
	g := &Galera{t: t}
	nodes := make([]node, n)
	var peers []string
	for i := range nodes {
		for _, p := range []**port{&nodes[i].talk, &nodes[i].parts, &nodes[i].whole} {
			if *p, err = freePort(); err != nil {
				t.Fatalf("a port for a cluster: %v", err)
			}
			t.Cleanup((*p).free)
		}
		peers = append(peers, nodes[i].talk.address())
	}
	group, member := uuid(), uuid()
	for i, node := range nodes {
		s := prepare(t, options)
		s.special = append(s.special, node.arguments(library, fmt.Sprintf("node%d", i), peers)...)
		if err := s.found(group, member, i, n); err != nil {
			t.Fatalf("found a cluster: %v", err)
		}
		g.Nodes = append(g.Nodes, s)
	}
	g.each(func(s *Server) error { return s.start() })
	for i := range g.Nodes {
		g.WaitSynced(i)
		g.WaitSize(i, n)
	}
	return g
}

// found writes into a fresh data folder what a cluster of n nodes leaves there that lost its power: that
// all of them have the same data, and who they were. So they find each other at once and go on (pc.recovery), and none has
// to be the first, or has to take over another's data.
func (s *server) found(group, member string, i, n int) error {
	const state = "# GALERA saved state\nversion: 2.1\nuuid:    %s\nseqno:   0\nsafe_to_bootstrap: 0\n"
	id := func(i int) string { return fmt.Sprintf("%08x%s", i+1, member[8:]) }
	var members strings.Builder
	for i := range n {
		fmt.Fprintf(&members, "member: %s 0\n", id(i))
	}
	const view = "my_uuid: %s\n#vwbeg\nview_id: 3 %s 1\nbootstrap: 0\n%s#vwend\n"
	for name, text := range map[string]string{
		"data/grastate.dat": fmt.Sprintf(state, group),
		"data/gvwstate.dat": fmt.Sprintf(view, id(i), id(0), members.String()),
	} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			return err
		}
		if err := s.home.id.Own(s.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// uuid returns one of version 1, as Galera makes them.
func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x10, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// each does the same to several nodes at a time, all where none is named.
func (g *Galera) each(do func(*Server) error, some ...*Server) {
	g.t.Helper()
	if len(some) == 0 {
		some = g.Nodes
	}
	errs := make([]error, len(some))
	var work sync.WaitGroup
	for i, s := range some {
		work.Go(func() { errs[i] = do(s) })
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		g.t.Fatalf("start nodes of a cluster: %v", err)
	}
}

// Isolate cuts node i off from all others, for the cluster's talk: clients reach it as ever.
func (g *Galera) Isolate(i int) {
	g.t.Helper()
	g.Nodes[i].Exec("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
}

// Rejoin ends that. The node finds the others again by itself.
func (g *Galera) Rejoin(i int) {
	g.t.Helper()
	g.Nodes[i].Exec("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
}

// Restart starts nodes again that were killed or stopped, as the packages' service does: it finds out how far the data goes,
// and joins with that. They have caught up when it returns. Where no node is left, restart all of them at once.
func (g *Galera) Restart(nodes ...int) {
	g.t.Helper()
	some := make([]*Server, 0, len(nodes))
	for _, i := range nodes {
		some = append(some, g.Nodes[i])
	}
	g.each((*Server).rejoin, some...)
	for _, i := range nodes {
		g.WaitSynced(i)
	}
}

func (s *Server) rejoin() error {
	position, err := s.recover()
	if err != nil {
		return err
	}
	return s.start("--wsrep-start-position=" + position)
}

// Replace throws away the data of a node that does not run, and starts it: it takes over all of another's (rsync).
func (g *Galera) Replace(i int) {
	g.t.Helper()
	s := g.Nodes[i]
	if s.PID() != 0 {
		g.t.Fatalf("node %d runs", i)
	}
	err := os.RemoveAll(s.path("data"))
	if err == nil {
		err = s.home.copyTo(s.home.template, s.path("data"))
	}
	if err != nil {
		g.t.Fatalf("replace a node's data: %v", err)
	}
	g.each(func(s *Server) error { return s.start() }, s)
	g.WaitSynced(i)
}

// WaitSize waits until node i says that it is one of n in the primary component of the cluster.
func (g *Galera) WaitSize(i, n int) {
	g.t.Helper()
	g.Wait(i, "wsrep_cluster_status", "Primary")
	g.Wait(i, "wsrep_cluster_size", fmt.Sprint(n))
}

// WaitSynced waits until node i has all that the cluster has, and takes statements.
func (g *Galera) WaitSynced(i int) {
	g.t.Helper()
	g.Wait(i, "wsrep_local_state_comment", "Synced")
	g.Wait(i, "wsrep_ready", "ON")
}

// Wait waits until node i's status of a name, such as "wsrep_cluster_status", has a value.
func (g *Galera) Wait(i int, name, value string) {
	g.t.Helper()
	var is string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is = g.Status(i, name); is == value {
			return
		}
	}
	g.t.Fatalf("%s of node %d is %q and does not become %q", name, i, is, value)
}

// Status is node i's status of a name; "" where it cannot be had.
func (g *Galera) Status(i int, name string) string {
	var ignored, value string
	if err := g.Nodes[i].db.QueryRow("SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&ignored, &value); err != nil {
		return ""
	}
	return value
}

// Database is [Server.Database] for all nodes: they are its hosts, in their order.
func (g *Galera) Database() plan.Store {
	g.t.Helper()
	made := g.Nodes[0].database()
	for _, s := range g.Nodes {
		made.Hosts = append(made.Hosts, s.Addr())
	}
	return made
}
