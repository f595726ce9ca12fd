package lower_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/lower"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

func set[T any](v T) policy.Value[T]  { return policy.Value[T]{V: v, Set: true} }
func left[T any](v T) policy.Value[T] { return policy.Value[T]{V: v} } // out: the default

func at(line int) hcl.Range {
	return hcl.Range{Filename: "/home/me/policies/inbound.hcl", Start: hcl.Pos{Line: line, Column: 1}}
}

func dur(s string) plan.Duration {
	d, err := plan.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

func rates(texts ...string) (out []policy.Value[plan.Rate]) {
	for _, s := range texts {
		r, err := plan.ParseRate(s)
		if err != nil {
			panic(err)
		}
		out = append(out, set(r))
	}
	return out
}

func key(fields ...string) (out []policy.Part) {
	for _, f := range fields {
		out = append(out, policy.Part{Part: plan.Part{Field: f}, Text: f})
	}
	return out
}

// base is a set without policies, as load leaves it.
func base() *policy.Set {
	return &policy.Set{
		Site: policy.Site{
			Exim: left("4.94"), Layout: left("debian"), Directory: left("/etc/exipol"), Admin: set("abuse@example.com"),
			Domains: []policy.Value[string]{left("+local_domains")}, MaxDelay: left(dur("25s")), Spool: left("/spool"),
			RelayHosts: []policy.Value[netip.Prefix]{set(netip.MustParsePrefix("192.0.2.0/24"))},
			Forwarders: []policy.Value[netip.Prefix]{set(netip.MustParsePrefix("2001:db8::/32"))},
		},
		Helper: policy.Helper{Socket: left("/run/x.sock"), Timeout: left(dur("3s")), OnFailure: left(plan.LastKnown), Mainlog: []policy.Value[string]{left("/log")}, Source: left(plan.FromLog)},
		Store:  policy.Store{Kind: set("sqlite"), Path: left("/x.db")},
	}
}

func greylist(name string, change ...func(*policy.Greylist)) *policy.Greylist {
	g := &policy.Greylist{
		Name: name, DeclRange: at(19), Traffic: left(plan.Inbound), Key: key("client", "sender"), Delay: left(dur("5m")), Retry: left(dur("24h")),
		Remember: left(dur("36d")), Mode: left(plan.Enforce), OnFailure: left(""), Message: left("later"),
	}
	for _, c := range change {
		c(g)
	}
	return g
}

func limit(name, event string, change ...func(*policy.Limit)) *policy.Limit {
	l := &policy.Limit{
		Name: name, DeclRange: at(30), Traffic: left(plan.Inbound), Events: []policy.Event{{Name: set(event), Weight: left(int64(1))}}, Key: key("client"),
		Attempts: left(false), Engine: left(plan.EngineHelper), Mode: left(plan.Enforce), OnFailure: left(""),
		Tiers: []*policy.Tier{{Name: "t", DeclRange: at(31), Over: rates("5/1h"), Verdict: set(plan.Deny), Message: left("")}},
	}
	for _, c := range change {
		c(l)
	}
	return l
}

func lowered(t *testing.T, s *policy.Set) *plan.Plan {
	t.Helper()
	p, err := lower.Lower(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSite(t *testing.T) {
	p := lowered(t, base())
	want := &plan.Plan{
		Format: plan.Format, ID: p.ID, Exim: "4.94", Layout: "debian", Directory: "/etc/exipol", Admin: "abuse@example.com", MaxDelay: dur("25s"),
		Domains: []string{"+local_domains"}, RelayHosts: []string{"192.0.2.0/24"}, Forwarders: []string{"2001:db8::/32"},
		Socket: "/run/x.sock", Timeout: dur("3s"), Mainlog: []string{"/log"}, Source: plan.FromLog, Spool: "/spool", Blocked: "/blocked", Store: plan.Store{Kind: "sqlite", Path: "/x.db"},
		Tables: plan.Tables(plan.Needs{}),
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got\n%+v\nwant\n%+v", p, want)
	}
	if p.ID == "" {
		t.Error("not sealed")
	}
}

// asks is a short form of what a plan asks: "rcpt.after inbound recipient: greylist.a".
func asks(p *plan.Plan) (out []string) {
	for _, s := range p.Stages {
		if s.Before == nil && s.After == nil {
			out = append(out, s.Name+"("+s.SiteACL+")")
		}
		for half, list := range map[string][]plan.Ask{plan.Before: s.Before, plan.After: s.After} {
			for _, a := range list {
				line := s.Name + "(" + s.SiteACL + ")." + half + " " + a.Traffic + " " + a.Event + ": " + strings.Join(a.Policies, " ")
				if a.Exim != nil {
					line += " | " + strings.Join(a.Exim, " ")
				}
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestStages(t *testing.T) {
	events := func(names ...string) func(*policy.Limit) {
		return func(l *policy.Limit) {
			l.Events = nil
			for i, n := range names {
				l.Events = append(l.Events, policy.Event{Name: set(n), Weight: set(int64(i + 1))})
			}
		}
	}
	traffic := func(s string) func(*policy.Limit) { return func(l *policy.Limit) { l.Traffic = set(s) } }
	byExim := func(l *policy.Limit) { l.Engine = set(plan.EngineExim) }
	urgent := func(g *policy.Greylist) { g.Urgent = []policy.Ref{{Ref: plan.Ref{List: "codes"}}} }
	except := func(r plan.Ref) func(*policy.Greylist) {
		return func(g *policy.Greylist) { g.Except = []policy.Ref{{Ref: r}} }
	}
	learning := func(name string, traffic ...string) *policy.List {
		l := &policy.List{Name: name, DeclRange: at(4)}
		for _, t := range traffic {
			l.Learn = append(l.Learn, &policy.Learn{Traffic: set(t), From: left("recipient"), Remember: left(dur("60d"))})
		}
		return l
	}
	for name, c := range map[string]struct {
		greylists []*policy.Greylist
		limits    []*policy.Limit
		lists     []*policy.List
		site      func(*policy.Site)
		want      []string
	}{
		// An urgent sender is known by what stands in the message.
		"urgent": {
			greylists: []*policy.Greylist{greylist("x", urgent), greylist("y")},
			want: []string{
				"data(acl_check_data).after inbound null_sender: greylist.y", "data(acl_check_data).after inbound whole_message: greylist.x", "dkim()",
				"predata().after inbound null_sender: greylist.y", "rcpt(acl_check_rcpt).after inbound recipient: greylist.y",
			},
		},
		"urgent only": {
			greylists: []*policy.Greylist{greylist("x", urgent)},
			site:      func(s *policy.Site) { s.ACL = map[string]policy.Value[string]{plan.Dkim: set("acl_check_dkim")} },
			want:      []string{"data(acl_check_data).after inbound whole_message: greylist.x", "dkim(acl_check_dkim)", "rcpt(acl_check_rcpt)"},
		},
		"a list learns": {
			greylists: []*policy.Greylist{greylist("x", except(plan.Ref{List: "l", Field: "sender"}))},
			limits:    []*policy.Limit{limit("a", plan.Message, traffic(plan.Relay))},
			lists:     []*policy.List{learning("l", plan.Submission, plan.Relay, plan.Submission), learning("m", plan.Relay)},
			want: []string{
				"data(acl_check_data).after inbound null_sender: greylist.x", "data(acl_check_data).after relay message: limit.a list.l", "data(acl_check_data).after submission message: list.l",
				"predata().after inbound null_sender: greylist.x", "rcpt(acl_check_rcpt).after inbound recipient: greylist.x",
			},
		},
		"learned for a limit": {
			limits: []*policy.Limit{limit("a", plan.Connection), limit("b", plan.Recipient, func(l *policy.Limit) {
				l.Overrides = []*policy.Override{{Name: "o", DeclRange: at(3), Only: []policy.Ref{{Ref: plan.Ref{List: "l"}}}}}
			})},
			lists: []*policy.List{learning("l", plan.Submission)},
			want:  []string{"connect().before inbound connection: limit.a", "data(acl_check_data).after submission message: list.l", "rcpt(acl_check_rcpt).after inbound recipient: limit.b"},
		},
		"learned for SPF": {
			greylists: []*policy.Greylist{greylist("x", urgent, func(g *policy.Greylist) {
				g.Spare = []policy.Fact{{Fact: plan.Fact{Name: plan.SPFPass, Arg: "l"}}}
			})},
			lists: []*policy.List{learning("l", plan.Local)},
			want:  []string{"data(acl_check_data).after inbound whole_message: greylist.x", "data(acl_check_data).after local message: list.l", "dkim()", "not_smtp().after local message: list.l", "rcpt(acl_check_rcpt)"},
		},
		// What is learned is addresses, and nobody compares one with them.
		"learned for nobody": {
			greylists: []*policy.Greylist{greylist("x", urgent, except(plan.Ref{List: "l", Field: "client"}))},
			limits:    []*policy.Limit{limit("a", plan.Connection, byExim, func(l *policy.Limit) { l.Except = []policy.Ref{{Ref: plan.Ref{List: "l", Field: "auth"}}} })},
			lists:     []*policy.List{learning("l", plan.Submission)},
			want:      []string{"connect().before inbound connection:  | limit.a", "data(acl_check_data).after inbound whole_message: greylist.x", "dkim()", "rcpt(acl_check_rcpt)"},
		},
		"greylist": {
			greylists: []*policy.Greylist{greylist("x")},
			want:      []string{"data(acl_check_data).after inbound null_sender: greylist.x", "predata().after inbound null_sender: greylist.x", "rcpt(acl_check_rcpt).after inbound recipient: greylist.x"},
		},
		"each event": {
			limits: []*policy.Limit{limit("a", plan.Connection), limit("b", plan.HeloEvent), limit("c", plan.UnknownRecipient), limit("d", plan.Recipient), limit("e", plan.Message)},
			want: []string{
				"connect().before inbound connection: limit.a", "data(acl_check_data).after inbound message: limit.e", "helo().before inbound helo: limit.b",
				"rcpt(acl_check_rcpt).after inbound recipient: limit.d", "rcpt(acl_check_rcpt).before inbound unknown_recipient: limit.c",
			},
		},
		"sorted": {
			greylists: []*policy.Greylist{greylist("x")},
			limits:    []*policy.Limit{limit("z", plan.Recipient), limit("a", plan.Recipient)},
			want:      []string{"data(acl_check_data).after inbound null_sender: greylist.x", "predata().after inbound null_sender: greylist.x", "rcpt(acl_check_rcpt).after inbound recipient: greylist.x limit.a limit.z"},
		},
		"several events": {
			limits: []*policy.Limit{limit("a", "", events(plan.UnknownRecipient, plan.Connection))},
			want:   []string{"connect().before inbound connection: limit.a", "rcpt(acl_check_rcpt).before inbound unknown_recipient: limit.a"},
		},
		"traffic": {
			limits: []*policy.Limit{limit("a", plan.Recipient, traffic(plan.Submission)), limit("b", plan.Recipient, traffic(plan.Local))},
			want:   []string{"not_smtp().after local recipient: limit.b", "rcpt(acl_check_rcpt).after local recipient: limit.b", "rcpt(acl_check_rcpt).after submission recipient: limit.a"},
		},
		"Exim counts": {
			limits: []*policy.Limit{limit("a", plan.Recipient, byExim), limit("b", plan.Recipient), limit("c", plan.Message, byExim)},
			want:   []string{"data(acl_check_data).after inbound message:  | limit.c", "rcpt(acl_check_rcpt).after inbound recipient: limit.b | limit.a"},
		},
		// The recipient that a question after DATA names is kept at RCPT.
		"messages only": {
			limits: []*policy.Limit{limit("a", plan.Message)},
			want:   []string{"data(acl_check_data).after inbound message: limit.a", "rcpt(acl_check_rcpt)"},
		},
		"site ACLs": {
			limits: []*policy.Limit{limit("a", plan.Connection), limit("b", plan.Recipient)},
			site: func(s *policy.Site) {
				s.ACL = map[string]policy.Value[string]{plan.Connect: set("acl_mine"), plan.Rcpt: set("other")}
			},
			want: []string{"connect(acl_mine).before inbound connection: limit.a", "rcpt(other).after inbound recipient: limit.b"},
		},
		"upstream": {
			limits: []*policy.Limit{limit("a", plan.Message), limit("b", plan.HeloEvent)},
			site:   func(s *policy.Site) { s.Layout = set("upstream") },
			want:   []string{"data(acl_check_data).after inbound message: limit.a", "helo().before inbound helo: limit.b", "rcpt(acl_check_rcpt)"},
		},
		"custom": {
			limits: []*policy.Limit{limit("b", plan.Recipient)},
			site:   func(s *policy.Site) { s.Layout = set("custom") },
			want:   []string{"rcpt().after inbound recipient: limit.b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := base()
			s.Greylists, s.Limits, s.Lists = c.greylists, c.limits, c.lists
			if c.site != nil {
				c.site(&s.Site)
			}
			p := lowered(t, s)
			if got := asks(p); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for i := 1; i < len(p.Stages); i++ {
				if slices.Index(plan.StageOrder, p.Stages[i-1].Name) >= slices.Index(plan.StageOrder, p.Stages[i].Name) {
					t.Errorf("%s stands before %s", p.Stages[i-1].Name, p.Stages[i].Name)
				}
			}
		})
	}
}

func TestAsksAreSorted(t *testing.T) {
	s := base()
	for _, traffic := range []string{plan.Local, plan.Relay, plan.Submission, plan.Inbound} {
		for _, event := range []string{plan.UnknownRecipient, plan.Recipient} {
			s.Limits = append(s.Limits, limit(traffic+event[:3], event, func(l *policy.Limit) { l.Traffic = set(traffic) }))
		}
	}
	rcpt, _ := lowered(t, s).Stage(plan.Rcpt)
	for _, half := range [][]plan.Ask{rcpt.Before, rcpt.After} {
		var got []string
		for _, a := range half {
			got = append(got, a.Traffic)
		}
		if !slices.Equal(got, plan.TrafficOrder) {
			t.Errorf("asks for %v, want %v", got, plan.TrafficOrder)
		}
	}
}

// TestInheritance of mode, on_failure, max_delay and messages.
func TestInheritance(t *testing.T) {
	for name, c := range map[string]struct {
		site, own, want             string
		helper, ownFailure, failure string
	}{
		"nothing said":        {"", plan.Enforce, plan.Enforce, plan.LastKnown, "", plan.LastKnown},
		"own":                 {"", plan.Observe, plan.Observe, plan.Pass, plan.DeferMail, plan.DeferMail},
		"the site observes":   {plan.Observe, plan.Enforce, plan.Observe, plan.DeferMail, "", plan.DeferMail},
		"the site enforces":   {plan.Enforce, plan.Observe, plan.Observe, plan.DeferMail, plan.Pass, plan.Pass},
		"observe both":        {plan.Observe, plan.Observe, plan.Observe, plan.Pass, "", plan.Pass},
		"enforce, last known": {plan.Enforce, plan.Enforce, plan.Enforce, plan.Pass, plan.LastKnown, plan.LastKnown},
	} {
		s := base()
		s.Site.Mode, s.Helper.OnFailure = left(c.site), set(c.helper)
		own := policy.Value[string]{V: c.ownFailure, Set: c.ownFailure != ""}
		s.Greylists = []*policy.Greylist{greylist("x", func(g *policy.Greylist) { g.Mode, g.OnFailure = set(c.own), own })}
		s.Limits = []*policy.Limit{limit("x", plan.Recipient, func(l *policy.Limit) { l.Mode, l.OnFailure = set(c.own), own })}
		p := lowered(t, s)
		g, l := p.Greylists[0], p.Limits[0]
		if g.Mode != c.want || l.Mode != c.want || g.OnFailure != c.failure || l.OnFailure != c.failure {
			t.Errorf("%s: %s and %s, %s and %s; want %s and %s", name, g.Mode, l.Mode, g.OnFailure, l.OnFailure, c.want, c.failure)
		}
	}
}

func TestTier(t *testing.T) {
	delay := func(each, fixed, longest string) *policy.Delay {
		d := &policy.Delay{Sleepers: left(int64(10))}
		if each != "" {
			d.Each = set(dur(each))
		}
		if fixed != "" {
			d.Fixed = set(dur(fixed))
		}
		if longest != "" {
			d.Max = set(dur(longest))
		}
		return d
	}
	one := func(r string) []plan.Rate {
		got, _ := plan.ParseRate(r)
		return []plan.Rate{got}
	}
	for name, c := range map[string]struct {
		tier policy.Tier
		want plan.Tier
	}{
		"defer":       {policy.Tier{Verdict: set(plan.Defer), Message: left("too much at the moment, please try again later")}, plan.Tier{Verdict: plan.Defer, Message: "too much at the moment, please try again later"}},
		"deny":        {policy.Tier{Verdict: set(plan.Deny), Message: set("no")}, plan.Tier{Verdict: plan.Deny, Message: "no"}},
		"drop":        {policy.Tier{Verdict: set(plan.Drop), Message: left("go")}, plan.Tier{Verdict: plan.Drop, Message: "go"}},
		"discard":     {policy.Tier{Verdict: set(plan.Discard)}, plan.Tier{Verdict: plan.Discard}},
		"freeze":      {policy.Tier{Verdict: set(plan.Freeze)}, plan.Tier{Verdict: plan.Freeze}},
		"no verdict":  {policy.Tier{Verdict: left("")}, plan.Tier{Verdict: plan.Accept}},
		"delay":       {policy.Tier{Delay: delay("2s", "", "9s")}, plan.Tier{Verdict: plan.Accept, Delay: &plan.Delay{Each: dur("2s"), Max: dur("9s"), Sleepers: 10}}},
		"no max":      {policy.Tier{Delay: delay("2s", "", "")}, plan.Tier{Verdict: plan.Accept, Delay: &plan.Delay{Each: dur("2s"), Max: dur("25s"), Sleepers: 10}}},
		"site's max":  {policy.Tier{Delay: delay("", "2m", "3m")}, plan.Tier{Verdict: plan.Accept, Delay: &plan.Delay{Fixed: dur("2m"), Max: dur("25s"), Sleepers: 10}}},
		"add headers": {policy.Tier{AddHeader: []policy.Header{{Name: set("X-B"), Value: set([]plan.Piece{{Text: "2"}})}, {Name: set("X-A"), Value: set([]plan.Piece{{Text: "1"}})}}}, plan.Tier{Verdict: plan.Accept, AddHeader: []plan.Header{{Name: "X-A", Value: []plan.Piece{{Text: "1"}}}, {Name: "X-B", Value: []plan.Piece{{Text: "2"}}}}}},
	} {
		s := base()
		c.tier.Name, c.tier.DeclRange, c.tier.Over = "t", at(40), rates("5/1h")
		c.want.Name, c.want.Origin, c.want.Over = "t", plan.Origin{File: "inbound.hcl", Line: 40}, one("5/1h")
		s.Limits = []*policy.Limit{limit("x", plan.UnknownRecipient, func(l *policy.Limit) { l.Tiers = []*policy.Tier{&c.tier} })}
		if got := lowered(t, s).Limits[0].Tiers[0]; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, got, c.want)
		}
	}
}

func TestLimit(t *testing.T) {
	s := base()
	ref := policy.Ref{Ref: plan.Ref{List: "bulk", Field: "auth"}}
	s.Lists = []*policy.List{
		{Name: "z", DeclRange: at(2)},
		{Name: "bulk", DeclRange: at(1), Entries: []policy.Entry{
			{Field: "auth", Pattern: set("Zoe")},
			{Field: "client", Pattern: set("192.0.2.0/24"), Until: set("2027-03-02T00:00:00Z"), Why: set("because")},
		}},
	}
	s.Limits = []*policy.Limit{
		limit("z", plan.Recipient, func(l *policy.Limit) {
			l.Distinct = &policy.Part{Part: plan.Part{Field: "recipient"}, Text: "recipient"}
		}),
		limit("a", "", func(l *policy.Limit) {
			l.Events = []policy.Event{{Name: set(plan.UnknownRecipient), Weight: set(int64(2))}, {Name: set(plan.Connection), Weight: set(int64(1))}}
			l.Attempts, l.Only, l.Except = set(true), []policy.Ref{ref}, []policy.Ref{{Ref: plan.Ref{Trusted: "x"}}}
			l.Tiers = []*policy.Tier{
				{Name: "slow", DeclRange: at(31), Over: rates("5/24h", "9/1h"), Verdict: set(plan.Defer)},
				{Name: "stop", DeclRange: at(32), Over: rates("5/24h"), Verdict: set(plan.Deny)},
			}
			l.Overrides = []*policy.Override{{Name: "bulk", DeclRange: at(33), Only: []policy.Ref{ref}, Over: []policy.OverrideTier{
				{Tier: set("stop"), Rates: rates("50/7d")}, {Tier: set("slow"), Rates: rates("10/1m", "20/1h")},
			}}}
		}),
	}
	p := lowered(t, s)
	if p.Limits[0].Name != "a" || p.Limits[1].Name != "z" || p.Lists[0].Name != "bulk" || p.Lists[1].Name != "z" {
		t.Fatal("not sorted by name")
	}
	a := p.Limits[0]
	if want := []plan.WeightedEvent{{Event: plan.Connection, Weight: 1}, {Event: plan.UnknownRecipient, Weight: 2}}; !slices.Equal(a.Events, want) {
		t.Errorf("events %+v", a.Events)
	}
	if want := []plan.Duration{dur("1m"), dur("1h"), dur("24h"), dur("7d")}; !slices.Equal(a.Windows, want) {
		t.Errorf("windows %v", a.Windows)
	}
	if !a.Attempts || !slices.Equal(a.Only, []plan.Ref{{List: "bulk", Field: "auth"}}) || !slices.Equal(a.Except, []plan.Ref{{Trusted: "x"}}) {
		t.Errorf("%+v", a)
	}
	o := a.Overrides[0]
	if o.Name != "bulk" || o.Origin.Line != 33 || len(o.Over) != 2 || o.Over[0].Tier != "slow" || len(o.Over[0].Over) != 2 || o.Over[1].Tier != "stop" {
		t.Errorf("override %+v: want the order of the tiers", o)
	}
	if z := p.Limits[1]; z.Distinct == nil || z.Distinct.Field != "recipient" {
		t.Errorf("distinct %+v", z.Distinct)
	}
	want := []plan.Entry{{Field: "auth", Pattern: "Zoe"}, {Field: "client", Pattern: "192.0.2.0/24", Until: "2027-03-02T00:00:00Z", Why: "because"}}
	if !slices.Equal(p.Lists[0].Entries, want) {
		t.Errorf("entries %+v", p.Lists[0].Entries)
	}
}

func TestTables(t *testing.T) {
	distinct := func(l *policy.Limit) { l.Distinct = &policy.Part{Part: plan.Part{Field: "recipient"}} }
	byExim := func(l *policy.Limit) { l.Engine = set(plan.EngineExim) }
	for name, c := range map[string]struct {
		greylists []*policy.Greylist
		limits    []*policy.Limit
		want      []plan.Table
	}{
		"nothing":  {nil, nil, plan.Tables(plan.Needs{})},
		"greylist": {[]*policy.Greylist{greylist("a")}, nil, plan.Tables(plan.Needs{})},
		"counter":  {nil, []*policy.Limit{limit("a", plan.Recipient)}, plan.Tables(plan.Needs{Counter: true})},
		"distinct": {nil, []*policy.Limit{limit("a", plan.Recipient, distinct)}, plan.Tables(plan.Needs{Distinct: true})},
		"by Exim":  {nil, []*policy.Limit{limit("a", plan.Recipient, byExim)}, plan.Tables(plan.Needs{})},
		"two of a shape": {
			[]*policy.Greylist{greylist("a"), greylist("b")}, []*policy.Limit{limit("a", plan.Recipient), limit("b", plan.Connection), limit("c", plan.Recipient, distinct)},
			plan.Tables(plan.Needs{Counter: true, Distinct: true}),
		},
	} {
		s := base()
		s.Greylists, s.Limits = c.greylists, c.limits
		if got := lowered(t, s).Tables; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestSamePlanEverywhere: neither the folder that the policies lie in nor the order of
// their blocks is in the plan.
func TestSamePlanEverywhere(t *testing.T) {
	build := func(folder string, turned bool) *plan.Plan {
		s := base()
		s.Lists = []*policy.List{{Name: "a"}, {Name: "b"}}
		s.Pools = []*policy.Pool{{Name: "a"}, {Name: "b"}}
		s.Greylists = []*policy.Greylist{greylist("a", func(g *policy.Greylist) {
			g.Trust = &policy.Trust{Key: key("client"), After: set(int64(5)), Per: set(dur("1h")), Remember: set(dur("36d"))}
		}), greylist("b")}
		s.Limits = []*policy.Limit{limit("a", plan.Recipient), limit("b", plan.Recipient)}
		for _, g := range s.Greylists {
			g.DeclRange.Filename = folder + "x.hcl"
		}
		for _, l := range s.Limits {
			l.DeclRange.Filename = folder + "x.hcl"
			l.Tiers[0].DeclRange.Filename = folder + "x.hcl"
		}
		if turned {
			slices.Reverse(s.Lists)
			slices.Reverse(s.Pools)
			slices.Reverse(s.Greylists)
			slices.Reverse(s.Limits)
		}
		return lowered(t, s)
	}
	want := build("", false)
	for _, got := range []*plan.Plan{build("/home/me/", false), build("policies/", false), build("../", true)} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("another plan:\n%+v\n%+v", got, want)
		}
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "/home") {
		t.Errorf("the plan names a folder: %s", b)
	}
}
