package endtoend

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// oldPolicies have the numbers of the helpers that spoke the old verbs before.
const oldPolicies = `
list "whitelist" {
  clients = ["198.51.100.0/24"]
}
greylist "inbound" {
  key    = [net(client.ip, 32, 128), sender, recipient]
  delay  = "10m"
  retry  = "8h"
  except = [list.whitelist]
}
limit "tarpit" {
  event  = unknown_recipient
  key    = [client.ip]
  except = [list.whitelist]
  tier "slow" {
    over = "5/4h"
    deny {
    }
  }
}
`

// oldSite is a site whose own ACLs ask the helper in an old way: no generated text is
// in its configuration, only exipold answers.
func oldSite(t *testing.T, acls func(socket string) map[string]string) *Site {
	t.Helper()
	s := New(t, oldPolicies, Options{})
	s.Main, s.ACL = "", ""
	for stage, acl := range acls(s.Plan.Socket) {
		s.Bed.Site[stage] = acl
	}
	s.StartHelper()
	return s
}

// tarlist is an ACL in the manner of the old tarpit: a client that asked for more than
// five unknown recipients waits two seconds for each, two minutes from the sixtieth on.
func tarlist(socket string) map[string]string {
	return map[string]string{"rcpt": `  accept hosts = +relay_from_hosts
  require message = relay not permitted
          domains = +local_domains
  accept verify = recipient
  warn   set acl_m_tar = ${readsocket{` + socket + `}{TARLIST $sender_host_address}{3s}{\n}{0}}
  deny   condition = ${if >{$acl_m_tar}{59}}
         message = 550 tarred and feathered
         delay = 120s
  deny   condition = ${if >{$acl_m_tar}{5}}
         message = 550 tarred $acl_m_tar
         delay = ${eval:2*$acl_m_tar}s
  deny   message = 550 nobody here
`}
}

var (
	delays  = regexp.MustCompile(`delay modifier requests (\d+)-second delay`)
	tarring = regexp.MustCompile(`(?m)^550 (.*?)\r?$`)
)

// guessAll has Exim rehearse a session with n unknown recipients, and returns the
// texts of the replies and the delays that would have been slept.
func guessAll(s *Site, client string, n int) (texts, slept []string) {
	var b strings.Builder
	b.WriteString("EHLO client.test\nMAIL FROM:<a@remote.test>\n")
	for i := range n {
		fmt.Fprintf(&b, "RCPT TO:<nosuch%d@local.test>\n", i)
	}
	b.WriteString("QUIT\n")
	replies, remarks := s.Rehearse(client, b.String())
	for _, m := range tarring.FindAllStringSubmatch(replies, -1) {
		texts = append(texts, m[1])
	}
	for _, m := range delays.FindAllStringSubmatch(remarks, -1) {
		slept = append(slept, m[1])
	}
	return texts, slept
}

// TestOldTarlist: an ACL that asks TARLIST gets the verdicts that it got from the
// helper that it was written for.
func TestOldTarlist(t *testing.T) {
	t.Parallel()
	s := oldSite(t, tarlist)
	const guesser = "192.0.2.1"
	texts, slept := guessAll(s, guesser, 62)
	if len(texts) != 62 {
		t.Fatalf("%d of 62 recipients were refused: %q", len(texts), texts)
	}
	for i, text := range texts {
		count := i + 1 // the question itself records an offence
		wantText, wantDelay := "nobody here", ""
		switch {
		case count >= 60:
			wantText, wantDelay = "tarred and feathered", "120"
		case count > 5:
			wantText, wantDelay = fmt.Sprint("tarred ", count), fmt.Sprint(2*count)
		}
		if text != wantText {
			t.Errorf("unknown recipient %d: %q, want %q", count, text, wantText)
		}
		if count > 5 && (count-6 >= len(slept) || slept[count-6] != wantDelay) {
			t.Errorf("unknown recipient %d: delays %v, want %s", count, slept, wantDelay)
		}
	}
	if len(slept) != 57 {
		t.Errorf("%d delays, want 57", len(slept))
	}
	if texts, _ := guessAll(s, "192.0.2.2", 1); texts[0] != "nobody here" {
		t.Errorf("another client: %q", texts)
	}
	if texts, slept := guessAll(s, "2001:db8::1", 7); texts[5] != "tarred 6" || len(slept) != 2 {
		t.Errorf("over IPv6: %q, delays %v", texts, slept)
	}
	if texts, slept := guessAll(s, "198.51.100.9", 8); texts[7] != "nobody here" || len(slept) != 0 {
		t.Errorf("a whitelisted client: %q, delays %v", texts, slept)
	}
	s.Clock.Advance(3 * time.Hour)
	if texts, _ := guessAll(s, guesser, 1); texts[0] != "tarred and feathered" {
		t.Errorf("three hours later: %q", texts)
	}
	s.Clock.Advance(4*time.Hour + 4*time.Hour/36 + time.Second)
	if texts, slept := guessAll(s, guesser, 2); texts[1] != "nobody here" || len(slept) != 0 {
		t.Errorf("four hours after that: %q, delays %v", texts, slept)
	}
	s.StopHelper()
	if texts, slept := guessAll(s, guesser, 1); len(texts) != 1 || texts[0] != "nobody here" || len(slept) != 0 {
		t.Errorf("without a helper: %q, delays %v", texts, slept)
	}
}

