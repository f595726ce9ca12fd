package verify

import (
	"context"
	"strings"
	"testing"

	"exipol/generator/plan"
)

// handmade is a plan with a policy at every half of every stage.
func handmade(t *testing.T, layout, traffic string) *plan.Plan {
	t.Helper()
	p := &plan.Plan{
		Exim: "4.94", Layout: layout, Directory: "/etc/exim4/exipol",
		Domains:    []string{"+local_domains"},
		RelayHosts: []string{"192.0.2.99/32"},
		Socket:     "/run/exipol/exipold.sock",
		Store:      plan.Store{Kind: "sqlite", Path: "/var/lib/exipol/exipol.db"},
	}
	for d, text := range map[*plan.Duration]string{&p.Timeout: "3s", &p.MaxDelay: "25s"} {
		var err error
		if *d, err = plan.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	l := plan.Limit{
		Name: "all", Traffic: traffic, Key: []plan.Part{{Field: "client", V4: 32, V6: 128}},
		Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.DeferMail,
		Origin: plan.Origin{File: "a.hcl", Line: 1},
	}
	early := l
	early.Name = "early"
	for i, v := range []string{plan.Drop, plan.Deny, plan.Defer} {
		early.Tiers = append(early.Tiers, plan.Tier{
			Name: "t" + v, Verdict: v, Message: "no: $5 {}", Origin: plan.Origin{File: "a.hcl", Line: 20 + i},
			Over: []plan.Rate{{Count: 5, Per: p.MaxDelay}},
		})
	}
	for i, v := range plan.VerdictOrder {
		tier := plan.Tier{Name: "t" + v, Verdict: v, Origin: plan.Origin{File: "a.hcl", Line: 2 + i},
			Over: []plan.Rate{{Count: 5, Per: p.MaxDelay}}, AddHeader: []plan.Header{{Name: "X-Slow", Value: "a $ b"}}}
		if v != plan.Freeze && v != plan.Discard && v != plan.Accept {
			tier.Message = "no: $5 {}"
		}
		l.Tiers = append(l.Tiers, tier)
	}
	p.Limits = []plan.Limit{l, early}
	for _, s := range []struct{ stage, before, after string }{
		{plan.Connect, plan.Connection, ""}, {plan.Helo, plan.HeloEvent, ""},
		{plan.Rcpt, plan.UnknownRecipient, plan.Recipient}, {plan.Data, "", plan.Message},
	} {
		stage := plan.Stage{Name: s.stage, SiteACL: "acl_check_" + s.stage}
		ask := func(event string) []plan.Ask {
			if event == "" {
				return nil
			}
			ref := l.Ref()
			if s.after == "" {
				ref = early.Ref() // headers belong to a message
			}
			return []plan.Ask{{Traffic: traffic, Event: event, Policies: []string{ref}}}
		}
		stage.Before, stage.After = ask(s.before), ask(s.after)
		p.Stages = append(p.Stages, stage)
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRunFinds has Exim run what it cannot: a header before there is a message.
func TestRunFinds(t *testing.T) {
	p := handmade(t, "custom", plan.Inbound)
	p.Stages[0].Before[0].Policies = []string{"limit.all"}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	faults, err := Run(context.Background(), "exim4", p)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		if strings.Contains(f.Text, "cannot use add_header condition in connection ACL") {
			return
		}
	}
	t.Errorf("not found: %v", faults)
}

// TestRunReads has Exim read what it cannot.
func TestRunReads(t *testing.T) {
	p := handmade(t, "custom", plan.Inbound)
	p.Stages[0].SiteACL = "not a name"
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	faults, err := Run(context.Background(), "exim4", p)
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) != 1 || faults[0].Where != "reading the text" {
		t.Errorf("faults: %v", faults)
	}
}

func TestRun(t *testing.T) {
	for layout, traffics := range map[string][]string{
		"debian": plan.TrafficOrder, "upstream": {plan.Inbound}, "custom": {plan.Local},
	} {
		for _, traffic := range traffics {
			t.Run(layout+" "+traffic, func(t *testing.T) {
				t.Parallel()
				faults, err := Run(context.Background(), "exim4", handmade(t, layout, traffic))
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range faults {
					t.Errorf("%s: %s", f.Where, f.Text)
				}
			})
		}
	}
}
