package hosts

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// world runs a choice over hosts that are as a test says, by a clock of its own.
type world struct {
	t     *testing.T
	now   time.Time
	c     *choice
	hosts []*worldHost
	moves []string // "2s: 1"
	start time.Time
}

type worldHost struct {
	state    state
	hangs    bool // its commits do not come back
	others   bool // other exipolds write the row
	notable  bool // there is no table yet
	follows  int  // of whose row it has a copy, as a replica has, counted from one; 0: nobody's
	galera   bool
	row      time.Time // when it was written last
	next     time.Time // the next look
	began    time.Time // of the trial under way
	ends     time.Time
	trials   int
	barriers int
}

const worldTrial = 1500 * time.Millisecond

func newWorld(t *testing.T, states ...state) *world {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w := &world{t: t, now: now, start: now, c: newChoice(len(states), time.Second, worldTrial+2*lookTimeout+time.Second, now)}
	for i, s := range states {
		// They are not looked at all at once, and the last is the first.
		w.hosts = append(w.hosts, &worldHost{state: s, next: now.Add(time.Duration(len(states)-i) * 50 * time.Millisecond)})
	}
	return w
}

// cluster makes the hosts nodes of a Galera cluster.
func (w *world) cluster() {
	for _, h := range w.hosts {
		h.galera = true
	}
}

// run lets the time pass.
func (w *world) run(d time.Duration) {
	const step = 10 * time.Millisecond
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		for i, h := range w.hosts {
			w.host(i, h)
		}
	}
}

func (w *world) host(i int, h *worldHost) {
	if h.others && !h.hangs && w.now.Sub(h.row) > time.Second {
		h.row = w.now
	}
	if !h.began.IsZero() {
		if w.now.Before(h.ends) {
			return
		}
		why := ""
		if h.hangs {
			why = "it hangs"
		} else {
			h.row = w.now
		}
		w.c.finished(i, h.began, why, w.now)
		h.began, h.next = time.Time{}, w.now.Add(time.Second)
		w.decide()
		return
	}
	if w.now.Before(h.next) {
		return
	}
	if h.follows > 0 && h.state != away {
		h.row = w.hosts[h.follows-1].row
	}
	r := report{state: h.state, clock: w.now.UnixMicro(), table: !h.notable, galera: h.galera}
	if h.state != away {
		r.version = "10.11.19-MariaDB"
	}
	if h.state != well {
		r.why = fmt.Sprintf("state %d", h.state)
	}
	if !h.row.IsZero() {
		r.row = h.row.UnixMilli()
	}
	w.c.reported(i, r, w.now)
	w.decide()
	h.next = w.now.Add(time.Second)
	if t := w.c.begin(i, w.now); t != noTrial {
		h.trials++
		if t == newcoming {
			h.barriers++
		}
		h.began, h.ends = w.now, w.now.Add(20*time.Millisecond)
		if h.hangs {
			h.ends = w.now.Add(worldTrial)
		}
	}
}

func (w *world) decide() {
	if w.c.decide(w.now) {
		w.moves = append(w.moves, fmt.Sprintf("%s: %d", w.now.Sub(w.start).Round(10*time.Millisecond), w.c.used))
	}
	for i, h := range w.hosts {
		if w.c.wants(i, w.now) != noTrial && h.began.IsZero() && h.next.After(w.now.Add(gap)) {
			h.next = w.now.Add(gap)
		}
	}
}

// fails is what an operation at the host in use meets.
func (w *world) fails() {
	i := w.c.used
	w.c.doubt(i, w.now)
	w.hosts[i].next = w.now
}

// uses checks which host is in use, and how many changes there were up to now.
func (w *world) uses(want, moves int) {
	w.t.Helper()
	if w.c.used != want || len(w.moves) != moves {
		w.t.Errorf("after %s host %d is in use, want %d; %d moves, want %d: %s", w.now.Sub(w.start), w.c.used, want, len(w.moves), moves, strings.Join(w.moves, ", "))
	}
}