// The two ways in which ACLs asked greylistd: for a word of its own, and for yes or
// no. At DATA there is a list of recipients, for null senders only.
var greylistd = map[string]func(socket string) map[string]string{
	"a word": func(socket string) map[string]string {
		return map[string]string{
			"rcpt": `  accept hosts = +relay_from_hosts
  require message = relay not permitted
          domains = +local_domains
  require verify = recipient
  defer  !senders = :
         set acl_m_triplet = $sender_host_address $sender_address $local_part@$domain
         set acl_m_state = ${readsocket{` + socket + `}{$acl_m_triplet}{5s}{}{}}
         condition = ${if eq{$acl_m_state}{grey}}
         message = 451 greylisted
  deny   condition = ${if eq{$acl_m_state}{black}}
  accept
`,
			"data": `  defer  senders = :
         condition = ${if eq{${readsocket{` + socket + `}{$sender_host_address $recipients}{5s}{}{}}}{grey}}
         message = 451 greylisted at data
  accept
`}
	},
	"yes or no": func(socket string) map[string]string {
		return map[string]string{
			"rcpt": `  accept hosts = +relay_from_hosts
  require message = relay not permitted
          domains = +local_domains
  require verify = recipient
  defer  !senders = :
         condition = ${readsocket{` + socket + `}{--grey $sender_host_address $sender_address $local_part@$domain}{5s}{}{false}}
         message = 451 greylisted
  deny   !senders = :
         condition = ${readsocket{` + socket + `}{--black $sender_host_address $sender_address $local_part@$domain}{5s}{}{false}}
  accept
`,
			"data": `  defer  senders = :
         condition = ${readsocket{` + socket + `}{--grey $sender_host_address $recipients}{5s}{}{false}}
         message = 451 greylisted at data
  accept
`}
	},
}

// TestOldGreylistd: ACLs that asked greylistd get the verdicts that they got from it.
func TestOldGreylistd(t *testing.T) {
	t.Parallel()
	for name, acls := range greylistd {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := oldSite(t, acls)
			const client, to = "192.0.2.1", "alice@local.test"
			want(t, "first contact", rcpt(s, client, sender, to), 451)
			s.Clock.Advance(9 * time.Minute)
			want(t, "early retry", rcpt(s, client, sender, to), 451)
			s.Clock.Advance(2 * time.Minute)
			want(t, "retry in time", rcpt(s, client, sender, to), 250)
			want(t, "again", rcpt(s, client, sender, to), 250)
			want(t, "another client", rcpt(s, "192.0.2.2", sender, to), 451)
			want(t, "another sender", rcpt(s, client, "b@remote.test", to), 451)
			want(t, "another recipient", rcpt(s, client, sender, "bob@local.test"), 451)
			want(t, "a sender with a blank", rcpt(s, client, `"a b"@remote.test`, to), 451)
			want(t, "over IPv6", rcpt(s, "2001:db8::1", sender, to), 451)
			want(t, "a whitelisted client", rcpt(s, "198.51.100.9", sender, to), 250)
			want(t, "an unknown user", rcpt(s, client, sender, "nosuch@local.test"), 550)
			s.Clock.Advance(11 * time.Minute)
			want(t, "the sender with a blank again", rcpt(s, client, `"a b"@remote.test`, to), 250)
			want(t, "IPv6 again", rcpt(s, "2001:db8::1", sender, to), 250)
			s.Clock.Advance(8 * time.Hour)
			want(t, "retry too late", rcpt(s, "192.0.2.2", sender, to), 451)

			bounce := func() eximtest.Reply {
				session := s.BsSession(client)
				defer session.Close()
				session.Ehlo("client.test")
				_, data := session.Mail("", []string{to, "bob@local.test"}, body)
				return data
			}
			want(t, "a bounce", bounce(), 451)
			s.Clock.Advance(11 * time.Minute)
			want(t, "the bounce again", bounce(), 250)
			s.WaitMail(2)
			s.CheckLogs()
		})
	}
}
