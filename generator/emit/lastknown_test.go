package emit

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// blockedFile is what exipold writes.
func blockedFile(lines ...[2]string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l[0] + ": " + l[1] + "\n")
	}
	return b.String()
}

// TestLastKnown: what was blocked stays blocked while exipold gives no answer, of whatever kind
// its silence is, also for the rest of the connection; everybody else passes.
func TestLastKnown(t *testing.T) {
	t.Parallel()
	said := func(verdict, by string, add ...string) string {
		return wire.Answer{Verdict: verdict, By: by, Add: add}.String()
	}
	deny, hold := said(plan.Deny, "limit.bounces/stop/block"), said(plan.Freeze, "limit.stolen/stop/block", "limit.stolen/stop/block")
	until := func(d time.Duration) string {
		return wire.Answer{Verdict: plan.Deny, By: "limit.bounces/stop/block", Until: time.Now().Add(d).Unix()}.String()
	}
	file := blockedFile(
		[2]string{wire.BlockedKey("limit.bounces", "auth:ended"), until(-time.Second)},
		[2]string{wire.BlockedKey("limit.bounces", "auth:lasts"), until(time.Hour)},
		[2]string{wire.BlockedKey("limit.bounces", "auth:for ever"), strings.Replace(deny, " waive", " until=99999999999999999999 waive", 1)},
		[2]string{wire.BlockedKey("limit.bounces", "auth:bad; $(id)"), deny},
		[2]string{wire.BlockedKey("limit.bounces", "relay:203.0.113.9"), deny},
		[2]string{wire.BlockedKey("limit.bounces", "relay:2001:db8:9::1"), deny},
		[2]string{wire.BlockedKey("limit.bounces", "user:"+localUser(t)), deny},
		[2]string{wire.BlockedKey("limit.bounces", "both"), "v=1 verdict=deny by=limit.bounces/stop/block waive=no end=1"},
		[2]string{wire.BlockedKey("limit.stolen", "held"), hold},
		[2]string{wire.BlockedKey("limit.stolen", "rubbish"), "v=1 verdict=deny by=limit.bounces/stop/block"},
		[2]string{wire.BlockedKey("limit.bounces", "auth:rubbish"), "${run{/bin/true}}"},
		[2]string{wire.BlockedKey("limit.stolen", "two"), hold},
		[2]string{wire.BlockedKey("limit.bounces", "auth:two"), deny},
		[2]string{wire.BlockedKey("limit.crack", "192.0.2.77"), said(plan.Deny, "limit.crack/stop/block")},
		[2]string{wire.BlockedKey("limit.early", "192.0.2.66"), said(plan.Deny, "limit.early/stop/block")},
		[2]string{wire.BlockedKey("limit.atmail", "early", "192.0.2.1"), said(plan.Freeze, "limit.atmail/stop/block")},
	)
	careless := func(p *plan.Plan) { // no policy that defers while exipold is away
		for i := range p.Limits {
			p.Limits[i].OnFailure = plan.LastKnown
		}
	}
	for _, mode := range eximtest.Useless() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			for who, want := range map[string]blockedFate{
				"ended": {250, false}, "lasts": {550, false}, "for ever": {550, false},
				"bad; $(id)": {550, false}, "BAD; $(id)": {250, false}, "good": {250, false}, "held": {250, true}, "rubbish": {250, false}, "two": {550, false},
				"early": {250, true}, "203.0.113.9": {550, false}, "203.0.113.10": {250, false}, "2001:db8:9::1": {550, false}, "": {550, false},
			} {
				if mode.String() != eximtest.Absent.String() && who != "good" && who != "held" {
					continue // where each failure takes its time, two are enough
				}
				b := newOutbound(t, nil, careless)
				b.helper.Set(mode)
				b.WriteFile("blocked", file)
				s := b.session(who)
				for range 2 { // the connection does not ask again, and yet it holds
					s.Expect(250, "MAIL FROM:<a@local.test>")
					for range 2 {
						s.Expect(want.code, "RCPT TO:<x@far.test>")
					}
					if want.code == 250 {
						if r := s.Data(hello); r.Code != 250 {
							t.Errorf("%q: %s", who, r)
						}
					} else {
						s.Expect(250, "RSET")
					}
				}
				s.Quit()
				frozen := len(slices.DeleteFunc(b.Queue(), func(q eximtest.Queued) bool { return !q.Frozen }))
				if (frozen == 2) != want.frozen || frozen != 0 && !want.frozen {
					t.Errorf("%q: %d frozen messages", who, frozen)
				}
				if faults := b.LogFaults(); len(faults) > 0 {
					t.Errorf("%q: %s", who, strings.Join(faults, "\n"))
				}
			}
		})
	}
	t.Run("login and connect", func(t *testing.T) {
		t.Parallel()
		b := newOutbound(t, nil, careless)
		b.helper.Set(eximtest.Absent)
		b.WriteFile("blocked", file)
		for client, code := range map[string]int{"192.0.2.77": 550, "192.0.2.78": 235} {
			s := b.session(client)
			if r := s.Auth("bob", eximtest.Password); r.Code != code {
				t.Errorf("%s: %s", client, r)
			}
			s.Close()
		}
		if r := b.BsSession("192.0.2.66").Greeting; r.Code != 550 {
			t.Errorf("%s", r)
		}
		b.CheckLogs()
	})
	t.Run("not SMTP", func(t *testing.T) {
		t.Parallel()
		b := newOutbound(t, nil, careless)
		b.helper.Set(eximtest.Absent)
		b.WriteFile("blocked", blockedFile([2]string{wire.BlockedKey("limit.scripts", b.ID.User), said(plan.Freeze, "limit.scripts/stop/block")}))
		if err := b.inject("a@local.test", hello, "x@far.test"); err != nil {
			t.Fatal(err)
		}
		if q := b.Queue(); len(q) != 1 || !q[0].Frozen {
			t.Errorf("queue %+v", q)
		}
		b.WriteFile("blocked", file)
		if err := b.inject("a@local.test", hello, "x@far.test"); err == nil {
			t.Error("a blocked user's message is taken")
		}
		b.CheckLogs()
	})
}

