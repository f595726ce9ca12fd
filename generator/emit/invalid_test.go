package emit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// TestInvalidRecipientOnExim: what counts as an invalid recipient, and whether the remote host
// said so or routing did.
func TestInvalidRecipientOnExim(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil)
	for _, c := range []struct {
		who, sender, to string
		invalid         bool
		callout         bool
	}{
		{"bob", "a@local.test", "alice@far.test", false, false},
		{"bob", "a@local.test", "nosuch@far.test", true, true},
		{"bob", "", "nosuch@far.test", true, true},
		{"bob", "a@local.test", "policy@far.test", true, true}, // for good is for good
		{"bob", "a@local.test", "full@far.test", true, true},
		{"bob", "a@local.test", "busy@far.test", false, false},
		{"bob", "a@local.test", "grey@far.test", false, false},
		{"bob", "a@local.test", "later@far.test", false, false},
		{"bob", "a@local.test", "closes@far.test", false, false},
		{"bob", "refused@local.test", "nosuch@far.test", false, false}, // it is the sender that is not wanted
		{"bob", "refused@local.test", "alice@far.test", false, false},
		{"bob", "a@local.test", "unroute@far.test", true, false},
		{"bob", "a@local.test", "x@nowhere.example", true, false},
		{"bob", "a@local.test", "nosuch@local.test", true, false},
		{"bob", "a@local.test", "later@local.test", false, false},
		{"bob", "a@local.test", "x@defer.test", false, false},
		{"bob", "a@local.test", `"a b/c"@far.test`, false, false},
		{"bob", "a@local.test", "nosuch/b@far.test", true, true},
		{"bob", "a@local.test", `"x/defer_ok/callout"@far.test`, false, false},
		{"", "a@local.test", "nosuch@local.test", true, false},
		{"", "a@local.test", "nosuch@far.test", false, false}, // no policy for local mail has a callout
		{"203.0.113.9", "a@local.test", "nosuch@local.test", false, false},
	} {
		s := b.session(c.who)
		s.Expect(250, "MAIL FROM:<"+c.sender+">")
		b.helper.Forget()
		reply := s.Cmd("RCPT TO:<" + c.to + ">")
		s.Close()
		asked := b.questions(t, "rcpt.before")
		if len(asked) != 1 {
			t.Fatalf("%s from <%s>: asked %+v", c.to, c.sender, asked)
		}
		q := asked[0]
		if got := slices.Contains(q.Events, plan.InvalidRecipient); got != c.invalid || q.Callout != c.callout || !slices.Contains(q.Events, plan.Blocked) {
			t.Errorf("%s to %s from <%s>: events %q, callout %v, want %v, %v", c.who, c.to, c.sender, q.Events, q.Callout, c.invalid, c.callout)
		}
		// The site's own ACL verifies nothing for those who logged in.
		if c.who == "bob" && reply.Code != 250 {
			t.Errorf("%s: %s", c.to, reply)
		}
	}
	for _, v := range b.sink.Visits() {
		if v.Data || v.Sender == "" && !slices.Contains(v.Recipients, "nosuch@far.test") {
			t.Errorf("a visit that is no callout with the sender: %+v", v)
		}
	}
	b.CheckLogs()
}

// TestRefusedAtOnce: a host that refuses the client before it hears of a recipient says nothing
// of the recipient.
func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil)
	b.sink.SetRule(func(c eximtest.Command) eximtest.Answer {
		if c.Stage == "mail" {
			return "554 5.7.1 your address is on a list"
		}
		return ""
	})
	s := b.session("bob")
	s.Expect(250, "MAIL FROM:<a@local.test>")
	s.Expect(250, "RCPT TO:<x@far.test>")
	s.Close()
	for _, q := range b.questions(t, "rcpt.before") {
		if slices.Contains(q.Events, plan.InvalidRecipient) {
			t.Errorf("%+v", q)
		}
	}
	b.CheckLogs()
}

