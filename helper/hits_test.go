package helper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// listed exempts the bench's sender from its greylist by a list of two.
func (b *bench) listed() {
	b.t.Helper()
	b.p.Lists = []plan.List{{Name: "friends", Entries: []plan.Entry{
		{Field: "sender", Pattern: "*@b.example"}, {Field: "client", Pattern: "198.51.100.0/24"},
	}}}
	b.p.Greylists[0].Except = []plan.Ref{{List: "friends"}}
	if err := b.p.Seal(); err != nil {
		b.t.Fatal(err)
	}
	b.restart()
}

// row is what is written down of an entry.
func (b *bench) row(list, field, pattern string) (row engine.SeenRow, ok bool) {
	b.t.Helper()
	if err := b.store.Store.View(b.t.Context(), func(st engine.State) (err error) {
		row, ok, err = st.Seen(HitRows(list), HitKey(field, pattern))
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return row, ok
}

// run runs the helper until the test stops it.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		b.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

// Hits are written down at the end at the latest, and go on counting after a restart;
// an entry that never matched has a row nevertheless.
func TestHits(t *testing.T) {
	b := newBench(t)
	b.listed()
	begun := b.now.Load()
	for round := int64(1); round <= 2; round++ {
		stop := b.run()
		waitFor(t, func() bool { _, ok := b.row("list.friends", "client", "198.51.100.0/24"); return ok })
		b.pass(time.Hour)
		for range 5 {
			b.want(b.grey(), plan.Accept)
		}
		stop()
		row, ok := b.row("list.friends", "sender", "*@b.example")
		if !ok || row.Passes != 5*round || row.Counted != b.now.Load() || row.First != begun {
			t.Errorf("round %d: %+v, %v", round, row, ok)
		}
		if row, ok := b.row("list.friends", "client", "198.51.100.0/24"); !ok || row.Passes != 0 || row.Counted != 0 || row.First != begun {
			t.Errorf("round %d: the unused entry: %+v, %v", round, row, ok)
		}
		b.restart()
	}
}

// A run-time entry's hits count like a list's.
func TestHitsOfAllowances(t *testing.T) {
	b := newBench(t)
	if _, err := b.store.Allow(t.Context(), engine.Allowance{Field: "client", Pattern: "192.0.2.0/24", Why: "x", Made: 1}); err != nil {
		t.Fatal(err)
	}
	b.refresh(t.Context())
	b.want(b.grey(), plan.Accept)
	b.flush(t.Context())
	if row, ok := b.row("allow", "client", "192.0.2.0/24"); !ok || row.Passes != 1 {
		t.Errorf("%+v, %v", row, ok)
	}
}

// What a failing store does not take is for the next time; a question that is asked
// twice hits once.
func TestHitsWaitForTheStore(t *testing.T) {
	b := newBench(t)
	b.listed()
	full := errors.New("no room left")
	b.store.writes.Store(&full)
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	b.want(b.ask(q), plan.Accept)
	b.flush(t.Context())
	b.flush(t.Context())
	if !strings.Contains(b.log.String(), "no room left") {
		t.Error("nothing said")
	}
	b.store.writes.Store(nil)
	b.flush(t.Context())
	b.flush(t.Context())
	if row, _ := b.row("list.friends", "sender", "*@b.example"); row.Passes != 1 {
		t.Errorf("%+v", row)
	}
	if got := b.Status().Trouble; got != "" {
		t.Errorf("trouble %q", got)
	}
}

// Many count at once, while what was counted is taken away.
func TestHitsAtOnce(t *testing.T) {
	var c hits
	one := engine.Hit{List: "list.x", Field: "sender", Pattern: "y"}
	var counting sync.WaitGroup
	for range 8 {
		counting.Go(func() {
			for range 1000 {
				c.add([]engine.Hit{one}, time.UnixMilli(7))
			}
		})
	}
	done := make(chan struct{})
	go func() { counting.Wait(); close(done) }()
	total := int64(0)
	for last := false; ; {
		for _, taken := range c.take() {
			total += taken.n
		}
		if last {
			break
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
	if total != 8000 {
		t.Errorf("%d counted", total)
	}
	for i := range 2 * mostHits {
		c.more(engine.Hit{List: fmt.Sprint(i)}, 1, 1)
	}
	if n := len(c.take()); n != mostHits {
		t.Errorf("%d are remembered", n)
	}
}

// A hit row's key fits its column, whatever the pattern.
func TestHitKey(t *testing.T) {
	long := HitKey("sender", strings.Repeat("x", 1000)+"@b.example")
	if len(long) > 255 || HitKey("sender", "") != "sender" || HitKey("client", "192.0.2.0/24") != "client 192.0.2.0/24" {
		t.Errorf("%q", long)
	}
}
