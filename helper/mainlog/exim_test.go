package mainlog

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// sink is the remote side of deliveries: an SMTP server whose answer to RCPT is told by the
// local part.
func sink(t *testing.T) int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// answers by what the address holds.
var sinkAnswers = []struct{ word, answer string }{
	{"bad", "550-5.1.1 no <victim@v.test>: such\r\n550 5.1.1 user \"here\" \\ ** x@y.test"},
	{"unclear", "550 unknown"},
	{"full", "552 5.2.2 over quota"},
	{"policy", "550 5.7.1 go away"},
	{"later", "450 4.2.0 greylisted"},
}

func serve(c net.Conn) {
	defer c.Close()
	say := func(s string) { fmt.Fprintf(c, "%s\r\n", s) }
	say("220 sink.test ESMTP")
	in := bufio.NewScanner(c)
	in.Buffer(nil, 1<<20)
	data := false
	for in.Scan() {
		line := in.Text()
		switch verb := strings.ToUpper(line[:min(4, len(line))]); {
		case data:
			if line == "." {
				data = false
				say(`250 queued as "X1" T=x`)
			}
		case verb == "RCPT":
			answer := "250 ok"
			for _, a := range sinkAnswers {
				if strings.Contains(line, a.word) {
					answer = a.answer
				}
			}
			say(answer)
		case verb == "DATA":
			data = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// newBed is a bed that delivers to *.sink.test by SMTP, with all log selectors or with none
// but the default ones.
func newBed(t *testing.T, main string) *eximtest.Bed {
	b := eximtest.New(t, eximtest.Small)
	b.Main = "check_rfc2047_length = false\nremote_max_parallel = 1\nacl_not_smtp = accept_all\n" + main
	b.ACL = "accept_all:\n  accept\n"
	b.Site["rcpt"] = "  deny authenticated = *\n       local_parts = ^nosuch\n       message = no $local_part there\n" + b.Site["rcpt"]
	b.Site["data"] = "  warn condition = ${if match{$h_subject:}{freeze me}}\n       control = freeze\n" +
		"  warn condition = ${if match{$h_subject:}{fake me}}\n       control = fakereject\n  accept\n"
	port := sink(t)
	b.Edit = func(conf string) string {
		conf = strings.Replace(conf, "begin routers\n", "begin routers\nalias:\n  driver = redirect\n  domains = local.test\n  local_parts = ^alias\n"+
			"  data = ${if eq{$local_part}{aliasodd}{\"bad <a@b.test>: 550 x\"@x.sink.test}{bad1@x.sink.test}}\n\n"+
			"out:\n  driver = manualroute\n  domains = *.sink.test\n  route_list = * 127.0.0.1\n  self = send\n  transport = out\n\n", 1)
		return strings.Replace(conf, "begin transports\n", "begin transports\nout:\n  driver = smtp\n  port = "+strconv.Itoa(port)+
			"\n  allow_localhost\n  hosts_try_fastopen =\n  connection_max_messages = 1\n\n", 1)
	}
	b.Start()
	return b
}

// entries are all lines of the bed's log. Each has to be one.
func entries(t *testing.T, b *eximtest.Bed, o Options) []Entry {
	t.Helper()
	var all []Entry
	for _, l := range b.Log("mainlog") {
		e, ok := Parse([]byte(l), o)
		if !ok || e.Damaged {
			t.Errorf("not understood: %q", l)
		}
		if d := time.Since(e.Time); d < -time.Minute || d > time.Hour {
			t.Errorf("time %v: %q", e.Time, l)
		}
		all = append(all, e)
	}
	return all
}

func find(all []Entry, id string, k Kind) (found []Entry) {
	for _, e := range all {
		if string(e.ID) == id && e.Kind == k {
			found = append(found, e)
		}
	}
	return found
}

// sent is what a test gave to Exim.
type sent struct {
	login, sender, subject, messageID string
	recipients                        []string
	id                                string
}

// hostile are texts that want to be something else. Where they are senders, recipients or message ids, they
// are in quotes.
var hostile = []string{
	"x <= y A=plain:victim S=1",
	"x S=1",
	"x S=5 id=a@b.test T=",
	"y S=5 from <",
	"x ** victim@v.test: Unrouteable address",
	"victim@v.test R=out T=out: 550 5.1.1 no",
	"victim@v.test <Victim@v.test>: 550 x R=y",
	"] [1.2.3.4] P=local U=root S=7",
	"back\\\\slash S=3 for x@y.test",
	"for S=9",
	"K PRDR PRX=1.2.3.4 S=2",
	"(helo) [9.9.9.9] F=<a@b.test> A=plain:victim rejected RCPT <v@v.test>: no",
	"x rejected RCPT <victim@v.test>: no",
	"'; DROP TABLE x;--",
	"$(touch y) ${run{z}}",
	"gr\xc3\xbc\xc3\x9fe S=1",
	"defer (-44): x",
	"Completed",
}

// TestExim sends mail with all of that through a real Exim, with the default log selectors and with all,
// and compares what the log says with what was sent.
func TestExim(t *testing.T) {
	for name, main := range map[string]string{
		"default": "",
		"all":     "log_selector = +all -smtp_mailauth -arguments\n",
		"zone":    "log_selector = +millisec +pid +sender_on_delivery +received_sender +received_recipients +subject +smtp_protocol_error\nlog_timezone\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, main)
			var all []*sent
			for i, h := range hostile {
				q := `"` + h + `"`
				for _, m := range []*sent{
					{login: "bob", sender: q + "@local.test", subject: "s", messageID: "m1@cl.test", recipients: []string{"ok@x.sink.test", "bad1@x.sink.test"}},
					{login: h, sender: "bob@local.test", subject: "x", messageID: "m2@cl.test", recipients: []string{"ok@x.sink.test"}},
					{login: "bob", sender: "bob@local.test", subject: h + ` "q" \ ` + h, messageID: q + "@cl.test", recipients: []string{
						`"bad ` + h + `"@x.sink.test`, q + "@nowhere.test", `"later ` + h + `"@x.sink.test`, q + "@x.sink.test"}},
				} {
					if i%3 == 0 && m.login == "bob" {
						m.login = "" // a relay host
					}
					send(t, b, m)
					all = append(all, m)
				}
			}
			waitIdle(t, b, all)
			lines := entries(t, b, Options{})
			for _, m := range all {
				m.check(t, lines, main)
			}
			count := map[Kind]int{}
			for _, e := range lines {
				count[e.Kind]++
			}
			if count[Arrived] != len(all)+count2(lines) || count[FakeRejected] > 0 {
				t.Errorf("kinds: %v", count)
			}
		})
	}
}

// count2 are the bounces among the arrivals.
func count2(all []Entry) (n int) {
	for _, e := range all {
		if e.Kind == Arrived && len(e.Reference) > 0 {
			n++
		}
	}
	return n
}

func send(t *testing.T, b *eximtest.Bed, m *sent) {
	t.Helper()
	from := "127.0.0.2"
	if m.login == "" {
		from = "127.0.0.9"
	}
	s := b.Dial(from)
	defer s.Close()
	s.Ehlo("client.test")
	if m.login != "" {
		if r := s.Auth(m.login, eximtest.Password); r.Code != 235 {
			t.Fatalf("login as %q: %s", m.login, r)
		}
	}
	rcpt, data := s.Mail(m.sender, m.recipients, "Message-ID: <"+m.messageID+">\nSubject: "+m.subject+"\nFrom: x@local.test\n\ntext\n")
	for i, r := range rcpt {
		if r.Code != 250 {
			t.Fatalf("%q: %s", m.recipients[i], r)
		}
	}
	if m.id = data.MessageID(); m.id == "" {
		t.Fatalf("%q: %s", m.subject, data)
	}
}

// waitIdle waits until each message was delivered, bounced or deferred once.
func waitIdle(t *testing.T, b *eximtest.Bed, all []*sent) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		log := strings.Join(b.Log("mainlog"), "\n")
		left := 0
		for _, m := range all {
			want := len(m.recipients)
			for _, f := range []string{" => ", " -> ", " ** ", " == "} {
				want -= strings.Count(log, m.id+f)
			}
			if want > 0 {
				left++
			}
		}
		if left == 0 {
			time.Sleep(time.Second) // the bounces
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages are still not done\n%s", left, log)
		}
	}
}

