package helper

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/dns"
	"exipol/helper/engine"
	"exipol/helper/facts"
	"exipol/helper/pools"
)

// Outside is what can be found out beyond this host. Nothing of it is asked where
// connections are accepted.
type Outside interface {
	// Gather gives have (nil: nothing yet) together with an answer for each need, when
	// ctx ends at the latest; what was not said by then is unclear.
	Gather(ctx context.Context, q wire.Question, needs []plan.Fact, have *engine.Facts) *engine.Facts
	// Resolve finds out a pool's networks, and what of its SPF records is none.
	Resolve(ctx context.Context, p plan.Pool) (networks []netip.Prefix, notes []string, err error)
	// Stats counts what was asked for that since the start.
	Stats() dns.Stats
}

// NewOutside asks these DNS servers ("address:port"), or those of the machine where
// there are none. log and clock may be nil: nothing is logged, time.Now.
func NewOutside(servers []string, log *slog.Logger, clock func() time.Time) Outside {
	r := dns.New(dns.Options{Servers: servers, Clock: clock, Log: log})
	return outside{r, facts.New(facts.Options{Resolver: r, Log: log, Clock: clock})}
}

type outside struct {
	*dns.Resolver
	*facts.Finder
}

func (o outside) Resolve(ctx context.Context, p plan.Pool) ([]netip.Prefix, []string, error) {
	return pools.Resolve(ctx, o.Resolver, p)
}

// outsideFor is what a plan asks; plans with the same servers share one, and what it
// remembers.
func (h *Helper) outsideFor(p *plan.Plan) Outside {
	if h.o.Outside == nil {
		return nil
	}
	for _, a := range h.plans.Load().all {
		if slices.Equal(a.Plan().DNS, p.DNS) {
			return a.outside
		}
	}
	return h.o.Outside(p.DNS)
}

// Facts are gathered at most so many times for one question; what is still asked for
// then is unclear. An engine that asks even after that is broken.
const (
	mostRounds = 3
	lastRound  = 8
)

// storeShare is what is left of an answer's time, at least, for the store to write it
// down: half, or this, if that is less. factsMost is the longest that mail waits for DNS,
// whatever the timeout: what takes longer is unclear, and known at the retry.
const (
	storeShare = 700 * time.Millisecond
	factsMost  = 2 * time.Second
)

// factsTime is how long after it was asked a question's facts must be there: with the
// default timeout of 3 s an answer has 1.9 s (see newAnswerer), and its facts 1.2 s of
// them.
func factsTime(budget time.Duration) time.Duration {
	return min(max(budget/2, budget-storeShare), factsMost)
}

// inform gathers what a question needs.
func (h *Helper) inform(ctx context.Context, a *asked, needs []plan.Fact) {
	a.rounds++
	if out := a.by.outside; out != nil && a.rounds <= mostRounds {
		short, cancel := context.WithDeadline(ctx, a.start.Add(a.by.facts))
		a.facts = out.Gather(short, a.Question, needs, a.facts)
		cancel()
	}
	a.facts = Complete(a.facts, needs)
	for _, f := range needs {
		word := Finding(a.facts, f)
		h.found.add(f, word)
		if h.o.Observer != nil {
			h.o.Observer.Found(f.Name, word)
		}
	}
}

// Complete is the facts with an answer for each need: unclear where there is none.
func Complete(have *engine.Facts, needs []plan.Fact) *engine.Facts {
	out := engine.Facts{}
	if have != nil {
		out = *have
	}
	copied := false
	for _, f := range needs {
		if f.Name == plan.SPF {
			if out.SPF == "" {
				out.SPF = spfUnclear
			}
			continue
		}
		if out.Found[f] != engine.Unasked {
			continue
		}
		if !copied { // who gave them may still hold the map
			found := make(map[plan.Fact]engine.Finding, len(out.Found)+len(needs))
			for k, v := range out.Found {
				found[k] = v
			}
			out.Found, copied = found, true
		}
		out.Found[f] = engine.Unclear
	}
	return &out
}

// spfUnclear is SPF's word for no answer (RFC 7208, 2.6.6).
const spfUnclear = "temperror"

// Finding is what was found, in a word: yes, no or unclear, or one of SPF's.
func Finding(have *engine.Facts, f plan.Fact) string {
	if f.Name == plan.SPF {
		return have.SPF
	}
	switch have.Found[f] {
	case engine.Yes:
		return "yes"
	case engine.No:
		return "no"
	}
	return "unclear"
}

// found counts what was found out since the start.
type found struct {
	mu sync.Mutex
	n  map[string]map[string]int64 // by fact, by finding
}

func (c *found) add(f plan.Fact, word string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]map[string]int64{}
	}
	name := f.String()
	if c.n[name] == nil {
		c.n[name] = map[string]int64{}
	}
	c.n[name][word]++
}

func (c *found) all() map[string]map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]map[string]int64{}
	for name, words := range c.n {
		out[name] = map[string]int64{}
		for word, n := range words {
			out[name][word] = n
		}
	}
	return out
}
