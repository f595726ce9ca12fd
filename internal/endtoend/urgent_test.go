package endtoend

import (
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// letter is a message from somebody, as the From header has it.
func letter(from string) string { return "From: " + from + "\nSubject: your code\n\n123456\n" }

// TestUrgent: a sender of login codes is never deferred, if SPF or a signature proves
// that it is; who only says so waits like any stranger, and is let in on the retry.
func TestUrgent(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t, `code.test TXT "v=spf1 ip4:192.0.2.60 -all"`, eximtest.KeyRecord("code.test"), eximtest.KeyRecord("mail.code.test"),
		eximtest.KeyRecord("mailer.test"), `mailer.test TXT "v=spf1 ip4:192.0.2.61 -all"`)
	s := startOnline(t, `
list "code_senders" {
  senders = ["code.test", "*@*.code.test"]
}
greylist "inbound" {
  urgent = [list.code_senders]
}
limit "rate" {
  event = recipient
  key   = [client.ip]
  tier "stop" {
    over = "4/1d"
    deny {}
  }
}
`, Options{})
	const stranger = "203.0.113.5"
	mailer := contact{"192.0.2.61", "out.mailer.test", "bounce-1@mailer.test", nil}
	cases := []struct {
		name    string
		from    contact
		message string
		code    int
	}{
		{"SPF passes", contact{"192.0.2.60", "out.code.test", "no-reply@code.test", nil}, letter("no-reply@code.test"), 250},
		{"SPF does not", contact{stranger, "out.code.test", "no-reply@code.test", nil}, letter("no-reply@code.test"), 451},
		{"through a mailer, signed", mailer, eximtest.Sign(letter("Code <no-reply@code.test>"), "d=code.test", false), 250},
		{"signed for a domain below", mailer, eximtest.Sign(letter("no-reply@code.test"), "d=mail.code.test", false), 250},
		{"signed for the domain above", mailer, eximtest.Sign(letter("no-reply@login.code.test"), "d=code.test", false), 250},
		{"signed by the mailer alone", mailer, eximtest.Sign(letter("no-reply@code.test"), "d=mailer.test", false), 451},
		{"a signature that fails", mailer, eximtest.Sign(letter("no-reply@code.test"), "d=code.test", true), 451},
		{"signed, but from someone else", mailer, eximtest.Sign(letter("someone@mailer.test"), "d=code.test", false), 451},
		{"two From headers", mailer, eximtest.Sign("From: x@mailer.test\n"+letter("no-reply@code.test"), "d=code.test", false), 451},
		{"unsigned", mailer, letter("no-reply@code.test"), 451},
		{"nobody's", contact{stranger, "x.test", "a@x.test", nil}, letter("a@x.test"), 451},
		{"a null sender, signed", contact{mailer.client, mailer.helo, "", nil}, eximtest.Sign(letter("no-reply@code.test"), "d=code.test", false), 250},
		{"a null sender", contact{stranger, "x.test", "", nil}, letter("a@x.test"), 451},
	}
	for i, c := range cases {
		c.from.to = []string{"user" + string(rune('a'+i)) + "@local.test"}
		want(t, c.name, tryMessage(s, c.from, c.message), c.code)
	}
	s.Clock.Advance(5 * time.Minute)
	last := contact{stranger, "x.test", "a@x.test", []string{"userk@local.test"}}
	want(t, "the retry of nobody's", tryMessage(s, last, letter("a@x.test")), 250)
	s.CheckLogs()

	// The rate above counts the recipients of messages that were let in, not of those
	// that greylisting deferred: five of the mailer's would have been too many.
	if n := len(s.Grep("limit.rate/stop")); n > 0 {
		t.Errorf("deferred messages were counted: %s", strings.Join(s.Grep("limit.rate"), "\n"))
	}
}

// TestUrgentRecipients: a message for several is judged as one. It is let in where one of
// its recipients is known from before, and its other recipients with it.
func TestUrgentRecipients(t *testing.T) {
	t.Parallel()
	s := Start(t, `
list "code_senders" {
  senders = ["code.test"]
}
greylist "inbound" {
  urgent = [list.code_senders]
}
`, Options{})
	from := func(to ...string) contact { return contact{"192.0.2.1", "client.test", sender, to} }
	want(t, "first contact", try(s, from("alice@local.test")), 451)
	want(t, "first contact with two", try(s, from("alice@local.test", "bob@local.test")), 451)
	want(t, "a callout", rcpt(s, "192.0.2.1", sender, "dave@local.test"), 250)
	want(t, "postmaster", try(s, from("postmaster@local.test")), 250)
	s.Clock.Advance(5 * time.Minute)
	want(t, "the retry, for one more", try(s, from("alice@local.test", "carol@local.test")), 250)
	want(t, "that one alone", try(s, from("carol@local.test")), 250)
	want(t, "another", try(s, from("dave@local.test")), 451)
	s.CheckLogs()
}
