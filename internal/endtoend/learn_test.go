package endtoend

import (
	"testing"
	"time"
)

// submit has an authenticated user send a message.
func submit(t *testing.T, s *Site, message, from string, to ...string) {
	t.Helper()
	session := s.BsSession("203.0.113.9")
	defer session.Close()
	session.Ehlo("laptop.test")
	session.Auth("alice", "secret")
	session.Expect(250, "MAIL FROM:<"+from+">")
	for _, recipient := range to {
		session.Cmd("RCPT TO:<" + recipient + ">")
	}
	want(t, "submission", session.Data(message), 250)
}

// TestLearn: whom an authenticated user writes to is not greylisted for 60 days; what
// was refused, what has a null sender, what no human wrote, what is for the site's own
// domains, and what others send teaches nothing.
func TestLearn(t *testing.T) {
	t.Parallel()
	s := Start(t, `
list "correspondents" {
  learn {}
}
list "partners" {
  learn {
    from     = recipient.domain
    remember = "10d"
  }
}
greylist "inbound" {
  except = [list.correspondents.sender, list.partners.sender]
}
`, Options{})
	const client = "192.0.2.1"
	want(t, "before", rcpt(s, client, "bob@remote.test", "alice@local.test"), 451)
	submit(t, s, body, "alice@local.test", "carol@relayed.test", "Bob+list@Remote.Test", "nosuch@remote.test", "dave@Relayed.Test")
	want(t, "who was written to", rcpt(s, client, "bob@remote.test", "dave@local.test"), 250)
	want(t, "from anywhere", rcpt(s, "203.0.113.77", "bob+x@remote.test", "carol@local.test"), 250)
	want(t, "another of the same domain", rcpt(s, client, "carl@remote.test", "dave@local.test"), 250)
	want(t, "a domain below", rcpt(s, client, "carl@sub.remote.test", "dave@local.test"), 451)

	// The site's second domain: to forge one's own users there is of no use.
	want(t, "who forges an own user", rcpt(s, client, "carol@relayed.test", "dave@local.test"), 451)
	want(t, "who forges another", rcpt(s, client, "dave@relayed.test", "dave@local.test"), 451)

	submit(t, s, body, "", "eve@sub.remote.test")
	want(t, "a null sender's recipient", rcpt(s, client, "eve@sub.remote.test", "dave@local.test"), 451)
	submit(t, s, "Auto-Submitted: auto-replied (vacation)\n"+body, "alice@local.test", "eve@sub.remote.test")
	want(t, "who had an automatic reply", rcpt(s, client, "eve@sub.remote.test", "carol@local.test"), 451)
	submit(t, s, "Auto-Submitted: no\n"+body, "alice@local.test", "eve@sub.remote.test")
	want(t, "who had a human's", rcpt(s, client, "eve@sub.remote.test", "bob@local.test"), 250)

	s.Clock.Advance(11 * 24 * time.Hour)
	want(t, "the domain is forgotten", rcpt(s, client, "carl@remote.test", "carol@local.test"), 451)
	want(t, "the address is not", rcpt(s, client, "bob@remote.test", "bob@local.test"), 250)
	s.Clock.Advance(50 * 24 * time.Hour)
	want(t, "after 61 days", rcpt(s, client, "bob@remote.test", "user9@local.test"), 451)
	s.CheckLogs()
}
