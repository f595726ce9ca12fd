package emit

import (
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// TestBlocksOnExim: each verdict of a block, at each stage that it can be in force at.
func TestBlocksOnExim(t *testing.T) {
	t.Parallel()
	const sender = "MAIL FROM:<a@local.test>"
	said := func(verdict, by string) string { return wire.Answer{Verdict: verdict, By: by}.String() }
	for _, c := range []struct {
		name, at, answer string
		who              string // as of session
		commands         []string
		last             string
		code             int
		text, log        string
	}{
		{name: "rcpt denied", at: "rcpt.before", answer: said(plan.Deny, "limit.bounces/stop/block"), who: "bob",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 550, text: "blocked by ${auth} (limit.bounces/stop/block)", log: "exipol: limit.bounces/stop/block"},
		{name: "rcpt denied to a relay host", at: "rcpt.before", answer: said(plan.Deny, "limit.bounces/stop/block"), who: "203.0.113.9",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 550, text: "(limit.bounces/stop/block)"},
		{name: "rcpt denied to a local user", at: "rcpt.before", answer: said(plan.Deny, "limit.bounces/stop/block"),
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 550, text: "(limit.bounces/stop/block)"},
		{name: "rcpt deferred", at: "rcpt.before", answer: said(plan.Defer, "limit.relays/stop/block"), who: "203.0.113.9",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 451, text: "wait (limit.relays/stop/block)"},
		{name: "a tier of a limit that counts bounces", at: "rcpt.before", answer: said(plan.Defer, "limit.bounces/slow"), who: "bob",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 451, text: "too many bounces (limit.bounces/slow)"},
		{name: "the spool is full", at: "rcpt.before", answer: said(plan.Defer, "limit.stolen/stop/guard"), who: "bob",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 451, text: "(limit.stolen/stop/guard)", log: "exipol: limit.stolen/stop/guard"},
		{name: "over the rate just now", at: "rcpt.after", answer: said(plan.Defer, "limit.relays/stop/block"), who: "203.0.113.9",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 451, text: "wait (limit.relays/stop/block)"},
		{name: "login denied", at: "auth.before", answer: said(plan.Deny, "limit.crack/stop/block"), who: stranger,
			last: "AUTH PLAIN AGJvYgBzZWNyZXQ=", code: 550, text: "no more logins (limit.crack/stop/block)", log: "exipol: limit.crack/stop/block"},
		{name: "login denied to a relay host", at: "auth.before", answer: said(plan.Deny, "limit.crack/stop/block"), who: "203.0.113.9",
			last: "AUTH PLAIN AGJvYgBzZWNyZXQ=", code: 550, text: "no more logins"},
		{name: "login, and no block", at: "auth.before", answer: acceptAll, who: stranger, last: "AUTH PLAIN AGJvYgBzZWNyZXQ=", code: 235},
		{name: "mail frozen", at: "mail.before", answer: said(plan.Freeze, "limit.atmail/stop/block"), who: "bob",
			last: sender, code: 250, log: "exipol: limit.atmail/stop/block freezes the message of [192.0.2.1] at mail"},
		{name: "a block that another plan has", at: "rcpt.before", answer: said(plan.Deny, "limit.unheard/stop/block"), who: "203.0.113.9",
			commands: []string{sender}, last: "RCPT TO:<x@far.test>", code: 250},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, map[string]string{c.at: c.answer})
			s := b.session(c.who)
			for _, command := range c.commands {
				s.Expect(250, command)
			}
			if r := s.Cmd(c.last); r.Code != c.code || !strings.Contains(r.Text(), c.text) {
				t.Errorf("reply %q, want %d with %q", r, c.code, c.text)
			}
			s.Close()
			if c.log != "" && len(b.Grep(c.log)) == 0 {
				t.Errorf("mainlog does not hold %q:\n%s", c.log, strings.Join(b.Log("mainlog"), "\n"))
			}
			b.CheckLogs()
		})
	}
	t.Run("connection denied", func(t *testing.T) {
		t.Parallel()
		b := newOutbound(t, map[string]string{"connect.before": said(plan.Deny, "limit.early/stop/block")})
		if r := b.BsSession(stranger).Greeting; r.Code != 550 || !strings.Contains(r.Text(), "not you (limit.early/stop/block)") {
			t.Errorf("%s", r)
		}
		b.CheckLogs()
	})
}