// blockedFate is what becomes of somebody's mail.
type blockedFate struct {
	code   int
	frozen bool
}

// localUser is the login of local callers.
func localUser(t *testing.T) string { return eximtest.New(t, eximtest.Small).ID.User }

// TestLastKnownFile: whatever became of the file, mail passes, and nothing is broken.
func TestLastKnownFile(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	key := wire.BlockedKey("limit.bounces", "auth:bob")
	for name, text := range map[string]string{
		"missing": "-", "empty": "", "unreadable": "!", "a folder": "/", "binary": "\x00\xff\n\x00" + key + "\n", "one line": long, "no newline": key + ": v=1 verdict=deny by=limit.bounces/stop/block waive=no end=",
		"a key and no answer": key + ":\n", "capitals": key + ": V=1 VERDICT=DENY END=1\n", "a macro": "LIMIT\n" + key + ": v=1 verdict=LIMIT end=1\n",
		"an unknown verdict": key + ": v=1 verdict=burn by=limit.bounces/stop/block waive=no end=1\n",
		"a delay":            key + ": v=1 verdict=accept delay=1 delayby=x waive=no end=1\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil, func(p *plan.Plan) {
				for i := range p.Limits {
					p.Limits[i].OnFailure = plan.LastKnown
				}
			})
			b.helper.Set(eximtest.Absent)
			switch text {
			case "-":
			case "/":
				b.WriteFile("blocked/x", "x")
			case "!":
				// Another's file, for Exim's user reads its own, whatever the mode.
				if err := os.Chmod(b.WriteFile("blocked", ""), 0); err != nil {
					t.Fatal(err)
				}
				if os.Getuid() == 0 {
					_ = os.Chown(b.Path("blocked"), 0, 0)
				}
			default:
				b.WriteFile("blocked", text)
			}
			s := b.session("bob")
			for range 2 {
				if _, r := s.Mail("a@local.test", []string{"x@far.test", "y@far.test"}, hello); r.Code != 250 {
					t.Errorf("%s", r)
				}
			}
			s.Quit()
			b.sink.WaitTo("x@far.test", 2)
			// A file that cannot be read is worth a line in paniclog; nothing else is.
			for _, fault := range b.LogFaults() {
				if (text != "/" && text != "!") || !strings.Contains(fault, "failed to expand ACL message") {
					t.Error(fault)
				}
			}
		})
	}
}

// TestLastKnownOthers: while exipold is away, a policy that wants mail deferred has its way with
// what another one's block would have frozen; an exempt client is not blocked; and a policy
// that passes on failure blocks nobody.
func TestLastKnownOthers(t *testing.T) {
	t.Parallel()
	hold := wire.Answer{Verdict: plan.Freeze, By: "limit.stolen/stop/block"}.String()
	deny := wire.Answer{Verdict: plan.Deny, By: "limit.bounces/stop/block"}.String()
	file := blockedFile([2]string{wire.BlockedKey("limit.stolen", "bob"), hold}, [2]string{wire.BlockedKey("limit.bounces", "auth:carol"), deny})
	for _, c := range []struct {
		name   string
		change func(*plan.Plan)
		who    string
		code   int
	}{
		{"deferred", func(*plan.Plan) {}, "bob", 451},
		{"denied is stronger", func(*plan.Plan) {}, "carol", 550},
		{"an exempt client", func(p *plan.Plan) { p.Limits[3].OnFailure, p.Forwarders = plan.Pass, []string{"192.0.2.0/30"} }, "carol", 250},
		{"pass", func(p *plan.Plan) { p.Limits[3].OnFailure, p.Limits[0].OnFailure = plan.Pass, plan.Pass }, "carol", 250},
		{"observe", func(p *plan.Plan) { p.Limits[3].OnFailure, p.Limits[0].Mode = plan.Pass, plan.Observe }, "carol", 250},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newOutbound(t, nil, c.change)
			b.helper.Set(eximtest.Absent)
			b.WriteFile("blocked", file)
			s := b.session(c.who)
			s.Expect(250, "MAIL FROM:<a@local.test>")
			s.Expect(c.code, "RCPT TO:<x@far.test>")
			s.Close()
			b.CheckLogs()
		})
	}
}

