package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/dnstest"
	"exipol/internal/eximtest"
)

// asking is an Exim that asks at one stage with these expressions, and no more.
func asking(t *testing.T, stage string, x wire.Expressions) (*eximtest.Bed, *eximtest.FakeHelper) {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	h := eximtest.NewFakeHelper(t, b.SocketPath("h"), eximtest.Says("accept", wire.Answer{Verdict: plan.Accept}.String()))
	x.Traffic, x.Events = plan.Inbound, plan.Message
	b.Site[stage] = fmt.Sprintf("  warn set acl_c_q = %s\n       set acl_c_a = ${readsocket{%s}{$acl_c_q\\n}{5s}}\n  accept\n",
		wire.QuestionText("0123456789abcdef01234567", stage, plan.After, x), h.Path)
	return b, h
}

// last is the newest question, which must be one that can be read.
func last(t *testing.T, h *eximtest.FakeHelper) wire.Question {
	t.Helper()
	all := h.Questions()
	if len(all) == 0 {
		t.Fatal("nothing was asked")
	}
	q, err := wire.ParseQuestion([]byte(all[len(all)-1]))
	if err != nil {
		t.Fatalf("%q: %v", all[len(all)-1], err)
	}
	return q
}

// TestRealFrom: the From header's address is the one that stands there, where it is one
// only; whatever stands there, there is a question.
func TestRealFrom(t *testing.T) {
	b, h := asking(t, plan.Data, wire.Expressions{From: true})
	s := b.BsSession("192.0.2.1")
	s.Ehlo("client.test")
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ name, header, want string }{
		{"plain", "From: a@b.example", "a@b.example"},
		{"capitals", "FROM: A.b@C.Example", "A.b@C.Example"},
		{"a name", "From: Some One <a@b.example>", "a@b.example"},
		{"a quoted name", `From: "One, Two <x@y.example>" <a@b.example>`, "a@b.example"},
		{"a comment", "From: a@b.example (not c@d.example)", "a@b.example"},
		{"folded", "From: Some\r\n One\r\n <a@b.example>", "a@b.example"},
		{"folded in the address", "From: <a@\r\n b.example>", "a@b.example"},
		{"blanks", "From:   a @ b.example  ", "a@b.example"},
		{"no header", "To: a@b.example", ""},
		{"empty", "From:", ""},
		{"null", "From: <>", ""},
		{"two headers", "From: a@b.example\r\nFrom: c@d.example", ""},
		{"two headers alike", "From: a@b.example\r\nFrom: a@b.example", ""},
		{"two headers, one empty", "From: a@b.example\r\nFrom:", "a@b.example"},
		{"two addresses", "From: a@b.example, c@d.example", ""},
		{"two addresses folded", "From: One <a@b.example>,\r\n Two <c@d.example>", ""},
		{"a comma", "From: a@b.example,", ""},
		{"a group", "From: Some: a@b.example;", ""},
		{"an empty group", "From: Undisclosed:;", ""},
		{"a route", "From: <@x.example:a@b.example>", "a@b.example"},
		{"no domain", "From: bob", ""},
		{"a name only", "From: Some One", ""},
		{"no end", "From: Some One <a@b.example", ""},
		{"text behind it", "From: <a@b.example> x", ""},
		{"two in brackets", "From: <a@b.example> <c@d.example>", ""},
		{"a quoted local part", `From: <"a b"@b.example>`, `"a b"@b.example`},
		{"an expansion", "From: ${run{x}}$acl_c_q@b.example", "${run{x}}$acl_c_q@b.example"},
		{"an encoded address", "From: =?utf-8?q?a=40b.example?=", ""},
		{"an encoded name with an address", "From: =?utf-8?q?x=40y.example=2C?= <a@b.example>", "a@b.example"},
		{"words of a question", "From: a v=1 from=eHk= <a@b.example>", "a@b.example"},
		{"a word of a question", "From: <a from=eHk=@b.example>", ""},
		{"8 bits", "From: \xc3\xa4\xff <a@b.example>", "a@b.example"},
		{"8 bits in the address", "From: <\xc3\xa4@b.example>", "\xc3\xa4@b.example"},
		{"controls", "From: \x01\x7f\x1b[m <a\x01@b.example>", ""},
		{"a carriage return", "From: <a\rb@b.example>", ""},
		{"too long a local part", "From: <" + long + "@b.example>", ""},
		{"too long a domain", "From: <a@" + strings.Repeat("x.", 150) + "example>", ""},
		{"much", "From: " + strings.Repeat("a@b.example,\r\n ", 5000) + "c@d.example", ""},
		{"a long name", "From: " + strings.Repeat("name\r\n ", 5000) + "<a@b.example>", "a@b.example"},
		{"brackets", "From: " + strings.Repeat("<", 5000) + "a@b.example", ""},
		{"comments in comments", "From: " + strings.Repeat("(", 5000) + "a@b.example", ""},
		{"Resent-From", "Resent-From: c@d.example\r\nFrom: a@b.example", "a@b.example"},
	} {
		h.Forget()
		_, r := s.Mail("x@remote.test", []string{"bob@local.test"}, strings.ReplaceAll(c.header, "\r\n", "\n")+"\nSubject: x\n\nx\n")
		if r.Code != 250 {
			t.Errorf("%s: %s", c.name, r)
			continue
		}
		q := last(t, h)
		if q.From != c.want {
			t.Errorf("%s: %q, want %q", c.name, q.From, c.want)
		}
	}
	s.Quit()
	b.CheckLogs()
}

