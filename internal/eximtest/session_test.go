package eximtest

import (
	"strings"
	"testing"
	"time"
)

// tell is a site ACL that logs who it thinks the client is.
func tell(stage string) string {
	return "  accept logwrite = " + stage + " of <$sender_host_address> port <$sender_host_port>\n"
}

// TestAnyAddress: a session can have any address, over TCP and over standard input, and
// is a whole session: connect, helo, rcpt and quit ACLs run with that address, and it is
// as clean as a network client's (a tainted one dies of the mask).
func TestAnyAddress(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	for _, stage := range []string{"connect", "helo", "quit"} {
		b.Site[stage] = tell(stage)
	}
	b.Site["mail"] = "  accept logwrite = net ${mask:$sender_host_address/24}\n"
	b.IPv6 = true
	b.Start()
	ways := map[string]func(string) *Session{"tcp": b.Dial, "bs": b.BsSession}
	for _, ip := range []string{"192.0.2.77", "2001:db8:1:2::3", "::ffff:198.51.100.4", "127.0.0.77", "::1"} {
		for way, open := range ways {
			t.Run(way+" "+ip, func(t *testing.T) {
				seen := len(b.Grep("quit of <" + ip + "> "))
				anyAddress(t, b, open(ip))
				for _, stage := range []string{"connect", "helo", "quit"} {
					if n := len(b.Grep(stage + " of <" + ip + "> port <")); n != seen+1 {
						t.Errorf("%s ran %d times, not %d", stage, n, seen+1)
					}
				}
			})
		}
	}
	b.WaitLog("net 192.0.2.0/24")
	for _, m := range b.WaitMail(10) {
		if m.Body != body(nasty) {
			t.Errorf("body: %q", m.Body)
		}
	}
	b.CheckLogs()
}

func anyAddress(t *testing.T, b *Bed, s *Session) {
	s.Ehlo("client.test")
	if r := s.Cmd("RCPT TO:<alice@local.test>"); r.Code != 503 {
		t.Errorf("RCPT before MAIL: %s", r)
	}
	_, data := s.Mail("a@remote.test", []string{"alice@local.test"}, nasty)
	if data.Code != 250 {
		t.Errorf("message: %s\n%s", data, s.Transcript())
	}
	s.Expect(250, "MAIL FROM:<>")
	if r := s.Cmd("RCPT TO:<x@remote.test>"); r.Code != 550 {
		t.Errorf("relay for a stranger: %s", r)
	}
	s.Quit()
	b.WaitLog(data.MessageID() + " Completed")
}

// TestLocalCaller: without an address a session is that of a local program.
func TestLocalCaller(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	b.Site["connect"] = tell("connect")
	s := b.BsSession("")
	s.Ehlo("client.test")
	s.Quit()
	b.WaitLog("connect of <> port <0>")
}

