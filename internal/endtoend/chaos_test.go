package endtoend

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// chaos has, for each recipient, one verdict of the policies and one of on_failure.
const chaos = `
list "refused" {
  recipients = ["bob@local.test"]
}
limit "refused" {
  event      = recipient
  key        = [client.ip]
  only       = [list.refused]
  on_failure = "pass"
  tier "any" {
    over = "0/1h"
    deny {
      message = "not for strangers"
    }
  }
}
limit "guesses" {
  event      = unknown_recipient
  key        = [client.ip]
  on_failure = "pass"
  tier "many" {
    over = "1000000/1h"
    deny {
    }
  }
}
limit "volume" {
  event      = message
  key        = [client.ip]
  on_failure = "pass"
  tier "any" {
    over       = "0/1h"
    add_header = { "X-Seen" = "yes" }
  }
}
limit "users" {
  traffic    = "submission"
  event      = recipient
  key        = [auth]
  on_failure = "defer"
  tier "many" {
    over = "1000000/1h"
    deny {
    }
  }
}
`

// chaosTime is how long the helper is mistreated.
const chaosTime = 10 * time.Second

// mistreat kills exipold, stops it for a while, takes its socket away, and brings it
// back, until the time is over. It ends with a running one.
func mistreat(d *daemon, until time.Time) (rounds int, err error) {
	short := func(most time.Duration) { time.Sleep(rand.N(most)) }
	for ; time.Now().Before(until); rounds++ {
		short(400 * time.Millisecond)
		switch rand.IntN(4) {
		case 0:
			d.kill()
		case 1:
			d.kill()
			_ = os.Remove(d.s.Plan.Socket)
			short(300 * time.Millisecond)
		case 2: // it lives, and nobody finds it
			_ = os.Remove(d.s.Plan.Socket)
			short(300 * time.Millisecond)
			d.kill()
		default: // late rather than dead: the first call gives up, the second may be answered
			_ = d.cmd.Process.Signal(syscall.SIGSTOP)
			short(1500 * time.Millisecond)
			_ = d.cmd.Process.Signal(syscall.SIGCONT)
			continue
		}
		if err := d.start(); err != nil {
			return rounds, err
		}
	}
	return rounds, nil
}

// seen counts the replies to what has two answers.
type seen struct {
	mu     sync.Mutex
	counts map[string]int
}

func (s *seen) add(what string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[fmt.Sprintf("%s %d", what, code)]++
}

// client sends messages, two in a connection, until the time is over.
func client(s *Site, number int, until time.Time, o *outcome, replies *seen) {
	address, user := fmt.Sprintf("192.0.2.%d", number), ""
	to := []string{"nosuch@local.test", "alice@local.test", "bob@local.test"}
	allowed := map[string]string{"nosuch@local.test": "550", "alice@local.test": "250", "bob@local.test": "250 550"}
	if number%4 == 0 {
		user = fmt.Sprintf("user%d", number)
		to = []string{"x@remote.test", "alice@local.test"}
		allowed = map[string]string{"x@remote.test": "250 451", "alice@local.test": "250 451"}
	}
	for n := 0; time.Now().Before(until); n++ {
		session, err := s.Connect(address)
		if err != nil {
			o.fault("client %d: %v", number, err)
			return
		}
		if _, err = session.Do("EHLO client.test"); err == nil && user != "" {
			_, err = auth(session, user)
		}
		for m := 0; m < 2 && err == nil; m++ {
			name := fmt.Sprintf("chaos %d %d %d", number, n, m)
			message := ugly(name)
			var rcpt []eximtest.Reply
			var data eximtest.Reply
			rcpt, data, err = session.DoMail(sender, to, message)
			accepted := false
			for i, r := range rcpt {
				if !strings.Contains(allowed[to[i]], fmt.Sprint(r.Code)) {
					o.fault("%s: RCPT %s: %s, want %s", name, to[i], r, allowed[to[i]])
				}
				replies.add(to[i], r.Code)
				if r.Code == 250 {
					accepted = true
					o.arrives(name, to[i], message)
				}
			}
			if accepted && data.Code != 250 {
				o.fault("%s: DATA: %s", name, data)
			}
		}
		if err == nil {
			_, err = session.Do("QUIT")
		}
		if err != nil {
			o.fault("client %d: %v\n%s", number, err, session.Transcript())
		}
		session.Close()
	}
}

// TestChaos: exipold is killed, stopped, started, and robbed of its socket, again and
// again, while clients send. No session breaks, all that was accepted arrives byte for
// byte, and each verdict is that of the policies or that of on_failure.
func TestChaos(t *testing.T) {
	t.Parallel()
	s := New(t, chaos, Options{Helper: `timeout = "2s"`})
	s.Bed.Start()
	d := s.daemon(t)
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	var o outcome
	replies := seen{counts: map[string]int{}}
	until := time.Now().Add(chaosTime)
	var wg sync.WaitGroup
	for number := 1; number <= 8; number++ {
		wg.Go(func() { client(s, number, until, &o, &replies) })
	}
	rounds, err := mistreat(d, until)
	if err != nil {
		t.Error(err)
	}
	wg.Wait()
	if faults := o.check(s, 60*time.Second); len(faults) > 0 {
		t.Errorf("%d faults:\n%s", len(faults), strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
	t.Logf("%d rounds, replies %v", rounds, replies.counts)
	if replies.counts["bob@local.test 550"] == 0 || replies.counts["x@remote.test 250"] == 0 {
		t.Error("the policies never decided")
	}
	if replies.counts["bob@local.test 250"]+replies.counts["x@remote.test 451"] == 0 {
		t.Error("on_failure never decided: the helper was not in trouble")
	}
}