// TestHeldOnExim: what a block freezes is accepted, frozen, and told of when it is in; the
// block's headers say whose it was, whatever he is called. The next message of the session is
// another.
func TestHeldOnExim(t *testing.T) {
	t.Parallel()
	const by = "limit.stolen/stop/block"
	for _, id := range []string{
		"bob", "x;touch y", "$(id)", "${run{/bin/true}}", `a"b'c\n`, "a:b#c d/e", "\xc3\xa4\xff", "tab\there", strings.Repeat("long", 100),
		"cr\rX-Evil: yes",
	} {
		t.Run(id[:min(len(id), 12)], func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil)
			frozen := wire.Answer{Verdict: plan.Freeze, By: by, Add: []string{by}}.String()
			b.helper.Set(eximtest.Answers("once", func(q string) string {
				if strings.Contains(q, " at=rcpt.before ") && strings.Contains(q, " sender=YUBsb2NhbC50ZXN0 ") { // a@local.test
					return frozen
				}
				return acceptAll
			}))
			s := b.session(id)
			for _, sender := range []string{"a@local.test", "b@local.test"} {
				if _, r := s.Mail(sender, []string{"x@far.test", "y@far.test"}, hello); r.Code != 250 {
					t.Fatalf("<%s>: %s", sender, r)
				}
			}
			s.Quit()
			held := b.questions(t, "data.after")
			// The second has no block, and is asked about as any message is.
			if len(held) != 2 || held[0].Hold != by || !slices.Contains(held[0].Events, plan.Held) || held[0].Auth == "" ||
				held[1].Hold != "" || slices.Contains(held[1].Events, plan.Held) || held[0].Message == held[1].Message {
				t.Fatalf("asked at data: %+v", held)
			}
			queue := b.Queue()
			i := slices.IndexFunc(queue, func(q eximtest.Queued) bool { return q.ID == held[0].Message })
			if i < 0 || !queue[i].Frozen {
				t.Fatalf("%s is not held: %+v", held[0].Message, queue)
			}
			if len(b.Grep("exipol: "+by+" freezes the message of [192.0.2.1] <a@local.test> to <x@far.test>")) != 1 {
				t.Error("mainlog does not say what was frozen")
			}
			spool, _, err := b.Exec("", "-Mvh", held[0].Message)
			if err != nil || !strings.Contains(spool, "_exipol_hold "+"23\n"+by+"\n") {
				t.Errorf("the spool does not say what holds the message: %v\n%s", err, spool)
			}
			b.RunQueue(true)
			got := b.sink.WaitTo("x@far.test", 2)
			i = slices.IndexFunc(got, func(m eximtest.Message) bool { return m.Field("X-Fixed") != "" })
			if i < 0 || got[i].Field("X-Fixed") != "LIMIT ${run{x}}" {
				t.Fatalf("no header in %+v", got)
			}
			who := got[i].Field("X-Who")
			if strings.ContainsFunc(who, func(r rune) bool { return r < ' ' || r > '~' }) || got[i].Field("X-Evil") != "" {
				t.Errorf("the header has more than it should: %q", who)
			}
			auth := strings.ReplaceAll(held[0].Auth, "\t", "?") // Exim's own escape leaves a tab
			auth, owner := auth[:min(len(auth), 255)], "auth:"+auth
			if want := "auth=<" + auth + "> owner=<" + owner[:min(len(owner), 255)] + "> user=<> client=<192.0.2.1> sender=<a@local.test> helo=<client.test> {end}"; who != want {
				t.Errorf("header %q, want %q", who, want)
			}
			if n := len(slices.DeleteFunc(got, func(m eximtest.Message) bool { return m.Field("X-Who") == "" })); n != 1 {
				t.Errorf("%d messages have the header, want 1", n)
			}
			b.CheckLogs()
		})
	}
}

