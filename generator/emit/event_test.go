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

// hasEvents says whether this Exim tells of events: it can be built without.
func hasEvents(b *eximtest.Bed) bool { return strings.Contains(b.Option("macros"), "_HAVE_EVENT") }

// passing is an outbound plan in which nothing defers while exipold is away.
func passing(p *plan.Plan) { p.Limits[3].OnFailure = plan.Pass }

// TestDeliveryEvents: exactly the deliveries that failed for good are asked about, with whose they
// were, of whatever traffic, in another process than the one that received the message.
func TestDeliveryEvents(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil, passing)
	if !hasEvents(b.Bed) {
		t.Log("this Exim has no events: the option is left out")
		b.Configure()
		if strings.Contains(b.Option("config"), "event_action") {
			t.Error("it is not")
		}
		return
	}
	s := b.session("bob $(id)")
	recipients := []string{
		"alice@far.test", "nosuch@far.test", "full@far.test", "later@far.test", "unroute@far.test", "nosuch@local.test", "later@local.test",
		"alias1@local.test", "user1@local.test",
	}
	_, r := s.Mail("a@local.test", recipients, hello)
	if r.Code != 250 {
		t.Fatal(r)
	}
	first := r.MessageID()
	if _, r = s.Mail("a@local.test", []string{"late@far.test"}, hello); r.Code != 250 {
		t.Fatal(r)
	}
	if _, r = s.Mail("", []string{"nosuch2@far.test"}, hello); r.Code != 250 { // nobody's bounce
		t.Fatal(r)
	}
	s.Quit()
	relay := b.session("203.0.113.9")
	if _, r = relay.Mail("a@local.test", []string{"nosuch3@far.test"}, hello); r.Code != 250 {
		t.Fatal(r)
	}
	relay.Quit()
	inbound := b.session(stranger)
	if _, r = inbound.Mail("a@far.test", []string{"alias2@local.test"}, hello); r.Code != 250 { // forwarded, and not ours
		t.Fatal(r)
	}
	inbound.Quit()
	if _, _, err := b.Exec(hello, "-oi", "-f", "a@local.test", "nosuch4@far.test"); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"nosuch@far.test", "full@far.test", "unroute@far.test", "nosuch@local.test", "nosuch-alias1@far.test", "late@far.test", "nosuch2@far.test", "nosuch3@far.test", "nosuch-alias2@far.test", "nosuch4@far.test"} {
		b.WaitLog("** " + to)
	}
	var bounced []string
	for _, q := range b.questions(t, "delivery.after") {
		bounced = append(bounced, q.Recipient+" "+q.Traffic)
		switch {
		case !slices.Equal(q.Events, []string{plan.Bounce}) || q.Sender != "a@local.test" || q.Message == "":
			t.Errorf("asked %+v", q)
		case q.Traffic == plan.Submission && (q.Auth != "bob $(id)" || (q.Message != first) != (q.Recipient == "late@far.test") || q.User != ""),
			q.Traffic == plan.Relay && (q.Client.String() != "203.0.113.9" || q.Auth != ""),
			q.Traffic == plan.Local && (q.User != b.ID.User || q.Auth != ""):
			t.Errorf("not whose it is: %+v", q)
		}
		want := map[string]string{"nosuch@far.test": "550 5.1.1 no such user here", "unroute@far.test": "Unrouteable address", "late@far.test": "554 5.6.0"}[q.Recipient]
		if !strings.Contains(q.Text, want) || q.Text == "" {
			t.Errorf("%s: text %q", q.Recipient, q.Text)
		}
	}
	slices.Sort(bounced)
	want := []string{
		"full@far.test submission", "late@far.test submission", "nosuch-alias1@far.test submission", "nosuch3@far.test relay", "nosuch4@far.test local",
		"nosuch@far.test submission", "nosuch@local.test submission", "unroute@far.test submission",
	}
	if !slices.Equal(bounced, want) {
		t.Errorf("asked about %q, want %q", bounced, want)
	}
	b.CheckLogs()
}

// TestDeliveryEventsAway: that exipold gives no answer does no harm to a delivery, and is logged
// once for each; a session that had no answers does not keep its deliveries from asking.
func TestDeliveryEventsAway(t *testing.T) {
	t.Parallel()
	for _, mode := range eximtest.Useless() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil, passing)
			if !hasEvents(b.Bed) {
				t.Log("this Exim has no events")
				return
			}
			b.helper.Set(mode)
			s := b.session("bob")
			var to []string
			for i := range 3 {
				to = append(to, fmt.Sprintf("nosuch%d@far.test", i), fmt.Sprintf("unroute%d@far.test", i), fmt.Sprintf("alice%d@far.test", i))
			}
			if _, r := s.Mail("alice@local.test", to, hello); r.Code != 250 {
				t.Fatal(r)
			}
			s.Quit()
			b.WaitLog(" Completed")
			for _, address := range to {
				flag := "** "
				if strings.HasPrefix(address, "alice") {
					flag = "> "
				}
				if len(b.Grep(flag+address+" ")) != 1 {
					t.Errorf("%s %s is not there once:\n%s", flag, address, strings.Join(b.Log("mainlog"), "\n"))
				}
			}
			if n := len(b.Grep("exipol: a failed delivery is not counted: <")); n != 6 {
				t.Errorf("%d failures are said not to be counted, want 6", n)
			}
			if m := b.WaitMail(1); m[0].Recipient != "alice@local.test" || !strings.Contains(m[0].Body, to[0]) {
				t.Errorf("no bounce: %+v", m)
			}
			b.CheckLogs()
		})
	}
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		b := newOutbound(t, nil, passing)
		if !hasEvents(b.Bed) {
			t.Log("this Exim has no events")
			return
		}
		b.helper.Set(eximtest.Absent)
		s := b.session("bob")
		s.Expect(250, "MAIL FROM:<alice@local.test>")
		s.Expect(250, "RCPT TO:<nosuch@far.test>")
		b.helper.Set(eximtest.Says("accept", acceptAll))
		if r := s.Data(hello); r.Code != 250 {
			t.Fatal(r)
		}
		s.Quit()
		b.WaitLog("** nosuch@far.test")
		if q := b.questions(t, "delivery.after"); len(q) != 1 {
			t.Errorf("asked %+v", q)
		}
		b.CheckLogs()
	})
}

