package hosts

import (
	"sync"
	"time"
)

// samples is how many of a server's last answers its clock is taken from.
const samples = 8

// stepped is by how much more than its round trip explains an answer may differ from what was believed before
// the server's clock counts as set.
const stepped = 20 * time.Millisecond

// held is how far back the clock may be put without anybody seeing it go back: it stands
// still instead, until the time has come again. What is more than that, it jumps.
const held = time.Second

// sample is one answer to what time it is.
type sample struct {
	server time.Time     // what it said
	local  time.Time     // the middle between question and answer, with its monotonic reading
	trip   time.Duration // between question and answer
}

// at is the server's time now, as this sample has it. It goes by the monotonic clock, so that it does not
// jump where this host's own clock is set.
func (s sample) at(now time.Time) time.Time { return s.server.Add(now.Sub(s.local)) }

// watchmaker knows a server's clock from its last answers: that of the shortest round trip is the one that
// is least wrong, by half of it at most.
type watchmaker struct {
	last []sample // newest last
	best sample
}

func (w *watchmaker) add(s sample) {
	if len(w.last) > 0 {
		differs := s.at(s.local).Sub(w.best.at(s.local)).Abs()
		if differs > (s.trip+w.best.trip)/2+stepped {
			w.last = nil // one of the clocks was set
		}
	}
	w.last = append(w.last, s)
	if len(w.last) > samples {
		w.last = w.last[1:]
	}
	w.best = w.last[0]
	for _, s := range w.last[1:] {
		if s.trip <= w.best.trip {
			w.best = s
		}
	}
}

// clock is the time of the host in use. Before any server has answered it is this host's.
type clock struct {
	mu     sync.Mutex
	sample sample // zero: none yet
	said   time.Time
}

// set takes the sample to go by from now on.
func (c *clock) set(s sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sample = s
}

// at is the time at a moment of this host's. It does not go back, but for more than held.
func (c *clock) at(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := now.Round(0)
	if !c.sample.server.IsZero() {
		t = c.sample.at(now)
	}
	if behind := c.said.Sub(t); behind > 0 && behind <= held {
		return c.said
	}
	c.said = t
	return t
}

// skew is how far this host's clock is ahead.
func (c *clock) skew(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sample.server.IsZero() {
		return 0
	}
	return now.Round(0).Sub(c.sample.at(now))
}
