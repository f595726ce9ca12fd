package lower_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// blocking gives a limit one tier, that blocks.
func blocking(at, verdict string) func(*policy.Limit) {
	return func(l *policy.Limit) {
		l.Tiers = []*policy.Tier{{
			Name: "t", Over: rates("5/1h"), Verdict: left(""),
			Block: &policy.Block{At: set(at), Until: left(plan.Duration(0)), Verdict: set(verdict), Message: set("no")},
		}}
	}
}

func traffic(s string) func(*policy.Limit) { return func(l *policy.Limit) { l.Traffic = set(s) } }

func only(t *policy.Tier) func(*policy.Limit) {
	return func(l *policy.Limit) { t.Name, t.Over, l.Tiers = "t", rates("5/1h"), []*policy.Tier{t} }
}

func observing(l *policy.Limit) { l.Mode = set(plan.Observe) }

// TestDeskStages: where blocks are looked up, and what of the log is asked about.
func TestDeskStages(t *testing.T) {
	notifying := only(&policy.Tier{Notify: []policy.Notified{{Ref: plan.NotifyOwner}}})
	deferring := only(&policy.Tier{Verdict: set(plan.Defer)})
	share := func(event string) func(*policy.Limit) {
		return func(l *policy.Limit) { v := set(event); l.Share, l.Floor = &v, set(int64(50)) }
	}
	const (
		data, rcpt, mail = "data(acl_check_data)", "rcpt(acl_check_rcpt)", "mail(acl_check_mail)"
	)
	for name, c := range map[string]struct {
		limits []*policy.Limit
		source string
		site   func(*policy.Site)
		want   []string
	}{
		"frozen at RCPT": {
			limits: []*policy.Limit{limit("a", plan.InvalidRecipient, traffic(plan.Submission), blocking(plan.Rcpt, plan.Freeze))},
			want:   []string{data + ".after submission held: limit.a", rcpt + ".before submission blocked: limit.a", rcpt + ".before submission invalid_recipient: limit.a"},
		},
		"local": {
			limits: []*policy.Limit{limit("a", plan.UnknownRecipient, traffic(plan.Local), blocking(plan.Rcpt, plan.Freeze))},
			want: []string{
				data + ".after local held: limit.a", "not_smtp().after local held: limit.a", "not_smtp().before local blocked: limit.a", "not_smtp().before local unknown_recipient: limit.a",
				rcpt + ".before local blocked: limit.a", rcpt + ".before local unknown_recipient: limit.a",
			},
		},
		"observed": {
			limits: []*policy.Limit{
				limit("a", plan.InvalidRecipient, traffic(plan.Submission), blocking(plan.Rcpt, plan.Freeze), observing),
				limit("b", plan.Connection, traffic(plan.Inbound), blocking(plan.Connect, plan.Deny), observing),
				limit("c", plan.Bounce, traffic(plan.Submission), blocking(plan.Rcpt, plan.Freeze), observing),
				limit("d", plan.AuthFailure, traffic(plan.Inbound), blocking(plan.Auth, plan.Deny), observing),
			},
			want: []string{
				"auth().before inbound blocked: limit.d", "auth().before relay blocked: limit.d", "connect().before inbound connection: limit.b",
				rcpt + ".before submission blocked: limit.c", rcpt + ".before submission invalid_recipient: limit.a",
			},
		},
		"refused at MAIL": {
			limits: []*policy.Limit{limit("a", plan.Recipient, traffic(plan.Relay), blocking(plan.Mail, plan.Deny))},
			want:   []string{mail + ".before relay blocked: limit.a", rcpt + ".after relay recipient: limit.a"},
		},
		"frozen at MAIL": {
			limits: []*policy.Limit{limit("a", plan.Connection, traffic(plan.Relay), blocking(plan.Mail, plan.Freeze))},
			want:   []string{"connect().before relay connection: limit.a", data + ".after relay held: limit.a", mail + ".before relay blocked: limit.a", rcpt},
		},
		"failed logins": {
			limits: []*policy.Limit{limit("a", plan.AuthFailure, blocking(plan.Auth, plan.Deny))},
			site:   func(s *policy.Site) { s.ACL = map[string]policy.Value[string]{plan.Auth: set("acl_mine")} },
			want:   []string{"auth(acl_mine).before inbound blocked: limit.a", "auth(acl_mine).before relay blocked: limit.a"},
		},
		"failed logins, at RCPT": {
			limits: []*policy.Limit{limit("a", plan.AuthFailure, blocking(plan.Rcpt, plan.Deny))},
			want:   []string{rcpt + ".before inbound blocked: limit.a", rcpt + ".before relay blocked: limit.a"},
		},
		"users' address, at connect": {
			limits: []*policy.Limit{limit("a", plan.Recipient, traffic(plan.Submission), blocking(plan.Connect, plan.Deny))},
			want:   []string{"connect().before inbound blocked: limit.a", "connect().before relay blocked: limit.a", rcpt + ".after submission recipient: limit.a"},
		},
		"strangers, at connect": {
			limits: []*policy.Limit{limit("a", plan.Connection, blocking(plan.Connect, plan.Deny))},
			want:   []string{"connect().before inbound blocked: limit.a", "connect().before inbound connection: limit.a"},
		},
		"bounces that notify": {limits: []*policy.Limit{limit("a", plan.Bounce, traffic(""), notifying)}},
		"bounces that block": {
			limits: []*policy.Limit{limit("a", plan.Bounce, traffic(""), blocking(plan.Rcpt, plan.Defer))},
			want: []string{
				"not_smtp().before local blocked: limit.a",
				rcpt + ".before local blocked: limit.a", rcpt + ".before relay blocked: limit.a", rcpt + ".before submission blocked: limit.a",
			},
		},
		// What was counted is looked at where the tier can act.
		"bounces that defer": {
			limits: []*policy.Limit{limit("a", plan.Bounce, traffic(plan.Submission), deferring), limit("b", plan.Bounce, traffic(plan.Local), only(&policy.Tier{Delay: &policy.Delay{Fixed: set(dur("5s"))}}))},
			want:   []string{"not_smtp().before local blocked: limit.b", rcpt + ".before local blocked: limit.b", rcpt + ".before submission blocked: limit.a"},
		},
		"with other events": {
			limits: []*policy.Limit{limit("a", plan.UnknownRecipient, func(l *policy.Limit) {
				l.Events = append(l.Events, policy.Event{Name: set(plan.AuthFailure), Weight: set(int64(3))})
			})},
			want: []string{rcpt + ".before inbound unknown_recipient: limit.a"}, // it acts where it counts
		},
		"a share of recipients": {
			limits: []*policy.Limit{limit("a", plan.Bounce, traffic(""), notifying, share(plan.Recipient))},
			want:   []string{"not_smtp().after local recipient: limit.a", rcpt + ".after local recipient: limit.a", rcpt + ".after relay recipient: limit.a", rcpt + ".after submission recipient: limit.a"},
		},
		"a share of messages": {
			limits: []*policy.Limit{limit("a", plan.Bounce, traffic(plan.Relay), notifying, share(plan.Message))},
			want:   []string{data + ".after relay message: limit.a", rcpt},
		},
		"Exim's events": {
			limits: []*policy.Limit{limit("a", plan.Bounce, traffic(""), notifying), limit("b", plan.Login, traffic(plan.Submission), notifying)}, source: plan.FromEvent,
			want: []string{"delivery().after local bounce: limit.a", "delivery().after relay bounce: limit.a", "delivery().after submission bounce: limit.a"},
		},
		"Exim counts local mail": {
			limits: []*policy.Limit{limit("a", plan.Recipient, traffic(plan.Local), func(l *policy.Limit) { l.Engine = set(plan.EngineExim) })},
			want:   []string{rcpt + ".after local recipient:  | limit.a"},
		},
		"submission mode": {
			site: func(s *policy.Site) {
				s.Submission = &policy.Submission{Traffic: []policy.Value[string]{set(plan.Submission)}}
			},
			want: []string{rcpt},
		},
		"submission mode, local": {
			site: func(s *policy.Site) {
				s.ACL = map[string]policy.Value[string]{plan.NotSMTP: set("acl_mine")}
				s.Submission = &policy.Submission{Traffic: []policy.Value[string]{set(plan.Submission), set(plan.Local)}, Retain: set(true)}
			},
			want: []string{rcpt}, // a message without SMTP is mended by Exim itself
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := base()
			s.Limits = c.limits
			if c.source != "" {
				s.Helper.Source = set(c.source)
			}
			if c.site != nil {
				c.site(&s.Site)
			}
			p := lowered(t, s)
			if got := asks(p); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestBlock: everything about a block and a notice arrives in the plan.
func TestBlock(t *testing.T) {
	s := base()
	header := []policy.Header{{Name: set("X-A"), Value: set([]plan.Piece{{Field: "auth"}, {Text: " text"}})}}
	s.Notices = []*policy.Notice{{Name: "z", DeclRange: at(3)}, {
		Name: "desk", DeclRange: at(2), Mail: []policy.Value[string]{set("abuse@example.com")}, Webhook: set("https://example.com/hook"), Digest: set(dur("24h")),
	}}
	s.Limits = []*policy.Limit{limit("a", plan.Bounce, traffic(plan.Submission), func(l *policy.Limit) {
		v := set(plan.Recipient)
		l.Share, l.Floor, l.Callout = &v, set(int64(50)), set(dur("10s"))
		l.Classes = []policy.Value[string]{set("policy"), set("full")}
		l.Tiers = []*policy.Tier{{
			Name: "t", DeclRange: at(40), Over: rates("30%/1h"), Notify: []policy.Notified{{Ref: plan.NotifyOwner}, {Ref: "notice.desk"}},
			Block: &policy.Block{
				At: left(plan.Rcpt), Until: set(dur("24h")), Verdict: set(plan.Freeze), Queued: set(plan.Freeze), AddHeader: header,
				Most: set(int64(500)), Free: set(int64(10)), Probation: &policy.Probation{Lasts: set(dur("12h")), Share: set(int64(20))},
			},
		}}
	})}
	p := lowered(t, s)
	wantNotice := plan.Notice{
		Name: "desk", Mail: []string{"abuse@example.com"}, Webhook: "https://example.com/hook", Digest: dur("24h"),
		Origin: plan.Origin{File: "inbound.hcl", Line: 2},
	}
	if !reflect.DeepEqual(p.Notices[0], wantNotice) || p.Notices[1].Name != "z" {
		t.Errorf("notices %+v", p.Notices)
	}
	l := p.Limits[0]
	if *l.Share != (plan.Share{Event: plan.Recipient, Floor: 50}) || l.Callout != dur("10s") || !slices.Equal(l.Classes, []string{"full", "policy"}) {
		t.Errorf("limit %+v", l)
	}
	want := plan.Tier{
		Name: "t", Over: []plan.Rate{{Count: 30, Percent: true, Per: dur("1h")}}, Verdict: plan.Accept, Notify: []string{"notice.desk", plan.NotifyOwner},
		Block: &plan.Block{
			At: plan.Rcpt, Traffics: []string{plan.Submission}, Until: dur("24h"), Verdict: plan.Freeze, Queued: plan.Freeze,
			AddHeader: []plan.Header{{Name: "X-A", Value: []plan.Piece{{Field: "auth"}, {Text: " text"}}}},
			Most:      500, Free: 10, Probation: &plan.Probation{Lasts: dur("12h"), Share: 20},
		},
		Origin: plan.Origin{File: "inbound.hcl", Line: 40},
	}
	if !reflect.DeepEqual(l.Tiers[0], want) {
		t.Errorf("got\n%+v\nwant\n%+v", l.Tiers[0], want)
	}
	if tables := plan.Tables(plan.Needs{Counter: true, Desk: true, Log: true}); !reflect.DeepEqual(p.Tables, tables) {
		t.Errorf("tables %v", p.Tables)
	}
}

// TestStoreOnServer: the plan has all that was said of it, and exipold's own files are where
// they usually are.
func TestStoreOnServer(t *testing.T) {
	s := base()
	s.Store = policy.Store{
		Kind: set(plan.MySQL), Hosts: []policy.Value[string]{set("db2.example.net:3306"), set("/run/mysqld/mysqld.sock")},
		Database: set("exipol"), User: set("exipol-gateways"), PasswordFile: set("/etc/exipol/db-password"),
		TLS: set(plan.TLSVerified), CAFile: set("/etc/exipol/ca.pem"), State: set("/var/lib/exipol"), Connections: set(int64(12)),
	}
	p := lowered(t, s)
	want := plan.Store{
		Kind: "mysql", Hosts: []string{"db2.example.net:3306", "/run/mysqld/mysqld.sock"},
		Database: "exipol", User: "exipol-gateways", PasswordFile: "/etc/exipol/db-password",
		TLS: "verified", CAFile: "/etc/exipol/ca.pem", Connections: 12,
	}
	if !p.Store.Same(want) || p.Blocked != "/var/lib/exipol/blocked" {
		t.Errorf("%+v %q", p.Store, p.Blocked)
	}
}

// TestSubmissionMode and the rest of what only the site says.
func TestSubmissionMode(t *testing.T) {
	s := base()
	s.Site.RelayID = set("${lookup{x}}")
	s.Store.Path = set("/var/lib/exipol/exipol.db")
	s.Site.Submission = &policy.Submission{Traffic: []policy.Value[string]{set(plan.Submission), set(plan.Local)}, Domain: set("example.com"), Retain: set(true)}
	p := lowered(t, s)
	want := &plan.SubmissionMode{Traffics: []string{plan.Local, plan.Submission}, Domain: "example.com", Retain: true}
	if !reflect.DeepEqual(p.SubmissionMode, want) || p.RelayID != "${lookup{x}}" || p.Blocked != "/var/lib/exipol/blocked" {
		t.Errorf("%+v %q %q", p.SubmissionMode, p.RelayID, p.Blocked)
	}
}
