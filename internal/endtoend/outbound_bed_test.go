package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
)

// outbound is a site that sends: its Exim takes mail of users who log in, of relay hosts
// and of local programs, and the rest of the internet is a sink. exipold, the desk and Exim
// are processes of the same user.
type outbound struct {
	*Site
	Sink *eximtest.Sink

	t       *testing.T
	daemon  *daemon
	gateway string
	marks   int
}

// deskAddress gets the notices. It is at the sink.
const deskAddress = "abuse@far.test"

// deskNotice is whom the policies of these tests tell.
const deskNotice = `
notice "desk" {
  mail = [site.admin]
}
`

// newOutbound compiles and installs policies. far.test and all below it are at the sink,
// whose rule goes by names; broken.test and all below it cannot be routed for good. In
// local.test alias@ and list@ lead to addresses at the sink, nosuch*@ are unknown. Nothing
// runs yet.
func newOutbound(t *testing.T, policies string, options ...func(*outbound, *Options)) *outbound {
	t.Helper()
	s := &Site{Bed: eximtest.New(t, eximtest.Small), t: t}
	o := &outbound{Site: s, Sink: eximtest.NewSink(t), t: t, gateway: "one"}
	s.Edit = o.edit
	// What a distributor's Exim would do to mail that is held is a matter of doctor's.
	s.Main = "log_selector = +all_parents +sender_on_delivery\nsmtp_accept_max_nonmail = 10000\nsmtp_accept_queue_per_connection = 0\n"
	var with Options
	with.Site = fmt.Sprintf("admin = %q\nspool = %q\n", deskAddress, s.Path("spool"))
	with.Helper = fmt.Sprintf("mainlog = [%q]\n", s.Path("log/mainlog"))
	for _, option := range options {
		option(o, &with)
	}
	s.WriteFile("state/readme", "what exipold keeps\n")
	s.Compile(policies, with)
	s.install()
	s.Configure()
	return o
}

// edit adds the way to the sink, and some aliases.
func (o *outbound) edit(conf string) string {
	const routers, transports = "\nbegin routers\n", "\nbegin transports\n"
	if strings.Count(conf, routers) != 1 || strings.Count(conf, transports) != 1 {
		o.t.Fatal("the bed's configuration is not as this test knows it")
	}
	conf = strings.Replace(conf, routers, routers+`
out_alias:
  driver = redirect
  domains = local.test
  data = ${lookup{$local_part}lsearch{`+o.WriteFile("etc/aliases", `alias: nosuch.alias@far.test
list: nosuch.one@far.test, fine.two@far.test, nosuch.three@far.test
forward: bob@local.test
`)+`}}

out_far:
  driver = manualroute
  domains = far.test : *.far.test
  route_list = * 127.0.0.1
  self = send
  transport = out_smtp
  no_more

`, 1)
	return strings.Replace(conf, transports, transports+fmt.Sprintf(`
out_smtp:
  driver = smtp
  port = %d
  allow_localhost
  hosts_avoid_tls = *
  command_timeout = 3s
  final_timeout = 5s
%s
`, o.Sink.Port(), o.eventAction()), 1)
}

// eventAction is the line that INSTALL.txt says belongs to each smtp transport, where there
// is one.
func (o *outbound) eventAction() string {
	for line := range strings.Lines(o.Files["exipol.main"]) {
		if strings.HasPrefix(line, "event_action = ") {
			return line
		}
	}
	return ""
}

// start starts Exim's daemon and exipold.
func (o *outbound) start() *outbound {
	o.t.Helper()
	o.startHelper()
	o.Bed.Start()
	return o
}

// startHelper starts exipold, with its follower of the log.
func (o *outbound) startHelper() {
	o.t.Helper()
	if o.daemon == nil {
		o.daemon = o.Site.daemon(o.t)
		o.daemon.as = o.ID.Become
		o.daemon.args = []string{"--gateway", o.gateway}
	}
	if err := o.daemon.start(); err != nil {
		o.t.Fatal(err)
	}
}

