package sqlite

import (
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sqldriver "database/sql/driver"

	"exipol/helper/engine"
)

// ErrUnseen is the error of a Glance that would have had to look into the file.
var ErrUnseen = errors.New("not known without a look into the store")

const (
	shards = 16
	// generation is the most rows of half a shard: 32,768 rows in all, some 10 MB, and as
	// many keys without a row.
	generation = 1024
	// watchEvery is how often the writer looks whether another process wrote, and so
	// about how long a cached row can be older than the file.
	watchEvery = 500 * time.Millisecond
)

// cache remembers rows of the table seen that are asked for again and again. It never
// knows more than the file: a row comes in when it was read, or after the commit that
// wrote it, and before that is answered. That there is no row is remembered of what lists
// have learned, which is asked for with each mail, also with that of known senders; that
// there is none of a greylist is a first contact, and seldom asked for again.
type cache struct {
	seed    maphash.Seed
	changes atomic.Uint64 // grows with each change; a row that was read before one stays out
	shards  [shards]shard
	missing [shards]shard // keys without a row
}

type cacheKey struct{ policy, key string }

// shard holds the rows of the last two generations: where the young one is full it
// becomes the old one, and what was not asked for since is forgotten.
type shard struct {
	mu         sync.Mutex
	young, old map[cacheKey]engine.SeenRow
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

func (c *cache) place(k cacheKey) uint64 { return maphash.String(c.seed, k.key) % shards }

// get gives a row; known says whether it is known that there is one, or none.
func (c *cache) get(k cacheKey) (row engine.SeenRow, ok, known bool) {
	at := c.place(k)
	if row, ok = c.shards[at].get(k); ok {
		return row, true, true
	}
	_, known = c.missing[at].get(k)
	return row, false, known
}

func (s *shard) get(k cacheKey) (engine.SeenRow, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row, ok := s.young[k]; ok {
		return row, true
	}
	row, ok := s.old[k]
	if ok {
		s.put(k, row)
	}
	return row, ok
}

// put adds a row; the caller holds mu.
func (s *shard) put(k cacheKey, row engine.SeenRow) {
	if s.young == nil || len(s.young) >= generation {
		s.old, s.young = s.young, make(map[cacheKey]engine.SeenRow, generation/8)
	}
	s.young[k] = row
	delete(s.old, k)
}

// read adds a row that was read from a snapshot taken when changes was that.
func (c *cache) read(k cacheKey, row engine.SeenRow, changes uint64) {
	c.add(&c.shards[c.place(k)], k, row, changes)
}

// readNone notes that such a snapshot had no row.
func (c *cache) readNone(k cacheKey, changes uint64) {
	if strings.HasPrefix(k.policy, "list.") {
		c.add(&c.missing[c.place(k)], k, engine.SeenRow{}, changes)
	}
}

func (c *cache) add(s *shard, k cacheKey, row engine.SeenRow, changes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.changes.Load() == changes {
		s.put(k, row)
	}
}

// wrote takes in what a transaction has committed. Those that are seen for the first
// time are mostly never seen again, and left out.
func (c *cache) wrote(w engine.PutSeen) {
	k := cacheKey{w.Policy, w.Key}
	c.changes.Add(1)
	at := c.place(k)
	c.missing[at].drop(k)
	s := &c.shards[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.old, k)
	delete(s.young, k)
	if w.Row.Passed != 0 || w.Row.Passes != 0 {
		s.put(k, w.Row)
	}
}

func (s *shard) drop(k cacheKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.old, k)
	delete(s.young, k)
}

// forget empties the cache: something else has changed the table, or may have.
func (c *cache) forget() {
	c.changes.Add(1)
	for i := range c.shards {
		for _, s := range []*shard{&c.shards[i], &c.missing[i]} {
			s.mu.Lock()
			s.young, s.old = nil, nil
			s.mu.Unlock()
		}
	}
}

// Glance runs f, once, on what this process remembers of the store, without a look
// into the file: no snapshot, each row as it was at some moment of the last second or
// so. Where f asks for anything else its State gives ErrUnseen, and f is to be run by
// View. It is for decisions that change nothing: Update decides from the file.
func (s *Store) Glance(f func(engine.State) error) error { return f(glance{s.cache}) }

type glance struct{ c *cache }

func (g glance) Seen(policy, key string) (engine.SeenRow, bool, error) {
	row, ok, known := g.c.get(cacheKey{policy, key})
	if !known {
		return row, false, ErrUnseen
	}
	return row, ok, nil
}

func (glance) Count(string, string, time.Duration, int64, int64) (int64, error) { return 0, ErrUnseen }

func (glance) Distinct(string, string, string, int64, int64, int64) (n, at int64, err error) {
	return 0, 0, ErrUnseen
}

// remember brings the cache up to date with a transaction that was committed.
func (s *Store) remember(batch []*request) {
	for _, r := range batch {
		if r.err != nil {
			continue
		}
		if r.run != nil && !r.apart {
			s.cache.forget() // it may have been the clean-up
		}
		for _, w := range r.writes {
			if seen, ok := w.(engine.PutSeen); ok {
				s.cache.wrote(seen)
			}
		}
	}
}

// watch empties the cache where another process has written: SQLite numbers the
// changes of others for each connection (PRAGMA data_version).
func (s *Store) watch() {
	session, err := s.writing()
	if err != nil {
		s.cache.forget()
		return
	}
	err = session.locked(func(c sqldriver.Conn) error {
		v, err := session.query(c, getVersion, 1)
		if err == nil && v[0].(int64) != session.version {
			session.version = v[0].(int64)
			s.cache.forget()
		}
		return err
	})
	if err != nil {
		s.dropWriter()
		s.cache.forget()
	}
}

// What the desk and the log keep is never remembered.

func (glance) Standing(string, string) (engine.Standing, bool, error) {
	return engine.Standing{}, false, ErrUnseen
}

func (glance) Held(int64) (int64, error) { return 0, ErrUnseen }

func (glance) Known(string, string, string) (bool, error) { return false, ErrUnseen }

func (glance) Bounces(string, int64) (int64, error) { return 0, ErrUnseen }

func (glance) Arrival(string, string) (engine.Arrival, bool, error) {
	return engine.Arrival{}, false, ErrUnseen
}
