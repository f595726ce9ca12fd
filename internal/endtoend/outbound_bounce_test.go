package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// bouncy is the ready-made pair of policies about bounces, with smaller numbers, beside
// limits that count for each owner: those bounces, and others.
const bouncy = `
limit "bounce_slow" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner]
  tier "slow" {
    over = "3/1h"
    defer {
      message = "too many of your messages came back"
    }
  }
}
limit "bounce_hold" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner]
  tier "hold" {
    over   = "6/1h"
    notify = [notice.desk]
    block {
      freeze {
      }
    }
  }
}
limit "dead" {
  event   = bounce
  classes = [no_such_user, no_such_domain]
  key     = [owner]
  tier "never" {
    over   = "1000000/1h"
    notify = [notice.desk]
  }
}
limit "full" {
  event   = bounce
  classes = [full]
  key     = [owner]
  tier "never" {
    over   = "1000000/1h"
    notify = [notice.desk]
  }
}
limit "refused" {
  event   = bounce
  classes = [policy, other]
  key     = [owner]
  tier "never" {
    over   = "1000000/1h"
    notify = [notice.desk]
  }
}
` + deskNotice

// sends has somebody send a message, which must be accepted.
func (o *outbound) sends(s *eximtest.Session, from, subject string, to ...string) {
	o.t.Helper()
	rcpt, data := s.Mail(from, to, note(subject))
	for i, r := range rcpt {
		want(o.t, subject+": RCPT "+to[i], r, 250)
	}
	want(o.t, subject+": DATA", data, 250)
}

// bounced waits until a limit has counted n of a key, and makes sure that there are no more.
func (o *outbound) bounced(limit string, n int64, key ...string) {
	o.t.Helper()
	o.eventually(fmt.Sprintf("%s of %q", limit, key), func() string {
		if got := o.counted(limit, key...); got != n {
			return fmt.Sprintf("%d are counted, want %d", got, n)
		}
		return ""
	})
}

// dead makes n addresses that the sink does not know.
func dead(n int, word string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("nosuch.%s.%d@far.test", word, i))
	}
	return all
}

// read has the follower come to the end of the log: what is counted then is all there is.
// It is a mark of its own that is waited for, a bounce of nobody else's.
func (o *outbound) read() {
	o.t.Helper()
	o.marks++
	mark := fmt.Sprintf("mark%d", o.marks)
	s := o.session(mark, "192.0.2.99")
	o.sends(s, "mark@local.test", "a mark", "nosuch."+mark+"@far.test")
	s.Quit()
	o.bounced("dead", 1, "auth:"+mark)
}

// TestOutboundBounces: failed deliveries are counted from the log that Exim writes, for who
// sent the message; over the first number his next recipient is deferred, over the second his
// mail is held, and nobody else's.
func TestOutboundBounces(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, bouncy, func(o *outbound, _ *Options) { o.RelayHosts = []string{"127.0.0.9"} }).start()
	bob := o.session("bob", "192.0.2.1")
	o.sends(bob, "somebody.else@local.test", "three", append(dead(2, "bob"), "x@broken.test", "fine@far.test", "full@far.test", "policy@far.test")...)
	o.sends(bob, "bob@local.test", "refused behind the final dot", "late@far.test")
	o.bounced("dead", 3, "auth:bob")
	o.bounced("full", 1, "auth:bob")
	o.bounced("refused", 2, "auth:bob")
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	bob.Expect(250, "RCPT TO:<alice@local.test>") // three are not too many
	o.sends(o.session("bob", "192.0.2.2"), "bob@local.test", "the fourth", dead(1, "fourth")...)
	o.bounced("dead", 4, "auth:bob")
	r := bob.Cmd("RCPT TO:<fine@far.test>")
	want(t, "the next recipient, in a session that runs", r, 451)
	if !strings.Contains(r.Text(), "too many of your messages came back") {
		t.Errorf("the client reads %q", r)
	}
	bob.Expect(250, "RSET")

	carol := o.session("carol", "192.0.2.1")
	carol.Expect(250, "MAIL FROM:<bob@local.test>") // the sender is not the owner
	carol.Expect(250, "RCPT TO:<fine@far.test>")
	carol.Expect(250, "RSET")
	o.sends(carol, "carol@local.test", "seven", dead(7, "carol")...)
	o.bounced("dead", 7, "auth:carol")
	c := o.oneCase()
	if c.Policy != "limit.bounce_hold" || c.Owner != "auth:carol" || c.Counted != 7 {
		t.Errorf("the case is %+v", c.Case)
	}
	if len(c.Evidence) < 7 || !strings.Contains(c.Evidence[0].Line, " ** nosuch.carol.") || c.Evidence[0].Message == "" {
		t.Errorf("the evidence is %+v", c.Evidence)
	}
	o.held(carol, "carol@local.test", "held", "Subject: held", "fine@far.test") // the block decides alone
	if said := o.notices(1)[0]; !strings.Contains(said.Body, "nosuch.carol.") {
		t.Errorf("the notice does not tell what bounced:\n%s", said.Body)
	}

	relay := o.session("", "127.0.0.9")
	o.sends(relay, "a@customer.test", "a relay host's", dead(4, "relay")...)
	o.bounced("dead", 4, "relay:127.0.0.9")
	relay.Expect(250, "MAIL FROM:<a@customer.test>")
	want(t, "a relay host", relay.Cmd("RCPT TO:<fine@far.test>"), 451)
	relay.Close()
	o.local(note("a program's"), append([]string{"-oMt", "www-data"}, dead(4, "local")...)...)
	o.bounced("dead", 4, "user:www-data")
	if _, _, err := o.Exec(note("its next"), "-oi", "-oMt", "www-data", "fine.program@far.test"); err == nil {
		t.Error("a program's next message is taken")
	}
	o.sends(o.session("dave", "192.0.2.1"), "dave@local.test", "dave's", "fine.dave@far.test")
	bob.Close()
	carol.Close()
	o.CheckLogs()
}

