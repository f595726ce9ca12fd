package emit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

const (
	second = plan.Duration(time.Second)
	hour   = 3600 * second
)

func outboundAt(line int) plan.Origin { return plan.Origin{File: "out.hcl", Line: line} }

// blockTier is a tier that blocks.
func blockTier(line int, b plan.Block) plan.Tier {
	if len(b.Traffics) == 0 {
		b.Traffics = []string{plan.Submission}
	}
	return plan.Tier{Name: "stop", Over: []plan.Rate{{Count: 100, Per: hour}}, Verdict: plan.Accept, Block: &b, Origin: outboundAt(line)}
}

// outLimit is a limit whose key is these fields.
func outLimit(line int, name, traffic, event, key string, tiers ...plan.Tier) plan.Limit {
	l := plan.Limit{
		Name: name, Traffic: traffic, Events: []plan.WeightedEvent{{Event: event, Weight: 1}},
		Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.LastKnown, Tiers: tiers, Windows: []plan.Duration{hour}, Origin: outboundAt(line),
	}
	for _, field := range strings.Fields(key) {
		part := plan.Part{Field: field}
		if field == "client" {
			part.V4, part.V6 = 32, 128
		}
		l.Key = append(l.Key, part)
	}
	return l
}

func text(s string) []plan.Piece { return []plan.Piece{{Text: s}} }

// fieldHeader names every field.
func fieldHeader() []plan.Header {
	var value []plan.Piece
	for _, f := range []string{"auth", "owner", "user", "client", "sender", "helo"} {
		value = append(value, plan.Piece{Text: f + "=<"}, plan.Piece{Field: f}, plan.Piece{Text: "> "})
	}
	return []plan.Header{{Name: "X-Fixed", Value: text("LIMIT ${run{x}}")}, {Name: "X-Who", Value: append(value, plan.Piece{Text: "{end}"})}}
}

