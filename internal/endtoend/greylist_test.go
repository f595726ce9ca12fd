package endtoend

import (
	"context"
	"strings"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/internal/eximtest"
)

const greylist = `
list "friends" {
  clients = ["198.51.100.0/24"]
  senders = ["*@partner.example"]
  recipients = ["carol@local.test"]
}

greylist "inbound" {
  delay  = "5m"
  retry  = "24h"
  except = [list.friends]
  trust {
    after = 3
    per   = "1h"
  }
}
`

const (
	body   = "Subject: x\n\nhello\n.\nworld\n"
	sender = "a@remote.test"
)

// rcpt opens a session, gives one recipient, and returns the reply to it.
func rcpt(s *Site, client, from, to string) eximtest.Reply {
	session := s.BsSession(client)
	defer session.Close()
	session.Ehlo("client.test")
	session.Expect(250, "MAIL FROM:<"+from+">")
	r := session.Cmd("RCPT TO:<" + to + ">")
	session.Quit()
	return r
}

// want checks the code of a reply.
func want(t *testing.T, what string, r eximtest.Reply, code int) {
	t.Helper()
	if r.Code != code {
		t.Errorf("%s: %s, want %d", what, r, code)
	}
}

func TestGreylist(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{})
	const client, to = "192.0.2.1", "alice@local.test"

	first := rcpt(s, client, sender, to)
	want(t, "first contact", first, 451)
	if !strings.Contains(first.Text(), "(greylist.inbound)") {
		t.Errorf("the reply does not name the policy: %s", first)
	}
	s.Clock.Advance(4 * time.Minute)
	want(t, "early retry", rcpt(s, client, sender, to), 451)
	s.Clock.Advance(time.Minute)
	want(t, "retry in time", rcpt(s, client, sender, to), 250)
	want(t, "again", rcpt(s, client, sender, to), 250)
	want(t, "another address of the same /24", rcpt(s, "192.0.2.200", sender, to), 250)
	want(t, "the address written as IPv4-mapped", rcpt(s, "::ffff:192.0.2.77", sender, to), 250)
	want(t, "the sender in capitals and with an extension", rcpt(s, client, "A+tag@REMOTE.test", to), 250)
	want(t, "another net", rcpt(s, "192.0.3.1", sender, to), 451)
	want(t, "another sender", rcpt(s, client, "b@remote.test", to), 451)
	want(t, "another recipient", rcpt(s, client, sender, "bob@local.test"), 451)

	s.Clock.Advance(35 * 24 * time.Hour)
	want(t, "after 35 days", rcpt(s, client, sender, to), 250)
	s.Clock.Advance(35 * 24 * time.Hour)
	want(t, "after 35 more, counted from the last use", rcpt(s, client, sender, to), 250)
	s.Clock.Advance(37 * 24 * time.Hour)
	want(t, "after 37 days", rcpt(s, client, sender, to), 451)
	s.CheckLogs()
}

func TestGreylistRetryTooLate(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{})
	want(t, "first contact", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	s.Clock.Advance(24*time.Hour + time.Second)
	want(t, "retry too late", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	s.Clock.Advance(5 * time.Minute)
	want(t, "retry of the new start", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 250)
}

func TestGreylistIPv6(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{})
	want(t, "first contact", rcpt(s, "2001:db8:1:2::1", sender, "alice@local.test"), 451)
	s.Clock.Advance(5 * time.Minute)
	want(t, "another address of the /64", rcpt(s, "2001:db8:1:2:ffff::9", sender, "alice@local.test"), 250)
	want(t, "another /64", rcpt(s, "2001:db8:1:3::1", sender, "alice@local.test"), 451)
}

// TestGreylistTrust: a trusted client is not asked about again, whoever writes to
// whom; one pass an hour counts, and trust ends.
func TestGreylistTrust(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{})
	const client = "192.0.2.1"
	want(t, "first contact", rcpt(s, client, sender, "alice@local.test"), 451)
	s.Clock.Advance(5 * time.Minute)
	for range 5 { // within an hour: one pass
		want(t, "pass", rcpt(s, client, sender, "alice@local.test"), 250)
	}
	want(t, "a stranger's mail from a client with one pass", rcpt(s, client, "new@remote.test", "bob@local.test"), 451)
	for range 2 {
		s.Clock.Advance(time.Hour)
		want(t, "pass", rcpt(s, client, sender, "alice@local.test"), 250)
	}
	want(t, "a trusted client", rcpt(s, client, "newer@remote.test", "dave@local.test"), 250)
	s.Clock.Advance(37 * 24 * time.Hour)
	want(t, "trust has ended", rcpt(s, client, "newest@remote.test", "dave@local.test"), 451)
}

