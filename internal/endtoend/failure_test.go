package endtoend

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// longest is how long a connection with a useless helper may wait, with room for a busy
// machine: a connection that asked again and again would take far longer.
const (
	timeout = 2 * time.Second
	longest = 2*timeout + 8*time.Second
)

// send makes all attempts at the same time.
func send(s *Site, attempts []attempt, o *outcome) {
	var wg sync.WaitGroup
	for _, a := range attempts {
		wg.Go(func() { a.run(s.ConnectBs, longest, o) })
	}
	wg.Wait()
}

// calls checks how often a helper was called: one question for each connection, and
// where that failed once more.
func calls(helper *eximtest.FakeHelper, mode eximtest.Mode, connections int, o *outcome) {
	low, high := connections, 2*connections
	switch mode.String() {
	case eximtest.Absent.String(), eximtest.Stale.String(), eximtest.Forbidden.String(), eximtest.Deaf.String():
		low, high = 0, 0
	case eximtest.Hung.String(), eximtest.Endless.String():
		low = high
	}
	if n := helper.Calls(); n < low || n > high {
		o.fault("%d calls for %d connections, want %d to %d", n, connections, low, high)
	}
}

// TestFailures: whatever the helper does, mail arrives whole or is refused as
// on_failure says, one wait for each connection, and no trace in the logs.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, mode := range eximtest.Useless() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := New(t, onFailure, Options{Helper: `timeout = "2s"`})
			s.Configure()
			helper := eximtest.NewFakeHelper(t, s.Plan.Socket, mode)
			var o outcome
			send(s, attempts, &o)
			calls(helper, mode, len(attempts), &o)
			if faults := o.check(s, 30*time.Second); len(faults) > 0 {
				t.Errorf("%s", strings.Join(faults, "\n"))
			}
			logged(t, s, len(attempts))
		})
	}
}

// logged checks that the log tells of each failure once, and of each policy that made
// something of it.
func logged(t *testing.T, s *Site, connections int) {
	t.Helper()
	if n := len(s.Grep("exipol: exipold gave no answer for [")); n != connections {
		t.Errorf("the log tells %d times of a failure, want %d", n, connections)
	}
	for _, policy := range []string{"limit.relay_guesses", "limit.relay_volume", "greylist.own"} {
		if len(s.Grep("exipol: "+policy+" on_failure")) == 0 {
			t.Errorf("the log does not tell that %s deferred", policy)
		}
	}
}

// withLookups is a site whose domains, senders and ACLs need files to be looked up:
// Exim opens them between the questions and keeps them open.
func withLookups(b *eximtest.Bed) {
	domains := b.WriteFile("etc/domains", "local.test: x\n")
	blocked := b.WriteFile("etc/blocked", "blocked@remote.test: x\n*@blocked.test: x\n")
	users := b.WriteFile("etc/users", "alice: full\nbob: some\n")
	b.Main += "domainlist looked_up = lsearch;" + domains + "\n"
	b.Site["rcpt"] = "  deny senders = lsearch*@;" + blocked + "\n" +
		"  warn set acl_m_rights = ${lookup{$local_part}lsearch{" + users + "}{$value}{none}}\n" + b.Site["rcpt"]
	b.Site["data"] = "  deny condition = ${lookup{$sender_address}lsearch*@{" + blocked + "}{yes}{no}}\n  accept\n"
	b.Site["predata"] = "  deny condition = ${lookup{" + sender + "}lsearch{" + blocked + "}{yes}{no}}\n  accept\n"
}

// TestFailuresWithLookups: the same where the fields of a question, and the site's own
// ACLs around it, need lookups.
func TestFailuresWithLookups(t *testing.T) {
	t.Parallel()
	for _, mode := range []eximtest.Mode{eximtest.Absent, eximtest.Stale, eximtest.Forbidden, eximtest.Deaf, eximtest.Hung, eximtest.Closing} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := New(t, onFailure, Options{Helper: `timeout = "2s"`, Site: `domains = ["+looked_up", "relayed.test"]`, Configure: withLookups})
			s.Configure()
			helper := eximtest.NewFakeHelper(t, s.Plan.Socket, mode)
			var o outcome
			some := attempts[:5]
			send(s, some, &o)
			calls(helper, mode, len(some), &o)
			if faults := o.check(s, 30*time.Second); len(faults) > 0 {
				t.Errorf("%s", strings.Join(faults, "\n"))
			}
		})
	}
}

