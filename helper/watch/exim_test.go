package watch

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/busylog"
	"exipol/internal/eximtest"
)

// hostileIDs are logins that want to be something else.
var hostileIDs = []string{
	"x;touch y", "$(id)", "${run{/bin/touch y}}", `it's "quoted"`, "a:b", "#c", "two words", "/etc/passwd", "gr\xc3\xbc\xc3\x9fe",
	"x S=1", "CORP\\nick", "x <= y A=plain:victim S=1", "y ** z@v.test: Unrouteable address", "x rejected by me",
}

// newBed is an Exim that delivers to *.sink.test by SMTP.
func newBed(t *testing.T) (*eximtest.Bed, *eximtest.Sink) {
	b, sink := eximtest.New(t, eximtest.Small), eximtest.NewSink(t)
	b.RelayHosts = []string{"127.0.0.9"}
	b.Main = "log_selector = +all_parents +subject +sender_on_delivery +received_recipients\nremote_max_parallel = 1\ndelay_warning = 1s\ncheck_rfc2047_length = false\n" +
		"smtp_accept_max_nonmail = 1000\nacl_not_smtp = accept_all\n"
	b.ACL = "accept_all:\n  accept\n"
	b.Site["rcpt"] = "  deny local_parts = ^refused\n       message = not to ** him\n  defer local_parts = ^notnow\n" +
		"  warn local_parts = ^cut\n       control = cutthrough_delivery\n" + b.Site["rcpt"]
	b.Site["data"] = "  warn condition = ${if match{$h_subject:}{fake me}}\n       control = fakereject\n  accept\n"
	b.Edit = func(conf string) string {
		conf = strings.Replace(conf, "begin routers\n", `begin routers
alias:
  driver = redirect
  domains = local.test
  local_parts = ^alias
  data = nosuch1@x.sink.test

list:
  driver = redirect
  domains = local.test
  local_parts = ^list
  data = nosuch1@x.sink.test, nosuch2@x.sink.test, fine@x.sink.test

forward:
  driver = redirect
  domains = local.test
  local_parts = ^forward
  data = forwarded@local.test, nosuch3@x.sink.test

out:
  driver = manualroute
  domains = *.sink.test
  route_list = * 127.0.0.1
  self = send
  transport = out
`, 1)
		return strings.Replace(conf, "begin transports\n", "begin transports\nout:\n  driver = smtp\n  port = "+strconv.Itoa(sink.Port())+
			"\n  allow_localhost\n  hosts_try_fastopen =\n\n", 1)
	}
	b.Start()
	return b, sink
}

// eximWorld sends mail and knows what is to be counted of it.
type eximWorld struct {
	t    *testing.T
	b    *eximtest.Bed
	want map[busylog.Event]int
}

func (w *eximWorld) expect(event, traffic, class, who string) {
	w.want[busylog.Event{Event: event, Traffic: traffic, Class: class, Who: who}]++
}

// send sends a message as somebody; fails are the classes of the failures that this leads to, where he
// answers for it.
func (w *eximWorld) send(login, from, sender, subject string, recipients []string, fails ...string) {
	w.t.Helper()
	s := w.b.Dial(from)
	defer s.Close()
	s.Ehlo("client.test")
	traffic, who := plan.Inbound, ""
	switch {
	case login != "":
		if r := s.Auth(login, eximtest.Password); r.Code != 235 {
			w.t.Fatalf("login as %q: %s", login, r)
		}
		traffic, who = plan.Submission, "auth:"+login
		w.expect(plan.Login, traffic, "", who)
	case from == "127.0.0.9":
		traffic, who = plan.Relay, "relay:"+from
	}
	rcpt, data := s.Mail(sender, recipients, "Subject: "+subject+"\n\ntext\n")
	for i, r := range rcpt {
		if r.Code != 250 {
			w.t.Fatalf("%q: %s", recipients[i], r)
		}
	}
	if want := map[bool]int{true: 550, false: 250}[subject == "fake me"]; data.Code != want {
		w.t.Fatalf("%q: %s", subject, data)
	}
	for _, class := range fails {
		if who != "" && sender != "" {
			w.expect(plan.Bounce, traffic, class, who)
		}
	}
}

