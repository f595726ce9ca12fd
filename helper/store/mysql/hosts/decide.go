package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"exipol/helper/store"
)

// become makes this the current state and wakes who waits for one. The lock is held.
func (h *Hosts) become(c *current) {
	h.current.Store(c)
	close(h.changed)
	h.changed = make(chan struct{})
}

// seen takes what a look at a host found, and says to what trial the host is to be put.
func (h *Hosts) seen(host *Host, r report, s sample) trial {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	before, _ := h.use(host.n, now)
	first := h.choice.hosts[host.n].state == pending
	h.choice.reported(host.n, r, now)
	if !s.server.IsZero() {
		host.clock.add(s)
	}
	host.flow.add(r, now)
	h.decide(host, now)
	if !first || r.state != well {
		h.sayUse(host.n, before, first, now)
	}
	if host.n == h.choice.used {
		h.clock.set(host.clock.best)
	}
	h.slow.Store(h.lags())
	return h.choice.begin(host.n, now)
}

// tried takes what came of a trial.
func (h *Hosts) tried(host *Host, began time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, why := time.Now(), ""
	if err != nil {
		why = "a small write does not commit there: " + words(err, h.trialTimeout())
	}
	before, _ := h.use(host.n, now)
	h.choice.finished(host.n, began, why, now)
	h.choice.hosts[host.n].denied = errors.Is(Classify(err), store.ErrRefused)
	h.decide(host, now)
	h.sayUse(host.n, before, false, now)
}

// decide lets the choice decide, makes it so, and has those other hosts looked at that it wants to try. The
// lock is held.
func (h *Hosts) decide(looked *Host, now time.Time) {
	if h.closed {
		return
	}
	was := h.current.Load()
	moved := h.choice.decide(now)
	switch {
	case moved && h.choice.used >= 0:
		h.arrive(h.hosts[h.choice.used], was)
	case h.choice.used < 0:
		if moved {
			h.failures.Add(1)
			h.config.Log.Warn("database host left", "host", was.host.name, "why", h.choice.hosts[was.host.n].lost())
		}
		h.none(was)
		if h.choice.settled() && !h.silent {
			h.silent = true
			h.config.Log.Error("no database host can be used", "why", h.why())
		}
	}
	if moved {
		select {
		case h.moved <- struct{}{}:
		default:
		}
	}
	for i, host := range h.hosts {
		if host != looked && h.choice.wants(i, now) != noTrial {
			host.wake()
		}
	}
}

// arrive puts a host into use. The lock is held.
func (h *Hosts) arrive(host *Host, was *current) {
	host.open()
	h.clock.set(host.clock.best)
	if h.last >= 0 && h.last != host.n {
		h.moves.Add(1)
	}
	level, about := slog.LevelInfo, []any{"host", host.name, "version", h.choice.hosts[host.n].version}
	if was.host != nil {
		about = append(about, "instead of", was.host.name)
		if why := h.choice.hosts[was.host.n].lost(); why != "" {
			h.failures.Add(1)
			level, about = slog.LevelWarn, append(about, "why", why)
		}
	}
	h.config.Log.Log(context.Background(), level, "database host in use", about...)
	if h.last >= 0 && h.last != host.n && h.choice.behind(host.n) {
		h.config.Log.Warn("database host may be behind: it was not seen to follow the one that was in use before",
			"host", host.name, "before", h.hosts[h.last].name)
	}
	h.last, h.silent = host.n, false
	h.become(&current{host: host, move: was.move + 1})
}

// none says that no host is in use, and why as far as is known. The lock is held.
func (h *Hosts) none(was *current) {
	c := &current{err: fmt.Errorf("%w: %s", store.ErrAway, h.why()), move: was.move}
	refused := true
	for i := range h.choice.hosts {
		refused = refused && h.choice.hosts[i].refuses()
	}
	if refused {
		c.refused = fmt.Errorf("%w: %s", store.ErrRefused, h.why())
	}
	if was.host != nil || was.err.Error() != c.err.Error() || (was.refused == nil) != (c.refused == nil) {
		h.become(c)
	}
}

// why is what keeps each host from being used. The lock is held.
func (h *Hosts) why() string {
	all := make([]string, len(h.hosts))
	for i, host := range h.hosts {
		_, why := h.use(i, time.Now())
		if why == "" {
			why = "it is tried"
		}
		all[i] = host.name + ": " + why
	}
	return strings.Join(all, "; ")
}

// use is the word for what a host is used for, and why it cannot be, with the names of hosts. The lock is held.
func (h *Hosts) use(i int, now time.Time) (use, why string) {
	use, why = h.choice.use(i, now)
	if why == doesNotFollow {
		why = fmt.Sprintf("%s (%s): make it its replica first", doesNotFollow, h.hosts[h.choice.used].name)
	}
	return use, why
}

// sayUse logs what has become of a host that is not in use, where there are others. The lock is held.
func (h *Hosts) sayUse(i int, before string, first bool, now time.Time) {
	use, why := h.use(i, now)
	if len(h.hosts) == 1 || use == before && !first || use == store.HostInUse || before == store.HostInUse {
		return
	}
	if use == store.HostStandby {
		h.config.Log.Info("database host can be used", "host", h.hosts[i].name)
		return
	}
	h.config.Log.Warn("database host cannot be used", "host", h.hosts[i].name, "state", use, "why", why)
}

// follow does what is to be done after moves, one after another.
func (h *Hosts) follow(ctx context.Context) {
	var told int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.moved:
		}
		for _, host := range h.hosts {
			host.leave()
		}
		now := h.current.Load()
		if now.host == nil || now.move == told {
			continue
		}
		told = now.move
		now.host.catchUp(ctx)
		h.mu.Lock()
		calls := h.calls
		h.mu.Unlock()
		for _, f := range calls {
			f()
		}
	}
}