// TestHeaderFields: what a header names is there at each stage that can add one, and empty where nobody
// has it; whatever a trusted caller says that the login is.
func TestHeaderFields(t *testing.T) {
	t.Parallel()
	const login = "x; $(id) ${run{y}} \"q\" \xc3\xa4"
	shown := strings.NewReplacer("\xc3", `\303`, "\xa4", `\244`).Replace(login)
	for _, c := range []struct {
		name, at, who, by, want string
	}{
		{"mail", "mail.before", "bob", "limit.atmail/stop/block", "auth=<bob> owner=<auth:bob> user=<> client=<192.0.2.1> sender=<a@local.test> helo=<client.test> {end}"},
		{"rcpt, local", "rcpt.before", "", "limit.scripts/stop/block", "auth=<> owner=<user:%[1]s> user=<%[1]s> client=<> sender=<a@local.test> helo=<client.test> {end}"},
		{"without SMTP", "not_smtp.before", "-", "limit.scripts/stop/block", "auth=<> owner=<user:%[2]s> user=<%[2]s> client=<> sender=<a@local.test> helo=<> {end}"},
		{"after the site's ACL", "data.after", "bob", "limit.atmail/stop/block", "auth=<bob> owner=<auth:bob> user=<> client=<192.0.2.1> sender=<a@local.test> helo=<client.test> {end}"},
		{"a relay host", "rcpt.after", "203.0.113.9", "limit.relays/mark", "auth=<> owner=<relay:203.0.113.9> user=<> client=<203.0.113.9> sender=<a@local.test> helo=<client.test> {end}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			verdict := plan.Freeze
			if strings.HasSuffix(c.by, "/mark") {
				verdict = plan.Accept
			}
			b := newOutbound(t, map[string]string{c.at: wire.Answer{Verdict: verdict, By: map[bool]string{true: c.by}[verdict != plan.Accept], Add: []string{c.by}}.String()}, func(p *plan.Plan) {
				for i := range p.Limits {
					l := &p.Limits[i]
					switch l.Name {
					case "atmail":
						l.Tiers[0].Block.AddHeader = fieldHeader()
					case "relays":
						l.Tiers = append(l.Tiers, plan.Tier{Name: "mark", Over: l.Tiers[0].Over, Verdict: plan.Accept, AddHeader: fieldHeader(), Origin: outboundAt(42)})
					}
				}
			})
			if c.who == "-" {
				if _, said, err := b.Exec(hello, "-oi", "-odq", "-oep", "-oMt", login, "-f", "a@local.test", "user1@local.test"); err != nil {
					t.Fatal(err, said)
				}
			} else {
				s := b.session(c.who)
				if _, r := s.Mail("a@local.test", []string{"user1@local.test"}, hello); r.Code != 250 {
					t.Fatal(r)
				}
				s.Quit()
			}
			b.RunQueue(true)
			want := strings.NewReplacer("%[1]s", b.ID.User, "%[2]s", shown).Replace(c.want)
			if got := b.WaitMail(1)[0].Field("X-Who"); got != want {
				t.Errorf("header %q, want %q", got, want)
			}
			b.CheckLogs()
		})
	}
}

// TestFreezesOnce: the log says once a message what froze it, however many recipients that has.
func TestFreezesOnce(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, map[string]string{"rcpt.before": wire.Answer{Verdict: plan.Freeze, By: "limit.stolen/stop/block"}.String()})
	s := b.session("bob")
	for range 2 {
		if _, r := s.Mail("a@local.test", []string{"x@far.test", "y@far.test", "z@far.test"}, hello); r.Code != 250 {
			t.Fatal(r)
		}
	}
	s.Quit()
	for to, want := range map[string]int{"<x@far.test>": 2, "<y@far.test>": 0, "<z@far.test>": 0} {
		if got := b.Grep("exipol: limit.stolen/stop/block freezes the message of [192.0.2.1] <a@local.test> to " + to); len(got) != want {
			t.Errorf("%d lines for %s, want %d: %q", len(got), to, want, got)
		}
	}
	for _, q := range b.Queue() {
		if !q.Frozen {
			t.Errorf("%s is not frozen", q.ID)
		}
	}
	b.CheckLogs()
}

// TestBlockInSession: a block takes effect with the next command, and does not outlive its
// message when it is lifted.
func TestBlockInSession(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil)
	s := b.session("bob")
	s.Expect(250, "MAIL FROM:<a@local.test>")
	s.Expect(250, "RCPT TO:<x@far.test>")
	b.helper.Set(eximtest.Says("blocked", wire.Answer{Verdict: plan.Deny, By: "limit.bounces/stop/block"}.String()))
	s.Expect(550, "RCPT TO:<y@far.test>")
	b.helper.Set(eximtest.Says("frozen", wire.Answer{Verdict: plan.Freeze, By: "limit.stolen/stop/block"}.String()))
	s.Expect(250, "RCPT TO:<y@far.test>")
	s.Expect(250, "RSET")
	b.helper.Set(eximtest.Says("lifted", acceptAll))
	b.helper.Forget()
	if _, r := s.Mail("a@local.test", []string{"z@far.test"}, hello); r.Code != 250 {
		t.Fatal(r)
	}
	s.Quit()
	for _, q := range b.questions(t, "data.after") {
		if q.Hold != "" {
			t.Errorf("a message that nothing holds: %+v", q)
		}
	}
	b.sink.WaitTo("z@far.test", 1)
	b.CheckLogs()
}
