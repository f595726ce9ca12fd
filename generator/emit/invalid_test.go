package emit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
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
