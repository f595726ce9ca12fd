package sqlite

import (
	"sync/atomic"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// health is what Health tells.
type health struct {
	since    time.Time               // since when it is open
	away     atomic.Pointer[absence] // nil while it can be read
	failures atomic.Int64            // of transactions and of readers
}

// absence is why a file cannot be read, and since when.
type absence struct {
	why   string
	since time.Time
}

// failed notes that a connection failed; reading says that it was one for reading.
func (h *health) failed(err error, reading bool) {
	h.failures.Add(1)
	if reading {
		since := time.Now()
		if was := h.away.Load(); was != nil {
			since = was.since
		}
		h.away.Store(&absence{err.Error(), since})
	}
}

// read notes that the file was read.
func (h *health) read() {
	if h.away.Load() != nil {
		h.away.Store(nil)
	}
}

// Health implements store.Store. A file is away when the last look into it failed; one that can be read but not
// written to is not. Only what goes through View is noted.
func (s *Store) Health() store.Health {
	h := store.Health{Kind: plan.SQLite, Since: s.health.since, Failures: s.health.failures.Load()}
	if a := s.health.away.Load(); a != nil {
		h.Away, h.Since = a.why, a.since
	}
	return h
}