// TestRealAuto: a message is automatic where it says anything of itself but no.
func TestRealAuto(t *testing.T) {
	b, h := asking(t, plan.Data, wire.Expressions{Auto: true})
	b.Main = "NO = a macro of the site\nAUTO = another\n"
	s := b.BsSession("192.0.2.1")
	s.Ehlo("client.test")
	for _, c := range []struct {
		name, header string
		want         bool
	}{
		{"no header", "To: a@b.example", false},
		{"no", "Auto-Submitted: no", false},
		{"no, in capitals", "AUTO-SUBMITTED: NO", false},
		{"no, without a blank", "auto-submitted:no", false},
		{"no, folded", "Auto-Submitted:\n no", false},
		{"no, and blanks", "Auto-Submitted: \t no \t ", false},
		{"no, with a parameter", "Auto-Submitted: no; x=y", false},
		{"no, with a comment", "Auto-Submitted: no (a human)", false},
		{"replied", "Auto-Submitted: auto-replied", true},
		{"replied, in capitals", "auto-submitted: AUTO-Replied", true},
		{"generated", "Auto-Submitted: auto-generated; type=x", true},
		{"notified", "Auto-Submitted: auto-notified", true},
		{"folded", "Auto-Submitted:\n auto-replied", true},
		{"begins with no", "Auto-Submitted: nobody", true},
		{"ends with no", "Auto-Submitted: x no", true},
		{"nothing", "Auto-Submitted:", true},
		{"no, and a second", "Auto-Submitted: no\nAuto-Submitted: auto-replied", true},
		{"a second that says no", "Auto-Submitted: auto-replied\nAuto-Submitted: no", true},
		{"an expansion", "Auto-Submitted: ${run{x}}", true},
		{"words of a question", "Auto-Submitted: no end=1 auto=", true},
		{"8 bits", "Auto-Submitted: \xff\xfe", true},
		{"much", "Auto-Submitted: no" + strings.Repeat("\n ", 5000) + "x", true},
		{"much of no", "Auto-Submitted: no" + strings.Repeat("\n ", 5000), false},
		{"another header", "X-Auto-Submitted: auto-replied", false},
		{"in the body", "To: a@b.example\n\nAuto-Submitted: auto-replied", false},
	} {
		h.Forget()
		if _, r := s.Mail("x@remote.test", []string{"bob@local.test"}, c.header+"\nSubject: x\n\nx\n"); r.Code != 250 {
			t.Errorf("%s: %s", c.name, r)
			continue
		}
		if q := last(t, h); q.Auto != c.want {
			t.Errorf("%s: %t", c.name, q.Auto)
		}
	}
	s.Quit()
	b.CheckLogs()
}

