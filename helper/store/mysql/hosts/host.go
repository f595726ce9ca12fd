package hosts

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"sync"
	"time"

	"exipol/helper/store"
)

// gap is the least time between the beginnings of two looks at a host, however much fails there.
const gap = 100 * time.Millisecond

// Host is one server.
type Host struct {
	hosts *Hosts
	n     int    // its place in the configuration
	name  string // as it stands there
	db    *sql.DB
	long  *sql.DB
	probe *sql.DB
	woken chan struct{}

	pools sync.Mutex // one at a time sets what the pools keep

	// Under the lock of hosts.
	clock watchmaker
	flow  flow
}

func newHost(h *Hosts, n int, name string, encrypted *tls.Config) (*Host, error) {
	host := &Host{hosts: h, n: n, name: name, woken: make(chan struct{}, 1)}
	c := h.config
	short, err := newConnector(c, name, encrypted, c.Timeout/2)
	if err != nil {
		return nil, err
	}
	long, err := newConnector(c, name, encrypted, longest)
	if err != nil {
		return nil, err
	}
	probing, err := newConnector(c, name, encrypted, max(lookTimeout, h.trialTimeout()))
	if err != nil {
		return nil, err
	}
	host.db = pool(short, c.Store.Connections, 0)
	host.long = pool(long, longConnections, 0)
	host.probe = pool(probing, 2, 1)
	return host, nil
}

// Addr names the host as the configuration does: "db1:3306", or a socket's path.
func (h *Host) Addr() string { return h.name }

// DB are the connections for what must be done within an answer's time: where the server says nothing for
// half of it, the connection is given up. Each of them reads and writes with READ COMMITTED, in strict mode, with UTC and
// utf8mb4; waits for a lock for a second or so; counts in an UPDATE the rows that were found; and is closed by the
// server when it has been idle for a minute, its transaction with it.
func (h *Host) DB() *sql.DB { return h.db }

// Long are connections for what may take longer: making an index, counting, copying. They are few, and have no
// limit but the context's.
func (h *Host) Long() *sql.DB { return h.long }

// Failed is told of each error of a statement, or of a connection, at this host: the database's own, classified or
// not. One that leaves open how well the host is has it looked at at once; it stays in use until that is known, and is
// left where a small write does not commit in time. What says nothing of the host is only counted, and what a
// caller gave up himself, or what is run again, not even that.
func (h *Host) Failed(err error) {
	if err == nil || errors.Is(err, context.Canceled) || Retry(err) {
		return
	}
	h.hosts.failures.Add(1)
	classified := Classify(err)
	switch {
	case Lost(err):
		h.hosts.mu.Lock()
		h.hosts.choice.doubt(h.n, time.Now())
		h.hosts.mu.Unlock()
	case errors.Is(classified, store.ErrAway), errors.Is(classified, store.ErrReadOnly), errors.Is(classified, store.ErrRefused):
	default:
		return
	}
	if h.hosts.current.Load().host == h {
		h.wake()
	}
}

// wake has the host looked at now.
func (h *Host) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// watch looks at the host until the context ends.
func (h *Host) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for ctx.Err() == nil {
		began := time.Now()
		r, s := h.look(ctx, h.suspected())
		if ctx.Err() != nil {
			return
		}
		if t := h.hosts.seen(h, r, s); t != noTrial {
			began := time.Now()
			err := h.try(ctx, t, r)
			if ctx.Err() != nil {
				return
			}
			h.hosts.tried(h, began, err)
		}
		timer.Reset(h.pause())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			continue
		case <-h.woken:
		}
		timer.Reset(gap - time.Since(began))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// suspected says whether an operation failed here, and no commit has answered it.
func (h *Host) suspected() bool {
	h.hosts.mu.Lock()
	defer h.hosts.mu.Unlock()
	return !h.hosts.choice.hosts[h.n].suspect.IsZero()
}

// pause is how long to wait before the next look: less while there is nothing to use. A server that refuses the
// user is asked less often: it writes a line into its log each time.
func (h *Host) pause() time.Duration {
	h.hosts.mu.Lock()
	defer h.hosts.mu.Unlock()
	switch every := h.hosts.config.Every; {
	case h.hosts.choice.hosts[h.n].refused:
		return 5 * every
	case h.hosts.choice.used < 0:
		return every / 2
	default:
		return every
	}
}

// open lets the pools keep idle connections: the host comes into use.
func (h *Host) open() {
	h.pools.Lock()
	defer h.pools.Unlock()
	h.db.SetMaxIdleConns(h.hosts.config.Store.Connections)
	h.long.SetMaxIdleConns(1)
}

// leave closes the idle connections of a host that is not in use.
func (h *Host) leave() {
	h.pools.Lock()
	defer h.pools.Unlock()
	if h.hosts.current.Load().host != h {
		h.db.SetMaxIdleConns(0)
		h.long.SetMaxIdleConns(0)
	}
}

// catchUp waits until a Galera node that has just come into use has what was committed elsewhere up to
// the move; not for long, for it is in use.
func (h *Host) catchUp(ctx context.Context) {
	h.hosts.mu.Lock()
	galera := h.hosts.choice.hosts[h.n].galera
	h.hosts.mu.Unlock()
	if !galera {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := h.probe.Conn(ctx)
	if err != nil {
		return // the next look says why
	}
	defer conn.Close()
	_ = barrier(ctx, conn)
}

func (h *Host) close() {
	_ = h.db.Close()
	_ = h.long.Close()
	_ = h.probe.Close()
}
