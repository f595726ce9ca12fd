package endtoend

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOutboundLocalStrange: recipients of local mail that are made of what takes lists apart,
// or of what Exim executes. None counts for another address, and none does anything.
func TestOutboundLocalStrange(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, `
limit "counts" {
  traffic = "local"
  event   = unknown_recipient
  key     = [user]
  tier "never" {
    over = "1000000/1h"
    deny {
    }
  }
}
limit "volume" {
  traffic = "local"
  event   = recipient
  key     = [user]
  tier "never" {
    over = "1000000/1h"
    deny {
    }
  }
}
`)
	o.startHelper()
	touch := o.Path("run/touched")
	volume := int64(0)
	for _, c := range []struct {
		to   []string
		want int64 // unknown
	}{
		{[]string{`"a, nosuch.b@local.test, c"@far.test`}, 0},
		{[]string{`"a:nosuch@local.test:c"@far.test`, "fine@far.test"}, 0},
		{[]string{`"${run{/usr/bin/touch ` + touch + `}}"@far.test`}, 0},
		{[]string{`"a b"@far.test`, `"a\"b"@far.test`, `"a\\b"@far.test`, "a/b@far.test", "a'b@far.test", "*@far.test", "-a@far.test", "a|b@far.test", "a=b@far.test", "a%b@far.test", "a!b@far.test", "a#b@far.test"}, 0},
		{[]string{"nosuch.a@local.test", `"nosuch b"@local.test`, "fine@far.test", "x@broken.test"}, 2}, // what is quoted is never asked about
		{[]string{"fine@far.test", "nosuch.a@local.test", "NoSuch.A@far.test"}, 3},
	} {
		o.local(note("strange"), append([]string{"-oMt", "www-data", "--"}, c.to...)...)
		if got := o.counted("counts", "www-data"); got != c.want {
			t.Errorf("after %q: %d unknown recipients are counted, want %d", c.to, got, c.want)
		}
		volume += int64(len(c.to))
		if got := o.counted("volume", "www-data"); got != volume {
			t.Errorf("after %q: %d recipients are counted, want %d", c.to, got, volume)
		}
	}
	many := []string{"-oMt", "many", "--"}
	for i := range 400 {
		many = append(many, fmt.Sprintf("nosuch.of.many.recipients.in.one.message.%d@local.test", i))
	}
	o.local(note("many"), many...)
	// Exim's text looks at so many bytes of them only.
	if unknown, all := o.counted("counts", "many"), o.counted("volume", "many"); unknown < 60 || all != 400 {
		t.Errorf("of 400 unknown recipients of one message %d are counted, and %d of its recipients", unknown, all)
	}
	for _, login := range []string{"a:b", "a b", "${run{/usr/bin/touch " + touch + "}}", "$(id)", `a"b`, "#x", "a\\nb", "été"} {
		o.local(note("a strange login"), "-oMt", login, "nosuch@local.test")
		if got := o.counted("counts", login) + o.counted("counts", printing(login)); got == 0 {
			t.Errorf("%q: nothing is counted", login)
		}
	}
	if o.exists("run/touched") {
		t.Error("something in a recipient was executed")
	}
	if l := o.Grep("gave no answer"); len(l) > 0 {
		t.Errorf("%d questions were not answered: %q", len(l), l[0])
	}
}

// verdicts are blocks of all kinds, of somebody each.
func verdicts() string {
	out := ""
	for _, b := range []struct{ name, traffic, key, block string }{
		{"defers", "submission", "auth", "defer {\n message = \"later, says the desk\"\n}"},
		{"denies", "submission", "auth", "at = \"mail\"\n deny {\n message = \"never, says the desk\"\n}"},
		{"relay_mail", "relay", "client.ip", "at = \"mail\"\n defer {\n}"},
		{"relay_connect", "relay", "client.ip", "at = \"connect\"\n deny {\n message = \"not from here\"\n}"},
		{"local", "local", "user", "deny {\n message = \"not this program\"\n}"},
	} {
		out += fmt.Sprintf(`
list %[1]q {
  %[5]s
}
limit %[1]q {
  traffic = %[2]q
  event   = unknown_recipient
  key     = [%[3]s]
  only    = [list.%[1]s]
  tier "block" {
    over   = "0/1h"
    notify = [notice.desk]
    block {
      %[4]s
    }
  }
}
`, b.name, b.traffic, b.key, b.block, map[string]string{
			"defers": `auth = ["defers"]`, "denies": `auth = ["denies"]`,
			"relay_mail": `clients = ["127.0.0.9"]`, "relay_connect": `clients = ["127.0.0.1"]`, "local": `users = ["www-data"]`,
		}[b.name])
	}
	return out + deskNotice
}

