package main

import (
	"fmt"
	"time"
)

// cell is one server under one load with so many clients.
type cell struct {
	server, load string
	clients      int
}

// cells are the figures of the rounds.
type cells struct {
	rate, p50, p99, p999, cpu map[cell]series
}

func (c cells) add(at cell, s sample) {
	c.rate[at] = append(c.rate[at], s.rate)
	c.p50[at] = append(c.p50[at], s.at(0.5))
	c.p99[at] = append(c.p99[at], s.at(0.99))
	c.p999[at] = append(c.p999[at], s.at(0.999))
	c.cpu[at] = append(c.cpu[at], s.cpu)
}

// row is a cell for reading.
func (c cells) row(at cell) []string {
	return []string{at.server, at.load, fmt.Sprint(at.clients), c.rate[at].show(0), number(c.p50[at].median(), 3),
		number(c.p99[at].median(), 3), number(c.p999[at].median(), 3), c.cpu[at].show(1)}
}

func newCells() cells {
	return cells{map[cell]series{}, map[cell]series{}, map[cell]series{}, map[cell]series{}, map[cell]series{}}
}

// load is a way of asking a server.
type load struct {
	name string
	from source
}

// contender is a server and the loads that it is put under.
type contender struct {
	*process
	loads []load
}

var clientCounts = []int{1, 8, mostClients}

// halfClients ask where questions are due at fixed times: enough that one is free.
const halfClients = 16

func (d dialect) loads() []load {
	return []load{{"known", d.knownKeys()}, {"new", d.newKeys()}, {"mixed 90/10", d.mixed()}}
}

// contenders starts everybody. What the loop in C and the Go echo are asked does not
// matter to them.
func (b *bench) contenders() []contender {
	g := b.startExipold("gateway")
	ours := exipoldDialect(g.plan.ID)
	plain := []load{{"known", ours.knownKeys()}}
	var out []contender
	if p := b.startC(); p != nil {
		out = append(out, contender{p, plain})
	}
	out = append(out, contender{b.startEcho(), plain})
	if p := b.startGreylistd(); p != nil {
		theirs := greylistdDialect()
		b.acquaint(p, theirs)
		out = append(out, contender{p, theirs.loads()})
	}
	return append(out, contender{g.process, ours.loads()})
}

// acquaint makes the known set known to greylistd: asked once, and again after its
// delay.
func (b *bench) acquaint(p *process, d dialect) {
	once := func(want []byte) {
		c := &client{at: addressOf(p)}
		from := d.knownKeys()
		for n := range int64(knownSet) {
			c.from = func(buf []byte, _ int64) ([]byte, []byte) {
				question, _ := from(buf, n)
				return question, want
			}
			if err := c.exchange(); err != nil {
				b.Fatalf("greylistd: %v", err)
			}
		}
	}
	once(saysGrey)
	time.Sleep(3 * time.Second)
	once(saysWhite)
}

// socket measures questions on a socket.
func (b *bench) socket() {
	all := b.contenders()
	got := newCells()
	for round := range b.o.rounds {
		b.logf("socket, round %d of %d", round+1, b.o.rounds)
		b.round(all, got, round)
		b.halfLoad(all, got, round)
	}
	b.tellSocket(all, got)
	for _, s := range all {
		s.stop()
	}
}

// round puts everybody under each load once.
func (b *bench) round(all []contender, got cells, round int) {
	for _, clients := range clientCounts {
		for i := range all {
			// Everybody follows everybody else in some round.
			s := all[(i+round)%len(all)]
			for _, l := range s.loads {
				sample, err := ask(s.process, l.from, clients, b.o.slice, 0)
				if err != nil {
					b.Fatalf("%s, %s, %d clients: %v", s.name, l.name, clients, err)
				}
				got.add(cell{s.name, l.name, clients}, sample)
			}
		}
	}
}

// halfLoad asks exipold half as often as it answered 8 clients in this round.
func (b *bench) halfLoad(all []contender, got cells, round int) {
	for _, s := range all {
		if s.name != "exipold" {
			continue
		}
		for _, l := range s.loads {
			rate := got.rate[cell{s.name, l.name, 8}][round] / 2
			sample, err := ask(s.process, l.from, halfClients, 2*b.o.slice, rate)
			if err != nil {
				b.Fatalf("%s, %s keys, half load: %v", s.name, l.name, err)
			}
			got.add(cell{s.name, l.name + ", half load", halfClients}, sample)
		}
	}
}

func (b *bench) tellSocket(all []contender, got cells) {
	var rows [][]string
	for _, clients := range clientCounts {
		for _, s := range all {
			for _, l := range s.loads {
				rows = append(rows, got.row(cell{s.name, l.name, clients}))
			}
		}
	}
	for _, load := range []string{"known", "new", "mixed 90/10"} {
		rows = append(rows, got.row(cell{"exipold", load + ", half load", halfClients}))
	}
	table("A new connection for each question", []string{"server", "keys", "clients", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU us/answer"}, rows)
	b.tellGoals(got)
}

// tellGoals compares with the goals: ratios of the same round.
func (b *bench) tellGoals(got cells) {
	var rows [][]string
	ratio := func(load, peer, peerLoad string, goal float64, text string) {
		for _, clients := range clientCounts {
			s := got.rate[cell{"exipold", load, clients}].over(got.rate[cell{peer, peerLoad, clients}])
			judged := verdict(s, goal, true)
			rows = append(rows, []string{load + " keys, of " + peer, fmt.Sprint(clients), s.show(2), text, judged})
		}
	}
	ratio("known", "C accept loop", "known", 0.85, "0.85 or more")
	ratio("known", "Go echo", "known", 1, "more than 1")
	ratio("known", "greylistd", "known", 4, "4 or more")
	ratio("new", "greylistd", "new", 1.5, "1.5 or more, and durable")
	ratio("mixed 90/10", "greylistd", "mixed 90/10", 0, "none")
	for i := len(rows) - len(clientCounts); i < len(rows); i++ {
		rows[i][4] = ""
	}
	for _, load := range []string{"known", "new", "mixed 90/10"} {
		s := got.p99[cell{"exipold", load + ", half load", halfClients}]
		rows = append(rows, []string{"p99 in ms, " + load + " keys, at half load", fmt.Sprint(halfClients), s.show(3), "under 2", verdict(s, 2, false)})
	}
	table("Against the goals: the socket", []string{"what", "clients", "exipold", "goal", ""}, rows)
}
