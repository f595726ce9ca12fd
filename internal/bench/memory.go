package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"exipol/helper/engine"
)

func addressOf(p *process) *syscall.SockaddrUnix { return &syscall.SockaddrUnix{Name: p.socket} }

// fill gives a server that many new keys over its socket, or as many as it takes in
// the time for that. It says how many that were, and how many a second at the
// beginning and at the end.
func (b *bench) fill(p *process, d dialect, keys int) (filled int, first, last float64) {
	from := d.newKeys()
	for start := time.Now(); filled < keys && time.Since(start) < b.o.fill; {
		s, err := ask(p, from, mostClients, time.Second, 0)
		if err != nil {
			b.Fatalf("fill %s: %v", p.name, err)
		}
		if first == 0 {
			first = s.rate
		}
		last = s.rate
		filled += len(s.took)
	}
	return filled, first, last
}

// fillStore gives a running exipold's store new keys behind its back, as another
// process on the same host can.
func (b *bench) fillStore(g *gateway, keys int) {
	now := time.Now()
	for keys > 0 {
		var writes []engine.Write
		for range min(keys, 10000) {
			t := newTriplet(counter.Add(1), "new")
			writes = append(writes, knownRow(t.network, t.sender, t.recipient, now)...)
		}
		b.remember(g.plan, writes)
		keys -= len(writes)
	}
}

// memory measures servers with many keys.
func (b *bench) memory() {
	var rows [][]string
	row := func(p *process, keys int, start, first, last float64, note string) (total float64) {
		total, own := p.resident()
		rows = append(rows, []string{p.name, number(float64(keys), 0), number(start, 0), number(total, 0), number(own, 0), number(first, 0), number(last, 0), note})
		return total
	}
	g := b.startExipold("filled")
	d := exipoldDialect(g.plan.ID)
	start, _ := g.resident()
	b.logf("memory: %d new keys for exipold", b.o.keys)
	filled, first, last := b.fill(g.process, d, b.o.keys)
	b.fillStore(g, b.o.keys-filled)
	// Reading brings its part into memory, too.
	known, err := ask(g.process, d.knownKeys(), 8, 2*b.o.slice, 0)
	if err != nil {
		b.Fatalf("exipold: %v", err)
	}
	size := 0.0
	if info, err := os.Stat(g.plan.Store.Path); err == nil {
		size = float64(info.Size()) / (1 << 20)
	}
	total := row(g.process, b.o.keys, start, first, last, fmt.Sprintf("%s over the socket, the rest by another process; %.0f MiB on disk; then %s answers/s about known keys", number(float64(filled), 0), size, number(known.rate, 0)))
	g.stop()
	if p := b.startGreylistd(); p != nil {
		start, _ := p.resident()
		b.logf("memory: %d new keys for greylistd", b.o.peerKeys)
		filled, first, last := b.fill(p, greylistdDialect(), b.o.peerKeys)
		note := ""
		if filled < b.o.keys {
			now, _ := p.resident()
			note = fmt.Sprintf("extrapolated to %s keys: %.0f MiB", number(float64(b.o.keys), 0), start+(now-start)/float64(filled)*float64(b.o.keys))
		}
		row(p, filled, start, first, last, note)
		p.stop()
	}
	table("Memory, filled over the socket with new keys",
		[]string{"server", "keys", "MiB at the start", "MiB with them", "of them no file's", "keys/s at first", "at last", ""}, rows)
	judged := verdict(series{total}, 64, false)
	if filled < b.o.keys && judged == "pass" {
		// What exipold keeps of questions of its own is not all there.
		judged = "not judged: give -fill longer, so that all come over the socket"
	}
	table("Against the goals: memory", []string{"what", "exipold", "goal", ""}, [][]string{
		{fmt.Sprintf("MiB resident with %s keys", number(float64(b.o.keys), 0)), number(total, 0), "under 64", judged},
	})
}