// killAll ends Exim, its sessions and exipold as a crash would.
func (o *outbound) killAll() {
	o.daemon.kill()
	o.Bed.Kill()
}

// exipold runs a command of exipold's as Exim's user, and returns what it printed. It must
// succeed.
func (o *outbound) exipold(args ...string) string {
	o.t.Helper()
	out, err := o.tryExipold(args...)
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

func (o *outbound) tryExipold(args ...string) (string, error) {
	exe, err := built()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(exe, args...)
	o.ID.Become(cmd)
	cmd.Dir = o.Path("run")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("exipold %s: %w\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out), err
}

// desk is one round of the process that tells people and handles Exim's queue.
func (o *outbound) desk() {
	o.t.Helper()
	o.exipold("desk", "--once", "--plan", o.daemon.plan, "--gateway", o.gateway, "--exim", eximtest.Find(o.t), "--exim-config", o.Path("exim.conf"))
}

// session logs somebody in at the daemon; "" does not log in. client is 127.0.0.9 for a
// relay host.
func (o *outbound) session(id, client string) *eximtest.Session {
	o.t.Helper()
	s := o.Dial(client)
	s.Ehlo("client.test")
	if id != "" {
		want(o.t, "AUTH "+id, s.Auth(id, eximtest.Password), 235)
	}
	return s
}

// invalid says MAIL and n recipients that the sink does not know, and expects 250 to each.
func (o *outbound) invalid(s *eximtest.Session, from, kind string, n int) {
	o.t.Helper()
	s.Expect(250, "MAIL FROM:<"+from+">")
	for i := range n {
		want(o.t, fmt.Sprintf("%s, invalid recipient %d", from, i+1), s.Cmd(fmt.Sprintf("RCPT TO:<nosuch.%s.%d@far.test>", kind, i)), 250)
	}
}

// runQueue tries everything that waits and is not frozen, whatever the retry rules say.
func (o *outbound) runQueue() {
	o.t.Helper()
	if _, _, err := o.Exec("", "-qf"); err != nil {
		o.t.Fatal(err)
	}
}

// deliver runs the queue until a recipient at the sink has n messages.
func (o *outbound) deliver(to string, n int) {
	o.t.Helper()
	o.eventually("mail to "+to, func() string {
		if got := len(o.Sink.To(to)); got < n {
			o.runQueue()
			return fmt.Sprintf("%d messages, want %d", got, n)
		}
		return ""
	})
}

// local gives a message to Exim as a program on the host does.
func (o *outbound) local(message string, args ...string) {
	o.t.Helper()
	if _, _, err := o.Exec(message, append([]string{"-oi", "-odf"}, args...)...); err != nil {
		o.t.Fatal(err)
	}
}

// frozen are the ids of all frozen messages, waiting those of all others.
func (o *outbound) queue() (frozen, waiting []string) {
	o.t.Helper()
	for _, q := range o.Queue() {
		if q.Frozen {
			frozen = append(frozen, q.ID)
		} else {
			waiting = append(waiting, q.ID)
		}
	}
	return frozen, waiting
}

// eventually waits until something holds; the last reason why it does not ends the test.
func (o *outbound) eventually(what string, holds func() (reason string)) {
	o.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		reason := holds()
		if reason == "" {
			return
		}
		if time.Now().After(end) {
			o.t.Fatalf("%s: %s", what, reason)
		}
	}
}

// note is a message with a subject.
func note(subject string) string {
	return "Subject: " + subject + "\nFrom: somebody <a@local.test>\n\n" + subject + "\n"
}

// remove takes a file of the bed away.
func (o *outbound) remove(name string) {
	o.t.Helper()
	if err := os.Remove(o.Path(name)); err != nil {
		o.t.Fatal(err)
	}
}
