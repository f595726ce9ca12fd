package endtoend

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

const tarpit = `
limit "tarpit" {
  event  = unknown_recipient
  key    = [client.ip]
  except = [greylist.inbound.trusted]
  tier "slow" {
    over = "5/4h"
    delay {
      each     = "1s"
      max      = "3s"
      sleepers = 2
    }
  }
}
`

// guessed is one refused guess: how long the reply took, and for how many seconds the
// log says that it was delayed.
type guessed struct {
	took time.Duration
	said int
}

// guess asks for recipients that do not exist.
func guess(t *testing.T, s *Site, client string, n int) []guessed {
	t.Helper()
	session := s.BsSession(client)
	defer session.Close()
	session.Ehlo("client.test")
	session.Expect(250, "MAIL FROM:<"+sender+">")
	var out []guessed
	for i := range n {
		before := len(delaysOf(t, s, client))
		r := session.Cmd(fmt.Sprintf("RCPT TO:<nosuch%d@local.test>", i))
		want(t, "an unknown recipient", r, 550)
		g := guessed{took: r.Took}
		if said := delaysOf(t, s, client); len(said) > before {
			g.said = said[len(said)-1]
		}
		out = append(out, g)
	}
	session.Quit()
	return out
}

// delaysOf are the seconds of all delays of a client that the log tells of.
func delaysOf(t *testing.T, s *Site, client string) []int {
	t.Helper()
	var out []int
	for _, line := range s.Grep(" delays [" + client + "] by ") {
		_, rest, _ := strings.Cut(line, "] by ")
		number, _, _ := strings.Cut(rest, "s ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		out = append(out, n)
	}
	return out
}

// seconds compares delays with whole seconds: as the log tells them, and no reply may
// come earlier. (How much later one comes depends on the machine.)
func seconds(t *testing.T, what string, got []guessed, want ...int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d guesses, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if least := time.Duration(w)*time.Second - 50*time.Millisecond; got[i].said != w || got[i].took < least {
			t.Errorf("%s: reply %d took %s and was delayed by %ds, want %ds", what, i+1, got[i].took, got[i].said, w)
		}
	}
}

// TestTarpit measures delays that grow and stop at the cap, and start at zero again
// four hours later.
func TestTarpit(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist+tarpit, Options{})
	scaled := []int{0, 0, 0, 0, 0, 3, 3}
	seconds(t, "growing", guess(t, s, "192.0.2.1", 7), scaled...)
	seconds(t, "another client", guess(t, s, "192.0.2.2", 2), 0, 0)
	s.WaitLog("exipol: limit.tarpit/slow delays [192.0.2.1] by 3s <a@remote.test> to <nosuch5@local.test>")
	s.Clock.Advance(4*time.Hour + 4*time.Hour/36 + time.Second)
	seconds(t, "four hours later", guess(t, s, "192.0.2.1", 2), 0, 0)
	s.CheckLogs()
}

const growing = `
limit "tarpit" {
  event  = unknown_recipient
  key    = [client.ip]
  tier "slow" {
    over = "0/4h"
    delay {
      each = "1s"
      max  = "3s"
    }
  }
}
`

func TestTarpitGrows(t *testing.T) {
	t.Parallel()
	s := Start(t, growing, Options{})
	seconds(t, "growing", guess(t, s, "192.0.2.1", 4), 1, 2, 3, 3)
}

// TestTarpitTrusted: a client that greylisting trusts is never delayed.
func TestTarpitTrusted(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist+tarpit, Options{})
	want(t, "first contact", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 451)
	s.Clock.Advance(5 * time.Minute)
	for range 3 {
		want(t, "pass", rcpt(s, "192.0.2.1", sender, "alice@local.test"), 250)
		s.Clock.Advance(time.Hour)
	}
	seconds(t, "trusted", guess(t, s, "192.0.2.1", 7), 0, 0, 0, 0, 0, 0, 0)
	seconds(t, "not trusted", guess(t, s, "192.0.3.1", 6), 0, 0, 0, 0, 0, 3)
}

