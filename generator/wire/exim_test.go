package wire_test

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// askingACL asks the plain question at every stage that has a question, with the
// socket of a helper that is there.
func askingACL(socket string) map[string]string {
	ask := func(stage, half, events string, x wire.Expressions) string {
		x.Traffic, x.Events = plan.Inbound, events
		return fmt.Sprintf("  warn set acl_c_q = %s\n       set acl_c_a = ${readsocket{%s}{$acl_c_q\\n}{5s}}\n  accept\n",
			wire.QuestionText("0123456789abcdef01234567", stage, half, x), socket)
	}
	return map[string]string{
		plan.Connect: ask(plan.Connect, plan.Before, plan.Connection, wire.Expressions{}),
		plan.Helo:    ask(plan.Helo, plan.Before, plan.HeloEvent, wire.Expressions{Helo: true}),
		plan.Rcpt: "  warn set acl_m_rcpt = " + wire.Recipient + "\n" +
			ask(plan.Rcpt, plan.After, plan.Recipient, wire.Expressions{Helo: true, Sender: true, Recipient: wire.Recipient}),
		plan.Data: ask(plan.Data, plan.After, plan.Message, wire.Expressions{Helo: true, Sender: true, Recipient: "$acl_m_rcpt"}),
	}
}

// TestRealQuestions: what a real Exim sends is what the client said, byte for byte.
func TestRealQuestions(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	h := eximtest.NewFakeHelper(t, b.SocketPath("h"), eximtest.Says("accept", wire.Answer{Verdict: plan.Accept}.String()))
	b.Site = askingACL(h.Path)
	b.Main = "helo_accept_junk_hosts = *\nhelo_allow_chars = _\nkeep_environment =\n"
	for _, c := range []struct {
		name, client, helo, auth string
		mail, sender             string // as said, and as it must arrive
		rcpt, recipient          string
	}{
		{"plain", "192.0.2.1", "client.test", "alice", "a@remote.test", "a@remote.test", "bob@local.test", "bob@local.test"},
		{"IPv6, null sender", "2001:db8::1", "client.test", "", "", "", "bob@local.test", "bob@local.test"},
		{
			"expansions", "192.0.2.2", "${run{/bin/true}}", "$acl_c_q ${run{x}}", "${run{/bin/true}}$x@remote.test", "${run{/bin/true}}$x@remote.test",
			"a{b}$c#d@local.test", "a{b}$c#d@local.test",
		},
		{
			"words of a question", "192.0.2.3", "x v=1 sender=eHk=", " traffic=relay end=1 ", `"a v=1 =b"@remote.test`, `"a v=1 =b"@remote.test`,
			`"v=1 rcpt=x"@local.test`, "", // Exim's own reading of such a recipient differs: only that it arrives whole
		},
		{
			"controls", "192.0.2.4", "a\tb\x01\x7f", "t\tz", "\"a\tb\x01\rc\"@remote.test", "\"a\tb\x01\rc\"@remote.test",
			"\"a\tb\x01\"@local.test", "a\tb\x01@local.test",
		},
		{"8 bits", "192.0.2.5", "\xff\xfe\xc3\xa4", "", "\xc3\xa4\xff@remote.test", "\xc3\xa4\xff@remote.test", "\xc3\xa4\xff@local.test", "\xc3\xa4\xff@local.test"},
		{"quotes", "192.0.2.6", `"\`, `"\`, `"a b\"c\\"@remote.test`, `"a b\"c\\"@remote.test`, `"a b"@local.test`, "a b@local.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Forget()
			s := b.BsSession(c.client)
			s.Expect(250, "EHLO "+c.helo)
			if c.auth != "" {
				if r := s.Auth(c.auth, eximtest.Password); r.Code != 235 {
					t.Fatalf("AUTH: %s", r)
				}
			}
			s.Expect(250, "MAIL FROM:<"+c.mail+">")
			s.Expect(250, "RCPT TO:<"+c.rcpt+">")
			if r := s.Data("Subject: x\n\nx\n"); r.Code != 250 {
				t.Fatalf("DATA: %s", r)
			}
			s.Quit()
			var got []wire.Question
			nonces := map[string]bool{}
			for _, text := range h.Questions() {
				q, err := wire.ParseQuestion([]byte(text))
				if err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				if nonces[q.Nonce] {
					t.Errorf("the nonce %s is used twice", q.Nonce)
				}
				nonces[q.Nonce] = true
				if q.Client.String() != c.client {
					t.Errorf("client %s, want %s", q.Client, c.client)
				}
				got = append(got, q)
			}
			if len(got) != 4 {
				t.Fatalf("%d questions, want 4: %q", len(got), h.Questions())
			}
			// What Exim makes of the authenticated id and of some recipients is Exim's own
			// affair; it must be the same in all questions.
			rcpt := got[2]
			if c.recipient == "" {
				c.recipient = rcpt.Recipient
			}
			if c.auth != "" && rcpt.Auth == "" || c.auth == "" && rcpt.Auth != "" {
				t.Errorf("authenticated id %q", rcpt.Auth)
			}
			want := make([]wire.Question, 4)
			for i := range want {
				want[i] = wire.Question{
					Plan: "0123456789abcdef01234567", Half: plan.After, Traffic: plan.Inbound, Nonce: got[i].Nonce, Client: got[i].Client,
				}
			}
			want[0].Stage, want[0].Half, want[0].Events = plan.Connect, plan.Before, []string{plan.Connection}
			want[1].Stage, want[1].Half, want[1].Events, want[1].Helo = plan.Helo, plan.Before, []string{plan.HeloEvent}, c.helo
			for i, at := range []string{plan.Rcpt, plan.Data} {
				w := &want[2+i]
				w.Stage, w.Events = at, []string{map[string]string{plan.Rcpt: plan.Recipient, plan.Data: plan.Message}[at]}
				w.Helo, w.Sender, w.Recipient, w.Auth = c.helo, c.sender, c.recipient, rcpt.Auth
			}
			for i := range want {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("question %d\ngot  %+v\nwant %+v", i, got[i], want[i])
				}
			}
		})
	}
	b.CheckLogs()
}

// TestRealAnswerRegex: Exim and AnswerRegex agree with ParseAnswer on what is whole.
func TestRealAnswerRegex(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	whole := wire.Answer{Verdict: plan.Deny, By: "limit.a_1/slow", Delay: 25, DelayBy: "limit.b/x", Add: []string{"limit.c/y", "limit.d/z"}}.String()
	answers := []string{
		"v=1 verdict=accept waive=no end=1", whole, "", " ", "v=1", "v=1 end=1x", "v=1 verdict=accept end=1 ", "xv=1 verdict=accept end=1",
		"v=1 verdict=accept end=1\n", "v=1 verdict=accept end=1\nx", "v=1 verdict=Accept end=1", "v=1 verdict=${x} end=1", "v=1 verdict=a b end=1",
	}
	for i := range whole {
		answers = append(answers, whole[:i])
	}
	// A file of answers, one in each, keeps them out of the command line.
	for i, a := range answers {
		name := b.WriteFile(fmt.Sprintf("answers/%d", i), a)
		got, err := b.Expand("${if match{${readfile{" + name + "}}}{" + string(wire.AnswerRegex) + "}{whole}{not}}")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseAnswer(a); (got == "whole") != (err == nil) && a != "v=1 end=1" {
			t.Errorf("%q: to Exim %s, to ParseAnswer %v", a, got, err)
		}
	}
	if strings.ContainsFunc(string(wire.AnswerRegex), func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
		t.Error("a macro of the site's could change AnswerRegex")
	}
}

// TestRealBlockedKey: Exim makes the same keys out of what it has in its variables, and finds
// them in a file as BlockedKey writes them.
func TestRealBlockedKey(t *testing.T) {
	b := eximtest.New(t, eximtest.Small)
	var in strings.Builder
	for i, c := range blockedKeys {
		var parts []string
		for _, p := range c.parts {
			parts = append(parts, "${base64d:"+base64.StdEncoding.EncodeToString([]byte(p))+"}")
		}
		name := b.WriteFile(fmt.Sprintf("blocked/%d", i), c.want+": v=1 verdict=freeze by="+c.ref+"/stop/block waive=no end=1\n")
		fmt.Fprintf(&in, "${lookup{%s}lsearch{%s}{$value}{nothing}}\n", wire.BlockedExpression(c.ref, parts...), name)
	}
	out, _, err := b.Exec(in.String(), "-be")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range blockedKeys {
		if want := "v=1 verdict=freeze by=" + c.ref + "/stop/block waive=no end=1\n"; !strings.Contains(out, want) {
			t.Errorf("%s %q is not found: %s", c.ref, c.parts, out)
		}
	}
	if strings.Contains(out, "nothing") || strings.Contains(out, "Failed") {
		t.Error(out)
	}
}
