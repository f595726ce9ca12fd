package emit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// everything is a plan that makes the emitter print each kind of statement it has:
// every stage, half, traffic, verdict, both engines, observing and failing policies.
func everything(socket string) *plan.Plan {
	second := plan.Duration(time.Second)
	hour := 3600 * second
	at := func(line int) plan.Origin { return plan.Origin{File: "all.hcl", Line: line} }
	client := []plan.Part{{Field: "client", V4: 32, V6: 128}}
	tier := func(line int, name, verdict, message string) plan.Tier {
		return plan.Tier{Name: name, Over: []plan.Rate{{Count: 2, Per: hour}}, Verdict: verdict, Message: message, Origin: at(line)}
	}
	limit := func(line int, name, traffic, event string, tiers ...plan.Tier) plan.Limit {
		return plan.Limit{
			Name: name, Traffic: traffic, Events: []plan.WeightedEvent{{Event: event, Weight: 1}}, Key: client,
			Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass, Tiers: tiers, Windows: []plan.Duration{hour}, Origin: at(line),
		}
	}
	slow := tier(12, "slow", plan.Accept, "")
	slow.Delay = &plan.Delay{Each: second, Max: 3 * second, Sleepers: 2}
	tag := tier(13, "tag", plan.Accept, "")
	tag.AddHeader = []plan.Header{{Name: "X-Policy", Value: []plan.Piece{{Text: `it's $5 {or} \ "less": LIMIT`}}}}
	counts := limit(40, "by_exim", plan.Inbound, plan.Recipient, tier(41, "slow", plan.Defer, "too fast"))
	counts.Engine, counts.Except = plan.EngineExim, []plan.Ref{{List: "friends"}}
	watch := limit(45, "exim_watch", plan.Inbound, plan.Recipient, tier(46, "much", plan.Deny, "never said"))
	watch.Engine, watch.Mode = plan.EngineExim, plan.Observe
	watch.Tiers[0].Over = []plan.Rate{{Count: 1, Per: hour}}
	careful := limit(50, "careful", plan.Submission, plan.Recipient, tier(51, "stop", plan.Deny, "enough"))
	careful.OnFailure = plan.DeferMail
	observer := limit(55, "observer", plan.Inbound, plan.Recipient, tier(56, "much", plan.Deny, "never said"))
	observer.Mode = plan.Observe
	p := &plan.Plan{
		Exim: "4.94", Layout: "custom", Directory: "/etc/exim/exipol", MaxDelay: 2 * second,
		Domains: []string{"+local_domains", "+relay_to_domains"}, RelayHosts: []string{"203.0.113.0/24", "2001:db8:9::/48"},
		Socket: socket, Timeout: 3 * second,
		Lists: []plan.List{
			{Name: "friends", Entries: []plan.Entry{{Field: "client", Pattern: "192.0.2.128/25"}, {Field: "client", Pattern: "2001:db8:1::/48"}}, Origin: at(69)},
			{Name: "known", Learn: []plan.Learn{{Traffic: plan.Submission, From: "recipient", Remember: hour}}, Origin: at(70)},
		},
		Greylists: []plan.Grey{
			{
				Name: "inbound", Traffic: plan.Inbound, Key: client, Delay: 300 * second, Retry: 24 * hour, Remember: 36 * 24 * hour,
				Mode: plan.Enforce, OnFailure: plan.Pass, Message: "greylisted", Origin: at(3),
			},
			{
				Name: "urgent", Traffic: plan.Inbound, Key: client, Delay: 300 * second, Retry: 24 * hour, Remember: 36 * 24 * hour,
				Suspicious: []plan.Fact{{Name: plan.SPFFail}, {Name: plan.HeloMismatch}}, Urgent: []plan.Ref{{List: "known"}},
				Mode: plan.Enforce, OnFailure: plan.Pass, Message: "the whole message", Origin: at(60),
			},
			{
				Name: "watch", Traffic: plan.Inbound, Key: client, Delay: 300 * second, Retry: 24 * hour, Remember: 36 * 24 * hour,
				Suspicious: []plan.Fact{{Name: plan.NoReverseDNS}}, Mode: plan.Observe, OnFailure: plan.Pass, Message: "never said", Origin: at(65),
			},
		},
		Limits: []plan.Limit{
			limit(8, "conn", plan.Inbound, plan.Connection, tier(9, "no", plan.Deny, "too many"), tier(10, "off", plan.Drop, "go")),
			limit(11, "guess", plan.Inbound, plan.UnknownRecipient, slow, tag, tier(14, "off", plan.Drop, "go away"), tier(15, "bin", plan.Discard, ""), tier(16, "hold", plan.Freeze, "")),
			limit(20, "hello", plan.Inbound, plan.HeloEvent, tier(21, "no", plan.Deny, "bad manners"), slow),
			limit(25, "relayed", plan.Relay, plan.Recipient, tier(26, "no", plan.Defer, "later")),
			limit(28, "own", plan.Local, plan.Recipient, tier(29, "no", plan.Deny, "not you")),
			limit(30, "volume", plan.Inbound, plan.Message, tier(31, "no", plan.Defer, "too much"), tier(32, "hold", plan.Freeze, ""), tier(33, "bin", plan.Discard, ""), tag),
			limit(35, "letters", plan.Inbound, plan.Recipient, tier(36, "no", plan.Deny, "line one\nline two")),
			counts, watch, careful, observer,
		},
	}
	ask := func(traffic, event string, policies ...string) plan.Ask {
		return plan.Ask{Traffic: traffic, Event: event, Policies: policies}
	}
	p.Stages = []plan.Stage{
		{Name: plan.Connect, Before: []plan.Ask{ask(plan.Inbound, plan.Connection, "limit.conn")}},
		{Name: plan.Helo, Before: []plan.Ask{ask(plan.Inbound, plan.HeloEvent, "limit.hello")}},
		{Name: plan.Rcpt, SiteACL: "acl_check_rcpt",
			Before: []plan.Ask{ask(plan.Inbound, plan.UnknownRecipient, "limit.guess")},
			After: []plan.Ask{
				{Traffic: plan.Inbound, Event: plan.Recipient, Policies: []string{"greylist.inbound", "greylist.watch", "limit.letters", "limit.observer"}, Exim: []string{"limit.by_exim", "limit.exim_watch"}},
				ask(plan.Submission, plan.Recipient, "limit.careful"),
				ask(plan.Relay, plan.Recipient, "limit.relayed"),
				ask(plan.Local, plan.Recipient, "limit.own"),
			}},
		{Name: plan.Predata, After: []plan.Ask{ask(plan.Inbound, plan.NullSender, "greylist.inbound", "greylist.watch")}},
		{Name: plan.Dkim, SiteACL: "acl_check_dkim"},
		{Name: plan.Data, SiteACL: "acl_check_data", After: []plan.Ask{
			ask(plan.Inbound, plan.Message, "limit.volume"),
			ask(plan.Inbound, plan.NullSender, "greylist.inbound", "greylist.watch"),
			ask(plan.Inbound, plan.WholeMessage, "greylist.urgent"),
			ask(plan.Submission, plan.Message, "list.known"),
		}},
	}
	if err := p.Seal(); err != nil {
		panic(err)
	}
	return p
}