// TestOutboundBouncesOnce: each failure counts once, though the log is rotated, read again
// under other names and by other processes, and exipold is killed in the middle.
func TestOutboundBouncesOnce(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, bouncy).start()
	log := o.Path("log/mainlog")
	send := func(word string, n int) {
		s := o.session("bob", "192.0.2.1")
		defer s.Close()
		before := len(o.failures())
		s.Expect(250, "MAIL FROM:<bob@local.test>")
		for _, to := range dead(n, word) {
			if r := s.Cmd("RCPT TO:<" + to + ">"); r.Code != 250 {
				t.Fatalf("%s: %s", to, r)
			}
		}
		want(t, "DATA", s.Data(note(word)), 250)
		o.eventually("failures in the log", func() string {
			if got := len(o.failures()); got != before+n {
				return fmt.Sprintf("%d, want %d", got, before+n)
			}
			return ""
		})
	}
	once := func(want int64) {
		t.Helper()
		o.read()
		if got := o.counted("dead", "auth:bob"); got != want {
			t.Fatalf("%d are counted, want %d", got, want)
		}
	}
	send("a", 1)
	once(1)
	o.rename("log/mainlog", "log/mainlog.1")
	send("b", 1)
	once(2)
	o.daemon.kill()
	// What comes while nobody reads, before and after a rotation.
	o.local(note("nobody reads"), append([]string{"-oMt", "bob"}, dead(1, "c")...)...)
	o.rename("log/mainlog", "log/mainlog.2")
	o.local(note("nobody reads"), append([]string{"-oMt", "bob"}, dead(1, "d")...)...)
	o.startHelper()
	once(2)
	o.bounced("dead", 2, "user:bob")
	for range 3 { // killed while it counts
		go o.daemon.cmd.Process.Kill() //nolint:errcheck // it may be gone
		o.local(note("meanwhile"), append([]string{"-oMt", "meanwhile"}, dead(1, "e")...)...)
		o.daemon.kill()
		o.startHelper()
	}
	o.bounced("dead", 3, "user:meanwhile")
	o.exipold("watch", "--once", "--plan", o.daemon.plan, "--gateway", "one", log, o.Path("log/mainlog.1"), o.Path("log/mainlog.2"))
	if out, err := exec.Command("gzip", "-k", o.Path("log/mainlog.1")).CombinedOutput(); err != nil {
		t.Fatalf("gzip: %v\n%s", err, out)
	}
	o.copy("log/mainlog", "log/copy")
	o.exipold("watch", "--once", "--plan", o.daemon.plan, "--gateway", "one", o.Path("log/copy"))
	// As logrotate's copytruncate does it.
	o.copy("log/mainlog", "log/mainlog.3")
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	send("f", 1)
	once(3)
	if got := o.counted("dead", "user:bob") + o.counted("dead", "user:meanwhile"); got != 5 {
		t.Errorf("%d bounces of programs are counted, want 5", got)
	}
	// Another gateway's log is another's.
	o.exipold("watch", "--once", "--plan", o.daemon.plan, "--gateway", "two", o.Path("log/mainlog.1"))
	if got := o.counted("dead", "auth:bob"); got != 4 {
		t.Errorf("with what another gateway logged %d are counted, want 4", got)
	}
}

// failures are the lines of failed deliveries to addresses that the sink does not know.
func (o *outbound) failures() (all []string) {
	for _, name := range []string{"mainlog", "mainlog.1", "mainlog.2"} {
		for _, l := range o.Log(name) {
			if strings.Contains(l, " ** nosuch.") {
				all = append(all, l)
			}
		}
	}
	return all
}

func (o *outbound) rename(from, to string) {
	o.t.Helper()
	if err := os.Rename(o.Path(from), o.Path(to)); err != nil {
		o.t.Fatal(err)
	}
}

func (o *outbound) copy(from, to string) {
	o.t.Helper()
	text, err := os.ReadFile(o.Path(from))
	if err != nil {
		o.t.Fatal(err)
	}
	o.WriteFile(to, string(text))
}
