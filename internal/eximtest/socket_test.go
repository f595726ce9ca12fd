package eximtest

import (
	"strings"
	"testing"
	"time"
)

// The two ways to ask. The question is in a variable, as it has to be for the healed
// one: see TestPlainReadsocketCorrupts.
const (
	plainCall  = "${readsocket{SOCKET}{$acl_m_q}{2s}{ }{FAILED}}"
	healedCall = "${readsocket{SOCKET}{$acl_m_q}{1s}{ }{${readsocket{SOCKET}{$acl_m_q}{1s}{ }{FAILED}}}}"
)

// asking makes a bed whose RCPT ACL asks at a socket before it does its own work. It
// logs something after the question: the descriptor that opens for that log line is the
// victim. (A line before the first question hides the fault, no line at all, too.)
func asking(t *testing.T, call string) (*Bed, string) {
	b := New(t, Small)
	path := b.SocketPath("s")
	b.Main = "acl_smtp_rcpt = ask\n"
	b.ACL = "ask:\n" +
		"  warn set acl_m_q = v=1 rcpt=${base64:$local_part@$domain}\n" +
		"       set acl_m_a = " + strings.ReplaceAll(call, "SOCKET", path) + "\n" +
		"       logwrite = asked\n" +
		"  accept endpass\n         acl = acl_check_rcpt\n"
	return b, path
}

// trouble runs messages with one and with two recipients against a bed and returns all
// that went wrong.
func trouble(t *testing.T, b *Bed, open func(clientIP string) (*Session, error), clientIP string) []string {
	t.Helper()
	var faults []string
	want := 0
	for _, to := range [][]string{{"alice@local.test"}, {"alice@local.test", "bob@local.test"}} {
		s, err := open(clientIP)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Do("EHLO client.test")
		if err == nil {
			var data Reply
			if _, data, err = s.DoMail("a@remote.test", to, nasty); data.Code == 250 {
				want += len(to)
			} else if err == nil {
				t.Logf("reply: %s", data)
				faults = append(faults, "message refused: "+data.String())
			}
		}
		if err != nil {
			faults = append(faults, err.Error())
		}
		s.Close()
	}
	// What is not there after a while is lost.
	for end := time.Now().Add(2 * time.Second); len(b.Mailbox()) < want && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	mail := b.Mailbox()
	if len(mail) != want {
		faults = append(faults, "messages are missing")
	}
	for _, m := range mail {
		if m.Body != body(nasty) {
			faults = append(faults, "body: "+printable(m.Body))
		}
	}
	return append(faults, b.LogFaults()...)
}

// TestPlainReadsocketCorrupts is why exipol asks the way it does, and proves that these
// beds can see it: where nobody listens on a Unix socket, Exim keeps the number of the
// closed descriptor, and what comes next writes to whatever file has that number by
// then: questions land in mainlog, log lines in the body of an accepted message,
// sessions end with 421. A fail string does not help.
func TestPlainReadsocketCorrupts(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Absent, Stale, Forbidden} {
		for _, client := range []string{"127.0.0.2", "192.0.2.1", "-bs 192.0.2.1"} {
			t.Run(mode.String()+" "+client, func(t *testing.T) {
				t.Parallel()
				b, path := asking(t, plainCall)
				NewFakeHelper(t, path, mode)
				open, ip := b.Connect, client
				if after, ok := strings.CutPrefix(client, "-bs "); ok {
					open, ip = b.ConnectBs, after
				} else {
					b.Start()
				}
				faults := trouble(t, b, open, ip)
				t.Logf("%d faults:\n%s", len(faults), strings.Join(faults, "\n"))
				if len(faults) == 0 {
					t.Error("a plain readsocket to a dead socket did no harm: either this Exim is mended, or these beds see nothing")
				}
			})
		}
	}
}

// TestHealedReadsocket: with a second question to the same socket in the fail string
// all is well, whatever the helper does.
func TestHealedReadsocket(t *testing.T) {
	t.Parallel()
	for _, mode := range append(Useless(), Says("well", "v=1 action=accept end=1")) {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b, path := asking(t, healedCall)
			NewFakeHelper(t, path, mode)
			b.Start()
			if faults := trouble(t, b, b.Connect, "2001:db8::5"); len(faults) > 0 {
				t.Errorf("%s", strings.Join(faults, "\n"))
			}
		})
	}
}
