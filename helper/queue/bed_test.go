package queue_test

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"exipol/helper/queue"
	"exipol/internal/eximtest"
)

// holding is a site that freezes what is for ...held, as the generated ACLs do, and puts what is for
// queue* into a named queue.
const holding = `  warn  local_parts = ^queue
        queue = slow
  warn  local_parts = *held
        control = freeze/no_tell
        set acl_m_exipol_hold = limit.stolen/block/block
  warn  local_parts = *tainted
        control = freeze/no_tell
        set acl_m_exipol_hold = $local_part
        set acl_m_other = $h_subject:
  accept
`

// newBed starts an Exim that queues everything.
func newBed(t *testing.T, change func(*eximtest.Bed)) (*eximtest.Bed, queue.Spool, queue.Exim) {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	b.Main = "queue_only\n"
	b.Site["rcpt"] = holding
	if change != nil {
		change(b)
	}
	b.Start()
	return b, queue.Spool{Dir: b.Path("spool")}, program(b, t)
}

// program is the bed's Exim.
func program(b *eximtest.Bed, t *testing.T) queue.Exim {
	return queue.Exim{
		Path: eximtest.Find(t), Arguments: []string{"-C", b.Path("exim.conf")},
		Prepare: func(cmd *exec.Cmd) {
			b.ID.Become(cmd)
			cmd.Dir = b.Path("run")
		},
	}
}

// send sends a message to one recipient, and returns its id.
func send(t *testing.T, s *eximtest.Session, sender, recipient, message string) string {
	t.Helper()
	_, data := s.Mail(sender, []string{recipient}, message)
	id := data.MessageID()
	if id == "" {
		t.Fatalf("not accepted: %v", data)
	}
	return id
}

// all reads the whole queue, by id.
func all(t *testing.T, s queue.Spool) map[string]queue.Message {
	t.Helper()
	found := map[string]queue.Message{}
	for m, err := range s.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[m.ID]; twice {
			t.Errorf("%s comes twice", m.ID)
		}
		found[m.ID] = m
	}
	return found
}

func find(t *testing.T, s queue.Spool, id string) (queue.Message, bool) {
	t.Helper()
	m, ok, err := s.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	return m, ok
}

// What a real Exim has in its queue is read as Exim means it, split or not, and whatever the queue is called.
func TestRead(t *testing.T) {
	for name, main := range map[string]string{"plain": "", "split": "split_spool_directory\n"} {
		t.Run(name, func(t *testing.T) {
			b, spool, _ := newBed(t, func(b *eximtest.Bed) { b.Main += main })
			s := b.Dial("127.0.0.3")
			s.Ehlo("pc.test")
			s.Auth("bob@local.test", eximtest.Password)
			held := send(t, s, "a@local.test", "held@remote.test", "Subject: x\n\nhello\n")
			plain := send(t, s, "", "free@remote.test", "Subject: x\n\nhello\n")
			named := send(t, s, "a@local.test", "queue-held@remote.test", "Subject: x\n\nhello\n")
			if out, _, err := b.Exec("Subject: y\n\nlocal\n", "free2@remote.test"); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			found := all(t, spool)
			if len(found) != 4 {
				t.Fatalf("%d messages, want 4: %v", len(found), found)
			}
			m := found[held]
			if m.Auth != "bob@local.test" || m.Client.String() != "127.0.0.3" || m.Helo != "pc.test" || m.Sender != "a@local.test" || m.Login != "" ||
				m.Hold != "limit.stolen/block/block" || m.Frozen.IsZero() || m.Received.IsZero() || m.Size < 200 || m.Queue != "" {
				t.Errorf("the held one: %+v", m)
			}
			if m := found[plain]; m.Hold != "" || !m.Frozen.IsZero() || m.Sender != "" {
				t.Errorf("the free one: %+v", m)
			}
			if m := found[named]; m.Queue != "slow" || m.Hold == "" || m.Frozen.IsZero() {
				t.Errorf("that in a named queue: %+v", m)
			}
			for id, m := range found {
				if got, ok := find(t, spool, id); !ok || got != m {
					t.Errorf("%s is found as %+v, %v, and was read as %+v", id, got, ok, m)
				}
				if id != held && id != plain && id != named && (m.Login != b.ID.User || m.Auth != "" || m.Client.IsValid()) {
					t.Errorf("the local one: %+v", m)
				}
			}
			if _, ok := find(t, spool, "1aaaaa-000000-00"); ok {
				t.Error("a message that is not there was found")
			}
		})
	}
}

