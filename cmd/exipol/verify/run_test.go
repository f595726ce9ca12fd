package verify

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/dnstest"
	"exipol/internal/eximtest"
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
	if traffic == plan.Local {
		l.Key = []plan.Part{{Field: "sender"}}
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
			Over: []plan.Rate{{Count: 5, Per: p.MaxDelay}}, AddHeader: []plan.Header{{Name: "X-Slow", Value: []plan.Piece{{Text: "a $ b"}}}}}
		if v != plan.Freeze && v != plan.Discard && v != plan.Accept {
			tier.Message = "no: $5 {}"
		}
		l.Tiers = append(l.Tiers, tier)
	}
	const hour = plan.Duration(time.Hour)
	g := plan.Grey{
		Name: "in", Traffic: traffic, Key: l.Key, Delay: hour, Retry: 24 * hour, Remember: 36 * hour,
		Mode: plan.Enforce, OnFailure: plan.DeferMail, Message: "unknown so far", Origin: plan.Origin{File: "a.hcl", Line: 40},
	}
	if traffic != plan.Local { // where it would really wait
		early.Tiers[0].Delay = &plan.Delay{Fixed: p.MaxDelay, Max: p.MaxDelay}
		l.Tiers[len(l.Tiers)-1].Delay = &plan.Delay{Each: p.Timeout, Max: p.MaxDelay}
	}
	watch, watchGrey := l, g
	watch.Name, watch.Mode, watchGrey.Name, watchGrey.Mode = "watch", plan.Observe, "watch", plan.Observe
	whole := g
	whole.Name, whole.Urgent = "whole", []plan.Ref{{List: "friends"}}
	watchGrey.Suspicious = []plan.Fact{{Name: plan.NoReverseDNS}}
	exim, eximWatch := l, l
	exim.Name, exim.Engine, exim.Except = "exim", plan.EngineExim, []plan.Ref{{List: "friends"}}
	eximWatch.Name, eximWatch.Engine, eximWatch.Mode = "exim_watch", plan.EngineExim, plan.Observe
	p.Lists = []plan.List{{Name: "friends", Entries: []plan.Entry{{Field: "client", Pattern: "198.51.100.0/24"}}}}
	p.Limits = []plan.Limit{early, exim, eximWatch, l, watch}
	p.Greylists = []plan.Grey{g, watchGrey, whole}
	for _, s := range []struct{ stage, before, after string }{
		{plan.Connect, plan.Connection, ""}, {plan.Helo, plan.HeloEvent, ""},
		{plan.Rcpt, plan.UnknownRecipient, plan.Recipient}, {plan.Predata, "", plan.NullSender}, {plan.Dkim, "", ""}, {plan.Data, "", plan.Message},
	} {
		if s.stage == plan.Dkim {
			p.Stages = append(p.Stages, plan.Stage{Name: plan.Dkim})
			continue
		}
		if s.after == "" && (traffic == plan.Submission || traffic == plan.Local) {
			continue // nobody is authenticated yet; nobody connects
		}
		stage := plan.Stage{Name: s.stage, SiteACL: "acl_check_" + s.stage}
		ask := func(event string) []plan.Ask {
			if event == "" {
				return nil
			}
			ask := plan.Ask{Traffic: traffic, Event: event, Policies: []string{l.Ref(), watch.Ref()}}
			null := plan.Ask{Traffic: traffic, Event: plan.NullSender, Policies: []string{g.Ref(), watchGrey.Ref()}}
			switch {
			case s.after == "":
				ask.Policies = []string{early.Ref()} // headers belong to a message
			case event == plan.NullSender:
				return []plan.Ask{null}
			case event == plan.Message:
				ask.Exim = []string{exim.Ref(), eximWatch.Ref()}
				ask.Policies = append(ask.Policies, "list.friends")
				return []plan.Ask{ask, null, {Traffic: traffic, Event: plan.WholeMessage, Policies: []string{whole.Ref()}}}
			case event == plan.Recipient:
				ask.Exim = []string{exim.Ref(), eximWatch.Ref()}
				ask.Policies = append(null.Policies, ask.Policies...)
			}
			return []plan.Ask{ask}
		}
		stage.Before, stage.After = ask(s.before), ask(s.after)
		p.Stages = append(p.Stages, stage)
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRunFinds has Exim run what it cannot: a header before there is a message, a
// message that is frozen before it comes.
func TestRunFinds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*plan.Plan)
		want   string
	}{
		"first stage": {func(p *plan.Plan) {
			p.Stages[0].Before[0].Policies = []string{"limit.all"}
		}, "cannot use add_header condition in connection ACL"},
		// The policy for connections wants mail deferred without the helper, and still
		// what comes later is run.
		"later stage": {func(p *plan.Plan) {
			p.Stages[1].Before[0].Policies = []string{"limit.all"}
		}, "cannot use add_header condition in EHLO or HELO ACL"},
		// Sixty in an hour are more than any session has.
		"a rate of Exim's": {func(p *plan.Plan) {
			p.Stages[0].Before[0].Exim = []string{"limit.exim"}
			for i := range p.Limits[1].Tiers {
				p.Limits[1].Tiers[i].Over = []plan.Rate{{Count: 60, Per: p.MaxDelay}}
			}
		}, "cannot use add_header condition in connection ACL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := handmade(t, "custom", plan.Inbound)
			c.change(p)
			if err := p.Seal(); err != nil {
				t.Fatal(err)
			}
			faults, err := Run(context.Background(), "exim4", p)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(faults, func(f Fault) bool { return strings.Contains(f.Text, c.want) }) {
				t.Errorf("not found: %v", faults)
			}
		})
	}
}

