package mysql

import (
	"time"

	"exipol/helper/engine"
)

// Glance runs f, once, on what this process remembers of the store: no snapshot, each row as it was at
// some moment of the last two seconds. Where f asks for anything else its State gives ErrUnseen, and f is to be run
// by Look. It is for decisions that change nothing: Update decides from the store itself.
func (s *Store) Glance(f func(engine.State) error) error { return f(glance{s.cache}) }

type glance struct{ c *cache }

func (g glance) Seen(policy, key string) (engine.SeenRow, bool, error) {
	row, known := g.c.get(rowKey{policy, key}, time.Now())
	if !known {
		return engine.SeenRow{}, false, ErrUnseen
	}
	return row.SeenRow, row.ok, nil
}

// Nothing else is remembered.

func (glance) Count(string, string, time.Duration, int64, int64) (int64, error) { return 0, ErrUnseen }

func (glance) Distinct(string, string, string, int64, int64, int64) (n, at int64, err error) {
	return 0, 0, ErrUnseen
}

func (glance) Standing(string, string) (engine.Standing, bool, error) {
	return engine.Standing{}, false, ErrUnseen
}

func (glance) Held(int64) (int64, error) { return 0, ErrUnseen }

func (glance) Known(string, string, string) (bool, error) { return false, ErrUnseen }

func (glance) Bounces(string, int64) (int64, error) { return 0, ErrUnseen }

func (glance) Arrival(string, string) (engine.Arrival, bool, error) {
	return engine.Arrival{}, false, ErrUnseen
}
