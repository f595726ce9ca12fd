package endtoend

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/mysqltest"
)

const sharedPolicies = `
greylist "inbound" {
  delay = "1s"
}
limit "guesses" {
  event = unknown_recipient
  key   = [client.ip]
  tier "many" {
    over = "5/1h"
    deny {
    }
  }
}
`

// TestGateways: two Exims and a third exipold share a database. Who was greylisted at one passes at
// the other, and offences add up.
func TestGateways(t *testing.T) {
	t.Parallel()
	shared := mysqltest.Shared(t).Database()
	f := newFleet(t, sharedPolicies, 3, func(int) plan.Store { return shared })
	one, two, three := f.gateways[0].Site, f.gateways[1].Site, f.gateways[2]
	const client, to = "192.0.2.1", "alice@local.test"
	want(t, "first contact, at one", rcpt(one, client, sender, to), 451)
	want(t, "early, at the other", rcpt(two, client, sender, to), 451)
	time.Sleep(1100 * time.Millisecond)
	want(t, "in time, at the other", rcpt(two, client, sender, to), 250)
	want(t, "and at the first", rcpt(one, client, sender, to), 250)
	for i, s := range []*Site{one, two, one, two, one} {
		if r := rcpt(s, "192.0.2.7", sender, fmt.Sprintf("nosuch%d@local.test", i)); r.Code != 550 || strings.Contains(r.Text(), "limit.guesses") {
			t.Errorf("guess %d: %s", i+1, r)
		}
	}
	if n := count(t, mysqltest.Shared(t), shared, "192.0.2.7"); n != 5 {
		t.Errorf("%d offences are counted, want 5", n)
	}
	if r := rcpt(two, "192.0.2.7", sender, "nosuch6@local.test"); r.Code != 550 || !strings.Contains(r.Text(), "(limit.guesses/many)") {
		t.Errorf("the sixth guess: %s", r)
	}
	if got, err := ask(three.Plan.Socket, "TARLIST 192.0.2.7"); err != nil || got != "7" {
		t.Errorf("a third gateway counts %q, want 7 (%v)", got, err)
	}
	out, err := three.command("status", "--plan", three.daemon.plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.gateways {
		if !strings.Contains(out, g.name) {
			t.Errorf("status does not know %s:\n%s", g.name, out)
		}
		g.CheckLogs()
	}
}

// TestGatewaysOutbound: the same as TestOutboundGateways, on a database.
func TestGatewaysOutbound(t *testing.T) { testOutboundGateways(t, mysqltest.Shared(t).Database()) }

// TestGatewaysRuntime: what is said at one gateway at run time is in force there at once, and
// at the other within two seconds.
func TestGatewaysRuntime(t *testing.T) {
	t.Parallel()
	shared := mysqltest.Shared(t).Database()
	f := newFleet(t, sharedPolicies, 2, func(int) plan.Store { return shared })
	one, two := f.gateways[0], f.gateways[1]
	const client, to = "192.0.2.1", "alice@local.test"
	number := 0
	stranger := func(g *gateway) int {
		number++
		return rcpt(g.Site, client, letters(number)+"@remote.test", to).Code
	}
	soon := func(what string, g *gateway, code int) {
		t.Helper()
		f.eventually(what, func() string {
			if got := stranger(g); got != code {
				return fmt.Sprintf("a stranger gets %d, want %d", got, code)
			}
			return ""
		})
	}
	if a, b := stranger(one), stranger(two); a != 451 || b != 451 {
		t.Fatalf("strangers get %d and %d", a, b)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"off", "greylist.inbound", "--why", "a test"}, 250},
		{[]string{"on", "greylist.inbound"}, 451},
		{[]string{"allow", "add", "--client", client, "--why", "a test"}, 250},
	} {
		if out, err := one.command(append(c.args, "--plan", one.daemon.plan)...); err != nil {
			t.Fatalf("%s %v", out, err)
		}
		if got := stranger(one); got != c.code {
			t.Errorf("after %q a stranger gets %d at the same gateway, want %d at once", c.args, got, c.code)
		}
		soon(fmt.Sprintf("%q is in force at the other", c.args), two, c.code)
	}
}