// TestSubmissionMode: with it a message without a Date, a Message-ID and a Sender gets them, for the
// traffic that it is for, and the envelope stays as it is; without it nothing is mended.
func TestSubmissionMode(t *testing.T) {
	t.Parallel()
	const bare = "From: Somebody <other@elsewhere.test>\nTo: x@far.test\nSubject: x\n\nx\n"
	for _, c := range []struct {
		name, who string
		mode      *plan.SubmissionMode
		mended    bool
		sender    string // the header; "" for none
		envelope  string
	}{
		{"none", "bob", nil, false, "", "a@local.test"},
		{"retain", "bob", &plan.SubmissionMode{Traffics: []string{plan.Submission}, Retain: true}, true, "", "a@local.test"},
		{"not retain", "bob", &plan.SubmissionMode{Traffics: []string{plan.Submission}}, true, "bob@local.test", "bob@local.test"},
		{"a domain", "bob", &plan.SubmissionMode{Traffics: []string{plan.Submission}, Domain: "LIMIT.test"}, true, "bob@LIMIT.test", "bob@LIMIT.test"},
		{"another traffic", "bob", &plan.SubmissionMode{Traffics: []string{plan.Relay}}, false, "", "a@local.test"},
		{"relay", "203.0.113.9", &plan.SubmissionMode{Traffics: []string{plan.Relay, plan.Submission}, Retain: true}, true, "", "a@local.test"},
		// Who calls Exim on its own machine is mended in any case, and so is what comes without SMTP.
		{"local", "", &plan.SubmissionMode{Traffics: []string{plan.Local}, Retain: true}, true, "", "a@local.test"},
		{"without SMTP", "-", &plan.SubmissionMode{Traffics: []string{plan.Local, plan.Submission}, Retain: true}, true, "", "a@local.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil, passing, func(p *plan.Plan) { p.SubmissionMode = c.mode })
			if c.who == "-" {
				if err := b.inject("a@local.test", bare, "user1@local.test"); err != nil {
					t.Fatal(err)
				}
				b.RunQueue(false)
			} else {
				s := b.session(c.who)
				if _, r := s.Mail("a@local.test", []string{"user1@local.test"}, bare); r.Code != 250 {
					t.Fatal(r)
				}
				s.Quit()
			}
			m := b.WaitMail(1)[0]
			mended := m.Field("Message-Id") != "" && m.Field("Date") != ""
			if mended != c.mended || m.Field("Sender") != c.sender || m.Sender != c.envelope {
				t.Errorf("mended %v, Sender %q, envelope %q\n%s", mended, m.Field("Sender"), m.Sender, m.Header)
			}
			b.CheckLogs()
		})
	}
}

// TestOneOutboundQuestion: one question for a half, whatever it is about, and none where nothing
// is.
func TestOneOutboundQuestion(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil, passing)
	asked := func(who string, commands ...string) []string {
		t.Helper()
		b.helper.Forget()
		s := b.session(who)
		for _, c := range commands {
			s.Cmd(c)
		}
		s.Close()
		var at []string
		for _, q := range b.questions(t, "") {
			at = append(at, q.Stage+"."+q.Half+" "+strings.Join(q.Events, ","))
		}
		return at
	}
	mail, bad := "MAIL FROM:<a@local.test>", "RCPT TO:<nosuch@far.test>"
	for _, c := range []struct {
		who      string
		commands []string
		want     []string
	}{
		{stranger, []string{mail, "RCPT TO:<alice@local.test>"}, []string{"connect.before blocked,connection"}},
		{"bob", []string{mail, bad}, []string{"connect.before blocked,connection", "auth.before blocked", "mail.before blocked", "rcpt.before blocked,invalid_recipient", "rcpt.after recipient"}},
		{"203.0.113.9", []string{mail, bad}, []string{"rcpt.before blocked", "rcpt.after recipient"}},
		{"", []string{mail, "RCPT TO:<alice@local.test>"}, []string{"rcpt.before blocked", "rcpt.after recipient"}},
	} {
		if got := asked(c.who, c.commands...); !slices.Equal(got, c.want) {
			t.Errorf("%q: asked %q, want %q", c.who, got, c.want)
		}
	}
	b.CheckLogs()
}

// TestSlowEvents: an answer that takes a while is counted once: both questions are the same.
func TestSlowEvents(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil, passing)
	if !hasEvents(b.Bed) {
		t.Log("this Exim has no events")
		return
	}
	b.helper.Set(eximtest.Slowly(2500*time.Millisecond, eximtest.Says("accept", wire.Answer{Verdict: plan.Accept}.String())))
	if err := b.inject("a@local.test", hello, "nosuch@far.test"); err != nil {
		t.Fatal(err)
	}
	b.RunQueue(false)
	b.WaitLog("** nosuch@far.test")
	nonces := map[string]int{}
	for _, q := range b.questions(t, "delivery.after") {
		nonces[q.Nonce]++
	}
	if len(nonces) != 1 {
		t.Errorf("nonces %v", nonces)
	}
	b.CheckLogs()
}
