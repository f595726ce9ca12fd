package endtoend

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"exipol/internal/eximtest"
)

// onFailure has a policy in each half that mail goes through, and who is talking
// decides what on_failure says there:
//
//	inbound     before: pass   after: pass    predata: pass    data: pass
//	relay       before: defer  after: pass                     data: defer
//	submission                                                 data: pass
//	local                      after: defer   predata: defer
const onFailure = `
greylist "inbound" {
  on_failure = "pass"
}
limit "guesses" {
  event      = unknown_recipient
  key        = [client.ip]
  on_failure = "pass"
  tier "many" {
    over = "1000/1h"
    deny {
      message = "too many"
    }
  }
}
limit "volume" {
  event      = message
  key        = [client.ip]
  on_failure = "pass"
  tier "much" {
    over = "1000/1h"
    freeze {
    }
  }
}
limit "relay_guesses" {
  traffic    = "relay"
  event      = unknown_recipient
  key        = [client.ip]
  on_failure = "defer"
  tier "many" {
    over = "1000/1h"
    drop {
    }
  }
}
limit "relayed" {
  traffic    = "relay"
  event      = recipient
  key        = [client.ip]
  on_failure = "pass"
  tier "many" {
    over = "1000/1h"
    defer {
    }
  }
}
limit "relay_volume" {
  traffic    = "relay"
  event      = message
  key        = [client.ip]
  on_failure = "defer"
  tier "much" {
    over = "1000/1h"
    discard {
    }
  }
}
limit "letters" {
  traffic    = "submission"
  event      = message
  key        = [auth]
  on_failure = "pass"
  tier "much" {
    over = "1000/1h"
    defer {
    }
  }
}
greylist "own" {
  traffic    = "local"
  key        = [sender, recipient]
  on_failure = "defer"
}
`

// attempt is one connection in which the same message is sent twice: the second time
// nobody may wait.
type attempt struct {
	name, client, auth, from string
	to                       []string
	rcpt                     []int // the reply to each recipient
	data                     int   // the reply to DATA or to the message; 0 where it does not come to that
}

var attempts = []attempt{
	{name: "one", client: "192.0.2.1", from: sender, to: []string{"alice@local.test"}, rcpt: []int{250}, data: 250},
	{name: "several", client: "192.0.2.1", from: sender, to: []string{"nosuch@local.test", "alice@local.test", "later@local.test", "bob@local.test", "x@elsewhere.example"}, rcpt: []int{550, 250, 451, 250, 550}, data: 250},
	{name: "one, null sender", client: "2001:db8::1", to: []string{"alice@local.test"}, rcpt: []int{250}, data: 250},
	{name: "several, null sender", client: "2001:db8::1", to: []string{"alice@local.test", "nosuch@local.test", "bob@local.test"}, rcpt: []int{250, 550, 250}, data: 250},
	{name: "relay, unknown first", client: "127.0.0.9", from: sender, to: []string{"nosuch@remote.test", "x@remote.test"}, rcpt: []int{451, 250}, data: 451},
	{name: "relay, null sender", client: "127.0.0.9", to: []string{"x@remote.test", "nosuch@remote.test", "y@remote.test"}, rcpt: []int{250, 451, 250}, data: 451},
	{name: "submission", client: "192.0.2.2", auth: "bob", from: "bob@local.test", to: []string{"x@remote.test", "alice@local.test"}, rcpt: []int{250, 250}, data: 250},
	{name: "submission of one", client: "192.0.2.2", auth: "bob", from: "bob@local.test", to: []string{"x@remote.test"}, rcpt: []int{250}, data: 250},
	{name: "local", from: sender, to: []string{"alice@local.test", "bob@local.test"}, rcpt: []int{451, 451}},
	{name: "local, null sender", to: []string{"alice@local.test", "bob@local.test"}, rcpt: []int{250, 250}, data: 451},
}