// TestOutboundVerdicts: blocks that defer and deny, at their own stages; while exipold answers,
// while it hangs, and while it is away.
func TestOutboundVerdicts(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, verdicts(), func(o *outbound, with *Options) {
		o.RelayHosts = []string{"127.0.0.9", "127.0.0.1"}
		with.Helper += "timeout = \"2s\"\n"
	}).start()
	begin := func(id, client string) {
		s := o.session(id, client)
		s.Expect(250, "MAIL FROM:<a@local.test>")
		s.Cmd("RCPT TO:<nosuch@broken.test>")
		s.Close()
	}
	begin("defers", "192.0.2.1")
	begin("denies", "192.0.2.1")
	begin("", "127.0.0.9")
	begin("", "127.0.0.1")
	_, _, _ = o.Exec(note("x"), "-oi", "-odf", "-oMt", "www-data", "nosuch@broken.test")
	if n := len(o.cases()); n != 5 {
		t.Fatalf("%d cases, want 5: %+v", n, o.cases())
	}
	for _, how := range []string{"it answers", "it hangs", "it is away"} {
		switch how {
		case "it hangs":
			if err := o.daemon.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		case "it is away":
			o.daemon.kill()
		}
		s := o.session("defers", "192.0.2.1")
		s.Expect(250, "MAIL FROM:<a@local.test>")
		if r := s.Cmd("RCPT TO:<fine@far.test>"); r.Code != 451 || !strings.Contains(r.Text(), "later, says the desk") {
			t.Errorf("%s: a block that defers: %s", how, r)
		}
		s.Close()
		s = o.session("denies", "192.0.2.1")
		if r := s.Cmd("MAIL FROM:<a@local.test>"); r.Code != 550 || !strings.Contains(r.Text(), "never, says the desk") {
			t.Errorf("%s: a block that denies at MAIL: %s", how, r)
		}
		s.Close()
		s = o.session("", "127.0.0.9")
		if r := s.Cmd("MAIL FROM:<a@local.test>"); r.Code != 451 {
			t.Errorf("%s: a block that defers at MAIL: %s", how, r)
		}
		s.Close()
		if s = o.Dial("127.0.0.1"); s.Greeting.Code != 550 || !strings.Contains(s.Greeting.Text(), "not from here") {
			t.Errorf("%s: a block at connect: %s", how, s.Greeting)
		}
		s.Close()
		if _, said, err := o.Exec(note("x"), "-oi", "-oep", "-odf", "-oMt", "www-data", "fine@far.test"); err == nil || !strings.Contains(said+err.Error(), "not this program") {
			t.Errorf("%s: a program that is blocked: %v %s", how, err, said)
		}
		s = o.session("somebody", "192.0.2.1")
		o.sends(s, "a@local.test", "others", "fine.others@far.test")
		s.Close()
	}
	o.Sink.WaitTo("fine.others@far.test", 3)
	if n := len(o.Sink.To("fine@far.test")); n != 0 {
		t.Errorf("%d messages got through", n)
	}
	o.CheckLogs()
}

// TestOutboundUntil: a block that ends by itself. What it holds stays until the desk has
// decided; new mail flows.
func TestOutboundUntil(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, strings.Replace(soon("submission", "auth", 1), "block {", "block {\n      until = \"3s\"", 1)).start()
	bob := o.session("bob", "192.0.2.1")
	o.invalid(bob, "bob@local.test", "a", 1)
	bob.Expect(250, "RSET")
	o.held(bob, "bob@local.test", "held", "X-Held-For: bob", "nosuch@far.test", "fine.held@far.test")
	time.Sleep(3100 * time.Millisecond)
	o.flows(bob, "bob@local.test", "it has ended", "X-Held-For", "fine.after@far.test")
	o.desk()
	if frozen, _ := o.queue(); len(frozen) != 1 || len(o.Sink.To("fine.held@far.test")) != 0 {
		t.Errorf("frozen %v, want still the one", frozen)
	}
	o.eventually("the file of blocks is without it", func() string { // within two seconds
		text, err := os.ReadFile(o.Plan.Blocked)
		if err != nil || len(text) > 0 {
			return fmt.Sprintf("%q %v", text, err)
		}
		return ""
	})
	o.daemon.kill()
	o.flows(bob, "bob@local.test", "nobody answers", "X-Held-For", "fine.away@far.test")
	o.startHelper()
	c := o.oneCase()
	o.caseCommand("release", c.ID, "--reason", "nothing was wrong")
	o.desk()
	o.Sink.WaitTo("fine.held@far.test", 1)
	bob.Close()
	o.CheckLogs()
}

// TestOutboundByHand: what somebody does to held messages with Exim's own commands: a thawed
// one is not the case's any more; removed and delivered ones do not keep the desk from its work.
func TestOutboundByHand(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, soon("submission", "auth", 0)).start()
	bob := o.session("bob", "192.0.2.1")
	var ids []string
	for i, to := range []string{"nosuch@far.test", "fine.a@far.test", "fine.b@far.test", "fine.c@far.test"} {
		ids = append(ids, o.held(bob, "bob@local.test", fmt.Sprintf("message %d", i), "X-Held-For: bob", to))
	}
	o.notices(1)
	if n := o.oneCase().Case.Held; n != 4 {
		t.Errorf("%d are held, want 4", n)
	}
	for i, arg := range []string{"-Mrm", "-M", "-Mt"} {
		if _, _, err := o.Exec("", arg, ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	o.Sink.WaitTo("fine.a@far.test", 1)
	o.desk() // those that are gone are remembered for a while: they could still be on their way in
	if n := o.oneCase().Case.Held; n != 3 {
		t.Errorf("%d are held, want 3", n)
	}
	id := o.oneCase().ID
	o.caseCommand("remove", id, "--reason", "spam")
	o.caseCommand("remove", id, "--reason", "spam, again")
	o.desk()
	o.deliver("fine.b@far.test", 1)
	o.eventually("the queue is empty", func() string {
		if f, w := o.queue(); len(f)+len(w) > 0 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	if n := len(o.Sink.To("fine.c@far.test")); n != 0 {
		t.Errorf("what was removed was delivered")
	}
	bob.Close()
	o.CheckLogs()
}
