package facts

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/dns"
	"exipol/helper/engine"
)

// job is the search for one fact, or for what SPF says.
type job struct {
	budget *dns.Budget
	zone   string // whose servers it waits for, as far as one can tell before
	search func(context.Context) result
	failed result // where there is no search
}

// start begins the search for all, each in its own time. The channel has room for all
// results, and gets no more than that. What needs no DNS is there at once, and never in
// want of a place.
func (s *subject) start(ctx context.Context, open []plan.Fact, askSPF bool) <-chan result {
	most := len(open)
	if askSPF {
		most++
	}
	results := make(chan result, most)
	var jobs []job
	for _, need := range open {
		if finding, known := s.atOnce(need); known {
			results <- result{fact: need, finding: finding}
		} else {
			jobs = append(jobs, s.factJob(need))
		}
	}
	if askSPF {
		if r, known := s.spfAtOnce(); known {
			results <- result{spf: &r}
		} else {
			jobs = append(jobs, s.spfJob())
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobTime)
	var wg sync.WaitGroup
	for _, j := range jobs {
		if !j.budget.Take(j.zone) {
			results <- j.failed
			continue
		}
		wg.Go(func() {
			defer j.budget.Give(j.zone)
			results <- s.run(ctx, j)
		})
	}
	go func() {
		wg.Wait()
		cancel()
	}()
	return results
}

// run does a job. Strangers choose much of what it reads: should that ever break
// something, one fact is unclear, and exipold goes on.
func (s *subject) run(ctx context.Context, j job) (r result) {
	defer func() {
		if p := recover(); p != nil {
			s.broke(j.failed.fact.String(), p)
			r = j.failed
		}
	}()
	return j.search(ctx)
}

// broke logs a panic.
func (s *subject) broke(what string, panicked any) {
	s.log.Error("the search for a fact broke off", "fact", what, "client", s.Client, "helo", s.Helo, "sender", s.Sender,
		"panic", panicked, "stack", string(debug.Stack()))
}

// atOnce is what can be said of a fact without DNS.
func (s *subject) atOnce(need plan.Fact) (finding engine.Finding, known bool) {
	switch need.Name {
	case plan.NoReverseDNS, plan.DynamicName:
		switch s.Host {
		case "", wire.HostNone: // see names
			return 0, false
		case wire.HostUnclear:
			return engine.Unclear, true
		}
		return s.find(context.Background(), need), true // Exim has told the name
	case plan.HeloMismatch:
		return s.plainHelo()
	case plan.DNSList, plan.DNSWL, plan.NoDNSWL:
		return 0, false
	}
	return engine.Unclear, true // nothing that DNS knows of
}

// factJob is the search for a fact.
func (s *subject) factJob(need plan.Fact) job {
	j := job{
		budget: s.chosenJobs, failed: result{fact: need, finding: engine.Unclear},
		search: func(ctx context.Context) result { return result{fact: need, finding: s.find(ctx, need)} },
	}
	switch need.Name {
	case plan.HeloMismatch:
		j.zone = dns.Zone(s.helo())
	case plan.NoReverseDNS, plan.DynamicName: // the address's names are its owner's choice
		j.zone = dns.ReverseZone(s.Client)
	default:
		zone, _, _ := strings.Cut(need.Arg, "=")
		j.budget, j.zone = s.listJobs, dns.Zone(zone)
	}
	return j
}

// spfJob is the search for what SPF says.
func (s *subject) spfJob() job {
	domain := s.spfDomain()
	return job{
		budget: s.chosenJobs, zone: dns.Zone(domain),
		failed: result{fact: plan.Fact{Name: plan.SPF}, spf: &spfResult{word: tempError, domain: domain}},
		search: func(ctx context.Context) result {
			r := s.checkSPF(ctx, domain)
			return result{spf: &r}
		},
	}
}

// find searches for one fact. One that DNS knows nothing of is unclear.
func (s *subject) find(ctx context.Context, need plan.Fact) engine.Finding {
	zone, answers, _ := strings.Cut(need.Arg, "=")
	switch need.Name {
	case plan.NoReverseDNS:
		return s.noReverse(ctx)
	case plan.HeloMismatch:
		return s.heloMismatch(ctx)
	case plan.DynamicName:
		return s.dynamicName(ctx)
	case plan.DNSList:
		return s.listed(ctx, zone, answers)
	case plan.DNSWL:
		return s.trusted(ctx, zone)
	case plan.NoDNSWL:
		return s.unknown(ctx, zone)
	}
	return engine.Unclear
}
