package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"exipol/internal/day"
)

// day replays a day of mail to greylist-classic, greylist-selective and Debian's
// greylistd: not how fast they are, but what they keep out and at whose cost.
func (b *bench) day() {
	script := day.New(b.o.seed, b.o.daySize)
	var all []day.Verdicts
	replay := func(j day.Judge) {
		b.logf("a day of mail, before %s", j.Name())
		started := time.Now()
		out, err := day.Replay(script, j)
		if err != nil {
			b.Fatalf("a day of mail: %v", err)
		}
		b.logf("that took %s", time.Since(started).Round(time.Second))
		all = append(all, day.Verdicts{Judge: j.Name(), Outcomes: out})
	}
	for _, policy := range []struct {
		name string
		set  func() (map[string][]byte, error)
	}{{"greylist-classic", day.Classic}, {"greylist-selective", day.Selective}} {
		set, err := policy.set()
		if err != nil {
			b.Fatalf("%v", err)
		}
		e, err := day.StartExipold(context.Background(), policy.name, b.folder(policy.name), script, set)
		if err != nil {
			b.Fatalf("%v", err)
		}
		b.Cleanup(e.Close)
		replay(e)
	}
	g, err := day.StartGreylistd(b.folder("greylistd-day"))
	switch {
	case errors.Is(err, day.ErrMissing):
		b.leaveOut("greylistd's day of mail: %v (apt-get install greylistd faketime).", err)
	case err != nil:
		b.Fatalf("%v", err)
	default:
		b.Cleanup(g.Close)
		replay(g)
	}
	fmt.Printf("\n## A day of mail (seed %d, size %g)\n%s", b.o.seed, b.o.daySize, day.Tables(all))
}

// folder makes a folder of the bench's.
func (b *bench) folder(name string) string {
	if err := os.Mkdir(b.path(name), 0o750); err != nil {
		b.Fatalf("make a folder: %v", err)
	}
	return b.path(name)
}
