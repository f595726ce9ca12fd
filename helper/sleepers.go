package helper

import (
	"slices"
	"sync"
	"time"
)

// sleepers are the delays that run on this gateway: one Exim process each, which
// does nothing but wait. They end by the clock; Exim does not say when a client
// hangs up.
type sleepers struct {
	mu    sync.Mutex
	tiers map[string][]*place // those of a tier, in no order
}

// place is one sleeper's, from the decision on.
type place struct {
	s     *sleepers
	tier  string // "" while not taken
	until time.Time
	ended bool // nobody will come to sleep here
}

func (s *sleepers) place() *place { return &place{s: s} }

// take takes a place of a tier; it frees itself at until.
func (p *place) take(tier string, until time.Time) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.ended {
		return
	}
	if p.s.tiers == nil {
		p.s.tiers = map[string][]*place{}
	}
	p.tier, p.until = tier, until
	p.s.tiers[tier] = append(p.s.tiers[tier], p)
}

// leave gives the place back, if it was taken.
func (p *place) leave() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.free()
}

// giveUp leaves for good: a decision that is still being made cannot take it again.
func (p *place) giveUp() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.free()
	p.ended = true
}

// free is for those who hold mu.
func (p *place) free() {
	if p.tier == "" {
		return
	}
	p.s.tiers[p.tier] = slices.DeleteFunc(p.s.tiers[p.tier], func(other *place) bool { return other == p })
	p.tier = ""
}

// count is how many of a tier sleep at now.
func (s *sleepers) count(tier string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	awake := func(p *place) bool { return !p.until.After(now) }
	left := slices.DeleteFunc(s.tiers[tier], awake)
	if s.tiers != nil {
		s.tiers[tier] = left
	}
	return len(left)
}

// all is how many sleep at now, by tier; tiers without any are left out.
func (s *sleepers) all(now time.Time) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for tier, places := range s.tiers {
		for _, p := range places {
			if p.until.After(now) {
				out[tier]++
			}
		}
	}
	return out
}
