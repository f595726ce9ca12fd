package endtoend

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// fleetPolicies count, greylist and block, with time enough for a database that is in trouble.
const fleetPolicies = `
greylist "inbound" {
  delay = "1s"
}
limit "guesses" {
  event = unknown_recipient
  key   = [client.ip]
  tier "many" {
    over = "1000000/4h"
    deny {
    }
  }
}
limit "thieves" {
  traffic = "submission"
  event   = invalid_recipient
  key     = [auth]
  tier "block" {
    over = "3/1h"
    block {
      deny {
      }
    }
  }
}
`

// patience is the helper's timeout in a fleet.
const patience = 4 * time.Second

// fleet are several gateways that share a database, each an exipold of its own.
type fleet struct {
	t        *testing.T
	gateways []*gateway
}

// gateway is one of them.
type gateway struct {
	*Site
	name   string
	number int
	daemon *daemon
	counts atomic.Int64 // offences that its answers have promised to count
}

// newFleet starts n gateways with these policies. store gives each what it is to have for a store.
func newFleet(t *testing.T, policies string, n int, store func(i int) plan.Store) *fleet {
	t.Helper()
	f := &fleet{t: t}
	for i := range n {
		s := New(t, policies, Options{Store: store(i), Helper: fmt.Sprintf("timeout = %q", patience)})
		g := &gateway{Site: s, name: fmt.Sprintf("gw%d", i+1), number: i + 1, daemon: s.daemon(t)}
		g.daemon.args = []string{"--gateway", g.name, "--no-watch"}
		if err := g.daemon.start(); err != nil {
			t.Fatal(err)
		}
		f.gateways = append(f.gateways, g)
	}
	return f
}

// health is how well a gateway's exipold finds its store.
func (g *gateway) health() (h store.Health, err error) {
	text, err := ask(g.Plan.Socket, "exipold status")
	if err != nil {
		return h, err
	}
	var status struct{ Store store.Health }
	err = json.Unmarshal([]byte(text), &status)
	return status.Store, err
}

// uses waits until all gateways use a host.
func (f *fleet) uses(host string) {
	f.t.Helper()
	f.eventually("all gateways use "+host, func() string {
		for _, g := range f.gateways {
			if h, err := g.health(); err != nil || h.Host != host || h.Away != "" {
				return fmt.Sprintf("%s uses %q (%s): %+v %v", g.name, h.Host, h.Away, h.Hosts, err)
			}
		}
		return ""
	})
}

// eventually waits until something holds; the last reason why it does not ends the test.
func (f *fleet) eventually(what string, holds func() (reason string)) {
	f.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		reason := holds()
		if reason == "" {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("%s: %s", what, reason)
		}
	}
}

// numbers make nonces: Exim's are numbers and dots.
var numbers atomic.Int64

func (g *gateway) nonce() string { return fmt.Sprintf("%d.%d", g.number, numbers.Add(1)) }

// thief is a question about a recipient of a user's.
func (g *gateway) thief(id string, invalid bool) wire.Question {
	q := wire.Question{
		Plan: g.Plan.ID, Stage: plan.Rcpt, Half: plan.Before, Traffic: plan.Submission, Auth: id, Client: netip.MustParseAddr("192.0.2.99"),
		Nonce: g.nonce(), Sender: "a@local.test", Recipient: "x@remote.test", Events: []string{plan.Blocked},
	}
	if invalid {
		q.Events = append(q.Events, plan.InvalidRecipient)
	}
	return q
}

// put asks a gateway; took is how long that was.
func (g *gateway) put(q wire.Question) (answer wire.Answer, took time.Duration, err error) {
	start := time.Now()
	text, err := ask(g.Plan.Socket, strings.TrimSuffix(q.String(), "\n"))
	took = time.Since(start)
	if err == nil {
		answer, err = wire.ParseAnswer(text)
	}
	return answer, took, err
}

// load is what clients do to all gateways at once, and the account of it. Each of several clients
// is known to all gateways.
type load struct {
	f       *fleet
	stop    chan struct{}
	wg      sync.WaitGroup
	clients [4]struct{ sent, promised atomic.Int64 }

	mu      sync.Mutex
	faults  []string
	met     []wire.Question // first contacts that an answer has deferred
	longest time.Duration
	failed  int
	asked   int
}

// robber is blocked before there is trouble.
const robber = "robber"

// load begins with a block, which all gateways know when it returns.
func (f *fleet) load(each int) *load {
	f.t.Helper()
	for range 4 {
		if answer, _, err := f.gateways[0].put(f.gateways[0].thief(robber, true)); err != nil || answer.Verdict == wire.Failed {
			f.t.Fatalf("a thief's recipient: %s %v", answer, err)
		}
	}
	f.blocked(robber)
	l := &load{f: f, stop: make(chan struct{})}
	for number, g := range f.gateways {
		for i := range each {
			l.wg.Go(func() {
				for n := number*each + i; ; n++ {
					select {
					case <-l.stop:
						return
					default:
						l.once(g, n)
					}
				}
			})
		}
	}
	return l
}