func TestGreylistExceptions(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{Site: `forwarders = ["203.0.113.7"]`})
	for what, c := range map[string][3]string{
		"a listed client":           {"198.51.100.9", sender, "alice@local.test"},
		"a listed sender":           {"192.0.2.1", "x@PARTNER.example", "alice@local.test"},
		"a listed recipient":        {"192.0.2.1", sender, "carol@local.test"},
		"a forwarder":               {"203.0.113.7", sender, "alice@local.test"},
		"postmaster":                {"192.0.2.1", sender, "Postmaster@local.test"},
		"abuse":                     {"192.0.2.1", sender, "abuse@local.test"},
		"a relay host":              {"127.0.0.9", sender, "alice@local.test"},
		"a null sender, at RCPT":    {"192.0.2.1", "", "alice@local.test"},
		"no client address (local)": {"", sender, "alice@local.test"},
	} {
		want(t, what, rcpt(s, c[0], c[1], c[2]), 250)
	}
	want(t, "anybody else", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	want(t, "the site's own refusal of an unknown user", rcpt(s, "192.0.2.1", sender, "nosuch@local.test"), 550)
	want(t, "the site's own refusal to relay", rcpt(s, "192.0.2.1", sender, "x@elsewhere.example"), 550)
	session := s.BsSession("192.0.2.1")
	session.Ehlo("client.test")
	want(t, "AUTH", session.Auth("bob", eximtest.Password), 235)
	session.Expect(250, "MAIL FROM:<bob@local.test>")
	session.Expect(250, "RCPT TO:<x@remote.test>")
	session.Quit()
	s.CheckLogs()
}

// TestGreylistObserve: the dialogue is the one without policies, and the log says
// what would have happened.
func TestGreylistObserve(t *testing.T) {
	t.Parallel()
	dialogue := func(s *Site) string {
		session := s.BsSession("192.0.2.1")
		defer session.Close()
		session.Ehlo("client.test")
		session.Mail(sender, []string{"alice@local.test", "nosuch@local.test", "x@elsewhere.example", "bob@local.test"}, body)
		session.Mail("", []string{"alice@local.test"}, body)
		session.Quit()
		return session.Transcript()
	}
	tarpit := strings.Replace(tarpit, "5/4h", "0/4h", 1)
	observing := Start(t, greylist+tarpit, Options{Site: `mode = "observe"`})
	without := &Site{Bed: eximtest.New(t, eximtest.Small), t: t}
	if got, want := dialogue(observing), dialogue(without); got != want {
		t.Errorf("observing changes the dialogue:\n%s\nwithout policies:\n%s", got, want)
	}
	observing.WaitLog("exipol: observe greylist.inbound: would defer (first_contact) [192.0.2.1]")
	observing.WaitLog("exipol: observe limit.tarpit/slow: would delay [192.0.2.1]")
	observing.CheckLogs()
}

// TestRuntime: what is said at run time is in force within two seconds.
func TestRuntime(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist, Options{})
	ctx := context.Background()
	other := s.Open()
	soon := func(what string, from string, code int) {
		t.Helper()
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			r := rcpt(s, "192.0.2.1", from, "alice@local.test")
			if r.Code == code {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %s, want %d", what, r, code)
			}
		}
	}
	want(t, "first contact", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	id, err := other.Allow(ctx, engine.Allowance{Field: "sender", Pattern: sender, Owner: "test", Why: "test", Made: s.Clock.Now().UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	soon("allowed", sender, 250)
	if _, err := other.Disallow(ctx, id); err != nil {
		t.Fatal(err)
	}
	soon("no longer allowed", sender, 451)
	if err := other.SwitchOff(ctx, engine.Switch{Policy: "greylist.inbound", Owner: "test", Why: "test", Made: s.Clock.Now().UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	soon("switched off", "b@remote.test", 250)
	if _, err := other.SwitchOn(ctx, "greylist.inbound"); err != nil {
		t.Fatal(err)
	}
	soon("switched on", "c@remote.test", 451)
}