// TestRunSees: an answer that has no effect is a fault.
func TestRunSees(t *testing.T) {
	p := handmade(t, "custom", plan.Inbound)
	dir, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := &bench{exim: "exim4", dir: dir, socket: filepath.Join(dir, "s")}
	if err := b.write(rated(p, nowhere)); err != nil {
		t.Fatal(err)
	}
	for _, s := range plannedSessions(b.plan) {
		if len(s.expect) == 0 {
			continue
		}
		s.answer = accept
		b.faults = nil
		if err := b.sessions(context.Background(), []session{s}); err != nil {
			t.Fatal(err)
		}
		if len(b.faults) == 0 {
			t.Errorf("%s: a plain accept is taken for it", s.name)
		}
	}
	for i := range p.Limits {
		for j := range p.Limits[i].Tiers {
			if p.Limits[i].Engine != plan.EngineExim {
				continue
			}
			b.faults = nil
			if err := b.sessions(context.Background(), []session{rateSession(b.plan, &p.Limits[i], &p.Limits[i].Tiers[j])}); err != nil {
				t.Fatal(err)
			}
			if len(b.faults) == 0 {
				t.Errorf("%s/%s: a rate that is not exceeded is taken for one", p.Limits[i].Ref(), p.Limits[i].Tiers[j].Name)
			}
		}
	}
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

// TestRunSignature: what is done about signatures is run, and no key looked up for it.
func TestRunSignature(t *testing.T) {
	if !eximtest.Alone(t) {
		return
	}
	dns, err := dnstest.New(eximtest.NameServer)
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	p := handmade(t, "custom", plan.Inbound)
	keepData := func(p *plan.Plan) {
		p.Limits = nil
		for i := range p.Stages {
			p.Stages[i].Before, p.Stages[i].After = nil, nil
			if p.Stages[i].Name == plan.Data {
				p.Stages[i].After = []plan.Ask{{Traffic: plan.Inbound, Event: plan.WholeMessage, Policies: []string{"greylist.whole"}}}
			}
		}
	}
	for _, without := range []bool{false, true} {
		keepData(p)
		if without {
			p.Stages = slices.DeleteFunc(p.Stages, func(s plan.Stage) bool { return s.Name == plan.Dkim })
		}
		if err := p.Seal(); err != nil {
			t.Fatal(err)
		}
		faults, err := Run(context.Background(), "exim4", p)
		if err != nil {
			t.Fatal(err)
		}
		if unseen := slices.ContainsFunc(faults, func(f Fault) bool { return strings.Contains(f.Text, "nothing in the session matches") }); unseen != without {
			t.Errorf("without the ACL for signatures: %v, faults: %v", without, faults)
		}
	}
	if n := dns.Count("check._domainkey.client.example"); n != 0 {
		t.Errorf("the key was looked up %d times", n)
	}
}