// blocked waits until a user is blocked everywhere.
func (f *fleet) blocked(id string) {
	f.t.Helper()
	f.eventually("the block of "+id+" is in force everywhere", func() string {
		for _, g := range f.gateways {
			if answer, _, err := g.put(g.thief(id, false)); err != nil || answer.Verdict != plan.Deny {
				return fmt.Sprintf("%s: %s %v", g.name, answer, err)
			}
		}
		return ""
	})
}

// once asks one thing.
func (l *load) once(g *gateway, n int) {
	kind, q := n%3, wire.Question{
		Plan: g.Plan.ID, Stage: plan.Rcpt, Half: plan.Before, Traffic: plan.Inbound, Nonce: g.nonce(),
		Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(n % len(l.clients))}), Sender: letters(int(numbers.Add(1))) + "@remote.test", Recipient: "alice@local.test",
	}
	account := &l.clients[n%len(l.clients)]
	switch kind {
	case 0:
		q.Events = []string{plan.UnknownRecipient}
		account.sent.Add(1)
	case 1:
		q.Half, q.Events = plan.After, []string{plan.Recipient}
	default:
		q = g.thief(robber, false)
	}
	answer, took, err := g.put(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.longest = max(l.longest, took)
	switch {
	case err != nil:
		l.faults = append(l.faults, fmt.Sprintf("%s does not answer: %v", g.name, err))
	case kind == 2 && answer.Verdict != plan.Deny:
		// exipold knows the block, whatever the store does.
		l.faults = append(l.faults, fmt.Sprintf("%s: a block that was known: %s", g.name, answer))
	case answer.Verdict == wire.Failed || answer.Verdict == wire.Away:
		l.failed++
	case kind == 0 && answer.Verdict == plan.Accept:
		account.promised.Add(1)
		g.counts.Add(1)
	case kind == 1 && answer.Verdict == plan.Defer && answer.By == "greylist.inbound":
		l.met = append(l.met, q)
	case kind != 2:
		l.faults = append(l.faults, fmt.Sprintf("%s: kind %d: %s", g.name, kind, answer))
	}
}

// flows waits until each gateway counts again.
func (l *load) flows() {
	l.f.t.Helper()
	before := map[*gateway]int64{}
	for _, g := range l.f.gateways {
		before[g] = g.counts.Load()
	}
	l.f.eventually("each gateway counts again", func() string {
		for _, g := range l.f.gateways {
			if g.counts.Load() < before[g]+3 {
				h, err := g.health()
				return fmt.Sprintf("%s does not: %+v %v", g.name, h, err)
			}
		}
		return ""
	})
}

// settle ends the load and goes through the account: in the store is all that was promised, and
// nothing that was not asked; and a first contact is known at another gateway.
func (l *load) settle(counted func(client string) int64) {
	t := l.f.t
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	promised := int64(0)
	for i := range l.clients {
		sent, some := l.clients[i].sent.Load(), l.clients[i].promised.Load()
		n := counted(fmt.Sprintf("192.0.2.%d", i))
		if n < some || n > sent {
			t.Errorf("client %d: %d are counted; %d were promised, %d asked for", i, n, some, sent)
		}
		promised += some
	}
	time.Sleep(1100 * time.Millisecond) // the greylist's delay
	known := 0
	for i, q := range l.met[max(0, len(l.met)-300):] {
		g := l.f.gateways[i%len(l.f.gateways)]
		q.Nonce = g.nonce()
		answer, _, err := g.put(q)
		if err != nil || answer.Verdict != plan.Accept {
			t.Errorf("%s does not know a first contact that was deferred: %s %v", g.name, answer, err)
			break
		}
		known++
	}
	if l.longest > 2*patience {
		t.Errorf("an answer took %s", l.longest)
	}
	if promised == 0 || known == 0 {
		t.Errorf("too few answers: %d counts, %d first contacts", promised, known)
	}
	if len(l.faults) > 0 {
		t.Errorf("%d wrong answers:\n%s", len(l.faults), strings.Join(l.faults[:min(len(l.faults), 20)], "\n"))
	}
	t.Logf("%d questions, %d answered with failed, %d offences promised, %d first contacts; the longest answer took %s", l.asked, l.failed, promised, len(l.met), l.longest)
}

// count is a counter's sum as the database itself says.
func count(t *testing.T, db *mysqltest.Server, s plan.Store, client string) (n int64) {
	t.Helper()
	key := normalize.Key([]string{normalize.Client(netip.MustParseAddr(client), 32, 128)})
	query := fmt.Sprintf("SELECT coalesce(sum(n), 0) FROM `%s`.counter WHERE policy = 'limit.guesses' AND key_ = ?", s.Database)
	if err := db.DB().QueryRow(query, []byte(key)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// at is a store that is reached at other hosts.
func at(s plan.Store, hosts ...string) plan.Store {
	s.Hosts = hosts
	return s
}

// logs are what the gateways' exipolds have logged.
func (f *fleet) logs() string {
	var all strings.Builder
	for _, g := range f.gateways {
		text, err := os.ReadFile(g.daemon.log)
		fmt.Fprintf(&all, "%s: %v\n%s", g.name, err, text)
	}
	return all.String()
}