// TestLateAnswer: where the first call gives up and the second is answered, that is
// the answer; both ask the same to the byte, so that it can be counted once; and the
// connection goes on asking.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	s := New(t, onFailure, Options{Helper: `timeout = "2s"`})
	known := map[string]bool{}
	var mu sync.Mutex
	helper := eximtest.NewFakeHelper(t, s.Plan.Socket, eximtest.Answers("late", func(question string) string {
		mu.Lock()
		first := len(known) == 0
		known[question] = true
		mu.Unlock()
		if first {
			time.Sleep(1500 * time.Millisecond)
		}
		return "v=1 verdict=defer by=greylist.inbound waive=no end=1"
	}))
	session := s.BsSession("192.0.2.1")
	session.Ehlo("client.test")
	session.Expect(250, "MAIL FROM:<"+sender+">")
	for range 2 {
		want(t, "recipient", session.Cmd("RCPT TO:<alice@local.test>"), 451)
	}
	session.Quit()
	mu.Lock()
	defer mu.Unlock()
	if n := helper.Calls(); n != 3 {
		t.Errorf("%d calls, want 3: one question twice, and one once", n)
	}
	if len(known) != 2 {
		t.Errorf("%d different questions, want 2:\n%s", len(known), strings.Join(helper.Questions(), ""))
	}
	if l := s.Grep("gave no answer"); len(l) > 0 {
		t.Errorf("the second answer was not taken: %s", l[0])
	}
	s.CheckLogs()
}

// TestFailuresShow proves that these tests can fail: with the second question cut out
// of the generated text, the same attempts find sessions broken, mail lost, and lines
// in the log that do not belong there.
func TestFailuresShow(t *testing.T) {
	t.Parallel()
	s := New(t, onFailure, Options{Helper: `timeout = "2s"`})
	const call = "${readsocket{"
	second := strings.LastIndex(s.ACL, call)
	if strings.Count(s.ACL, call) != 2 {
		t.Fatal("the generated text has not the two questions that this test knows")
	}
	s.ACL = s.ACL[:second] + "failed" + s.ACL[second+item(s.ACL[second:]):]
	s.Configure()
	var o outcome
	send(s, attempts, &o)
	faults := o.check(s, 2*time.Second)
	if len(faults) == 0 {
		t.Error("with a plain question to a socket that is not there, all went well: either this Exim is mended, or these tests see nothing")
	}
	if !slices.ContainsFunc(faults, func(f string) bool {
		return strings.Contains(f, "body") || strings.Contains(f, "stray") || strings.Contains(f, "421")
	}) {
		t.Logf("faults of another kind than usual:\n%s", strings.Join(faults, "\n"))
	}
}

// item is the length of the expansion item at the beginning of a text.
func item(text string) int {
	depth := 0
	for i, c := range text {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// TestFailuresEarly: the first question of a connection comes before all else, in the
// ACLs for connect and HELO, through a real daemon.
func TestFailuresEarly(t *testing.T) {
	t.Parallel()
	const early = `
limit "connections" {
  event      = connection
  key        = [client.ip]
  on_failure = "pass"
  tier "many" {
    over = "1000/1h"
    drop {
    }
  }
}
limit "relay_hello" {
  traffic    = "relay"
  event      = helo
  key        = [client.ip]
  on_failure = "defer"
  tier "many" {
    over = "1000/1h"
    deny {
    }
  }
}
limit "hello" {
  event      = helo
  key        = [helo]
  on_failure = "pass"
  tier "many" {
    over = "1000/1h"
    deny {
    }
  }
}
`
	for _, mode := range []eximtest.Mode{eximtest.Absent, eximtest.Stale, eximtest.Forbidden, eximtest.Deaf, eximtest.Hung, eximtest.Closing} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := New(t, early+onFailure, Options{Helper: `timeout = "2s"`})
			eximtest.NewFakeHelper(t, s.Plan.Socket, mode)
			s.Bed.Start()
			var o outcome
			var wg sync.WaitGroup
			for _, a := range attempts[:4] {
				wg.Go(func() { a.run(s.Connect, longest, &o) })
			}
			wg.Go(func() {
				session, err := s.Connect("127.0.0.9")
				if err != nil {
					o.fault("relay: %v", err)
					return
				}
				defer session.Close()
				if r, err := session.Do("EHLO relay.test"); err != nil || r.Code != 451 {
					o.fault("relay: EHLO: %s %v, want 451", r, err)
				}
			})
			wg.Wait()
			if faults := o.check(s, 30*time.Second); len(faults) > 0 {
				t.Errorf("%s", strings.Join(faults, "\n"))
			}
		})
	}
}

// TestFailuresHalfway: a helper that takes a question, does not answer, and is gone
// when the second one comes. The first call then leaves nothing behind that the second
// would mend; it is the second that must not leave anything.
func TestFailuresHalfway(t *testing.T) {
	t.Parallel()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			s := New(t, onFailure, Options{Helper: `timeout = "2s"`, Configure: withLookups})
			s.Configure()
			eximtest.NewFakeHelper(t, s.Plan.Socket, eximtest.Answers("going", func(string) string {
				_ = os.Remove(s.Plan.Socket)
				time.Sleep(1500 * time.Millisecond)
				return ""
			}))
			var o outcome
			a.run(s.ConnectBs, longest, &o)
			if faults := o.check(s, 10*time.Second); len(faults) > 0 {
				t.Errorf("%s", strings.Join(faults, "\n"))
			}
		})
	}
}
