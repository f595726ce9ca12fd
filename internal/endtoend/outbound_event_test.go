package endtoend

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// byEvent has Exim tell exipold of failed deliveries.
func byEvent(_ *outbound, with *Options) { with.Helper += "source = \"event\"\n" }

// TestOutboundEvents: Exim's own events feed the same counters, for the same owners, with the
// same classes, and the log that tells of the same failures adds nothing.
func TestOutboundEvents(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, bouncy, byEvent, func(o *outbound, _ *Options) { o.RelayHosts = []string{"127.0.0.9"} }).start()
	bob := o.session("bob", "192.0.2.1")
	o.sends(bob, "somebody.else@local.test", "three", append(dead(1, "bob"), "x@broken.test", "alias@local.test", "fine@far.test", "full@far.test", "policy@far.test", "later@far.test", "grey@far.test")...)
	o.sends(bob, "bob@local.test", "refused behind the final dot", "late@far.test")
	o.bounced("dead", 3, "auth:bob")
	o.bounced("full", 1, "auth:bob")
	o.bounced("refused", 2, "auth:bob")
	o.Sink.WaitTo("fine@far.test", 1)
	o.exipold("watch", "--once", "--plan", o.daemon.plan, "--gateway", "one", o.Path("log/mainlog"))
	if got, err := ask(o.Plan.Socket, "BOUNCELIST bob"); err != nil || !strings.HasPrefix(got, "6:") {
		t.Errorf("BOUNCELIST bob: %q %v, want 6", got, err)
	}
	if n := o.counted("dead", "auth:bob"); n != 3 {
		t.Errorf("with the log %d are counted, want still 3", n)
	}
	o.sends(bob, "bob@local.test", "the fourth", dead(1, "fourth")...)
	o.bounced("dead", 4, "auth:bob")
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	want(t, "the next recipient", bob.Cmd("RCPT TO:<fine@far.test>"), 451)
	bob.Close()

	relay := o.session("", "127.0.0.9")
	o.sends(relay, "a@customer.test", "a relay host's", dead(2, "relay")...)
	o.bounced("dead", 2, "relay:127.0.0.9")
	_, _ = relay.Mail("", dead(1, "null"), note("its null sender"))
	relay.Close()
	o.local(note("a program's"), append([]string{"-oMt", "www-data"}, dead(2, "local")...)...)
	o.bounced("dead", 2, "user:www-data")
	stranger := o.session("", "192.0.2.9")
	o.sends(stranger, "bob@local.test", "a stranger's, forwarded", "alias@local.test")
	stranger.Close()
	o.eventually("it fails", func() string {
		if len(o.Grep(" ** nosuch.alias@far.test <alias@local.test>")) < 2 {
			return "not yet"
		}
		return ""
	})
	if n := o.counted("dead", "auth:bob") + o.counted("dead", "relay:192.0.2.9") + o.counted("dead", "relay:127.0.0.9"); n != 6 {
		t.Errorf("with a stranger's and a null sender's %d are counted, want 6", n)
	}

	// Who does not answer is told to the log, and changes nothing about a delivery.
	o.daemon.kill()
	carol := o.session("carol", "192.0.2.1")
	o.sends(carol, "carol@local.test", "nobody answers", append(dead(2, "carol"), "fine.carol@far.test", "x@broken.test")...)
	o.Sink.WaitTo("fine.carol@far.test", 1)
	carol.Close()
	o.eventually("all of it was tried", func() string {
		if n := len(o.Grep(" Completed")); len(o.Grep(" ** x@broken.test")) < 2 {
			return fmt.Sprintf("%d messages are", n)
		}
		return ""
	})
	o.WaitLog("exipol: a failed delivery is not counted: <nosuch.carol.0@far.test>")
	o.CheckLogs()
}

// TestOutboundLastKnown: the file of blocks, when exipold is away and the file is not as it
// should be. Mail flows as if it were not there, and with it mended the block is back.
func TestOutboundLastKnown(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, soon("submission", "auth", 1)).start()
	bob := o.session("bob", "192.0.2.1")
	o.invalid(bob, "bob@local.test", "a", 2)
	bob.Expect(250, "RSET")
	o.held(bob, "bob@local.test", "blocked", "X-Held-For: bob", "fine@far.test")
	bob.Close()
	o.daemon.kill()
	file := o.Plan.Blocked
	good, err := os.ReadFile(file)
	if err != nil || strings.Count(string(good), "\n") == 0 {
		t.Fatalf("the file of blocks: %q %v", good, err)
	}
	if strings.Contains(string(good), "bob") {
		t.Errorf("the file names people:\n%s", good)
	}
	key, _, _ := strings.Cut(string(good), ":")
	try := 0
	flows := func(what string) {
		t.Helper()
		try++
		s := o.session("bob", "192.0.2.1")
		o.flows(s, "bob@local.test", what, "X-Held-For", fmt.Sprintf("fine.%d@far.test", try))
		s.Close()
	}
	for what, text := range map[string]string{
		"an empty file": "", "half a line": strings.TrimSpace(string(good))[:len(good)/2], "another answer": key + ": v=1 verdict=explode by=x waive=no end=1\n",
		"an expansion": key + ": ${run{/usr/bin/touch " + o.Path("run/touched") + "}}\n", "no answer": key + ":\n", "not text": key + ": \x00\xff\xfe\n", "somebody else's": strings.ToUpper(key[1:]) + "0: v=1 verdict=freeze by=limit.stolen/block/block waive=no end=1\n",
	} {
		o.rewrite(file, text)
		flows(what)
	}
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	flows("a file that cannot be read")
	for _, l := range o.Log("paniclog") {
		if !strings.Contains(l, file) || !strings.Contains(l, "Permission denied") {
			t.Errorf("paniclog: %s", l)
		}
	}
	o.remove("log/paniclog")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	flows("no file")
	o.rewrite(file, string(good))
	s := o.session("bob", "192.0.2.1")
	o.held(s, "bob@local.test", "the file is back", "X-Held-For: bob", "fine@far.test")
	s.Close()
	if o.exists("run/touched") {
		t.Error("something in the file was executed")
	}
	o.CheckLogs()
}

// rewrite is a file of exipold's, as somebody else wrote it.
func (o *outbound) rewrite(file, text string) {
	o.t.Helper()
	name := strings.TrimPrefix(file, o.Root+"/")
	_ = os.Remove(file)
	o.WriteFile(name, text)
}