// outbound is a plan that makes the emitter print each kind of statement about mail that goes out:
// blocks at every stage, verification, owners, what is remembered while exipold is away.
func outbound(socket, blocked string) *plan.Plan {
	hold := plan.Block{At: plan.Rcpt, Verdict: plan.Freeze, AddHeader: fieldHeader(), Most: 500, Free: 10}
	local := hold
	local.Traffics = []string{plan.Local}
	all := []string{plan.Submission, plan.Relay, plan.Local}
	stolen := outLimit(1, "stolen", plan.Submission, plan.InvalidRecipient, "auth", blockTier(2, hold))
	remote := outLimit(3, "remote", plan.Submission, plan.InvalidRecipient, "auth", plan.Tier{
		Name: "slow", Over: []plan.Rate{{Count: 2, Per: hour}}, Verdict: plan.Defer, Message: "slow down", Origin: outboundAt(4),
		AddHeader: []plan.Header{{Name: "X-Slow", Value: []plan.Piece{{Text: "by "}, {Field: "owner"}}}},
	})
	remote.Callout = 5 * second
	bounces := outLimit(10, "bounces", "", plan.Bounce, "owner",
		plan.Tier{Name: "slow", Over: []plan.Rate{{Count: 60, Per: hour}}, Verdict: plan.Defer, Message: "too many bounces", Origin: outboundAt(11)},
		blockTier(12, plan.Block{At: plan.Rcpt, Verdict: plan.Deny, Message: "blocked by ${auth}", Traffics: all}))
	careful := outLimit(20, "careful", plan.Submission, plan.Recipient, "sender", blockTier(21, plan.Block{At: plan.Rcpt, Verdict: plan.Defer, Message: "careful"}))
	careful.OnFailure = plan.DeferMail
	p := &plan.Plan{
		Exim: "4.94", Layout: "custom", Directory: "/etc/exim/exipol", MaxDelay: 2 * second,
		Domains: []string{"+local_domains", "+relay_to_domains"}, RelayHosts: []string{"203.0.113.0/24", "2001:db8:9::/48"},
		Socket: socket, Timeout: 3 * second, Blocked: blocked, Source: plan.FromLog, Spool: "/var/spool/exim",
		SubmissionMode: &plan.SubmissionMode{Traffics: []string{plan.Relay, plan.Submission}, Domain: "LOCAL.test", Retain: true},
		Lists:          []plan.List{{Name: "known", Learn: []plan.Learn{{Traffic: plan.Local, From: "recipient", Remember: hour}}, Origin: outboundAt(70)}},
		Limits: []plan.Limit{
			bounces, stolen, remote, careful,
			outLimit(30, "scripts", plan.Local, plan.InvalidRecipient, "user", blockTier(31, local)),
			outLimit(35, "much", plan.Local, plan.Recipient, "owner", plan.Tier{Name: "no", Over: []plan.Rate{{Count: 9, Per: hour}}, Verdict: plan.Defer, Message: "too much", Origin: outboundAt(36)}),
			outLimit(40, "relays", plan.Relay, plan.Recipient, "owner", blockTier(41, plan.Block{At: plan.Rcpt, Verdict: plan.Defer, Message: "wait", Traffics: []string{plan.Relay}})),
			outLimit(50, "crack", plan.Inbound, plan.AuthFailure, "client", blockTier(51, plan.Block{At: plan.Auth, Verdict: plan.Deny, Message: "no more logins", Traffics: []string{plan.Inbound, plan.Relay}})),
			outLimit(55, "early", plan.Inbound, plan.Connection, "client", blockTier(56, plan.Block{At: plan.Connect, Verdict: plan.Deny, Message: "not you", Traffics: []string{plan.Inbound}})),
			outLimit(60, "atmail", plan.Submission, plan.Message, "auth client", blockTier(61, plan.Block{At: plan.Mail, Verdict: plan.Freeze})),
		},
	}
	ask := func(traffic, event string, policies ...string) plan.Ask {
		return plan.Ask{Traffic: traffic, Event: event, Policies: policies}
	}
	p.Stages = []plan.Stage{
		{Name: plan.Connect, Before: []plan.Ask{ask(plan.Inbound, plan.Blocked, "limit.early"), ask(plan.Inbound, plan.Connection, "limit.early")}},
		{Name: plan.Auth, Before: []plan.Ask{ask(plan.Inbound, plan.Blocked, "limit.crack"), ask(plan.Relay, plan.Blocked, "limit.crack")}},
		{Name: plan.Mail, Before: []plan.Ask{ask(plan.Submission, plan.Blocked, "limit.atmail")}},
		{Name: plan.Rcpt, SiteACL: "acl_check_rcpt", Before: []plan.Ask{
			ask(plan.Submission, plan.Blocked, "limit.bounces", "limit.careful", "limit.stolen"),
			ask(plan.Submission, plan.InvalidRecipient, "limit.remote", "limit.stolen"),
			ask(plan.Relay, plan.Blocked, "limit.bounces", "limit.relays"),
			ask(plan.Local, plan.Blocked, "limit.bounces", "limit.scripts"),
			ask(plan.Local, plan.InvalidRecipient, "limit.scripts"),
		}, After: []plan.Ask{
			ask(plan.Submission, plan.Recipient, "limit.careful"),
			ask(plan.Relay, plan.Recipient, "limit.relays"),
			ask(plan.Local, plan.Recipient, "limit.much"),
		}},
		{Name: plan.Data, SiteACL: "acl_check_data", After: []plan.Ask{
			ask(plan.Submission, plan.Held, "limit.atmail", "limit.stolen"), ask(plan.Submission, plan.Message, "limit.atmail"),
			ask(plan.Local, plan.Held, "limit.scripts"),
		}},
		{Name: plan.NotSMTP, Before: []plan.Ask{
			ask(plan.Local, plan.Blocked, "limit.bounces", "limit.scripts"),
			ask(plan.Local, plan.InvalidRecipient, "limit.scripts"),
		}, After: []plan.Ask{
			ask(plan.Local, plan.Held, "limit.scripts"), ask(plan.Local, plan.Message, "list.known"), ask(plan.Local, plan.Recipient, "limit.much"),
		}},
		{Name: plan.Delivery, After: []plan.Ask{
			ask(plan.Submission, plan.Bounce, "limit.bounces"), ask(plan.Relay, plan.Bounce, "limit.bounces"), ask(plan.Local, plan.Bounce, "limit.bounces"),
		}},
	}
	if err := p.Seal(); err != nil {
		panic(err)
	}
	return p
}