// check compares the lines about a message with what was sent.
func (m *sent) check(t *testing.T, all []Entry, main string) {
	t.Helper()
	in := find(all, m.id, Arrived)
	if len(in) != 1 {
		t.Errorf("%s: %d arrivals", m.id, len(in))
		return
	}
	e := in[0]
	same := func(what string, got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("%s: %q, want %q, in %q", what, got, want, e.Rest)
		}
	}
	same("sender", e.Sender, m.sender)
	same("helo", e.Host.Helo, "client.test")
	same("id=", []byte(logged(string(e.MessageID))), logged(m.messageID))
	if m.login == "" {
		same("driver", e.Auth.Driver, "")
		same("ip", []byte(e.Host.IP.String()), "127.0.0.9")
	} else {
		same("driver", e.Auth.Driver, "plain_server")
		same("A=", []byte(logged(string(e.Auth.ID))), logged(ownID(m.login)))
		same("ip", []byte(e.Host.IP.String()), "127.0.0.2")
	}
	if strings.Contains(main, "+subject") || strings.Contains(main, "+all") {
		want := m.subject
		if len(want) > 100 {
			want = want[:100]
		}
		same("subject", []byte(logged(string(Unquote(e.Subject)))), logged(want))
	}
	var done []Entry
	for _, k := range []Kind{Delivered, AlsoDelivered, Failed, Deferred} {
		done = append(done, find(all, m.id, k)...)
	}
	for _, r := range m.recipients {
		found := 0
		for _, e := range done {
			original := string(e.Original)
			if original == "" {
				original = string(e.Address)
			}
			if original != r {
				continue
			}
			found++
			m.checkOne(t, e, r)
		}
		if found == 0 {
			t.Errorf("%s: nothing about %q in %d lines", m.id, r, len(done))
			for _, e := range done {
				t.Logf("%v %q (%q) of %q", e.Kind, e.Address, e.Original, e.Rest)
			}
		}
	}
}

