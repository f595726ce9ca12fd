package endtoend

import (
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// siteRules are rules that a site may have of its own, in its RCPT ACL: every way in
// which an ACL can end.
const siteRules = `  drop    senders = drop@remote.test
          message = 550 5.7.1 the site drops you
  deny    senders = deny@remote.test
          message = 550-the site says no\n550 in two lines
          log_message = site denies
  defer   senders = defer@remote.test
          message = 450 4.7.0 the site says later
  discard senders = discard@remote.test
          log_message = site discards
  deny    senders = error@remote.test
          condition = ${if eq{$sender_address}{error@remote.test}{perhaps}}
  require message = 553 the site requires otherwise
          !senders = require@remote.test
`

// withSiteRules puts them where an administrator of the layout would.
func withSiteRules(b *eximtest.Bed) {
	switch b.Layout {
	case eximtest.Upstream:
		b.Edit = func(conf string) string {
			return strings.Replace(conf, "\nacl_check_rcpt:\n", "\nacl_check_rcpt:\n"+siteRules, 1)
		}
	default:
		b.Main += "CHECK_RCPT_LOCAL_ACL_FILE = " + b.WriteFile("etc/site-rules", siteRules) + "\n"
	}
}

// stock is what strangers, users and relay hosts may say to a stock configuration.
// Each is one recipient in a session of its own.
var stock = []struct{ client, user, from, to string }{
	{"127.0.0.2", "", "a@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "a@remote.test", "nosuch@local.test"},
	{"127.0.0.2", "", "a@remote.test", "x@relayed.test"},
	{"127.0.0.2", "", "a@remote.test", "nosuch@relayed.test"},
	{"127.0.0.2", "", "a@remote.test", "x@remote.test"},
	{"127.0.0.2", "", "a@remote.test", "x@nowhere.example"},
	{"127.0.0.2", "", "a@remote.test", "later@local.test"},
	{"127.0.0.2", "", "a@remote.test", "postmaster@local.test"},
	{"127.0.0.2", "", "a@remote.test", ".dot@local.test"},
	{"127.0.0.2", "", "a@remote.test", "a/b@local.test"},
	{"127.0.0.2", "", "a@remote.test", "a|b%c@local.test"},
	{"127.0.0.2", "", "drop@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "deny@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "defer@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "discard@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "error@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "require@remote.test", "alice@local.test"},
	{"127.0.0.2", "", "", "alice@local.test"},
	{"127.0.0.9", "", "a@remote.test", "x@remote.test"},
	{"127.0.0.9", "", "a@remote.test", "alice@local.test"},
	{"127.0.0.4", "bob", "bob@local.test", "x@remote.test"},
	{"127.0.0.4", "bob", "bob@local.test", "x@nowhere.example"},
}

// session is one of them, with a message where the recipient was accepted.
func stockSession(b *eximtest.Bed, i int) (transcript string, refused bool) {
	c := stock[i]
	s := b.Dial(c.client)
	defer s.Close()
	s.Ehlo("client.test")
	if c.user != "" {
		s.Auth(c.user, eximtest.Password)
	}
	s.Expect(250, "MAIL FROM:<"+c.from+">")
	r := s.Cmd("RCPT TO:<" + c.to + ">")
	if r.Code == 250 {
		s.Data("From: bob@local.test\nSubject: x\n\nhello\n")
	}
	if c.from != "drop@remote.test" {
		s.Quit()
	} else if !s.Closed() {
		s.Quit() // and the transcript shows that it could be said
	}
	return s.Transcript(), r.Code != 250
}

// TestStockConfigurations: in Debian's configuration, as update-exim4.conf makes it,
// and in Exim's default one, the site's rejections, relaying, texts and drops are the
// same with and without exipol; greylisting comes on top, and only for what the site
// accepted.
func TestStockConfigurations(t *testing.T) {
	t.Parallel()
	for _, layout := range []eximtest.Layout{eximtest.DebianUnsplit, eximtest.DebianSplit, eximtest.Upstream} {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			bare := eximtest.New(t, layout)
			withSiteRules(bare)
			bare.Start()
			s := Start(t, greylist+tarpit, Options{Layout: layout, Configure: withSiteRules})
			s.Bed.Start()

			greylisted := 0
			for i, c := range stock {
				was, refused := stockSession(bare, i)
				first, _ := stockSession(s.Bed, i)
				if first == was {
					continue
				}
				if refused || !strings.Contains(first, "(greylist.inbound)") {
					t.Errorf("%v: with exipol\n%s\nwithout\n%s", c, first, was)
				}
				greylisted++
				s.Clock.Advance(5 * time.Minute)
				if then, _ := stockSession(s.Bed, i); then != was {
					t.Errorf("%v, after the retry: with exipol\n%s\nwithout\n%s", c, then, was)
				}
			}
			if greylisted != 3 { // alice, x@relayed.test, and the null sender
				t.Errorf("%d of the sessions were greylisted, want 3", greylisted)
			}
			s.WaitLog("exipol: greylist.inbound")
			s.CheckLogs()
		})
	}
}

// TestRemoval: with the steps of INSTALL.txt undone, nothing of exipol is left.
func TestRemoval(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{Layout: eximtest.DebianSplit})
	s.Bed.Start()
	if got := s.Option("acl_smtp_rcpt"); !strings.Contains(got, "exipol_rcpt") {
		t.Fatalf("installed, but acl_smtp_rcpt is %q", got)
	}
	s.Main = ""
	s.Configure()
	s.Reload()
	if got := s.Option("acl_smtp_rcpt", "acl_smtp_predata"); strings.Contains(got, "exipol") {
		t.Errorf("removed, but Exim still has %q", got)
	}
	if conf := s.Config(); strings.Contains(conf, "exipol_") {
		t.Errorf("removed, but the configuration still holds exipol's ACLs")
	}
}