// TestTarpitSleepers: with as many asleep as are allowed, the next is not delayed.
func TestTarpitSleepers(t *testing.T) {
	t.Parallel()
	s := Start(t, greylist+tarpit, Options{})
	clients := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}
	for _, c := range clients {
		guess(t, s, c, 5)
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			session, err := s.ConnectBs(c)
			if err != nil {
				t.Error(err)
				return
			}
			defer session.Close()
			for _, command := range []string{"EHLO client.test", "MAIL FROM:<" + sender + ">", "RCPT TO:<nosuch@local.test>"} {
				if _, err := session.Do(command); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	asleep := 0
	for _, c := range clients {
		asleep += len(delaysOf(t, s, c))
	}
	if asleep != 2 {
		t.Errorf("%d clients were delayed at the same time, want 2", asleep)
	}
}

// TestLimits runs the other events, actions and engines through a real dialogue.
func TestLimits(t *testing.T) {
	t.Parallel()
	s := Start(t, `
list "bulk" {
  auth = ["news"]
}
limit "rate_user" {
  traffic  = "submission"
  event    = recipient
  attempts = true
  key      = [auth]
  tier "slow" {
    over = "2/1h"
    defer {
      message = "Sending too fast: $LIMIT {1} \\ \"x\""
    }
  }
  override "bulk" {
    only = [list.bulk]
    over = { slow = "4/1h" }
  }
}
limit "spread" {
  event = recipient
  key   = [client.ip]
  count = distinct(recipient)
  tier "much" {
    over = "2/1h"
    deny {
      message = "too many different ones"
    }
  }
}
limit "volume" {
  event = message
  key   = [client.ip]
  tier "mark" {
    over       = "1/1h"
    add_header = { "X-Volume" = "high" }
  }
  tier "hold" {
    over = "2/1h"
    freeze {
    }
  }
}
limit "connections" {
  event = connection
  key   = [client.ip]
  tier "stop" {
    over = "6/1h"
    drop {
      message = "come back later"
    }
  }
}
`, Options{})
	submit := func(user string, n int) (last eximtest.Reply) {
		session := s.BsSession("192.0.2.9")
		defer session.Close()
		session.Ehlo("client.test")
		want(t, "AUTH", session.Auth(user, eximtest.Password), 235)
		session.Expect(250, "MAIL FROM:<bob@local.test>")
		for i := range n {
			last = session.Cmd(fmt.Sprintf("RCPT TO:<u%d@remote.test>", i))
		}
		return last
	}
	want(t, "two recipients", submit("bob", 2), 250)
	third := submit("bob", 1)
	want(t, "the third", third, 451)
	if text := third.Text(); text != `4.7.1 Sending too fast: $LIMIT {1} \ "x" (limit.rate_user/slow)` {
		t.Errorf("reply %q", text)
	}
	want(t, "four of a bulk sender", submit("news", 4), 250)
	want(t, "the fifth", submit("news", 1), 451)

	session := s.BsSession("192.0.2.1")
	session.Ehlo("client.test")
	session.Expect(250, "MAIL FROM:<"+sender+">")
	for _, to := range []string{"alice", "bob", "alice", "alice"} {
		want(t, "two different recipients", session.Cmd("RCPT TO:<"+to+"@local.test>"), 250)
	}
	want(t, "a third one", session.Cmd("RCPT TO:<carol@local.test>"), 550)
	session.Quit()

	for i, header := range []string{"", "high", "high"} {
		session := s.BsSession("192.0.2.2")
		session.Ehlo("client.test")
		_, data := session.Mail(sender, []string{"alice@local.test"}, body)
		want(t, "message", data, 250)
		session.Quit()
		if i < 2 {
			m := s.WaitMail(i + 1)
			if got := m[i].Field("X-Volume"); got != header {
				t.Errorf("message %d has X-Volume %q, want %q", i+1, got, header)
			}
		}
	}
	if q := s.Queue(); len(q) != 1 || !q[0].Frozen {
		t.Errorf("queue %+v, want the third message, frozen", q)
	}
	for range 3 {
		s.BsSession("192.0.2.2").Quit()
	}
	last := s.BsSession("192.0.2.2")
	want(t, "the seventh connection", last.Greeting, 550)
	s.CheckLogs()
}
