// Package testplan makes a small plan by hand, for the tests of the helper and its
// commands: they depend on what a plan means, and not on how it is compiled.
package testplan

import (
	"path/filepath"
	"time"

	"exipol/generator/plan"
)

// New is a plan whose files are all in dir: a greylist that trusts, a tarpit with
// one sleeper, a limit on connections, and another on accepted recipients.
func New(dir string) *plan.Plan {
	client := []plan.Part{{Field: "client", V4: 32, V6: 128}}
	net := plan.Part{Field: "client", V4: 24, V6: 64}
	hours := func(n int) plan.Duration { return plan.Duration(time.Duration(n) * time.Hour) }
	p := &plan.Plan{
		Exim: "4.94", Layout: "custom", Directory: dir,
		MaxDelay: plan.Duration(25 * time.Second),
		Domains:  []string{"+local_domains"}, RelayHosts: []string{}, Mainlog: []string{},
		Socket: filepath.Join(dir, "exipold.sock"), Timeout: plan.Duration(3 * time.Second),
		Store:  plan.Store{Kind: "sqlite", Path: filepath.Join(dir, "exipol.db")},
		Tables: plan.Tables(plan.Needs{Counter: true, Distinct: true}),
		Greylists: []plan.Grey{{
			Name: "inbound", Traffic: plan.Inbound,
			Key:   []plan.Part{net, {Field: "sender"}, {Field: "recipient"}},
			Delay: plan.Duration(5 * time.Minute), Retry: hours(24), Remember: hours(24 * 36),
			Trust: &plan.Trust{Key: []plan.Part{net}, After: 2, Per: hours(1), Remember: hours(24 * 36)},
			Mode:  plan.Enforce, OnFailure: plan.Pass, Message: "later", Origin: plan.Origin{File: "a.hcl", Line: 1},
		}},
		Limits: []plan.Limit{
			{
				Name: "rate", Traffic: plan.Inbound, Events: []plan.WeightedEvent{{Event: plan.Connection, Weight: 1}},
				Key: client, Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass,
				Tiers: []plan.Tier{{
					Name: "stop", Over: []plan.Rate{{Count: 1000000, Per: hours(1)}}, Verdict: plan.Defer,
				}},
				Windows: []plan.Duration{hours(1)},
			},
			{
				Name: "tarpit", Traffic: plan.Inbound, Events: []plan.WeightedEvent{{Event: plan.UnknownRecipient, Weight: 1}},
				Key: client, Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass,
				Except: []plan.Ref{{Trusted: "inbound"}},
				Tiers: []plan.Tier{{
					Name: "slow", Over: []plan.Rate{{Count: 2, Per: hours(4)}}, Verdict: plan.Accept,
					Delay: &plan.Delay{Each: plan.Duration(2 * time.Second), Max: plan.Duration(25 * time.Second), Sleepers: 1},
				}},
				Windows: []plan.Duration{hours(4)},
			},
		},
	}
	ask := func(event, ref string) []plan.Ask {
		return []plan.Ask{{Traffic: plan.Inbound, Event: event, Policies: []string{ref}}}
	}
	p.Stages = []plan.Stage{
		{Name: plan.Connect, Before: ask(plan.Connection, "limit.rate")},
		{Name: plan.Rcpt, Before: ask(plan.UnknownRecipient, "limit.tarpit"), After: ask(plan.Recipient, "greylist.inbound")},
		{Name: plan.Predata, After: ask(plan.NullSender, "greylist.inbound")},
	}
	if err := p.Seal(); err != nil {
		panic(err) // a plan is plain data: it always has a JSON
	}
	return p
}