// command runs a command of exipold's.
func (g *gateway) command(args ...string) (string, error) {
	exe, err := built()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(exe, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("exipold %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// TestGatewaysAtOnce: gateways that migrate, clean up and tell at the same moment. One does it.
func TestGatewaysAtOnce(t *testing.T) {
	t.Parallel()
	shared := mysqltest.Shared(t).Database()
	a := newOutbound(t, soon("submission", "auth", 1), func(_ *outbound, with *Options) { with.Store = shared })
	b := newOutbound(t, soon("submission", "auth", 1), func(o *outbound, with *Options) { o.gateway, o.Sink, with.Store = "two", a.Sink, shared })
	gateways := []*outbound{a, b}
	for _, o := range gateways {
		o.daemon = o.Site.daemon(t)
		o.daemon.as, o.daemon.args = o.ID.Become, []string{"--gateway", o.gateway}
	}
	// each calls f for every gateway n times at once, and gives what it said.
	each := func(n int, f func(o *outbound) (string, error)) (said []string) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, o := range gateways {
			for range n {
				wg.Go(func() {
					text, err := f(o)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					said = append(said, text)
				})
			}
		}
		wg.Wait()
		return said
	}
	said := each(4, func(o *outbound) (string, error) { return o.tryExipold("migrate", "--plan", o.daemon.plan) })
	if n := strings.Count(strings.Join(said, "\n"), "CREATE TABLE IF NOT EXISTS seen"); n != 1 {
		t.Errorf("the store was made %d times:\n%s", n, strings.Join(said, "\n"))
	}
	a.start()
	b.start()
	at := a.session("bob", "192.0.2.1")
	a.invalid(at, "bob@local.test", "a", 1)
	at.Expect(250, "RSET")
	a.held(at, "bob@local.test", "held", "X-Held-For: bob", "nosuch@far.test")
	at.Close()
	each(3, func(o *outbound) (string, error) { o.desk(); return "", nil })
	a.notices(1)

	const rows = 3000
	db := mysqltest.Shared(t)
	for from := 0; from < rows; from += 500 {
		var values []string
		for i := range 500 {
			values = append(values, fmt.Sprintf("('greylist.old', 'key%d', 1, 0, 0, 0, 1, '', '')", from+i))
		}
		db.Exec("INSERT INTO `" + shared.Database + "`.seen (policy, key_, first_at, passed_at, passes, counted_at, expires_at, why, who) VALUES " + strings.Join(values, ", "))
	}
	removed := 0
	cleaners := 0
	for _, text := range each(2, func(o *outbound) (string, error) {
		text, err := o.tryExipold("cleanup", "--plan", o.daemon.plan)
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.ExitCode() == 3 && strings.Contains(err.Error(), "exipold-cleanup cleans the store up already") {
			err = nil
		}
		return text, err
	}) {
		n := 0
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Errorf("the clean-up says %q", text)
		}
		if removed += n; n > 0 {
			cleaners++
		}
	}
	if cleaners != 1 {
		t.Errorf("%d have cleaned up, want 1", cleaners)
	}
	if removed < rows || removed > rows+50 { // and what the test itself has left
		t.Errorf("%d rows were removed, want %d", removed, rows)
	}
}

// TestRollingUpgrade: two gateways go from one plan to the next, one after the other, exipold before
// Exim. Both Exims are served by the plan that they know, throughout, and what they count
// adds up. The next plan needs a table more.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	shared := mysqltest.Shared(t).Database()
	policies := func(over int, more string) string {
		return fmt.Sprintf(`
limit "guesses" {
  event = unknown_recipient
  key   = [client.ip]
  tier "many" {
    over = "%d/1h"
    deny {
    }
  }
}
%s`, over, more)
	}
	const more = `
limit "addresses" {
  event = unknown_recipient
  key   = [client.ip]
  count = distinct(recipient)
  tier "many" {
    over = "1000/1h"
    deny {
    }
  }
}
`
	f := newFleet(t, policies(3, ""), 2, func(int) plan.Store { return shared })
	one, two := f.gateways[0], f.gateways[1]
	guesses := 0
	guess := func(g *gateway, limit int) {
		t.Helper()
		guesses++
		r := rcpt(g.Site, "192.0.2.7", sender, fmt.Sprintf("nosuch%d@local.test", guesses))
		if over := strings.Contains(r.Text(), "(limit.guesses/many)"); r.Code != 550 || over != (guesses > limit) {
			t.Errorf("guess %d at %s, over %d: %s", guesses, g.name, limit, r)
		}
	}
	next := map[*gateway]*Site{}
	// upgrade gives a gateway's exipold the next plan; its Exim goes on with the text that it has.
	upgrade := func(g *gateway) {
		t.Helper()
		n := *g.Site
		n.Compile(policies(6, more), Options{Store: shared, Helper: fmt.Sprintf("timeout = %q", patience)})
		next[g] = &n
		n.WriteFile("plan.json", n.Files["plan.json"])
		if err := g.daemon.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		f.eventually("the next plan is taken", func() string {
			if text, err := ask(g.Plan.Socket, "exipold status"); err != nil || !strings.Contains(text, n.Plan.ID) {
				return fmt.Sprintf("%s %v", text, err)
			}
			return ""
		})
	}
	// reinstall gives its Exim the next text.
	reinstall := func(g *gateway) {
		t.Helper()
		n := next[g]
		for name, where := range map[string]*string{"exipol.main": &g.Main, "exipol.acl": &g.ACL} {
			if strings.Count(*where, g.Files[name]) != 1 {
				t.Fatalf("%s is not installed once", name)
			}
			*where = strings.Replace(*where, g.Files[name], n.Files[name], 1)
		}
		g.Plan, g.Files = n.Plan, n.Files
		g.Configure()
	}
	guess(one, 3)
	guess(two, 3)
	upgrade(two)
	guess(one, 3)
	guess(two, 3) // the fourth: by the old plan, over 3
	reinstall(two)
	guess(one, 3)
	guess(two, 6) // the sixth
	guess(two, 6) // the seventh: over 6, too
	upgrade(one)
	guess(one, 3)
	reinstall(one)
	guess(one, 6)
	if n := count(t, mysqltest.Shared(t), shared, "192.0.2.7"); n != int64(guesses) {
		t.Errorf("%d are counted, want %d", n, guesses)
	}
	for _, g := range f.gateways {
		g.CheckLogs()
	}
}