// outSite is an Exim that runs an outbound plan, a helper that says what it is told for a place
// ("rcpt.before"), and the rest of the internet, in which every domain below far.test is.
type outSite struct {
	*eximtest.Bed
	plan   *plan.Plan
	helper *eximtest.FakeHelper
	sink   *eximtest.Sink
}

const acceptAll = "v=1 verdict=accept waive=no end=1"

// farRoutes are the router and the transport for far.test.
func farRoutes(b *eximtest.Bed, port int) func(string) string {
	return func(conf string) string {
		conf = strings.Replace(conf, "\nbegin routers\n", `
begin routers

far_alias:
  driver = redirect
  domains = local.test
  local_parts = ^alias
  data = nosuch-$local_part@far.test

far:
  driver = manualroute
  domains = far.test
  local_parts = !^unroute
  route_list = * 127.0.0.1
  self = send
  transport = far

`, 1)
		return strings.Replace(conf, "\nbegin transports\n", fmt.Sprintf(`
begin transports

far:
  driver = smtp
  port = %d
  hosts_try_fastopen =
.ifdef _HAVE_EVENT
  event_action = %s
.endif

`, port, eventAction), 1)
	}
}

func newOutbound(t *testing.T, answers map[string]string, changes ...func(*plan.Plan)) outSite {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	p := outbound(b.SocketPath("exipold.sock"), b.Path("blocked"))
	for _, change := range changes {
		change(p)
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	main, err := mainText(p)
	if err != nil {
		t.Fatal(err)
	}
	if b.ACL, err = aclText(p); err != nil {
		t.Fatal(err)
	}
	s := outSite{Bed: b, plan: p, sink: eximtest.NewSink(t)}
	b.Main = main + "\nLIMIT = a macro of the site\nX = another\n"
	b.RelayHosts = []string{"203.0.113.0/24"}
	b.Edit = farRoutes(b, s.sink.Port())
	s.helper = eximtest.NewFakeHelper(t, p.Socket, eximtest.Answers("table", func(q string) string {
		for at, answer := range answers {
			if strings.Contains(q, " at="+at+" ") {
				return answer
			}
		}
		return acceptAll
	}))
	return s
}

// questions are those that were asked, read back; of one place only, or of all with "".
func (s outSite) questions(t *testing.T, at string) []wire.Question {
	t.Helper()
	var all []wire.Question
	for _, text := range s.helper.Questions() {
		q, err := wire.ParseQuestion([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if at == "" || q.Stage+"."+q.Half == at {
			all = append(all, q)
		}
	}
	return all
}

// session begins one; as "" it is local, as a name somebody who logged in.
func (s outSite) session(who string) *eximtest.Session {
	switch {
	case who == "":
		c := s.BsSession("")
		c.Ehlo("client.test")
		return c
	case strings.ContainsAny(who[:1], "0123456789"):
		c := s.BsSession(who)
		c.Ehlo("client.test")
		return c
	}
	c := s.BsSession(stranger)
	c.Ehlo("client.test")
	c.Auth(who, eximtest.Password)
	return c
}

// inject gives a message to Exim without SMTP.
func (s outSite) inject(sender, message string, to ...string) error {
	_, _, err := s.Exec(message, append([]string{"-oi", "-odq", "-oep", "-f", sender}, to...)...)
	return err
}
