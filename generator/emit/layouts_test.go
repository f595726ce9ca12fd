package emit

import (
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// TestOutboundLayouts: in Debian's configuration and in Exim's own, a block freezes, is known while
// exipold is away, refuses a login, and stops what comes without SMTP; and the site's own ACLs
// go on as before.
func TestOutboundLayouts(t *testing.T) {
	t.Parallel()
	for _, layout := range []eximtest.Layout{eximtest.DebianSplit, eximtest.DebianUnsplit, eximtest.Upstream} {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			b := eximtest.New(t, layout)
			p := outbound(b.SocketPath("exipold.sock"), b.Path("blocked"))
			passing(p)
			sites := map[string]string{plan.Rcpt: "acl_check_rcpt", plan.Data: "acl_check_data"}
			if layout != eximtest.Upstream {
				sites[plan.Mail] = "acl_check_mail"
			}
			b.Enter = map[string]string{}
			for i := range p.Stages {
				s := &p.Stages[i]
				if s.SiteACL = sites[s.Name]; s.Name != plan.Delivery {
					b.Enter[s.Name] = "exipol_" + s.Name
				}
			}
			if err := p.Seal(); err != nil {
				t.Fatal(err)
			}
			var err error
			if b.ACL, err = aclText(p); err != nil {
				t.Fatal(err)
			}
			h := eximtest.NewFakeHelper(t, p.Socket, eximtest.Answers("freeze", func(q string) string {
				if strings.Contains(q, " at=rcpt.before ") {
					return wire.Answer{Verdict: plan.Freeze, By: "limit.stolen/stop/block", Add: []string{"limit.stolen/stop/block"}}.String()
				}
				return acceptAll
			}))
			s := outSite{Bed: b, plan: p, helper: h}
			c := s.session("bob")
			if _, r := c.Mail("alice@local.test", []string{"x@remote.test"}, hello); r.Code != 250 {
				t.Fatal(r)
			}
			c.Quit()
			held := s.questions(t, "data.after")
			if q := b.Queue(); len(q) != 1 || !q[0].Frozen || len(held) != 1 || held[0].Message != q[0].ID || held[0].Hold != "limit.stolen/stop/block" {
				t.Errorf("queue %+v, asked %+v", q, held)
			}

			h.Set(eximtest.Absent)
			deny := wire.Answer{Verdict: plan.Deny, By: "limit.bounces/stop/block"}.String()
			b.WriteFile("blocked", blockedFile([2]string{wire.BlockedKey("limit.bounces", "auth:carol"), deny}, [2]string{wire.BlockedKey("limit.bounces", "user:"+b.ID.User), deny},
				[2]string{wire.BlockedKey("limit.crack", "192.0.2.77"), wire.Answer{Verdict: plan.Deny, By: "limit.crack/stop/block"}.String()}))
			for who, code := range map[string]int{"carol": 550, "dave": 250} {
				c := s.session(who)
				c.Expect(250, "MAIL FROM:<alice@local.test>")
				c.Expect(code, "RCPT TO:<x@remote.test>")
				c.Close()
			}
			c = s.session("192.0.2.77")
			if r := c.Auth("bob", eximtest.Password); r.Code != 550 {
				t.Errorf("AUTH: %s", r)
			}
			c.Expect(250, "MAIL FROM:<a@remote.test>")
			c.Expect(250, "RCPT TO:<alice@local.test>")
			if r := c.Cmd("RCPT TO:<x@elsewhere.example>"); r.Code != 550 {
				t.Errorf("the site's own ACL relays: %s", r)
			}
			c.Close()
			if err := s.inject("alice@local.test", hello, "x@remote.test"); err == nil {
				t.Error("a blocked user's message is taken")
			}
			b.CheckLogs()
		})
	}
}
