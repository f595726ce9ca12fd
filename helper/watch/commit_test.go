package watch

import (
	"fmt"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// costs are those of a store's transactions, by a clock that only they move on.
type costs struct {
	t       testing.TB
	now     time.Time
	queued  time.Duration // before a transaction has the store's writer
	each    time.Duration // of a happening, while f runs
	around  time.Duration // of a happening, between two runs of f and after the last one
	commit  time.Duration
	f       *follower
	handed  int // happenings of the last run
	refused int // transactions that take long and are not kept, first
}

// costly is a follower of a log whose store has these costs.
func costly(t testing.TB, kind string, c *costs) *costs {
	c.t, c.now = t, time.Unix(1e9, 0)
	o := newWorld(t, 1).o
	o.Counter = counterFunc(c.count)
	c.f = newFollower("mainlog", &New(o).o)
	c.f.clock = func() time.Time { return c.now }
	c.f.use(&plan.Plan{Store: plan.Store{Kind: kind}})
	return c
}

// count runs f twice, as a server's transaction is rehearsed.
func (c *costs) count(f func(engine.Transaction, func(engine.Happening) error) error) error {
	c.now = c.now.Add(c.queued)
	for range 2 {
		c.handed = 0
		err := f(forgetful{}, func(engine.Happening) error {
			c.handed++
			c.now = c.now.Add(c.each / 2)
			return nil
		})
		if err != nil {
			return err
		}
		c.now = c.now.Add(time.Duration(c.handed) * c.around / 2)
	}
	if c.refused > 0 {
		c.refused--
		c.now = c.now.Add(time.Minute)
		return fmt.Errorf("%w: others were in the way", store.ErrConflict)
	}
	c.now = c.now.Add(c.commit)
	return nil
}

// keep has as many happenings kept as the follower collects, n times.
func (c *costs) keep(n int) {
	c.t.Helper()
	for range n {
		c.f.p.happenings = make([]happening, c.f.most)
		want := c.f.most
		if err := c.f.count(c.t.Context(), nil); err != nil {
			c.t.Fatal(err)
		}
		if c.handed != want {
			c.t.Fatalf("%d happenings were counted, want %d", c.handed, want)
		}
	}
}

// TestTuning: as many happenings go into a transaction as fit into the time for which others may wait for it, wherever
// that is spent.
func TestTuning(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for name, c := range map[string]struct {
		kind  string
		costs costs
		want  int
	}{
		"nothing costs":                {plan.SQLite, costs{}, mostKept},
		"nothing costs on a server":    {plan.MySQL, costs{}, mostShared},
		"deciding":                     {plan.SQLite, costs{each: 25 * us}, 1000},
		"reading and writing around":   {plan.MySQL, costs{around: 125 * us}, 200},
		"around, in a file":            {plan.SQLite, costs{around: 125 * us}, 200},
		"both, and the commit":         {plan.SQLite, costs{each: 25 * us, around: 25 * us, commit: 10 * ms}, 300},
		"the commit alone":             {plan.SQLite, costs{commit: 5 * ms}, mostKept},
		"the commit alone is too long": {plan.MySQL, costs{commit: 100 * ms}, leastKept},
		"too dear":                     {plan.MySQL, costs{around: 10 * ms}, leastKept},
		"others were first":            {plan.SQLite, costs{queued: time.Second, each: 25 * us}, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			costs := costly(t, c.kind, &c.costs)
			costs.keep(16)
			if got := costs.f.most; got < c.want*95/100 || got > c.want {
				t.Errorf("%d happenings at a time, want %d", got, c.want)
			}
		})
	}
}

// TestTuningFollows: where a store gets slower fewer happenings go into a transaction, and more when it is well again. What was
// not kept, and few happenings at a time, say nothing.
func TestTuningFollows(t *testing.T) {
	t.Parallel()
	c := costly(t, plan.MySQL, &costs{around: 50 * time.Microsecond})
	c.keep(12)
	if c.f.most != mostShared {
		t.Fatalf("%d happenings at a time, want %d", c.f.most, mostShared)
	}
	c.around = 250 * time.Microsecond
	c.keep(12)
	slow := c.f.most
	if slow < 95 || slow > 100 {
		t.Errorf("%d happenings at a time, want 100", slow)
	}
	c.refused = 1
	c.keep(1)
	if c.f.most < slow-1 {
		t.Errorf("%d happenings at a time after a transaction that was not kept, %d before", c.f.most, slow)
	}
	before := c.f.most
	c.f.p.happenings = make([]happening, leastKept-1)
	c.commit = time.Second
	if err := c.f.count(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if c.f.most != before {
		t.Errorf("%d happenings at a time after a small transaction, %d before", c.f.most, before)
	}
	c.around, c.commit = 50*time.Microsecond, 0
	c.keep(12)
	if c.f.most != mostShared {
		t.Errorf("%d happenings at a time, want %d", c.f.most, mostShared)
	}
}
