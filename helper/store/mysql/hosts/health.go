package hosts

import (
	"slices"
	"strings"
	"time"

	"exipol/helper/store"
)

// When the store is slow.
const (
	lagging    = 5 * time.Second // a replica is further behind,
	hopeless   = time.Hour       // but not so far that it has stopped: nobody waits for that
	pausedPart = 4               // the cluster's flow control has stopped writers for more than one part in so many of the time,
	longQueue  = 100             // or a node has more changes waiting
)

// lag knows when the row probe was written at the host in use, and so how far behind a replica is
// that has an older one.
type lag struct {
	written []int64 // Unix milliseconds, ascending
	before  int64   // what the row was when the host came into use
}

// kept is how many writes of the row are remembered.
const kept = 16

func (l *lag) add(row int64) {
	if row == 0 || row == l.before || len(l.written) > 0 && row <= l.written[len(l.written)-1] {
		return
	}
	l.written = append(l.written, row)
	if len(l.written) > kept {
		l.written = l.written[1:]
	}
}

// begin forgets all writes: a host comes into use, where the row is that one.
func (l *lag) begin(row int64) { l.written, l.before = nil, row }

// has says whether the row is of a write that was seen at the host in use since it came into use.
func (l *lag) has(row int64) bool {
	_, found := slices.BinarySearch(l.written, row)
	return found
}

// of is how far behind the host is that has this row, at now of the host in use (Unix milliseconds): for as long
// as the first write that it lacks has been there, as far as is known. Zero may also mean that nothing is known.
func (l *lag) of(row, now int64) time.Duration {
	if row == 0 || len(l.written) == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(l.written, row+1)
	if i == len(l.written) {
		return 0
	}
	lacks := l.written[i]
	if i == 0 && len(l.written) == kept { // it lacks more than is remembered
		lacks = row
	}
	return max(0, time.Duration(now-lacks)*time.Millisecond)
}

// flow knows whether a cluster's flow control stops writers.
type flow struct {
	paused int64 // nanoseconds, all told, at the last report
	at     time.Time
	stops  bool
	queue  int64
}

func (f *flow) add(r report, now time.Time) {
	f.queue = r.queue
	if !r.galera {
		*f = flow{}
		return
	}
	since := now.Sub(f.at)
	if !f.at.IsZero() && since < gap*2 {
		return // too short a time to say
	}
	f.stops = !f.at.IsZero() && (r.paused-f.paused)*pausedPart > int64(since)
	f.paused, f.at = r.paused, now
}

// lags says whether replicas or the cluster lag. The lock is held.
func (h *Hosts) lags() bool {
	if h.choice.used < 0 {
		return false
	}
	if f := h.hosts[h.choice.used].flow; f.stops || f.queue > longQueue {
		return true
	}
	for i := range h.hosts {
		if behind := h.behind(i); behind > lagging && behind < hopeless {
			return true
		}
	}
	return false
}

// behind is how far a host lags behind the host in use. The lock is held.
func (h *Hosts) behind(i int) time.Duration {
	used, c := h.choice.used, &h.choice.hosts[i]
	if used < 0 || i == used || c.state == pending || c.state == away {
		return 0
	}
	return h.choice.lag.of(c.row, h.choice.hosts[used].clock/1000)
}

// Health is how well the hosts are, as they were at the last look.
func (h *Hosts) Health() store.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	health := store.Health{
		Kind: h.config.Store.Kind, Since: h.choice.since.Round(0), Skew: h.clock.skew(now),
		Failures: h.failures.Load(), Retries: h.retries.Load(), Moves: h.moves.Load(), Slow: h.slow.Load(),
	}
	if c := h.current.Load(); c.err != nil {
		health.Away = strings.TrimPrefix(c.err.Error(), store.ErrAway.Error()+": ")
	} else {
		health.Host = c.host.name
	}
	for i, host := range h.hosts {
		c := &h.choice.hosts[i]
		use, why := h.use(i, now)
		health.Hosts = append(health.Hosts, store.HostHealth{
			Host: host.name, Use: use, Why: why, Version: c.version, Cluster: c.cluster, Lag: h.behind(i),
		})
	}
	return health
}
