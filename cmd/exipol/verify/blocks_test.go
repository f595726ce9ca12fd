package verify

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
)

// outgoing is a plan with a block of each kind, at each stage that blocks can be in force at, and
// with everything that is asked where there is no SMTP session.
func outgoing(t *testing.T, layout string) *plan.Plan {
	t.Helper()
	p := handmade(t, layout, plan.Inbound)
	p.Limits, p.Greylists, p.Lists, p.Stages = nil, nil, nil, nil
	p.Blocked, p.RelayID = "/var/lib/exipol/blocked", "${lookup{$sender_host_address}lsearch{/etc/passwd}{$value}}"
	p.SubmissionMode = &plan.SubmissionMode{Traffics: []string{plan.Submission}, Retain: true}
	header := []plan.Header{{Name: "X-Who", Value: []plan.Piece{{Text: "a $ b "}, {Field: "owner"}, {Field: "auth"}}}}
	add := func(name, traffic, event, key, at, verdict string) string {
		l := plan.Limit{
			Name: name, Traffic: traffic, Events: []plan.WeightedEvent{{Event: event, Weight: 1}}, Key: []plan.Part{{Field: key}},
			Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.LastKnown, Origin: plan.Origin{File: "b.hcl", Line: len(p.Limits) + 1},
			Tiers: []plan.Tier{{Name: "stop", Over: []plan.Rate{{Count: 5, Per: p.MaxDelay}}, Verdict: plan.Accept, Block: &plan.Block{
				At: at, Traffics: plan.TrafficOrder, Verdict: verdict,
			}}, {Name: "slow", Over: []plan.Rate{{Count: 5, Per: p.MaxDelay}}, Verdict: plan.Defer, Message: "slower: $5 {}"}},
		}
		b := l.Tiers[0].Block
		if verdict == plan.Freeze {
			b.AddHeader, b.Most = header, 5
		} else {
			b.Message = "blocked: $5 {}"
		}
		if key == "client" {
			l.Key[0].V4, l.Key[0].V6 = 32, 128
		}
		p.Limits = append(p.Limits, l)
		return l.Ref()
	}
	early, crack, first := add("early", plan.Inbound, plan.Message, "client", plan.Connect, plan.Deny), add("crack", plan.Inbound, plan.AuthFailure, "client", plan.Auth, plan.Defer), add("first", plan.Submission, plan.Recipient, "auth", plan.Mail, plan.Freeze)
	hold, deny, bounces := add("hold", plan.Submission, plan.InvalidRecipient, "auth", plan.Rcpt, plan.Freeze), add("deny", plan.Local, plan.InvalidRecipient, "user", plan.Rcpt, plan.Deny), add("bounces", "", plan.Bounce, "owner", plan.Rcpt, plan.Freeze)
	p.Limits[3].Callout = p.Timeout
	ask := func(traffic, event string, refs ...string) plan.Ask {
		slices.Sort(refs)
		return plan.Ask{Traffic: traffic, Event: event, Policies: refs}
	}
	p.Stages = []plan.Stage{
		{Name: plan.Connect, Before: []plan.Ask{ask(plan.Inbound, plan.Blocked, early)}},
		{Name: plan.Auth, SiteACL: "acl_check_auth", Before: []plan.Ask{ask(plan.Inbound, plan.Blocked, crack), ask(plan.Relay, plan.Blocked, crack)}},
		{Name: plan.Mail, SiteACL: "acl_check_mail", Before: []plan.Ask{ask(plan.Submission, plan.Blocked, first)}},
		{Name: plan.Rcpt, SiteACL: "acl_check_rcpt", Before: []plan.Ask{
			ask(plan.Submission, plan.Blocked, hold, bounces), ask(plan.Submission, plan.InvalidRecipient, hold),
			ask(plan.Relay, plan.Blocked, bounces), ask(plan.Local, plan.Blocked, deny, bounces), ask(plan.Local, plan.InvalidRecipient, deny),
		}, After: []plan.Ask{ask(plan.Submission, plan.Recipient, first)}},
		{Name: plan.Data, SiteACL: "acl_check_data", After: []plan.Ask{ask(plan.Submission, plan.Held, hold, bounces), ask(plan.Relay, plan.Held, bounces), ask(plan.Local, plan.Held, bounces)}},
		{Name: plan.NotSMTP, SiteACL: "acl_check_not_smtp", Before: []plan.Ask{ask(plan.Local, plan.Blocked, deny, bounces), ask(plan.Local, plan.InvalidRecipient, deny)},
			After: []plan.Ask{ask(plan.Local, plan.Held, bounces)}},
		{Name: plan.Delivery, After: []plan.Ask{ask(plan.Submission, plan.Bounce, bounces), ask(plan.Relay, plan.Bounce, bounces), ask(plan.Local, plan.Bounce, bounces)}},
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRunBlocks: all of it runs, in every layout.
func TestRunBlocks(t *testing.T) {
	for _, layout := range []string{"debian", "custom"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			faults, err := Run(context.Background(), "exim4", outgoing(t, layout))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range faults {
				t.Errorf("%s: %s", f.Where, f.Text)
			}
		})
	}
}

// TestRunSeesBlocks: a block's answer that has no effect is a fault; and there is a session for each
// block at each place where it is asked about.
func TestRunSeesBlocks(t *testing.T) {
	p := outgoing(t, "custom")
	dir, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := &bench{exim: "exim4", dir: dir, socket: filepath.Join(dir, "s"), events: true}
	if err := b.write(p); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range plannedSessions(b.plan) {
		name, _, _ := strings.Cut(s.name, ",")
		seen[name+" "+s.at] = true
		if len(s.expect) == 0 || s.away || strings.HasPrefix(s.at, plan.Delivery) {
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
	for _, want := range []string{"inbound mail connect.before", "inbound mail auth.before", "relay mail auth.before", "submission mail mail.before", "submission mail rcpt.before",
		"relay mail rcpt.before", "local mail rcpt.before", "local mail not_smtp.before", "local mail delivery.after"} {
		if !seen[want] {
			t.Errorf("no session for %s: %v", want, seen)
		}
	}
}

// TestRunFindsBrokenRelayID: an expansion of the site's that Exim cannot make is found, though in
// service it breaks nothing.
func TestRunFindsBrokenRelayID(t *testing.T) {
	dir, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b := &bench{exim: "exim4", dir: dir, socket: filepath.Join(dir, "s")}
	if err := b.write(outgoing(t, "custom")); err != nil {
		t.Fatal(err)
	}
	for expansion, broken := range map[string]bool{
		"${nonsense:x}": true, "${if": true, "$nosuchvariable": true, "${lookup{x}nosuch{y}}": true,
		"": false, "a name": false, "$sender_host_address": false, "${lookup{x}lsearch{/nonexistent/file}{$value}}": false,
		"${lookup{nobody there}lsearch{/etc/passwd}{$value}fail}": false,
	} {
		b.faults = nil
		if err := b.relayID(context.Background(), expansion); err != nil || (len(b.faults) > 0) != broken {
			t.Errorf("%s: %v, %v", expansion, b.faults, err)
		}
	}
}
