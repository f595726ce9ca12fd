package testplan

import (
	"path/filepath"
	"time"

	"exipol/generator/plan"
)

// Desk is New with two limits for users more: over three recipients in an hour that do not exist
// a block freezes their mail until somebody releases it, and over two bounces in an hour the next
// recipient is deferred. Bounces come from the log, or from Exim's own events.
func Desk(dir string) *plan.Plan {
	p := New(dir)
	hour := plan.Duration(time.Hour)
	p.Spool, p.Source, p.Blocked = dir, plan.FromLog, filepath.Join(dir, "blocked")
	p.Notices = []plan.Notice{{Name: "desk", Mail: []string{"abuse@example.com"}}}
	p.Limits = append([]plan.Limit{
		{
			Name: "bouncy", Events: []plan.WeightedEvent{{Event: plan.Bounce, Weight: 1}}, Classes: []string{"no_such_domain", "no_such_user"},
			Key: []plan.Part{{Field: "owner"}}, Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass,
			Tiers:   []plan.Tier{{Name: "slow", Over: []plan.Rate{{Count: 2, Per: hour}}, Verdict: plan.Defer, Message: "later"}},
			Windows: []plan.Duration{hour},
		},
	}, append(p.Limits, plan.Limit{
		Name: "stolen", Traffic: plan.Submission, Events: []plan.WeightedEvent{{Event: plan.InvalidRecipient, Weight: 1}},
		Key: []plan.Part{{Field: "auth"}}, Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.LastKnown,
		Tiers: []plan.Tier{{
			Name: "block", Over: []plan.Rate{{Count: 3, Per: hour}}, Verdict: plan.Accept, Notify: []string{"notice.desk"},
			Block: &plan.Block{
				At: plan.Rcpt, Traffics: []string{plan.Submission}, Verdict: plan.Freeze, Queued: plan.Freeze, Free: 10,
				AddHeader: []plan.Header{{Name: "X-Who", Value: []plan.Piece{{Field: "auth"}}}},
				Probation: &plan.Probation{Lasts: 24 * hour, Share: 50},
			},
		}},
		Windows: []plan.Duration{hour},
	})...)
	ask := func(event string, refs ...string) plan.Ask {
		return plan.Ask{Traffic: plan.Submission, Event: event, Policies: refs}
	}
	for i := range p.Stages {
		if s := &p.Stages[i]; s.Name == plan.Rcpt {
			s.Before = append(s.Before, ask(plan.Blocked, "limit.bouncy", "limit.stolen"), ask(plan.InvalidRecipient, "limit.stolen"))
		}
	}
	p.Stages = append(p.Stages,
		plan.Stage{Name: plan.Data, After: []plan.Ask{ask(plan.Held, "limit.stolen")}},
		plan.Stage{Name: plan.Delivery, After: []plan.Ask{ask(plan.Bounce, "limit.bouncy")}},
	)
	p.Tables = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})
	if err := p.Seal(); err != nil {
		panic(err) // a plan is plain data: it always has a JSON
	}
	return p
}
