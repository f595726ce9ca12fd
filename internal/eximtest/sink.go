package eximtest

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Sink is the rest of the internet for an Exim that sends: an SMTP server on loopback that
// takes mail for any domain, answers each command by a rule, and remembers who came.
//
// The rule that a new sink has goes by how an address begins:
//
//	nosuch*    550 5.1.1, there is no such user
//	full*      552 5.2.2, the mailbox is full
//	busy*      452 4.2.2, it is full for the moment
//	policy*    550 5.7.1, mail like this is not wanted
//	grey*      450 4.2.0 at the first attempt of a sender, 250 from the second on
//	later*     450 4.3.0, always
//	late*      250, but the message is refused after its final dot: 554 5.6.0
//	closes*    the connection is closed without a word
//	hangs*     no answer at all
//	sent by refused*   550 5.7.1 to MAIL
//	all others 250
type Sink struct {
	t    T
	ln   net.Listener
	gone chan struct{} // closed when the sink closes: nothing hangs any longer
	wg   sync.WaitGroup
	end  sync.Once

	mu     sync.Mutex
	rule   func(Command) Answer
	grey   map[string]bool
	visits []Visit
	mail   []Sent
	conns  map[net.Conn]bool
}

// Command is what a sink's rule decides about. Stage is "mail", "rcpt" or "data" (the
// message is there).
type Command struct {
	Stage     string
	Sender    string // of the envelope; "" is the null sender
	Recipient string // at rcpt, and at data the first of those that were accepted
}

// Answer is a reply line without its CRLF. A rule's zero Answer is 250.
type Answer string

// takes says whether the answer is a yes.
func (a Answer) takes() bool { return strings.HasPrefix(string(a), "2") }

// Answers that are none.
const (
	Closes Answer = "closes"
	Hangs  Answer = "hangs"
)

// Visit is one mail transaction at a sink.
type Visit struct {
	Sender     string
	Recipients []string // all that were asked for
	Replies    []Answer // to each of them
	Data       bool     // a message came; without one it was a callout, or nobody was accepted
}

// Sent is a message that a sink took, once for all its recipients.
type Sent struct {
	Sender     string
	Recipients []string // those that were accepted
	Raw        string   // with LF
}

// Message is the message as one of its recipients got it.
func (s Sent) Message(recipient string) Message {
	header, body, _ := strings.Cut(s.Raw, "\n\n")
	return Message{Sender: s.Sender, Recipient: recipient, Header: header, Body: body}
}

// NewSink starts a sink with the rule above. It ends with the test.
func NewSink(t T) *Sink {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("sink: %v", err)
	}
	s := &Sink{t: t, ln: ln, gone: make(chan struct{}), grey: map[string]bool{}, conns: map[net.Conn]bool{}}
	s.rule = s.byName
	s.wg.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

// Port is where the sink listens on 127.0.0.1.
func (s *Sink) Port() int { return s.ln.Addr().(*net.TCPAddr).Port }

// SetRule has another rule decide from now on; nil is the one that a new sink has. A rule
// is called from many goroutines.
func (s *Sink) SetRule(rule func(Command) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rule = rule; rule == nil {
		s.rule = s.byName
	}
}

// Mail is all that was taken, oldest first, a message per recipient.
func (s *Sink) Mail() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.mail {
		for _, to := range m.Recipients {
			all = append(all, m.Message(to))
		}
	}
	return all
}

// To is the mail that was taken for one recipient.
func (s *Sink) To(recipient string) []Message {
	return slices.DeleteFunc(s.Mail(), func(m Message) bool { return m.Recipient != recipient })
}

// WaitTo waits until a recipient has at least n messages, and returns them. With fewer, the
// test ends.
func (s *Sink) WaitTo(recipient string, n int) []Message {
	s.t.Helper()
	for end := time.Now().Add(patience / 2); ; time.Sleep(10 * time.Millisecond) {
		if all := s.To(recipient); len(all) >= n {
			return all
		} else if time.Now().After(end) {
			s.t.Fatalf("the sink has %d messages for %s, not %d", len(all), recipient, n)
		}
	}
}

// Visits are all transactions so far, oldest first.
func (s *Sink) Visits() []Visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.visits)
	for i, v := range all {
		all[i].Recipients, all[i].Replies = slices.Clone(v.Recipients), slices.Clone(v.Replies)
	}
	return all
}

// Callouts counts the transactions that asked for a recipient and brought no message.
func (s *Sink) Callouts(recipient string) (n int) {
	for _, v := range s.Visits() {
		if !v.Data && slices.Contains(v.Recipients, recipient) {
			n++
		}
	}
	return n
}

// byName is the rule of a new sink.
func (s *Sink) byName(c Command) Answer {
	is := func(address, prefix string) bool { return strings.HasPrefix(address, prefix) }
	switch {
	case c.Stage == "mail" && is(c.Sender, "refused"):
		return "550 5.7.1 your sender is not wanted here"
	case c.Stage == "data" && is(c.Recipient, "late") && !is(c.Recipient, "later"):
		return "554 5.6.0 the message is not wanted here"
	case c.Stage != "rcpt":
		return ""
	case is(c.Recipient, "nosuch"):
		return "550 5.1.1 no such user here"
	case is(c.Recipient, "full"):
		return "552 5.2.2 mailbox full"
	case is(c.Recipient, "busy"):
		return "452 4.2.2 mailbox full for the moment"
	case is(c.Recipient, "policy"):
		return "550 5.7.1 not wanted here"
	case is(c.Recipient, "later"):
		return "450 4.3.0 come back later"
	case is(c.Recipient, "grey") && s.first(c.Sender+" "+c.Recipient):
		return "450 4.2.0 greylisted"
	case is(c.Recipient, "closes"):
		return Closes
	case is(c.Recipient, "hangs"):
		return Hangs
	}
	return ""
}

// first says whether this was never seen before.
func (s *Sink) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.grey[what]
	s.grey[what] = true
	return !known
}

func (s *Sink) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer s.leave(conn)
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			select {
			case <-s.gone:
				return
			default:
			}
			(&visitor{sink: s, conn: conn, in: bufio.NewReader(conn), visit: -1}).serve()
		})
	}
}

func (s *Sink) leave(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// close ends all dialogues; what hangs, too.
func (s *Sink) close() {
	s.end.Do(func() {
		close(s.gone)
		s.ln.Close()
		s.mu.Lock()
		for conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
}