// Logins and subjects that look like lines of a spool file say nothing about the message.
func TestHostile(t *testing.T) {
	b, spool, _ := newBed(t, nil)
	for id, want := range map[string]string{
		// Exim writes what is not ASCII in octal already when somebody logs in.
		"müller": `m\303\274ller`, "a\nb": `a\nb`, "a\n-frozen 17": `a\n-frozen 17`,
		"x;touch y": "", "$(id)": "", "${run{touch y}}": "", `a"b'c`: "", "a:b#c/d e": "", "-frozen 17": "", "' OR 1=1 --": "", "XX": "", "a\tb": "",
	} {
		want = cmp.Or(want, id)
		s := b.Dial("127.0.0.3")
		s.Ehlo("pc.test")
		s.Auth(id, eximtest.Password)
		message := send(t, s, "a@local.test", "free@remote.test", "Subject: x\n -frozen 17\n--aclm _exipol_hold 3\n foo\n\nXX\n-frozen 17\n")
		if m, ok := find(t, spool, message); !ok || m.Auth != want || !m.Frozen.IsZero() || m.Hold != "" {
			t.Errorf("%q: %+v", id, m)
		}
		s.Close()
	}
	s := b.Dial("127.0.0.3")
	s.Ehlo("pc.test")
	odd := `"x y -frozen 17 tainted"@remote.test`
	s.Cmd("RSET")
	_, data := s.Mail("a@local.test", []string{odd}, "Subject: one\n two\n -frozen 5\n\nhello\n")
	if m, ok := find(t, spool, data.MessageID()); !ok || m.Hold != "x y -frozen 17 tainted" || m.Frozen.IsZero() || m.Frozen.Unix() == 17 {
		t.Errorf("%+v", m)
	}
}

// The commands do what they are there for, in any queue, and what came of it is in the spool.
func TestChange(t *testing.T) {
	b, spool, exim := newBed(t, nil)
	s := b.Dial("127.0.0.3")
	s.Ehlo("pc.test")
	var ids []string
	for _, to := range []string{"1held@remote.test", "queue-2held@remote.test", "3held@remote.test", "free4@remote.test"} {
		ids = append(ids, send(t, s, "a@remote.test", to, "Subject: x\n\n"+to+"\n"))
	}
	get := func(i int) queue.Message {
		m, _ := find(t, spool, ids[i])
		return m
	}
	if err := exim.Freeze(t.Context(), []queue.Message{get(3)}); err != nil || get(3).Frozen.IsZero() || get(3).Thawed {
		t.Errorf("freeze: %v, %+v", err, get(3))
	}
	gone := queue.Message{ID: "1aaaaa-000000-00"}
	if err := exim.Thaw(t.Context(), []queue.Message{get(0), gone, get(1), get(3)}); err == nil || !strings.Contains(err.Error(), "exit status") {
		t.Errorf("with one that is gone Exim says nothing: %v", err)
	}
	for _, i := range []int{0, 1, 3} {
		if m := get(i); !m.Frozen.IsZero() || !m.Thawed {
			t.Errorf("thawed: %+v", m)
		}
	}
	if err := exim.Deliver(t.Context(), []queue.Message{get(0), get(1), get(3), get(2)}); err != nil {
		t.Errorf("deliver: %v", err)
	}
	if n := len(b.Mailbox()); n != 3 {
		t.Errorf("%d messages were delivered, want 3", n)
	}
	if err := exim.Remove(t.Context(), []queue.Message{get(2)}); err != nil {
		t.Errorf("remove: %v", err)
	}
	if left := all(t, spool); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if bounces := b.Grep("<= <>"); len(bounces) > 0 {
		t.Errorf("bounces: %q", bounces)
	}
}