// ugly is a message that must arrive as it was sent, whatever it looks like.
func ugly(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: %s\n\n%s\nFrom the start\n.\n..\n \t\n", name, name)
	for c := 1; c < 256; c++ {
		if c != '\r' && c != '\n' {
			b.WriteByte(byte(c))
		}
	}
	b.WriteString("\n2026-11-22 12:00:00 1xV2mw-0008Rt-2a <= a@remote.test H=(x) [192.0.2.1] P=esmtp S=1\nv=1 verdict=deny end=1\n")
	b.WriteString(strings.Repeat("x", 3000) + "\n")
	for i := range 400 {
		fmt.Fprintf(&b, "line %d of %s\n", i, name)
	}
	return b.String()
}

// auth logs in, from any goroutine.
func auth(s *eximtest.Session, id string) (eximtest.Reply, error) {
	return s.Do("AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+id+"\x00"+eximtest.Password)))
}

// arrival is a message as one recipient must get it.
type arrival struct{ subject, to string }

// outcome is what attempts came to; many may add to one.
type outcome struct {
	mu       sync.Mutex
	faults   []string
	arrivals map[arrival]string // bodies
}

func (o *outcome) fault(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults = append(o.faults, fmt.Sprintf(format, args...))
}

func (o *outcome) arrives(subject, to, message string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.arrivals == nil {
		o.arrivals = map[arrival]string{}
	}
	_, o.arrivals[arrival{subject, to}], _ = strings.Cut(message, "\n\n")
}

// run makes the attempt. longest is what one connection may wait.
func (a attempt) run(open func(string) (*eximtest.Session, error), longest time.Duration, o *outcome) {
	s, err := open(a.client)
	if err != nil {
		o.fault("%s: %v", a.name, err)
		return
	}
	defer s.Close()
	if _, err := s.Do("EHLO client.test"); err != nil {
		o.fault("%s: %v", a.name, err)
		return
	}
	if a.auth != "" {
		if r, err := auth(s, a.auth); err != nil || r.Code != 235 {
			o.fault("%s: AUTH: %s %v", a.name, r, err)
			return
		}
	}
	begin := time.Now()
	for n := 1; n <= 2; n++ {
		name := fmt.Sprintf("%s, message %d", a.name, n)
		message := ugly(name)
		rcpt, data, err := s.DoMail(a.from, a.to, message)
		if err != nil {
			o.fault("%s: %v\n%s", name, err, s.Transcript())
			return
		}
		for i, r := range rcpt {
			if r.Code != a.rcpt[i] {
				o.fault("%s: RCPT %s: %s, want %d", name, a.to[i], r, a.rcpt[i])
			}
			if data.Code == 250 && r.Code == 250 {
				o.arrives(name, a.to[i], message)
			}
		}
		if data.Code != a.data {
			o.fault("%s: DATA: %s, want %d", name, data, a.data)
		}
		if r, err := s.Do("RSET"); err != nil || r.Code != 250 {
			o.fault("%s: RSET: %s %v", name, r, err)
			return
		}
	}
	if took := time.Since(begin); took > longest {
		o.fault("%s: the connection took %s, and may wait %s at most", a.name, took, longest)
	}
	if r, err := s.Do("QUIT"); err != nil || r.Code != 221 {
		o.fault("%s: QUIT: %s %v", a.name, r, err)
	}
}

// check waits for the mail and compares it byte for byte; then it looks at the logs.
// Mail that does not come is waited for only so long.
func (o *outcome) check(s *Site, wait time.Duration) []string {
	var mail []eximtest.Message
	for end := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		if mail = s.Mailbox(); len(mail) >= len(o.arrivals) || time.Now().After(end) {
			break
		}
	}
	faults := o.faults
	got := map[arrival]int{}
	for _, m := range mail {
		a := arrival{m.Field("Subject"), m.Recipient}
		want, expected := o.arrivals[a]
		switch {
		case !expected:
			faults = append(faults, fmt.Sprintf("%v arrived, and was not accepted", a))
		case m.Body != want:
			faults = append(faults, fmt.Sprintf("%v: body %.200q", a, m.Body))
		}
		got[a]++
	}
	for a := range o.arrivals {
		if got[a] != 1 {
			faults = append(faults, fmt.Sprintf("%v arrived %d times", a, got[a]))
		}
	}
	return append(faults, s.LogFaults()...)
}