// TestNoTrace: the site's own ACL sees after a callout what it would see after routing alone, but
// for $callout_address; and the client hears what it would without exipol.
func TestNoTrace(t *testing.T) {
	t.Parallel()
	const vars = "avm=<$acl_verify_message> host=<$host> svf=<$sender_verify_failure> dd=<$domain_data> lpd=<$local_part_data> ad=<$address_data> sad=<$sender_address_data> tls=<$tls_out_cipher>"
	site := func(verify, rvf string) string {
		return "  warn logwrite = site " + vars + "\n  deny !verify = " + verify + "\n  warn logwrite = then " + vars + rvf + "\n  accept\n"
	}
	const without, routed, called = 0, 1, 2
	for i, verify := range []string{
		"recipient", "recipient/callout", "recipient/defer_ok/callout=5s,defer_ok", "recipient/callout=5s,random", "recipient/callout=use_sender",
		"recipient/callout=use_sender,hold", "recipient/callout=5s,fullpostmaster", "recipient/callout=no_cache,use_postmaster", "sender/callout",
	} {
		rvf := " rvf=<$recipient_verify_failure>"
		if verify == "sender/callout" { // it is what routing would say otherwise
			rvf = ""
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			said, logged := map[int]string{}, map[int][]string{}
			for _, mode := range []int{without, routed, called} {
				b := newOutbound(t, nil, func(p *plan.Plan) {
					for i := range p.Limits {
						if mode == routed {
							p.Limits[i].Callout = 0
						}
					}
				})
				if mode == without {
					b.ACL, b.Main = "", ""
				}
				b.Site["rcpt"] = site(verify, rvf)
				s := b.session("bob")
				for range 2 {
					s.Expect(250, "MAIL FROM:<a@far.test>")
					for range 2 {
						for _, to := range []string{"alice@far.test", "nosuch@far.test", "unroute@far.test", "later@far.test", "nosuch@local.test"} {
							s.Cmd("RCPT TO:<" + to + ">")
						}
					}
					s.Cmd("RSET")
				}
				s.Quit()
				_, said[mode], _ = strings.Cut(s.Transcript(), "C: MAIL")
				if strings.Contains(verify, "hold") {
					// A callout of ours between two of the site's ends the connection that it holds, so the
					// second finds its answer in Exim's cache: the same code, and a text that says so.
					said[mode] = heldText.ReplaceAllString(said[mode], "550 refused\n")
				}
				for _, l := range b.Log("mainlog") {
					for _, word := range []string{" site ", " then "} {
						if _, text, ok := strings.Cut(l, word); ok {
							logged[mode] = append(logged[mode], word+text)
						}
					}
				}
				b.CheckLogs()
			}
			if said[called] != said[without] {
				t.Errorf("the client hears\n%s\nwithout exipol\n%s", said[called], said[without])
			}
			if !slices.Equal(logged[called], logged[routed]) || len(logged[called]) < 20 {
				t.Errorf("after a callout the site's ACL sees\n%s\nand after routing\n%s", strings.Join(logged[called], "\n"), strings.Join(logged[routed], "\n"))
			}
		})
	}
}

var heldText = regexp.MustCompile(`550-Callout verification failed:\nS: 550 550 .*\n|550 Previous \(cached\) callout verification failure\n`)

// TestSlowHost: a host that says nothing costs no more than the policy allows, and counts for
// nothing.
func TestSlowHost(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil, func(p *plan.Plan) {
		for i := range p.Limits {
			p.Limits[i].Callout = min(p.Limits[i].Callout, 2*second)
		}
	})
	s := b.session("bob")
	s.Expect(250, "MAIL FROM:<a@local.test>")
	r := s.Cmd("RCPT TO:<hangs@far.test>")
	s.Close()
	if r.Code != 250 || r.Took.Seconds() < 1.5 {
		t.Errorf("%s after %s", r, r.Took)
	}
	if q := b.questions(t, "rcpt.before"); len(q) != 1 || slices.Contains(q[0].Events, plan.InvalidRecipient) {
		t.Errorf("asked %+v", q)
	}
	b.CheckLogs()
}

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