// A message that a delivery works on is left as it is.
func TestLocked(t *testing.T) {
	b, spool, exim := newBed(t, func(b *eximtest.Bed) {
		b.Edit = func(conf string) string {
			before, after, _ := strings.Cut(conf, "  driver = appendfile\n")
			_, after, _ = strings.Cut(after, "escape_string =\n")
			return before + "  driver = pipe\n  command = /bin/sh " + b.Path("run/wait") + "\n" + after
		}
	})
	b.WriteFile("run/wait", "touch "+b.Path("run/begun")+"\nwhile ! test -e "+b.Path("run/go")+"; do sleep 0.05; done\n")
	s := b.Dial("127.0.0.3")
	s.Ehlo("pc.test")
	id := send(t, s, "a@remote.test", "free@remote.test", "Subject: x\n\nhello\n")
	m, _ := find(t, spool, id)
	short, cancel := context.WithCancel(t.Context())
	delivered := make(chan error, 1)
	go func() { delivered <- exim.Deliver(short, []queue.Message{m}) }()
	for begun := false; !begun; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(b.Path("run/begun"))
		begun = err == nil
	}
	for name, change := range map[string]func(context.Context, []queue.Message) error{"freeze": exim.Freeze, "thaw": exim.Thaw, "remove": exim.Remove} {
		if err := change(t.Context(), []queue.Message{m}); err == nil || !strings.Contains(err.Error(), "is locked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, ok := find(t, spool, id); !ok || !m.Frozen.IsZero() || m.Thawed {
		t.Errorf("it has changed: %+v, %v", m, ok)
	}
	cancel() // nobody waits any more, and the delivery goes on
	if err := <-delivered; !errors.Is(err, context.Canceled) {
		t.Errorf("deliver: %v", err)
	}
	b.WriteFile("run/go", "")
	b.WaitLog(id + " Completed")
}

// What is submitted arrives as it was written, from the sender that was given or from nobody.
func TestSubmit(t *testing.T) {
	b, _, exim := newBed(t, func(b *eximtest.Bed) { b.Main = "trusted_users = " + b.ID.User + "\n" })
	text := "Subject: x\nFrom: desk@local.test\nTo: alice@local.test\n\n.\nFrom here\n.\nlast\n"
	for _, c := range []struct{ given, want string }{{"abuse@local.test", "abuse@local.test"}, {"", ""}, {"a b@c", ""}} {
		if err := exim.Submit(t.Context(), c.given, []string{"alice@local.test", "bob"}, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got := b.WaitMail(2)
		for _, m := range got {
			if m.Sender != c.want || m.Body != ".\nFrom here\n.\nlast\n" || m.Recipient != "alice@local.test" && m.Recipient != "bob@local.test" {
				t.Errorf("%+v", m)
			}
		}
		if err := os.RemoveAll(b.Path("mail/new")); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"", "a,b", "a@x.test, b@x.test", "-bp", "|touch y@x", `"a b"@x.test`, "a@", "@x", "a\nb@x", "ü@x.test"} {
		if err := exim.Submit(t.Context(), "", []string{to}, nil); err == nil {
			t.Errorf("%q was sent to", to)
		}
	}
}

// A program that cannot be run, or is refused, says so.
func TestRefused(t *testing.T) {
	m := []queue.Message{{ID: "1aaaaa-000000-00"}}
	if err := (queue.Exim{Path: "/nowhere/exim"}).Thaw(t.Context(), m); err == nil || !strings.Contains(err.Error(), "/nowhere/exim") {
		t.Errorf("%v", err)
	}
	if err := (queue.Exim{Path: "/bin/true"}).Thaw(t.Context(), []queue.Message{{ID: "../../x"}}); err == nil {
		t.Error("a name that is no id was taken")
	}
}
