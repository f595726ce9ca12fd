// Package recent remembers things for a while, within bounds.
package recent

import (
	"container/list"
	"sync"
	"time"
)

// Cache keeps values until their time is over, or until there are too many: then the
// oldest go first. It may be used by anybody at any time.
type Cache[K comparable, V any] struct {
	entries, cost int // bounds
	mu            sync.Mutex
	used          int
	known         map[K]*list.Element // of entry[K, V]
	queue         *list.List          // the oldest in front
}

type entry[K comparable, V any] struct {
	key   K
	value V
	cost  int
	until time.Time
}

// New makes a cache for so many entries, whose costs together (in whatever unit Put is
// given) are at most cost.
func New[K comparable, V any](entries, cost int) *Cache[K, V] {
	return &Cache[K, V]{entries: entries, cost: cost, known: map[K]*list.Element{}, queue: list.New()}
}

// Get is what was put under a key, if its time is not over.
func (c *Cache[K, V]) Get(key K, now time.Time) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.known[key]
	if at == nil {
		return value, false
	}
	e := at.Value.(*entry[K, V])
	if !now.Before(e.until) {
		c.remove(at)
		return value, false
	}
	return e.value, true
}

// Put keeps a value until then. One that costs more than all others may is not kept.
func (c *Cache[K, V]) Put(key K, value V, cost int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.known[key]; at != nil {
		c.remove(at)
	}
	if cost > c.cost || c.entries < 1 {
		return
	}
	for c.queue.Len() >= c.entries || c.used+cost > c.cost {
		c.remove(c.queue.Front())
	}
	c.known[key] = c.queue.PushBack(&entry[K, V]{key, value, cost, until})
	c.used += cost
}

// Len is how many there are, with those whose time is over and that nobody asked for.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.Len()
}

func (c *Cache[K, V]) remove(at *list.Element) {
	e := c.queue.Remove(at).(*entry[K, V])
	delete(c.known, e.key)
	c.used -= e.cost
}
