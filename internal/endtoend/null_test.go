package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// bounce sends a message with a null sender to these local parts, by DATA or by BDAT
// (RFC 3030, for which Exim has no predata stage), and returns the reply that decides.
func bounce(s *Site, bdat bool, to ...string) eximtest.Reply {
	session := s.BsSession("192.0.2.1")
	defer session.Close()
	session.Ehlo("client.test")
	session.Expect(250, "MAIL FROM:<>")
	for _, local := range to {
		session.Expect(250, "RCPT TO:<"+local+"@local.test>")
	}
	if !bdat {
		return session.Data(body)
	}
	const message = "Subject: x\r\n\r\nhello"
	return session.Cmd(fmt.Sprintf("BDAT %d LAST\r\n%s", len(message)+len("\r\n"), message))
}

func TestNullSender(t *testing.T) {
	t.Parallel()
	for _, bdat := range []bool{false, true} {
		t.Run(fmt.Sprintf("bdat=%t", bdat), func(t *testing.T) {
			t.Parallel()
			s := Start(t, greylist, Options{})
			want(t, "first bounce", bounce(s, bdat, "alice"), 451)
			s.Clock.Advance(5 * time.Minute)
			want(t, "retry", bounce(s, bdat, "alice"), 250)
			// Neither a recipient that is never greylisted nor an exempt one takes another
			// one with it.
			want(t, "postmaster first", bounce(s, bdat, "postmaster", "bob"), 451)
			want(t, "an exempt recipient first", bounce(s, bdat, "carol", "dave"), 451)
			want(t, "postmaster alone", bounce(s, bdat, "postmaster"), 250)
			want(t, "an exempt recipient alone", bounce(s, bdat, "carol"), 250)
			s.CheckLogs()
		})
	}
}

// TestNullSenderCountsOnce: a bounce that greylisting defers does not use up a
// mailbox's rate, whose recipients come before; one that is let in counts once.
func TestNullSenderCountsOnce(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist+`
limit "mailbox" {
  event = recipient
  key   = [recipient]
  tier "bomb" {
    over = "2/1h"
    defer {
    }
  }
}
`, Options{})
	for range 4 {
		want(t, "deferred at DATA", bounce(s, false, "alice", "bob"), 451)
	}
	s.Clock.Advance(5 * time.Minute)
	want(t, "one", bounce(s, false, "alice", "bob"), 250)
	want(t, "two", bounce(s, true, "alice", "bob"), 250)
	for _, to := range []string{"alice@local.test", "bob@local.test"} {
		want(t, "three, to "+to, rcpt(s, "192.0.2.1", "", to), 451)
	}
	want(t, "another mailbox", rcpt(s, "192.0.2.1", "", "dave@local.test"), 250)
}

// TestClockPutRight: a clock that was ahead for a while locks nobody out.
func TestClockPutRight(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist+growing, Options{})
	const years = 10 * 365 * 24 * time.Hour
	s.Clock.Advance(years)
	want(t, "first contact, in the future", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	guess(t, s, "192.0.2.9", 1)
	s.Clock.Advance(-years)
	want(t, "first contact, now", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	s.Clock.Advance(5 * time.Minute)
	want(t, "retry", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 250)
	seconds(t, "the first offence, now", guess(t, s, "192.0.2.9", 1), 1)
}

// TestFailureReachability: on_failure = "defer" defers neither postmaster nor who is
// exempt anyway.
func TestFailureReachability(t *testing.T) {
	t.Parallel()
	s := New(t, greylist, Options{Helper: `on_failure = "defer"`, Site: `forwarders = ["203.0.113.7"]`})
	want(t, "anybody, with the helper away", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	want(t, "postmaster", rcpt(s, "192.0.2.1", sender, "postmaster@local.test"), 250)
	want(t, "a listed client", rcpt(s, "198.51.100.1", sender, "alice@local.test"), 250)
	want(t, "a forwarder", rcpt(s, "203.0.113.7", sender, "alice@local.test"), 250)
	s.CheckLogs()
}

// TestEximEngine: of a limit that Exim counts, the strongest tier decides, and the
// site's forwarders are exempt.
func TestEximEngine(t *testing.T) {
	t.Parallel()
	s := New(t, `
limit "rate" {
  event    = recipient
  key      = [net(client.ip, 24, 64)]
  engine   = "exim"
  attempts = true
  tier "slow" {
    over = "2/1h"
    defer {
    }
  }
  tier "stop" {
    over = "4/1h"
    deny {
    }
  }
}
`, Options{Site: `forwarders = ["203.0.113.7"]`})
	codes := func(client string) string {
		session := s.BsSession(client)
		defer session.Close()
		session.Ehlo("client.test")
		session.Expect(250, "MAIL FROM:<"+sender+">")
		var out []string
		for range 6 {
			out = append(out, fmt.Sprint(session.Cmd("RCPT TO:<alice@local.test>").Code))
		}
		return strings.Join(out, " ")
	}
	if got, want := codes("192.0.2.1"), "250 250 451 451 550 550"; got != want {
		t.Errorf("recipients: %s, want %s", got, want)
	}
	if got, want := codes("192.0.2.77"), "550 550 550 550 550 550"; got != want {
		t.Errorf("another address of the net: %s, want %s", got, want)
	}
	if got, want := codes("203.0.113.7"), "250 250 250 250 250 250"; got != want {
		t.Errorf("a forwarder: %s, want %s", got, want)
	}
	s.CheckLogs()
}
