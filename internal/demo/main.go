// Demo shows exipol at work, on a real Exim with Debian's own configuration, in a
// temporary folder and without privilege: the starter policies are compiled and
// installed, exipold's parts answer, and a client is greylisted, let in on its retry,
// and tarpitted when it guesses recipients. Only the clock jumps, so that nobody has
// to wait five minutes.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"exipol/internal/dnstest"
	"exipol/internal/endtoend"
	"exipol/internal/eximtest"
	"exipol/policies"
)

func main() {
	d := &demo{}
	code := 0
	func() {
		defer func() {
			if r := recover(); r != nil && r != errGaveUp {
				panic(r)
			}
			for _, f := range slices.Backward(d.cleanups) {
				f()
			}
		}()
		d.run()
	}()
	if d.failed {
		code = 1
	}
	os.Exit(code)
}

// errGaveUp is what Fatalf unwinds with.
var errGaveUp = fmt.Errorf("gave up")

// demo is an eximtest.T that is no test.
type demo struct {
	cleanups []func()
	failed   bool
}

func (d *demo) Helper()          {}
func (d *demo) Name() string     { return "demo" }
func (d *demo) Failed() bool     { return d.failed }
func (d *demo) Cleanup(f func()) { d.cleanups = append(d.cleanups, f) }

func (d *demo) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (d *demo) Errorf(format string, args ...any) {
	d.failed = true
	d.Logf("demo: "+format, args...)
}

func (d *demo) Fatalf(format string, args ...any) {
	d.Errorf(format, args...)
	panic(errGaveUp)
}

// say prints what comes next.
func say(format string, args ...any) { fmt.Printf("\n== "+format+"\n", args...) }

func (d *demo) run() {
	files, err := policies.Starter()
	if err != nil {
		d.Fatalf("%v", err)
	}
	var set strings.Builder
	for _, file := range files[1:] { // the site is made here
		fmt.Fprintf(&set, "%s\n", file.Text)
	}
	set.WriteString("list \"friends\" {\n  clients = [\"198.51.100.0/24\"]\n}\n")
	dns, err := dnstest.New("127.0.0.1:0")
	if err != nil {
		d.Fatalf("%v", err)
	}
	defer dns.Close()
	if err := dns.Add(internet); err != nil {
		d.Fatalf("%v", err)
	}

	say("the starter policies, compiled and installed into Debian's configuration")
	s := endtoend.Start(d, set.String(), endtoend.Options{
		Layout: eximtest.DebianUnsplit, Helper: fmt.Sprintf("dns = [%q]", dns.Address()),
		Configure: func(b *eximtest.Bed) { b.Main += "MAIN_HOST_LOOKUP = :\n" }, // Exim would ask the machine's name servers
	})
	fmt.Printf("plan %s\nexim4.conf.localmacros includes exipol.main:\n", s.Plan.ID)
	for line := range strings.Lines(s.Files["exipol.main"]) {
		if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			fmt.Print("    " + line)
		}
	}
	s.Start()

	say("a well-run host's first mail: let in at once")
	d.mail(s, "127.0.0.10", "mail.honest.example", "bob@honest.example", 250)
	say("a stranger without a name, who says a HELO that is none: deferred")
	d.mail(s, "203.0.113.1", "stranger", "x@bot.example", 451)
	say("again, four minutes later: still too early")
	s.Clock.Advance(4 * time.Minute)
	d.mail(s, "203.0.113.1", "stranger", "x@bot.example", 451)
	say("its retry after five minutes, from another host of the same network: let in")
	s.Clock.Advance(time.Minute)
	d.mail(s, "203.0.113.2", "stranger", "x@bot.example", 250)
	say("a login code from a host as bad, but its sender's SPF passes (list.code_senders): let in at once")
	d.mail(s, "203.0.113.77", "code", "no-reply@github.com", 250)
	s.WaitMail(3)
	say("a friend (list.friends): never asked to wait")
	d.mail(s, "198.51.100.1", "stranger", "bob@partner.example", 250)

	say("a client that guesses recipients: the site's own refusals, and from the sixth on a tarpit")
	d.guess(s)

	say("what Exim's mainlog says")
	for _, line := range s.Grep("exipol") {
		fmt.Println("    " + line)
	}
	if !d.failed {
		say("all as it should be")
	}
}

// internet is what the demonstration's own name server knows.
const internet = `
mail.honest.example A 127.0.0.10
127.0.0.10 PTR mail.honest.example
honest.example TXT "v=spf1 a:mail.honest.example -all"
github.com TXT "v=spf1 ip4:203.0.113.77 -all"
`

// mail sends one message and shows the dialogue from EHLO on.
func (d *demo) mail(s *endtoend.Site, client, helo, from string, want int) {
	session := s.Dial(client)
	defer session.Close()
	session.Ehlo(helo)
	session.Expect(250, "MAIL FROM:<"+from+">")
	session.Expect(250, "RCPT TO:<alice@local.test>")
	if r := session.Data("From: " + from + "\nSubject: hello\n\nHello.\n"); r.Code != want {
		d.Errorf("the message of %s from %s: %s, want %d", from, client, r, want)
	}
	session.Quit()
	_, dialogue, _ := strings.Cut(session.Transcript(), "C: MAIL")
	fmt.Printf("    (from %s, HELO %s)\n", client, helo)
	for line := range strings.Lines("C: MAIL" + dialogue) {
		fmt.Print("    " + line)
	}
}

// guess shows how long the replies take.
func (d *demo) guess(s *endtoend.Site) {
	session := s.Dial("203.0.113.5")
	defer session.Close()
	session.Ehlo("bot.example")
	session.Expect(250, "MAIL FROM:<x@bot.example>")
	for i := 1; i <= 6; i++ {
		r := session.Cmd(fmt.Sprintf("RCPT TO:<nosuch%d@local.test>", i))
		fmt.Printf("    %d. %s  (after %s)\n", i, r, r.Took.Round(100*time.Millisecond))
		if slow := r.Took > 10*time.Second; r.Code != 550 || slow != (i == 6) {
			d.Errorf("reply %d: %s after %s", i, r, r.Took)
		}
	}
}