// TestLastKnownComesAndGoes: the file is looked at while exipold is away, and not when it
// answers.
func TestLastKnownComesAndGoes(t *testing.T) {
	t.Parallel()
	b := newOutbound(t, nil, func(p *plan.Plan) { p.Limits[3].OnFailure = plan.Pass })
	b.WriteFile("blocked", blockedFile([2]string{wire.BlockedKey("limit.bounces", "auth:bob"), wire.Answer{Verdict: plan.Deny, By: "limit.bounces/stop/block"}.String()}))
	for _, away := range []bool{false, true, false, true} {
		b.helper.Set(eximtest.Says("accept", acceptAll))
		if away {
			b.helper.Set(eximtest.Stale)
		}
		s := b.session("bob")
		s.Expect(250, "MAIL FROM:<a@local.test>")
		code := 250
		if away {
			code = 550
		}
		begin := time.Now()
		s.Expect(code, "RCPT TO:<x@far.test>")
		if time.Since(begin) > 20*time.Second {
			t.Error("slow")
		}
		s.Close()
	}
	b.CheckLogs()
}

// TestRelayID: who a relay host is, by an expansion of the site's; where that fails, by its
// address, and mail flows.
func TestRelayID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, expansion, want string
		faulty                bool // each failure is logged
	}{
		{"literal", "Branch-7", "Branch-7", false},
		{"a lookup", "${lookup{$sender_host_address}lsearch{%s}{$value}}", "branch one: {x}", false},
		{"nobody there", "${lookup{none}lsearch{%s}{$value}}", "", false},
		{"forced failure", "${lookup{none}lsearch{%s}{$value}fail}", "", false},
		{"no such file", "${lookup{x}lsearch{%s.not}{$value}}", "", true},
		{"no such operator", "${fooX:x}", "", true},
		{"unfinished", "${if", "", true},
		{"an undefined variable", "$nosuchvariable", "", true},
		{"line ends", `a\nb\r`, "a\nb\r", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var table string
			b := newOutbound(t, nil, func(p *plan.Plan) {
				table = strings.TrimSuffix(p.Socket, "run/exipold.sock") + "table"
				p.RelayID = strings.ReplaceAll(c.expansion, "%s", table)
				p.Limits[3].OnFailure = plan.Pass
			})
			b.WriteFile("table", "203.0.113.9: branch one: {x}\n")
			s := b.session("203.0.113.9")
			if _, r := s.Mail("a@far.test", []string{"x@far.test"}, hello); r.Code != 250 {
				t.Fatal(r)
			}
			asked := b.questions(t, "")
			if len(asked) != 2 {
				t.Fatalf("asked %+v", asked)
			}
			for _, q := range asked {
				if q.Relay != c.want {
					t.Errorf("%s: %q, want %q", q.Half, q.Relay, c.want)
				}
			}
			// Both names block while exipold is away.
			b.helper.Set(eximtest.Absent)
			for _, name := range []string{"203.0.113.9", c.want} {
				if name == "" {
					continue
				}
				b.WriteFile("blocked", blockedFile([2]string{wire.BlockedKey("limit.relays", "relay:"+name), wire.Answer{Verdict: plan.Defer, By: "limit.relays/stop/block"}.String()}))
				s = b.session("203.0.113.9")
				s.Expect(250, "MAIL FROM:<a@far.test>")
				s.Expect(451, "RCPT TO:<x@far.test>")
				s.Close()
			}
			b.helper.Set(eximtest.Says("accept", acceptAll))
			b.helper.Forget()
			s = b.session("bob") // who logged in is no relay host
			s.Expect(250, "MAIL FROM:<a@far.test>")
			s.Expect(250, "RCPT TO:<x@far.test>")
			s.Close()
			for _, q := range b.questions(t, "rcpt.before") {
				if q.Relay != "" {
					t.Errorf("%+v", q)
				}
			}
			if faults := b.LogFaults(); (len(faults) > 0) != c.faulty || slices.ContainsFunc(faults, func(f string) bool { return !strings.Contains(f, "failed to expand ACL message") }) {
				t.Errorf("logs: %s", strings.Join(faults, "\n"))
			}
		})
	}
	for _, bad := range []string{"a\nb", "a\\", "x\x00"} {
		p := outbound("/x", "/y")
		p.RelayID = bad
		if _, err := aclText(p); err == nil {
			t.Errorf("%q is printed", bad)
		}
	}
}
