// Package facts finds out about a client and a sender what a greylist asks for: by DNS,
// with SPF among it. A fact is only said to hold, or not to hold, where DNS said so in
// time and can be believed; all else is unclear, and what then happens is the greylist's
// on_failure to say.
package facts

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/dns"
	"exipol/helper/engine"
	"exipol/helper/recent"
)

const (
	// jobTime is how long the search for a fact goes on, after the one who asked may have
	// given up: the client comes back, and then the answer is remembered.
	jobTime = 10 * time.Second
	// How many facts are searched for at once, each some kB of memory: by names that the
	// client or the sender chooses, and by those of the policies. More are unclear at once;
	// DNS is away then, or somebody floods.
	mostChosenJobs = 4096
	mostListJobs   = 4096
)

// Options of New.
type Options struct {
	Resolver *dns.Resolver    // nil: one that asks the machine's resolvers
	Log      *slog.Logger     // nil: nothing is logged
	Clock    func() time.Time // for how long results are remembered; nil: time.Now
}

// Finder gathers facts. It may be used by anybody at any time.
type Finder struct {
	dns    *dns.Resolver // for names of the policies, and for the names of addresses
	chosen *dns.Resolver // for what clients and senders name
	log    *slog.Logger
	clock  func() time.Time
	spf    *recent.Cache[spfKey, spfResult]
	lied   atomic.Bool // whether the resolver lied when it was last tested

	listJobs, chosenJobs *dns.Budget
}

// New makes a Finder.
func New(o Options) *Finder {
	f := &Finder{dns: o.Resolver, log: o.Log, clock: o.Clock, spf: recent.New[spfKey, spfResult](mostSPF, mostSPF)}
	if f.dns == nil {
		f.dns = dns.New(dns.Options{Clock: o.Clock, Log: o.Log})
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.clock == nil {
		f.clock = time.Now
	}
	f.chosen = f.dns.Chosen()
	f.listJobs = f.dns.NewBudget("facts that DNS lists tell", mostListJobs)
	f.chosenJobs = f.dns.NewBudget("facts about what clients and senders name", mostChosenJobs)
	return f
}

// subject is whom a question is about.
type subject struct {
	*Finder
	wire.Question
	family string                                           // "ip4" or "ip6", the client's
	hosts  func(context.Context) ([]string, engine.Finding) // the client's host names, see names
}

// result is what a job found: of SPF, or else of one fact.
type result struct {
	fact    plan.Fact
	finding engine.Finding
	spf     *spfResult
}

// Gather gives what is known (have, which stays as it is; nil: nothing) together with an
// answer for each need. It returns when all is found out or ctx ends, whichever is
// first; what is missing then is unclear ("temperror" of SPF). The search goes on for some
// seconds, so that the next one to ask finds the answer.
func (f *Finder) Gather(ctx context.Context, q wire.Question, needs []plan.Fact, have *engine.Facts) *engine.Facts {
	facts := &engine.Facts{}
	if have != nil {
		*facts = *have
	}
	facts.Found = maps.Clone(facts.Found)
	if facts.Found == nil {
		facts.Found = map[plan.Fact]engine.Finding{}
	}
	q.Client = q.Client.Unmap().WithZone("")
	if isLocal(q.Client) {
		fill(facts, needs, engine.No, spfResult{word: "none"})
		return facts
	}
	s := f.subject(q)
	var open []plan.Fact
	askSPF := false
	for _, need := range needs {
		if ofSPF(need) {
			askSPF = askSPF || facts.SPF == ""
		} else if facts.Found[need] == engine.Unasked && !slices.Contains(open, need) {
			open = append(open, need)
		}
	}
	results := s.start(ctx, open, askSPF)
	for range cap(results) {
		r, ok := receive(ctx, results)
		switch {
		case !ok: // out of time
		case r.spf != nil:
			facts.SPF, facts.SPFDomain, facts.SPFOpen = r.spf.word, r.spf.domain, r.spf.open
		default:
			facts.Found[r.fact] = r.finding
		}
	}
	fill(facts, needs, engine.Unclear, spfResult{word: tempError})
	f.log.Debug("facts gathered", "client", q.Client, "spf", facts.SPF, "found", facts.Found)
	return facts
}

// receive takes a result that is there even where the time is over.
func receive(ctx context.Context, results <-chan result) (result, bool) {
	select {
	case r := <-results:
		return r, true
	default:
	}
	select {
	case r := <-results:
		return r, true
	case <-ctx.Done():
		return result{}, false
	}
}

// fill answers the needs that have no answer, and those that follow from SPF.
func fill(facts *engine.Facts, needs []plan.Fact, missing engine.Finding, spf spfResult) {
	for _, need := range needs {
		if ofSPF(need) && facts.SPF == "" {
			facts.SPF, facts.SPFDomain, facts.SPFOpen = spf.word, spf.domain, spf.open
		}
		if facts.Found[need] != engine.Unasked {
			continue
		}
		switch need.Name {
		case plan.SPF:
		case plan.SPFFail:
			facts.Found[need] = spfFinding(facts.SPF, facts.SPF == "fail" || facts.SPF == "softfail")
		case plan.SPFPass:
			facts.Found[need] = spfFinding(facts.SPF, facts.SPF == "pass" && !facts.SPFOpen)
		default:
			facts.Found[need] = missing
		}
	}
}

func ofSPF(f plan.Fact) bool {
	return f.Name == plan.SPF || f.Name == plan.SPFFail || f.Name == plan.SPFPass
}

func spfFinding(word string, holds bool) engine.Finding {
	if word == tempError {
		return engine.Unclear
	}
	return holding(holds)
}

func holding(holds bool) engine.Finding {
	if holds {
		return engine.Yes
	}
	return engine.No
}

func (f *Finder) subject(q wire.Question) *subject {
	s := &subject{Finder: f, Question: q, family: "ip4"}
	if q.Client.Is6() {
		s.family = "ip6"
	}
	var once sync.Once
	var names []string
	finding := engine.Unclear
	s.hosts = func(ctx context.Context) ([]string, engine.Finding) {
		once.Do(func() { names, finding = s.names(ctx) })
		return names, finding
	}
	return s
}

// shared is the address space between providers and their customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// isLocal says whether nobody outside can know anything about a client. The host itself
// is judged like any other: who comes from there as a stranger wants to see what
// strangers get.
func isLocal(client netip.Addr) bool {
	return !client.IsValid() || client.IsPrivate() || client.IsUnspecified() ||
		client.IsLinkLocalUnicast() || shared.Contains(client)
}
