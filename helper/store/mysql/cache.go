package mysql

import (
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"exipol/helper/engine"
)

// ErrUnseen is the error of a Glance that would have had to ask the server.
var ErrUnseen = errors.New("not known without asking the database")

const (
	shards = 16
	// generation is the most rows of half a shard: 32,768 rows in all, some 10 MB.
	generation = 1024
	// remembered is how long a row is known after it was read: what another gateway changes is known here
	// that much later at most. A generation is added to for half of it.
	remembered = 2 * time.Second
)

// cache remembers what is good of the table seen: keys that passed, clients that passed, what lists learned. That there is no
// row is remembered of what lists have learned, which is asked for with each mail, also with that of known senders; it lets nobody
// in, nor keeps anybody out. What is asked for often is not remembered any longer.
type cache struct {
	seed   maphash.Seed
	shards [shards]shard
}

// shard holds the rows of two generations.
type shard struct {
	mu         sync.Mutex
	changes    uint64 // grows with each change; a row that was read before one stays out
	young, old brood
}

// brood is a generation: what was read at its birth, or after that.
type brood struct {
	born time.Time
	rows map[rowKey]seenRow
}

func (b *brood) knows(k rowKey, now time.Time) (seenRow, bool) {
	row, is := b.rows[k]
	return row, is && now.Sub(b.born) < remembered
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

func (c *cache) place(k rowKey) int { return int(maphash.String(c.seed, k.key) % shards) }

// changes is to be asked for before a reading.
func (c *cache) changes() (all [shards]uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		all[i] = s.changes
		s.mu.Unlock()
	}
	return all
}

// get gives a row; known says whether it is known that there is one, or none.
func (c *cache) get(k rowKey, now time.Time) (row seenRow, known bool) {
	s := &c.shards[c.place(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if row, known = s.young.knows(k, now); known {
		return row, true
	}
	return s.old.knows(k, now)
}

// worth says whether a row is to be remembered.
func worth(k rowKey, row seenRow) bool {
	if strings.HasPrefix(k.policy, "list.") {
		return true
	}
	return row.ok && (row.Passed != 0 || row.Passes != 0)
}

// read takes in a row of a reading that began then.
func (c *cache) read(k rowKey, row seenRow, began time.Time, changes [shards]uint64) {
	if !worth(k, row) {
		return
	}
	at := c.place(k)
	s := &c.shards[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == changes[at] {
		s.put(k, row, began)
	}
}

// put adds a row that is as old as that; the caller holds mu.
func (s *shard) put(k rowKey, row seenRow, began time.Time) {
	if len(s.young.rows) >= generation || began.Sub(s.young.born) >= remembered/2 {
		s.old, s.young = s.young, brood{born: began, rows: make(map[rowKey]seenRow, generation/8)}
	}
	if !began.Before(s.young.born) {
		s.young.rows[k] = row
	}
}

// wrote forgets a row that was committed: of two who commit the same one, nobody here knows who was last.
func (c *cache) wrote(k rowKey) {
	s := &c.shards[c.place(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	delete(s.old.rows, k)
	delete(s.young.rows, k)
}

// forget empties the cache.
func (c *cache) forget() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.changes++
		s.young, s.old = brood{}, brood{}
		s.mu.Unlock()
	}
}

// remember takes in what was committed, before anybody is told.
func (s *Store) remember(writes []engine.Write) {
	for _, w := range writes {
		if w, is := w.(engine.PutSeen); is {
			s.cache.wrote(rowKey{w.Policy, w.Key})
		}
	}
}
