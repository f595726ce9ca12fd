package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"exipol/helper/engine"
)

func addressOf(p *process) *syscall.SockaddrUnix { return &syscall.SockaddrUnix{Name: p.socket} }

// fill gives a server that many new keys over its socket, one with each question, or as
// many as it takes in the time for that. It says how many that were, and how many a
// second at the beginning and at the end.
func (b *bench) fill(p *process, from source, keys int) (filled int, first, last float64) {
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
// process on the same host can. Each has one row.
func (b *bench) fillStore(g *gateway, keys int, row func() []engine.Write) {
	for keys > 0 {
		var writes []engine.Write
		for range min(keys, 10000) {
			writes = append(writes, row()...)
		}
		b.remember(g.plan, writes)
		keys -= len(writes)
	}
}

// onDisk is the size of its store in MiB.
func (g *gateway) onDisk() (size float64) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(g.plan.Store.Path + suffix); err == nil {
			size += float64(info.Size()) / (1 << 20)
		}
	}
	return size
}

// notJudged is the verdict on memory that was filled in part by another process.
const notJudged = "not judged: give -fill longer, so that all come over the socket"

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
	filled, first, last := b.fill(g.process, d.newKeys(), b.o.keys)
	now := time.Now()
	b.fillStore(g, b.o.keys-filled, func() []engine.Write {
		t := newTriplet(counter.Add(1), "new")
		return knownRow(g.plan.Greylists[0].Ref(), t.network, t.sender, t.recipient, now)
	})
	// Reading brings its part into memory, too.
	known, err := ask(g.process, d.knownKeys(), 8, 2*b.o.slice, 0)
	if err != nil {
		b.Fatalf("exipold: %v", err)
	}
	total := row(g.process, b.o.keys, start, first, last, fmt.Sprintf("%s over the socket, the rest by another process; %.0f MiB on disk; then %s answers/s about known keys", number(float64(filled), 0), g.onDisk(), number(known.rate, 0)))
	g.stop()
	if p := b.startGreylistd(); p != nil {
		start, _ := p.resident()
		b.logf("memory: %d new keys for greylistd", b.o.peerKeys)
		filled, first, last := b.fill(p, greylistdDialect().newKeys(), b.o.peerKeys)
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
		judged = notJudged
	}
	table("Against the goals: memory", []string{"what", "exipold", "goal", ""}, [][]string{
		{fmt.Sprintf("MiB resident with %s keys", number(float64(b.o.keys), 0)), number(total, 0), "under 64", judged},
	})
}