// checkOne compares what became of one recipient with what its name says.
func (m *sent) checkOne(t *testing.T, e Entry, recipient string) {
	t.Helper()
	kind, class, code, stage, transport := Delivered, NoClass, 0, NoStage, "out"
	switch {
	case strings.HasPrefix(recipient, "bad") || strings.HasPrefix(recipient, `"bad`):
		kind, class, code, stage = Failed, NoSuchUser, 550, StageRcpt
	case strings.HasPrefix(recipient, `"later`):
		kind, code, stage = Deferred, 450, StageRcpt
	case strings.HasSuffix(recipient, "@nowhere.test"):
		kind, class, transport = Failed, NoSuchDomain, ""
	}
	if e.Kind == AlsoDelivered {
		e.Kind = Delivered
	}
	if e.Kind != kind || e.Class != class || e.Code != code || e.Stage != stage || string(e.Transport) != transport {
		t.Errorf("%q: %v %v %d %v T=%q, want %v %v %d %v %q: %q", recipient, e.Kind, e.Class, e.Code, e.Stage, e.Transport, kind, class, code, stage, transport, e.Rest)
	}
	if code != 0 && e.Host.IP.String() != "127.0.0.1" {
		t.Errorf("%q: host %v: %q", recipient, e.Host, e.Rest)
	}
	if kind == Failed && code > 0 && (e.Enhanced != [3]int{5, 1, 1} || !strings.HasPrefix(string(e.Answer), "550")) {
		t.Errorf("%q: %v %q: %q", recipient, e.Enhanced, e.Answer, e.Rest)
	}
	if e.HasSender && string(e.Sender) != m.sender {
		t.Errorf("%q: F=%q: %q", recipient, e.Sender, e.Rest)
	}
}

// logged makes bytes that Exim escapes the same whether or not they were.
func logged(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < 32 || s[i] > 126 {
			fmt.Fprintf(&b, "\\%03o", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// ownID is what an id is read as: without what a client can add to it.
func ownID(id string) string { return string(trimExtensions([]byte(id))) }
