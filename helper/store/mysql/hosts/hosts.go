// Package hosts is the connections to the servers of a MySQL store, and the choice which one of them is
// used: MariaDB 10.11 or later, MySQL 8 or later, and the nodes of a Galera cluster.
//
// Each host is looked at every second, all at the same time, on connections of their own. What is found, and what
// operations meet, decides which host is in use (choice says by what rules). Who wants a connection
// has it at once, or hears at once that there is none: nobody waits for a database that is dead.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"exipol/helper/store"
)

// Hosts are the servers of one store. All methods may be called by several at a time.
type Hosts struct {
	config Config
	hosts  []*Host
	stop   context.CancelFunc
	done   sync.WaitGroup

	current  atomic.Pointer[current]
	clock    clock
	slow     atomic.Bool
	failures atomic.Int64
	retries  atomic.Int64
	moves    atomic.Int64
	moved    chan struct{} // something is to be done after a move

	mu      sync.Mutex
	choice  *choice
	changed chan struct{} // closed with the next change of current
	last    int           // the host that was in use last, -1
	silent  bool          // that none can be used was said
	calls   []func()
	closed  bool
}

// current is the host in use, or why there is none.
type current struct {
	host    *Host
	err     error // of Use
	refused error // of Wait, at once: all hosts refuse this user
	move    int64 // counts the hosts that came into use
}

// New starts to look at the hosts. None of them needs to be there: Use says when one is. An error is one of
// the configuration.
func New(c Config) (*Hosts, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.filled()
	encrypted, err := encryption(c.Store)
	if err != nil {
		return nil, err
	}
	h := &Hosts{config: c, moved: make(chan struct{}, 1), changed: make(chan struct{}), last: -1}
	for i, name := range c.Store.Hosts {
		host, err := newHost(h, i, name, encrypted)
		if err != nil {
			for _, made := range h.hosts {
				made.close()
			}
			return nil, err
		}
		h.hosts = append(h.hosts, host)
	}
	h.choice = newChoice(len(h.hosts), c.Every, h.trialTimeout()+2*lookTimeout+c.Every, time.Now())
	h.current.Store(&current{err: fmt.Errorf("%w: none has answered yet", store.ErrAway)})
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	for _, host := range h.hosts {
		h.done.Go(func() { host.watch(ctx) })
	}
	h.done.Go(func() { h.follow(ctx) })
	return h, nil
}

// trialTimeout is within which time a small write commits at a host that can be used: one that is slower
// would have no answer be in time.
func (h *Hosts) trialTimeout() time.Duration {
	return min(max(h.config.Timeout*2/3, time.Second), 2*time.Second)
}

// Use is the host in use, at once. Where there is none it is store.ErrAway with the reasons: whoever asks
// goes without, and the hosts are looked at in the background. After Close it is store.ErrClosed.
func (h *Hosts) Use(ctx context.Context) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := h.current.Load()
	return c.host, c.err
}

// Wait waits until a host is in use, or the context ends: then it says why none is. That is store.ErrAway,
// or store.ErrRefused, for which it does not wait: every host has answered, and does not let this user in.
func (h *Hosts) Wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		c, changed := h.current.Load(), h.changed
		h.mu.Unlock()
		switch {
		case c.err == nil, errors.Is(c.err, store.ErrClosed):
			return c.err
		case c.refused != nil:
			return c.refused
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return h.current.Load().err
		}
	}
}

// Now is the time of the host in use: its clock as it was at the last looks, and what has passed since
// by this host's monotonic clock. It is wrong by half a round trip at most. While none is in use it goes on from
// the last one; before the first it is this host's. It does not go back, except where the database's clock was put back, or
// another host's is behind, by more than a second: what is less is waited for, the clock standing still.
func (h *Hosts) Now() time.Time { return h.clock.at(time.Now()) }

// Slow says whether replicas or the cluster lag behind the host in use, so that nothing that can wait
// should be done.
func (h *Hosts) Slow() bool { return h.slow.Load() }

// Retried counts a transaction that was run again because the database gave it up.
func (h *Hosts) Retried() { h.retries.Add(1) }

// OnMove has f called each time after a host has come into use, the first one too, and one that was away for a while:
// what was remembered of the store may be of the past. At a Galera node it is called when the node has what was
// committed before. Calls come one after another, and hold nothing up.
func (h *Hosts) OnMove(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, f)
}

// Close ends the looking and closes all connections; operations that are under way are not waited for.
func (h *Hosts) Close() error {
	h.mu.Lock()
	closed := h.closed
	h.closed = true
	if !closed {
		h.become(&current{err: store.ErrClosed})
	}
	h.mu.Unlock()
	h.stop()
	h.done.Wait()
	if !closed {
		for _, host := range h.hosts {
			host.close()
		}
	}
	return nil
}