// site is an Exim that runs a plan's text, and a helper that says what it is told at
// each half of each stage, by "rcpt.after".
type site struct {
	*eximtest.Bed
	helper *eximtest.FakeHelper
}

func newSite(t *testing.T, answers map[string]string) site {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	p := everything(b.SocketPath("exipold.sock"))
	main, err := mainText(p)
	if err != nil {
		t.Fatal(err)
	}
	acl, err := aclText(p)
	if err != nil {
		t.Fatal(err)
	}
	b.Main, b.ACL = main, acl
	b.Main += "\nLIMIT = a macro of the site\nX = another\n"
	b.RelayHosts = []string{"203.0.113.0/24"}
	b.Site[plan.Dkim] = "  accept\n"
	h := eximtest.NewFakeHelper(t, p.Socket, eximtest.Answers("table", func(q string) string {
		for at, answer := range answers {
			if strings.Contains(q, " at="+at+" ") {
				return answer
			}
		}
		return "v=1 verdict=accept waive=no end=1"
	}))
	return site{b, h}
}

const stranger = "192.0.2.1"

// TestStatementsOnExim executes every kind of statement that can be generated, on the
// real Exim: -bV proves nothing right of an equals sign.
func TestStatementsOnExim(t *testing.T) {
	t.Parallel()
	const sender = "MAIL FROM:<a@remote.test>"
	for _, c := range []struct {
		name     string
		answers  map[string]string // by at=
		client   string            // stranger if ""
		auth     string
		commands []string // after EHLO
		last     string   // the last command
		code     int
		text     string // in the reply to it
		log      string // in mainlog, "" for no demand
		closed   bool
	}{
		{name: "accept", commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 250},
		{name: "greylist defers", answers: map[string]string{"rcpt.after": "v=1 verdict=defer by=greylist.inbound waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 451, text: "4.7.1 greylisted (greylist.inbound)", log: "exipol: greylist.inbound"},
		{name: "greylist says why", answers: map[string]string{"rcpt.after": "v=1 verdict=defer by=greylist.inbound would=defer wouldby=greylist.watch why=dnslist.zen.example.org,spf_fail waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 451, text: "4.7.1 greylisted (greylist.inbound)", log: "rejected RCPT <alice@local.test>: exipol: greylist.inbound (dnslist.zen.example.org,spf_fail)"},
		{name: "observing does not say why another decided", answers: map[string]string{"rcpt.after": "v=1 verdict=defer by=greylist.inbound would=defer wouldby=greylist.watch why=spf_fail waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 451, log: "exipol: observe greylist.watch: would defer [192.0.2.1] <a@remote.test> to <alice@local.test>"},
		{name: "observing says why", answers: map[string]string{"rcpt.after": "v=1 verdict=accept would=defer wouldby=greylist.watch why=no_reverse_dns,dnslist.zen.example.org waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 250, log: "exipol: observe greylist.watch: would defer (no_reverse_dns,dnslist.zen.example.org) [192.0.2.1] <a@remote.test> to <alice@local.test>"},
		{name: "deny in two lines", answers: map[string]string{"rcpt.after": "v=1 verdict=deny by=limit.letters/no waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 550, text: "line two (limit.letters/no)", log: "exipol: limit.letters/no"},
		{name: "an unknown recipient is the site's to refuse", answers: map[string]string{"rcpt.before": "v=1 verdict=accept delay=1 delayby=limit.guess/slow waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<nosuch@local.test>", code: 550, text: "no such user", log: "exipol: limit.guess/slow delays [192.0.2.1] by 1s <a@remote.test> to <nosuch@local.test>"},
		{name: "drop", answers: map[string]string{"rcpt.before": "v=1 verdict=drop by=limit.guess/off waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<nosuch@local.test>", code: 550, text: "go away (limit.guess/off)", log: "exipol: limit.guess/off", closed: true},
		{name: "discard a recipient", answers: map[string]string{"rcpt.before": "v=1 verdict=discard by=limit.guess/bin waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<nosuch@local.test>", code: 250, log: "discarded"},
		{name: "connect denied", answers: map[string]string{"connect.before": "v=1 verdict=deny by=limit.conn/no waive=no end=1"},
			code: 550, text: "too many (limit.conn/no)", log: "exipol: limit.conn/no"},
		{name: "connect dropped", answers: map[string]string{"connect.before": "v=1 verdict=drop by=limit.conn/off waive=no end=1"},
			code: 550, text: "go (limit.conn/off)", closed: true},
		{name: "helo denied", answers: map[string]string{"helo.before": "v=1 verdict=deny by=limit.hello/no delay=1 delayby=limit.hello/slow waive=no end=1"},
			last: "EHLO client.test", code: 550, text: "bad manners (limit.hello/no)", log: "helo client.test"},
		{name: "predata", answers: map[string]string{"predata.after": "v=1 verdict=defer by=greylist.inbound waive=no end=1"},
			commands: []string{"MAIL FROM:<>", "RCPT TO:<alice@local.test>"}, last: "DATA", code: 451, text: "greylisted"},
		{name: "no predata question with a sender", answers: map[string]string{"predata.after": "v=1 verdict=defer by=greylist.inbound waive=no end=1"},
			commands: []string{sender, "RCPT TO:<alice@local.test>"}, last: "DATA", code: 354},
		{name: "relay", answers: map[string]string{"rcpt.after": "v=1 verdict=defer by=limit.relayed/no waive=no end=1"}, client: "203.0.113.9",
			commands: []string{sender}, last: "RCPT TO:<x@remote.test>", code: 451, text: "later (limit.relayed/no)"},
		{name: "local", answers: map[string]string{"rcpt.after": "v=1 verdict=deny by=limit.own/no waive=no end=1"}, client: "local",
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 550, text: "not you (limit.own/no)"},
		{name: "submission", answers: map[string]string{"rcpt.after": "v=1 verdict=deny by=limit.careful/stop waive=no end=1"}, auth: "bob",
			commands: []string{sender}, last: "RCPT TO:<x@remote.test>", code: 550, text: "enough (limit.careful/stop)"},
		{name: "on_failure passes", answers: map[string]string{"rcpt.after": "v=1 verdict=failed end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 250, log: "exipol: exipold gave no answer for [192.0.2.1]"},
		{name: "on_failure defers", answers: map[string]string{"rcpt.after": "v=1 verdict=failed end=1"}, auth: "bob",
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 451, text: "(limit.careful)", log: "exipol: limit.careful on_failure"},
		{name: "a verdict of another plan", answers: map[string]string{"rcpt.after": "v=1 verdict=deny by=limit.unheard_of/no waive=no end=1"}, auth: "bob",
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 451, text: "(limit.careful)"},
		{name: "observe", answers: map[string]string{"rcpt.after": "v=1 verdict=accept would=deny wouldby=limit.observer/much waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<alice@local.test>", code: 250, log: "exipol: observe limit.observer/much: would deny [192.0.2.1] <a@remote.test> to <alice@local.test>"},
		{name: "a delay is capped by max_delay", answers: map[string]string{"rcpt.before": "v=1 verdict=accept delay=9999 delayby=limit.guess/slow waive=no end=1"},
			commands: []string{sender}, last: "RCPT TO:<nosuch@local.test>", code: 550},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newSite(t, c.answers)
			client := c.client
			switch client {
			case "":
				client = stranger
			case "local":
				client = ""
			}
			s := b.BsSession(client)
			reply := s.Greeting
			if c.last != "" {
				if c.last != "EHLO client.test" {
					s.Ehlo("client.test")
				}
				if c.auth != "" {
					s.Auth(c.auth, eximtest.Password)
				}
				for _, command := range c.commands {
					s.Expect(250, command)
				}
				reply = s.Cmd(c.last)
			}
			if reply.Code != c.code || !strings.Contains(reply.Text(), c.text) {
				t.Errorf("reply %q, want %d with %q", reply, c.code, c.text)
			}
			if c.closed != (c.closed && s.Closed()) {
				t.Error("Exim did not close the connection")
			}
			s.Close() // Exim has written its log when it has ended
			if c.log != "" && len(b.Grep(c.log)) == 0 {
				t.Errorf("mainlog does not hold %q:\n%s", c.log, strings.Join(b.Log("mainlog"), "\n"))
			}
			b.CheckLogs()
		})
	}
}

// TestMessagesOnExim executes what happens to whole messages: headers, freezing,
// discarding, and Exim's own ratelimit.
func TestMessagesOnExim(t *testing.T) {
	t.Parallel()
	const body = "Subject: x\n\nhello\n"
	t.Run("headers and freeze", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, map[string]string{"data.after": "v=1 verdict=freeze by=limit.volume/hold add=limit.volume/other,limit.volume/tag waive=no end=1"})
		s := b.BsSession(stranger)
		s.Ehlo("client.test")
		if _, data := s.Mail("a@remote.test", []string{"alice@local.test"}, body); data.Code != 250 {
			t.Fatalf("DATA: %s", data)
		}
		s.Quit()
		if q := b.Queue(); len(q) != 1 || !q[0].Frozen {
			t.Errorf("queue %+v, want one frozen message", q)
		}
		b.WaitLog("exipol: limit.volume/hold freezes the message of [192.0.2.1] <a@remote.test>")
		b.RunQueue(true)
		m := b.WaitMail(1)
		if got, want := m[0].Field("X-Policy"), `it's $5 {or} \ "less": LIMIT`; got != want {
			t.Errorf("header %q, want %q", got, want)
		}
		b.CheckLogs()
	})
	t.Run("greylist at data", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, map[string]string{"data.after": "v=1 verdict=defer by=greylist.urgent why=helo_mismatch waive=no end=1"})
		s := b.BsSession("192.0.2.200") // no limit of Exim's is on friends
		s.Ehlo("client.test")
		for _, sender := range []string{"a@remote.test", ""} {
			if _, data := s.Mail(sender, []string{"alice@local.test", "bob@local.test"}, body); data.Code != 451 || !strings.Contains(data.Text(), "the whole message (greylist.urgent)") {
				t.Errorf("DATA of <%s>: %s", sender, data)
			}
		}
		// postmaster and abuse are never deferred: such a message asks nothing for it.
		b.helper.Forget()
		if _, data := s.Mail("", []string{"postmaster@local.test"}, body); data.Code != 451 {
			t.Errorf("DATA: %s", data)
		}
		for _, q := range b.helper.Questions() {
			if strings.Contains(q, plan.WholeMessage) {
				t.Errorf("asked for postmaster's mail: %s", q)
			}
		}
		s.Quit()
		b.WaitLog("rejected after DATA: exipol: greylist.urgent (helo_mismatch)")
		b.CheckLogs()
	})
	t.Run("more recipients than are kept", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, nil)
		s := b.BsSession("192.0.2.200")
		s.Ehlo("client.test")
		var to, kept, asked []string
		for i := range 60 {
			to = append(to, fmt.Sprintf("user%d-%s@local.test", i, strings.Repeat("x", 60)))
		}
		to = slices.Insert(to, 50, "postmaster@local.test")
		for range 2 { // what was kept of a message is forgotten with it
			kept, asked = nil, nil
			b.helper.Forget()
			if _, data := s.Mail("a@remote.test", to, body); data.Code != 250 {
				t.Fatalf("DATA: %s", data)
			}
			for _, text := range b.helper.Questions() {
				q, err := wire.ParseQuestion([]byte(text))
				switch {
				case err != nil:
					t.Fatalf("%q: %v", text, err)
				case q.Stage == plan.Data:
					asked = append([]string{q.Recipient}, q.Others...)
				case q.Stage == plan.Rcpt && q.Half == plan.After && !q.Unkept:
					kept = append(kept, q.Recipient)
				}
			}
			if n := len(kept); n < 20 || n > 50 || !slices.Equal(kept, to[:n]) || !slices.Equal(asked, kept) {
				t.Errorf("%d recipients not said to be left out, %d at data\n%q\n%q", n, len(asked), kept, asked)
			}
		}
		s.Quit()
		b.CheckLogs()
	})
	t.Run("a list learns", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, nil)
		s := b.BsSession(stranger)
		s.Ehlo("client.test")
		s.Auth("bob", eximtest.Password)
		for sender, want := range map[string]int{"bob@local.test": 1, "": 0} {
			b.helper.Forget()
			if _, data := s.Mail(sender, []string{"x@remote.test", "y@remote.test"}, body); data.Code != 250 {
				t.Fatalf("DATA: %s", data)
			}
			n := 0
			for _, text := range b.helper.Questions() {
				if q, err := wire.ParseQuestion([]byte(text)); err == nil && q.Stage == plan.Data {
					n++
					if q.Recipient != "x@remote.test" || !slices.Equal(q.Others, []string{"y@remote.test"}) || q.Traffic != plan.Submission || q.From != "" {
						t.Errorf("asked %s", text)
					}
				}
			}
			if n != want {
				t.Errorf("<%s>: asked %d times at data, want %d", sender, n, want)
			}
		}
		s.Quit()
		b.CheckLogs()
	})
	t.Run("discard", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, map[string]string{"data.after": "v=1 verdict=discard by=limit.volume/bin waive=no end=1"})
		s := b.BsSession(stranger)
		s.Ehlo("client.test")
		if _, data := s.Mail("a@remote.test", []string{"alice@local.test"}, body); data.Code != 250 {
			t.Fatalf("DATA: %s", data)
		}
		s.Quit()
		if m := b.Mailbox(); len(m) != 0 || len(b.Queue()) != 0 {
			t.Errorf("a discarded message was kept: %+v", m)
		}
		b.WaitLog("exipol: limit.volume/bin")
	})
	t.Run("ratelimit", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, nil)
		s := b.BsSession(stranger)
		s.Ehlo("client.test")
		s.Expect(250, "MAIL FROM:<a@remote.test>")
		for n := 1; n <= 4; n++ {
			want := 250
			if n > 2 {
				want = 451
			}
			if r := s.Cmd(fmt.Sprintf("RCPT TO:<user%d@local.test>", n)); r.Code != want {
				t.Errorf("recipient %d of 2/1h: %s", n, r)
			}
		}
		b.WaitLog("exipol: observe limit.exim_watch/much: would deny [192.0.2.1]")
		s.Close()
		friend := b.BsSession("192.0.2.200")
		friend.Ehlo("client.test")
		friend.Expect(250, "MAIL FROM:<a@remote.test>")
		for n := 1; n <= 4; n++ {
			friend.Expect(250, fmt.Sprintf("RCPT TO:<user%d@local.test>", n))
		}
		friend.Close()
		b.CheckLogs()
	})
}

// TestOneQuestion holds the emitter to asking no more than it must: one question per
// half, none that was waived, none for traffic that concerns no policy, and none for
// a while after a failure.
func TestOneQuestion(t *testing.T) {
	t.Parallel()
	rcpts := func(s *eximtest.Session, n int) {
		s.Expect(250, "MAIL FROM:<a@remote.test>")
		for i := range n {
			s.Expect(250, fmt.Sprintf("RCPT TO:<user%d@remote.test>", i))
		}
		s.Expect(250, "RSET")
	}
	for _, c := range []struct {
		name   string
		answer string
		want   int
	}{
		{"every recipient is counted", "v=1 verdict=accept waive=no end=1", 6},
		{"waived for the message", "v=1 verdict=accept waive=message end=1", 2},
		{"waived for the connection", "v=1 verdict=accept waive=connection end=1", 1},
		{"after rubbish, not again", "v=1 verdict=accept", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newSite(t, map[string]string{"rcpt.after": c.answer})
			s := b.BsSession("203.0.113.9")
			s.Ehlo("client.test")
			rcpts(s, 3)
			rcpts(s, 3)
			s.Close()
			if got := b.helper.Calls(); got != c.want {
				t.Errorf("%d questions, want %d:\n%s", got, c.want, strings.Join(b.helper.Questions(), ""))
			}
		})
	}
	t.Run("a relay attempt is not verified", func(t *testing.T) {
		t.Parallel()
		b := newSite(t, nil)
		s := b.BsSession(stranger)
		s.Ehlo("client.test")
		s.Expect(250, "MAIL FROM:<a@remote.test>")
		s.Expect(550, "RCPT TO:<nosuch@elsewhere.example>")
		s.Expect(550, "RCPT TO:<nosuch@local.test>")
		if q := b.helper.Questions(); len(q) == 0 || !strings.Contains(q[len(q)-1], "at=rcpt.before") {
			t.Error("not asked about an unknown recipient of the site's own")
		}
		for _, q := range b.helper.Questions()[:len(b.helper.Questions())-1] {
			if strings.Contains(q, "at=rcpt.") {
				t.Errorf("asked about a relay attempt: %s", q)
			}
		}
	})
}
