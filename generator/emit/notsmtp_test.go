package emit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// TestNotSMTPOnExim: a message without SMTP is asked about as one: before the site's ACL with the
// recipients that routing refuses, after it with all of them.
func TestNotSMTPOnExim(t *testing.T) {
	t.Parallel()
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("user%d@remote.test", i)
	}
	for _, c := range []struct {
		name          string
		to            []string
		invalid, list []string // of all of them where nil
		count         int64
	}{
		{"one", []string{"x@far.test"}, nil, nil, 1},
		{"one that is not there", []string{"nosuch@local.test"}, []string{"nosuch@local.test"}, nil, 1},
		{"several", []string{"x@far.test", "nosuch1@local.test", "later@local.test", "nosuch2@local.test", "x@nowhere.example"},
			[]string{"nosuch1@local.test", "nosuch2@local.test", "x@nowhere.example"}, nil, 5},
		{"odd ones", []string{`"a, nosuch@local.test, b"@far.test`, "nosuch/x@local.test", "${run{/bin/true}}nosuch@local.test", "nosuch3@local.test", `"q\"x, nosuch"@far.test`},
			[]string{"nosuch3@local.test"}, []string{"nosuch/x@local.test", "${run{/bin/true}}nosuch@local.test", "nosuch3@local.test"}, 5},
		{"a literal", []string{"x@[IPv6:2001:db8::1]", "alice@local.test"}, []string{"x@[IPv6:2001:db8::1]"}, nil, 2},
		{"only quoted", []string{`"a, b"@far.test`}, nil, []string{}, 1},
		{"more than are named", many, nil, many[:200], 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil)
			b.Main += "allow_domain_literals = true\n"
			if err := b.inject("a@local.test", hello, c.to...); err != nil {
				t.Fatal(err)
			}
			before, after := b.questions(t, "not_smtp.before"), b.questions(t, "not_smtp.after")
			if len(before) != 1 || len(after) != 1 {
				t.Fatalf("asked %+v %+v", before, after)
			}
			list := c.list
			if list == nil {
				list = c.to
			}
			q := before[0]
			if got := recipients(q); !slices.Equal(got, c.invalid) || slices.Contains(q.Events, plan.InvalidRecipient) != (c.invalid != nil) || q.Count != 0 {
				t.Errorf("before: %q %q, want %q", q.Events, got, c.invalid)
			}
			q = after[0]
			got := recipients(q)
			if c.count > 200 {
				list = list[:min(len(got), len(list))]
			}
			if !slices.Equal(got, list) || q.Count != c.count || q.Traffic != plan.Local || q.Client.IsValid() || q.User != b.ID.User || q.Auth != "" || q.Sender != "a@local.test" {
				t.Errorf("after: %+v", q)
			}
			if c.count > 200 && len(got) < 150 {
				t.Errorf("%d recipients are named", len(got))
			}
			if queue := b.Queue(); len(queue) != 1 || queue[0].ID != q.Message || queue[0].Frozen {
				t.Errorf("queue %+v", queue)
			}
			b.CheckLogs()
		})
	}
}

func recipients(q wire.Question) []string {
	if q.Recipient == "" {
		return nil
	}
	return append([]string{q.Recipient}, q.Others...)
}

// TestNotSMTPVerdicts: every verdict on a message that came without SMTP.
func TestNotSMTPVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at, answer string
		refused          string // what the caller is told; "" where it is taken
		frozen, held     bool
		log              string
	}{
		{name: "accept", at: "not_smtp.before", answer: acceptAll},
		{name: "deny", at: "not_smtp.before", answer: "v=1 verdict=deny by=limit.bounces/stop/block waive=no end=1", refused: "blocked by ${auth} (limit.bounces/stop/block)", log: "exipol: limit.bounces/stop/block"},
		{name: "defer refuses", at: "not_smtp.before", answer: "v=1 verdict=defer by=limit.bounces/slow waive=no end=1", refused: "too many bounces (limit.bounces/slow)"},
		{name: "defer after", at: "not_smtp.after", answer: "v=1 verdict=defer by=limit.much/no waive=no end=1", refused: "too much (limit.much/no)"},
		{name: "the spool is full", at: "not_smtp.before", answer: "v=1 verdict=defer by=limit.scripts/stop/guard waive=no end=1", refused: "(limit.scripts/stop/guard)"},
		{name: "freeze", at: "not_smtp.before", answer: "v=1 verdict=freeze by=limit.scripts/stop/block add=limit.scripts/stop/block waive=no end=1", frozen: true, held: true,
			log: "exipol: limit.scripts/stop/block freezes the message of [] <a@local.test>"},
		{name: "a delay", at: "not_smtp.after", answer: "v=1 verdict=accept waive=no end=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, map[string]string{c.at: c.answer})
			_, said, err := b.Exec(hello, "-oi", "-odq", "-oep", "-f", "a@local.test", "x@far.test")
			if c.refused != "" {
				// Exim tells the caller on standard error, as he asked, or else by a message.
				if err == nil || !strings.Contains(said, c.refused) || len(b.Queue()) != 0 {
					t.Errorf("%v: said %q, queue %+v", err, said, b.Queue())
				}
			} else if err != nil {
				t.Errorf("%v", err)
			} else if q := b.Queue(); len(q) != 1 || q[0].Frozen != c.frozen {
				t.Errorf("queue %+v", q)
			}
			if c.log != "" && len(b.Grep(c.log)) == 0 {
				t.Errorf("no %q in mainlog:\n%s", c.log, strings.Join(b.Log("mainlog"), "\n"))
			}
			after := b.questions(t, "not_smtp.after")
			if c.held && (len(after) != 1 || after[0].Hold == "" || !slices.Contains(after[0].Events, plan.Held) || after[0].Message == "") {
				t.Errorf("asked %+v", after)
			}
			b.CheckLogs()
		})
	}
}

