package eximtest

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// TestMain lets more tests run side by side than there are processors: they wait for
// timeouts most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

const nasty = "Subject: byte for byte\nMessage-ID: <m1@client.test>\n\n" +
	"From the beginning of a line\n.\n..two dots\n\n  blanks  \t\n8-bit: \xe4\xff \xc3\xa4\nlast line\n"

func body(message string) string {
	_, b, _ := strings.Cut(message, "\n\n")
	return b
}

// start makes a bed of a layout that listens.
func start(t *testing.T, layout Layout) *Bed {
	t.Helper()
	b := New(t, layout)
	b.Start()
	return b
}

func TestEveryLayout(t *testing.T) {
	for _, layout := range Layouts {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			b := start(t, layout)
			t.Run("whole message", func(t *testing.T) { wholeMessage(t, b) })
			t.Run("refusals", func(t *testing.T) { refusals(t, b) })
			t.Run("login", func(t *testing.T) { login(t, b) })
			b.CheckLogs()
			if q := b.Queue(); len(q) != 0 {
				t.Errorf("left in the spool: %v", q)
			}
		})
	}
}

func wholeMessage(t *testing.T, b *Bed) {
	s := b.Dial("127.0.0.2")
	if s.Greeting.Code != 220 {
		t.Fatalf("greeting: %s", s.Greeting)
	}
	s.Ehlo("client.test")
	rcpt, data := s.Mail("sender@remote.test", []string{"alice@local.test", "user7@local.test"}, nasty)
	if rcpt[0].Code != 250 || rcpt[1].Code != 250 || data.Code != 250 || data.MessageID() == "" {
		t.Fatalf("not accepted: %v %v\n%s", rcpt, data, s.Transcript())
	}
	s.Quit()
	mail := b.WaitMail(2)
	got := map[string]Message{}
	for _, m := range mail {
		got[m.Recipient] = m
		if m.Body != body(nasty) {
			t.Errorf("body for %s: %q, want %q", m.Recipient, m.Body, body(nasty))
		}
		if m.Sender != "sender@remote.test" || m.Field("subject") != "byte for byte" {
			t.Errorf("sender %q, subject %q", m.Sender, m.Field("subject"))
		}
	}
	if len(got) != 2 || got["alice@local.test"].Body == "" || got["user7@local.test"].Body == "" {
		t.Errorf("delivered: %v", mail)
	}
	if l := b.WaitLog(data.MessageID() + " <= "); !strings.Contains(l, "[127.0.0.2]") {
		t.Errorf("not from 127.0.0.2: %s", l)
	}
	b.WaitLog(data.MessageID() + " Completed")
}

func refusals(t *testing.T, b *Bed) {
	s := b.Dial("127.0.0.3")
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<sender@remote.test>")
	for to, want := range map[string]int{
		"nosuch1@local.test":    550,
		"x@relayed.test":        250,
		"nosuch2@relayed.test":  550,
		"x@remote.test":         550, // no relay for strangers
		"later@local.test":      451,
		"postmaster@local.test": 250,
	} {
		r := s.Cmd("RCPT TO:<" + to + ">")
		if r.Code != want {
			t.Errorf("%s: got %s, want %d", to, r, want)
		}
		if to == "x@remote.test" && !strings.Contains(r.Text(), "relay not permitted") {
			t.Errorf("relay refused with: %s", r)
		}
	}
	s.Quit()
	friend := b.Dial("127.0.0.9")
	friend.Ehlo("friend.test")
	friend.Expect(250, "MAIL FROM:<sender@remote.test>")
	friend.Expect(250, "RCPT TO:<x@remote.test>")
	friend.Quit()
}

func login(t *testing.T, b *Bed) {
	s := b.Dial("127.0.0.4")
	s.Ehlo("client.test")
	if r := s.Auth("alice", "wrong"); r.Code != 535 {
		t.Errorf("wrong password: %s", r)
	}
	if r := s.Auth(`bo"b`, Password); r.Code != 235 {
		t.Fatalf("right password: %s", r)
	}
	rcpt, data := s.Mail("alice@local.test", []string{"far@remote.test"}, "From: alice@local.test\nSubject: out\n\nout\n")
	if rcpt[0].Code != 250 || data.Code != 250 {
		t.Errorf("submission: %v %v", rcpt, data)
	}
	s.Quit()
	if l := b.WaitLog(data.MessageID() + " <= "); !strings.Contains(l, `A=plain_server:bo"b `) {
		t.Errorf("not logged as submission: %s", l)
	}
	b.WaitLog(data.MessageID() + " Completed")
}

// TestEnter: in every layout ACLs of a test get in front of the site's, which decides as
// before.
func TestEnter(t *testing.T) {
	for _, layout := range Layouts {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			b := New(t, layout)
			b.Enter = map[string]string{"connect": "mine_connect", "rcpt": "mine_rcpt", "data": "mine_data"}
			for _, stage := range []string{"connect", "rcpt", "data"} {
				b.ACL += "\nmine_" + stage + ":\n  warn logwrite = mine at " + stage + "\n  accept"
				if stage != "connect" {
					b.ACL += " endpass\n         acl = acl_check_" + stage
				}
				b.ACL += "\n"
			}
			b.Start()
			s := b.Dial("2001:db8::25")
			s.Ehlo("client.test")
			rcpt, data := s.Mail("a@remote.test", []string{"x@remote.test", "nosuch@local.test", "bob@local.test"}, nasty)
			if rcpt[0].Code != 550 || rcpt[1].Code != 550 || rcpt[2].Code != 250 || data.Code != 250 {
				t.Errorf("replies: %v %v", rcpt, data)
			}
			_, long := s.Mail("a@remote.test", []string{"bob@local.test"}, "Subject: long\n\n"+strings.Repeat("x", 1200)+"\n")
			if wide := layout != Small; wide != (long.Code == 550) {
				t.Errorf("the site's own rule about long lines: %s", long)
			}
			s.Quit()
			for stage, n := range map[string]int{"connect": 1, "rcpt": 4, "data": 2} {
				if got := len(b.Grep(" mine at " + stage)); got != n {
					t.Errorf("%s: ran %d times, not %d", stage, got, n)
				}
			}
			b.WaitLog(data.MessageID() + " Completed")
			b.CheckLogs()
		})
	}
}