// TestExim follows the log of a real Exim: deliveries and failures of every class, of logins, relay hosts, local users and
// strangers, through aliases, lists and forwards; and what looks like a failure and is none: bounces that come and go,
// warnings of delay, deferrals, messages that were taken although the client was told that they were not, and those that
// were delivered while they came.
func TestExim(t *testing.T) {
	t.Parallel()
	b, _ := newBed(t)
	w := &eximWorld{t: t, b: b, want: map[busylog.Event]int{}}
	const user, no, gone, full, policy = "127.0.0.2", "no_such_user", "no_such_domain", "full", "policy"
	all := []string{"fine@x.sink.test", "nosuch9@x.sink.test", "full9@x.sink.test", "policy9@x.sink.test", "someone@nowhere.test", "nosuch@local.test"}
	w.send("bob", user, "bob@local.test", "all ** <= kinds", all, no, full, policy, gone, no)
	w.send("bob", user, "bob@local.test", "later", []string{"later@x.sink.test", "grey@x.sink.test"})
	w.send("bob", user, "bob@local.test", "refused after its end", []string{"late@x.sink.test"}, policy)
	w.send("carol", user, "carol@local.test", "alias", []string{"alias@local.test"}, no)
	w.send("carol", user, "carol@local.test", "list", []string{"list@local.test", "fine2@x.sink.test"}, no, no)
	w.send("carol", user, "", "a login that claims to be nobody", []string{"nosuch4@x.sink.test"}, no)
	w.send("carol", user, "carol@local.test", "fake me", []string{"nosuch5@x.sink.test"}, no)
	w.send("dave", user, "dave@local.test", "cut through", []string{"cutfine@x.sink.test"})
	w.send("", "127.0.0.9", "app@relay.test", "relayed", []string{"nosuch6@x.sink.test", "fine3@x.sink.test"}, no)
	w.send("", "127.0.0.3", "stranger@remote.test", "forwarded", []string{"forward@local.test", "alias2@local.test"}, no, no)
	w.send("", "127.0.0.3", "", "a bounce from afar", []string{"forward@local.test"}, no)
	for i, id := range hostileIDs {
		w.send(id, user, fmt.Sprintf(`"%s"@local.test`, "x <= y ** z S=1"), "as "+id, []string{fmt.Sprintf("nosuch%d@y.sink.test", i), `"x <a@b.test>: 550 y"@nowhere.test`}, no, gone)
	}
	if _, _, err := b.Exec("Subject: by a program\n\ntext\n", "-oi", "-f", "www@local.test", "-oMt", "www", "nosuch7@x.sink.test", "fine4@x.sink.test"); err != nil {
		t.Fatal(err)
	}
	w.expect(plan.Bounce, plan.Local, no, "user:www")
	w.rejections()
	w.idle()
	time.Sleep(1100 * time.Millisecond)
	b.RunQueue(false) // warns of delay
	b.WaitLog(" <= <> R=")
	o := newWorld(t, 1).o
	l := newLedger()
	p := testPlan()
	p.Domains, p.RelayHosts = []string{"local.test"}, []string{"127.0.0.9/32"}
	o.Plan, o.Counter, o.Places, o.Logs = func() *plan.Plan { return p }, l, l, []string{b.Path("log/mainlog")}
	o.Once, o.Log, o.Lines.Location = true, slog.Default(), time.Local
	for _, when := range []string{"at first", "again"} {
		if err := New(o).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		compareExim(t, when, l.events, w.want, b)
		clear(l.places)
	}
}

// rejections are refused at RCPT and at AUTH, some of them twice within the same second.
func (w *eximWorld) rejections() {
	w.t.Helper()
	s := w.b.Dial("127.0.0.2")
	s.Ehlo("client.test")
	s.Auth("erin ** x", eximtest.Password)
	s.Expect(250, "MAIL FROM:<erin@local.test>")
	for range 3 {
		s.Cmd("RCPT TO:<refused@x.sink.test>")
		w.expect(plan.RejectedRecipient, plan.Submission, "", "auth:erin ** x")
		w.expect(plan.Login, plan.Submission, "", "auth:erin ** x")
		s.Cmd("RCPT TO:<notnow@x.sink.test>")
	}
	s.Close()
	s = w.b.Dial("127.0.0.3")
	s.Ehlo("stranger.test")
	for _, login := range []string{"admin", "admin", "x) [9.9.9.9]: 535"} {
		if r := s.Auth(login, "wrong"); r.Code != 535 {
			w.t.Fatalf("wrong password: %s", r)
		}
		w.expect(plan.AuthFailure, plan.Inbound, "", login+" 127.0.0.3")
	}
	s.Expect(250, "MAIL FROM:<stranger@remote.test>")
	s.Cmd("RCPT TO:<x@x.sink.test>") // relay not permitted: nobody answers for him
	s.Close()
}

// idle waits until nothing but what is deferred is in the queue.
func (w *eximWorld) idle() {
	w.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		busy := 0
		for _, q := range w.b.Queue() {
			for _, r := range q.Recipients {
				if !q.Frozen && !strings.HasPrefix(r, "later") && !strings.HasPrefix(r, "grey") {
					busy++
				}
			}
		}
		if busy == 0 {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d recipients are still in the queue\n%s", busy, strings.Join(w.b.Log("mainlog"), "\n"))
		}
	}
}

func compareExim(t *testing.T, when string, got, want map[busylog.Event]int, b *eximtest.Bed) {
	t.Helper()
	for _, e := range union(got, want) {
		if got[e] != want[e] {
			t.Errorf("%s: %+v: %d times, want %d", when, e, got[e], want[e])
		}
	}
	if t.Failed() {
		t.Log(strings.Join(b.Log("mainlog"), "\n"))
	}
}

func union(a, b map[busylog.Event]int) (all []busylog.Event) {
	for e := range a {
		all = append(all, e)
	}
	for e := range b {
		if _, both := a[e]; !both {
			all = append(all, e)
		}
	}
	return all
}