// TestEximsOwnMessages: bounces that Exim makes itself are nobody's, whatever the policies say
// of local users.
func TestEximsOwnMessages(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, map[string]string{"not_smtp.before": "v=1 verdict=deny by=limit.bounces/stop/block waive=no end=1"})
	if err := b.inject("<>", "Subject: of Exim's own user\n\nx\n", "x@far.test"); err != nil {
		t.Errorf("a message with a null sender of Exim's user: %v", err)
	}
	if _, _, err := b.Exec(hello, "-oi", "-odq", "-oep", "-oMt", "exipold", "-f", "abuse@local.test", "x@far.test"); err != nil {
		t.Errorf("a notice: %v", err)
	}
	s := b.session("bob")
	if _, r := s.Mail("carol@local.test", []string{"x@nowhere.example"}, hello); r.Code != 250 {
		t.Fatal(r)
	}
	s.Quit()
	b.WaitLog("** x@nowhere.example")
	b.WaitLog("<= <> R=")
	for _, m := range b.WaitMail(1) {
		if m.Recipient != "carol@local.test" || m.Sender != "" {
			t.Errorf("not the bounce: %+v", m)
		}
	}
	if q := b.questions(t, "not_smtp.before"); len(q) != 0 {
		t.Errorf("asked %+v", q)
	}
	b.CheckLogs()
}

// TestLocalUserIsTold: whoever is asked about local mail hears who gave it to Exim, for lists and run-time
// entries may name him, whatever the key is; and nobody logged in for it.
func TestLocalUserIsTold(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil, func(p *plan.Plan) {
		p.Limits, p.Lists, p.RelayID = []plan.Limit{outLimit(1, "scripts", plan.Local, plan.Recipient, "sender", plan.Tier{
			Name: "slow", Over: []plan.Rate{{Count: 9, Per: hour}}, Verdict: plan.Defer, Origin: outboundAt(2),
		})}, nil, ""
		ask := []plan.Ask{{Traffic: plan.Local, Event: plan.Recipient, Policies: []string{"limit.scripts"}}}
		p.Stages = []plan.Stage{{Name: plan.Rcpt, SiteACL: "acl_check_rcpt", After: ask}, {Name: plan.NotSMTP, After: ask}}
	})
	if err := b.inject("a@local.test", hello, "alice@local.test"); err != nil {
		t.Fatal(err)
	}
	s := b.session("")
	s.Expect(250, "MAIL FROM:<a@local.test>")
	s.Expect(250, "RCPT TO:<alice@local.test>")
	s.Close()
	for _, at := range []string{"rcpt.after", "not_smtp.after"} {
		if all := b.questions(t, at); len(all) != 1 || all[0].User != b.ID.User || all[0].Auth != "" {
			t.Errorf("%s: %+v", at, all)
		}
	}
	b.CheckLogs()
}

// TestOwnRecipientsWithoutSMTP: of a message that a list learns from, the site's own recipients
// have a mark, and those of which nobody can say it.
func TestOwnRecipientsWithoutSMTP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		domains []string
		want    []bool
	}{
		{"some", []string{"+local_domains"}, []bool{true, false}},
		{"none", []string{"else.test"}, nil},
		{"a list that is not there", []string{"+nobody"}, []bool{true, true}},
		{"nothing is own", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil, func(p *plan.Plan) { p.Domains = c.domains })
			if err := b.inject("a@local.test", "Auto-Submitted: auto-replied\n"+hello, "alice@local.test", "x@far.test"); err != nil {
				t.Fatal(err)
			}
			for _, q := range b.questions(t, "not_smtp.after") {
				if !slices.Equal(q.Ours, c.want) || !q.Auto {
					t.Errorf("%v %v, want %v", q.Ours, q.Auto, c.want)
				}
			}
			if len(b.questions(t, "not_smtp.after")) != 1 {
				t.Error("not asked")
			}
		})
	}
}
