package watch

import (
	"context"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// counting counts in memory, by owner, as a script would.
type counting struct {
	n      int
	owners map[string]int
}

func (c *counting) Count(_ context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error {
	return f(forgetful{}, func(h engine.Happening) error {
		c.n++
		c.owners[h.Auth+h.User]++
		return nil
	})
}

// forgetful is a transaction that keeps nothing.
type forgetful struct{ engine.State }

func (forgetful) Apply([]engine.Write) error { return nil }

func (forgetful) Arrival(string, string) (engine.Arrival, bool, error) {
	return engine.Arrival{}, false, nil
}

func (c *counting) Places(context.Context) ([]engine.PutPlace, error) { return nil, nil }

// BenchmarkBounces reads a log of a busy host for its bounces. (go run ./internal/bench -only log has a
// large one, and what it is to be compared with.)
func BenchmarkBounces(b *testing.B) {
	w := newWorld(b, 2)
	for range 200 {
		w.seconds(200)
		w.flushAll()
	}
	w.plan.Limits = w.plan.Limits[:1]
	b.ReportAllocs()
	for b.Loop() {
		c := &counting{owners: map[string]int{}}
		w.o.Counter, w.o.Places = c, c
		if err := w.once(b.Context()); err != nil {
			b.Fatal(err)
		}
		if want := w.log.Truth().Count(plan.Bounce); c.n < want*9/10 {
			b.Fatalf("%d bounces, want %d", c.n, want)
		}
	}
	b.SetBytes(w.size())
}