// TestRealHost: what Exim knows of a host name is told, and that it does not know any;
// and asking makes it look up nothing.
func TestRealHost(t *testing.T) {
	if !eximtest.Alone(t) {
		return
	}
	dns, err := dnstest.New(eximtest.NameServer)
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	if err := dns.Add(
		"2.0.0.127.in-addr.arpa PTR mail.example.org", "mail.example.org A 127.0.0.2",
		"4.0.0.127.in-addr.arpa PTR elsewhere.example.org", "elsewhere.example.org A 192.0.2.4",
		"6.0.0.127.in-addr.arpa PTR slow.example.org",
		"7.0.0.127.in-addr.arpa PTR first.example.org", "7.0.0.127.in-addr.arpa PTR second.example.org", "second.example.org A 127.0.0.7",
		"8.0.0.127.in-addr.arpa PTR -", "- A 127.0.0.8", "11.0.0.127.in-addr.arpa PTR ~", "~ A 127.0.0.11",
		"12.0.0.127.in-addr.arpa PTR UPPER.example.org", "UPPER.example.org A 127.0.0.12",
	); err != nil {
		t.Fatal(err)
	}
	dns.Behave("5.0.0.127.in-addr.arpa", dnstest.ServFail)
	dns.Behave("slow.example.org", dnstest.ServFail)
	b, h := asking(t, plan.Rcpt, wire.Expressions{Host: true})
	const looked, not = "host_lookup = *\nhost_lookup_order = bydns\n", "host_lookup =\nhost_lookup_order = bydns\n"
	clients := []struct{ ip, want string }{
		{"127.0.0.2", "mail.example.org"}, {"127.0.0.3", wire.HostNone}, {"127.0.0.4", wire.HostNone},
		{"127.0.0.5", wire.HostUnclear}, {"127.0.0.6", wire.HostUnclear}, {"127.0.0.7", "second.example.org"},
		{"127.0.0.8", wire.HostNone}, {"127.0.0.11", wire.HostNone}, {"127.0.0.12", "upper.example.org"},
	}
	for _, c := range []struct {
		name, main, site string
		looks            bool
		helo             string
	}{
		{"looked at once", looked, "", true, "client.test"},
		{"never looked", not, "", false, "client.test"},
		{"a HELO name in its place", not, "", false, "mail.example.org"},
		{"looked by an ACL before", not, "  warn hosts = *.nothing.test\n", true, "client.test"},
		{"looked by another ACL", not, "  warn !verify = reverse_host_lookup\n", true, "client.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.Main = "acl_smtp_mail = acl_early\n" + c.main
			b.ACL = "acl_early:\n" + c.site + "  accept\n"
			b.Stop()
			b.Configure()
			b.Start()
			for _, client := range clients {
				dns.ResetCounts()
				s := b.Dial(client.ip)
				s.Ehlo(c.helo)
				s.Expect(250, "MAIL FROM:<a@remote.test>")
				before := dns.Total()
				begun := time.Now()
				s.Expect(250, "RCPT TO:<bob@local.test>")
				if n := dns.Total() - before; n != 0 {
					t.Errorf("%s: asking made Exim look up %d names, in %s", client.ip, n, time.Since(begun))
				}
				s.Quit()
				want := client.want
				if !c.looks {
					want = ""
				}
				if q := last(t, h); q.Host != want {
					t.Errorf("%s: %q, want %q", client.ip, q.Host, want)
				}
			}
		})
	}
	b.Stop()
	// A program on this machine has no address, and so no name.
	s := b.BsSession("")
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<a@remote.test>")
	s.Expect(250, "RCPT TO:<bob@local.test>")
	s.Quit()
	if q := last(t, h); q.Host != "" {
		t.Errorf("local: %q", q.Host)
	}
	for _, l := range b.Grep("statement skipped") {
		if !strings.Contains(l, "reverse lookup check") { // the site's own statement
			t.Error(l)
		}
	}
}

// TestTooManyRecipients: a question with more recipients than Exim keeps is nobody's.
func TestTooManyRecipients(t *testing.T) {
	q := wire.Question{Plan: "ab", Stage: "data", Half: "after", Traffic: "inbound", Events: []string{"message"}, Nonce: "1", Recipient: "a@b"}
	for range wire.MostRecipients - 1 {
		q.Others = append(q.Others, "a@b")
	}
	if _, err := wire.ParseQuestion([]byte(q.String())); err != nil {
		t.Errorf("%d recipients: %v", wire.MostRecipients, err)
	}
	q.Others = append(q.Others, "a@b")
	if _, err := wire.ParseQuestion([]byte(q.String())); err == nil {
		t.Errorf("%d recipients pass", wire.MostRecipients+1)
	}
}