// TestDelay: delay is slept in both kinds of session, and the time of the reply shows it.
func TestDelay(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	b.Site["helo"] = "  accept delay = 1s\n"
	b.Start()
	for name, s := range map[string]*Session{"tcp": b.Dial("127.0.0.2"), "-bs": b.BsSession("2001:db8::1")} {
		if r := s.Ehlo("client.test"); r.Took < 900*time.Millisecond {
			t.Errorf("%s: EHLO was answered after %v", name, r.Took)
		}
		if err := s.Send([]byte("EHLO again.test\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}

// TestDrop: a connection that Exim closes is seen as closed.
func TestDrop(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	b.Site["connect"] = "  deny hosts = 127.0.0.66\n  accept\n"
	b.Site["helo"] = "  drop condition = ${if eq{$sender_helo_name}{bad.test}}\n       message = go away\n  accept\n"
	b.IPv6 = true
	b.Start()
	if s := b.Dial("127.0.0.66"); s.Greeting.Code != 550 || !s.Closed() {
		t.Errorf("refused at connect: %s", s.Greeting)
	}
	s := b.Dial("::1")
	s.Ehlo("good.test")
	if s.Expect(550, "EHLO bad.test"); !s.Closed() {
		t.Error("dropped, and still open")
	}
	b.WaitLog("[::1]")
}

// TestTranscript: two runs of the same dialogue have the same transcript, and a
// different reply shows.
func TestTranscript(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	run := func(to string) string {
		s := b.BsSession("192.0.2.1")
		s.Ehlo("client.test")
		s.Mail("a@remote.test", []string{to}, nasty)
		s.Quit()
		return s.Transcript()
	}
	first := run("alice@local.test")
	time.Sleep(1100 * time.Millisecond) // another second in the greeting and in the id
	if second := run("alice@local.test"); first != second {
		t.Errorf("transcripts differ:\n%s\n%s", first, second)
	}
	if strings.Count(first, "MESSAGE-ID") != 1 || strings.Count(first, "DATE") != 1 {
		t.Errorf("not normalised:\n%s", first)
	}
	if other := run("nosuch@local.test"); other == first {
		t.Error("a refusal does not show in the transcript")
	}
	if !strings.Contains(first, `8-bit: \xe4\xff \xc3\xa4`) {
		t.Errorf("bytes not shown:\n%s", first)
	}
}

// TestHostileBytes: what a client may send reaches Exim as sent.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	b.Site["mail"] = "  accept logwrite = sender ${hex:$sender_address}\n"
	if _, err := b.Expand("${hexquote:x}"); err != nil {
		t.Fatal(err)
	}
	b.Site["mail"] = "  accept logwrite = sender ${base64:$sender_address}\n"
	b.Configure()
	s := b.BsSession("192.0.2.1")
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<\"a b\\\"\r\tc\xe4\x01\"@remote.test>")
	s.Quit()
	b.WaitLog("sender ImEgYlwiDQlj5AEiQHJlbW90ZS50ZXN0")
}

func TestReload(t *testing.T) {
	t.Parallel()
	b := start(t, Small)
	b.Main = "smtp_banner = second\n"
	b.Configure()
	if s := b.Dial(""); strings.Contains(s.Greeting.Text(), "second") {
		t.Errorf("new configuration before the reload: %s", s.Greeting)
	}
	b.Reload()
	if s := b.Dial(""); s.Greeting.Text() != "second" {
		t.Errorf("after the reload: %s", s.Greeting)
	}
}

func TestOneShots(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	b.Main = "smtp_banner = hello $sender_host_address\n"
	if err := b.CheckConfig(); err != nil {
		t.Error(err)
	}
	if got, err := b.Expand("${uc:abc}  \n"); err != nil || got != "ABC  \n" {
		t.Errorf("-be: %q %v", got, err)
	}
	if _, err := b.Expand("${nonsense:abc}"); err == nil {
		t.Error("-be: a failed expansion is no error")
	}
	if got := b.Option("acl_smtp_rcpt"); got != "acl_smtp_rcpt = acl_check_rcpt\n" {
		t.Errorf("-bP: %q", got)
	}
	replies, remarks := b.Rehearse("192.0.2.9", "EHLO x.test\r\nMAIL FROM:<>\r\nRCPT TO:<nosuch@local.test>\r\nQUIT\r\n")
	if !strings.Contains(replies, "220 hello 192.0.2.9") || !strings.Contains(replies, "550 no such user") || !strings.Contains(remarks, "acl_check_rcpt") {
		t.Errorf("-bh:\n%s\n%s", replies, remarks)
	}
	b.Main = "smtp_banner = net ${mask:$sender_host_address/24}\n"
	b.Configure()
	if replies, _ := b.Rehearse("192.0.2.9", "QUIT\r\n"); !strings.Contains(replies, "220 net 192.0.2.0/24") {
		t.Errorf("-bh, the address is tainted: %s", replies)
	}
	b.Edit = func(conf string) string { return strings.Replace(conf, "begin acl", "begin nonsense", 1) }
	b.Configure()
	if b.CheckConfig() == nil {
		t.Error("-bV: a broken configuration is fine")
	}
}

// TestSpool: what is frozen stays and is listed, a run of the queue delivers it.
func TestSpool(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	b.Site["data"] = "  accept control = freeze/no_tell\n"
	s := b.BsSession("192.0.2.1")
	s.Ehlo("client.test")
	_, data := s.Mail("", []string{"alice@local.test", "bob@local.test"}, nasty)
	s.Quit()
	b.WaitLog(data.MessageID() + " frozen by ACL")
	q := b.Queue()
	if len(q) != 1 || !q[0].Frozen || q[0].ID != data.MessageID() || q[0].Sender != "" || len(q[0].Recipients) != 2 {
		t.Fatalf("queue: %+v", q)
	}
	b.RunQueue(true)
	if m := b.WaitMail(2); m[0].Body != body(nasty) || m[0].Sender != "" {
		t.Errorf("delivered: %+v", m)
	}
	b.WaitLog(data.MessageID() + " Completed")
	if q := b.Queue(); len(q) != 0 {
		t.Errorf("queue after the run: %+v", q)
	}
	b.CheckLogs()
}
