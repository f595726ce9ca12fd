package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// poolOf has every address in one pool; "" for none.
func poolOf(name string) func(netip.Addr) string {
	return func(netip.Addr) string { return name }
}

// provider passes SPF for its own domain from twenty addresses, each in another net.
var provider = func() (out []string) {
	for i := range 20 {
		out = append(out, fmt.Sprintf("203.0.%d.9", i))
	}
	return out
}()

func ownHosts(q wire.Question) engine.Facts {
	if slices.Contains(provider, q.Client.String()) {
		return engine.Facts{SPF: "pass", SPFDomain: "Example.ORG."}
	}
	return engine.Facts{SPF: "softfail", SPFDomain: "example.org"}
}

// TestProvider: whoever retries from another address of its SPF record passes on the
// second try, and is known from then on; strangers' addresses do not.
func TestProvider(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool)))
	w.truth = ownHosts
	w.want(says(plan.Recipient, from(provider[0])), later, ref)
	w.wait(4 * time.Minute)
	w.want(says(plan.Recipient, from(provider[1])), later, ref)
	w.wait(time.Minute)
	for _, ip := range provider[2:] {
		w.want(says(plan.Recipient, from(ip)), accept, "")
		if !slices.Equal(w.asked, []plan.Fact{spf}) {
			t.Errorf("from %s it asks for %v", ip, w.asked)
		}
		if d := w.want(says(plan.Recipient, from(ip)), accept, ""); len(w.asked) > 0 || len(d.Writes) > 0 {
			t.Errorf("from %s again: it asks for %v and writes %+v", ip, w.asked, d.Writes)
		}
	}
	for i := range 20 {
		w.want(says(plan.Recipient, from(fmt.Sprintf("198.18.%d.1", i))), later, ref)
		w.wait(time.Minute)
	}
	w.want(says(plan.Recipient, from(provider[5]), sender("new@example.org")), later, ref)
}

// TestSPFComesAndGoes: where SPF is unclear the net still counts, first or second.
func TestSPFComesAndGoes(t *testing.T) {
	pass := func(q wire.Question) engine.Facts { return engine.Facts{SPF: "pass", SPFDomain: "example.org"} }
	for name, c := range map[string]struct {
		first, second func(wire.Question) engine.Facts
		client        string // of the retry
		verdict       string
	}{
		"unclear, same net":          {pass, nil, "192.0.2.9", accept},
		"unclear, another net":       {pass, nil, "192.0.3.9", later},
		"unclear first, same net":    {nil, pass, "192.0.2.9", accept},
		"unclear first, another net": {nil, pass, "192.0.3.9", later},
		"both":                       {pass, pass, "192.0.3.9", accept},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(grey(byPool)))
			w.truth = c.first
			w.want(says(plan.Recipient), later, ref)
			w.wait(5 * time.Minute)
			w.truth = c.second
			w.want(says(plan.Recipient, from(c.client)), c.verdict, map[string]string{later: ref}[c.verdict])
		})
	}
}

// TestWaitsUnderAllNames: a retry that is too early, from another net, is noted for
// that net with the time of the first.
func TestWaitsUnderAllNames(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool)))
	w.truth = ownHosts
	w.want(says(plan.Recipient, from(provider[0])), later, ref)
	w.wait(4 * time.Minute)
	if d := w.want(says(plan.Recipient, from(provider[1])), later, ref); len(d.Writes) != 1 {
		t.Errorf("writes %+v", d.Writes)
	}
	w.wait(time.Minute)
	w.truth = nil
	w.want(says(plan.Recipient, from(provider[1])), accept, "")
	contacts := 0
	for _, row := range w.mem.seen {
		if row.Why != "" {
			contacts++
		}
	}
	if contacts != 1 {
		t.Errorf("%d rows say why", contacts)
	}
}

// TestReasonsAreCountedOnce: of a client that waits already, a name that is new is
// not a new contact.
func TestReasonsAreCountedOnce(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool)))
	w.want(says(plan.Recipient, from(provider[0])), later, ref)
	w.wait(time.Minute)
	w.truth = ownHosts
	w.want(says(plan.Recipient, from(provider[0])), later, ref)
	if row := w.mem.seen[[2]string{ref, "spf:example.org|alice@example.org|bob@example.com"}]; row.Why != "" || row.First != start.UnixMilli() {
		t.Errorf("%+v", row)
	}
	w.wait(4 * time.Minute)
	w.want(says(plan.Recipient, from(provider[1])), accept, "")
}

// TestRetryAsksForTheNameOnly: what is let in anyway need not be suspected.
func TestRetryAsksForTheNameOnly(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool, suspicious(noName), spare(dnswl))))
	w.truth = facts("none", "", found{noName: engine.Yes})
	w.want(says(plan.Recipient), later, ref)
	w.wait(5 * time.Minute)
	if w.want(says(plan.Recipient), accept, ""); !slices.Equal(w.asked, []plan.Fact{spf}) {
		t.Errorf("asks for %v", w.asked)
	}
}

func TestNamedPool(t *testing.T) {
	w := newWorld(t, makePlan(plan.Pool{Name: "big"}, grey(byPool, trust, func(g *plan.Grey) {
		g.Trust.After, g.Trust.Key = 1, []plan.Part{{Field: "pool"}}
	})))
	big := netip.MustParsePrefix("203.0.0.0/16")
	w.live.Pool = func(a netip.Addr) string {
		if big.Contains(a) {
			return "big"
		}
		return ""
	}
	w.want(says(plan.Recipient, from(provider[0])), later, ref)
	w.wait(5 * time.Minute)
	w.want(says(plan.Recipient, from(provider[1])), accept, "")
	if len(w.asked) > 0 {
		t.Errorf("asks for %v", w.asked)
	}
	d := w.want(says(plan.Recipient, from(provider[2]), sender("new@example.net")), accept, "")
	if d.Answer.Waive != wire.WaiveConnection {
		t.Errorf("trusted, it waives %s", d.Answer.Waive)
	}
	w.want(says(plan.Recipient, sender("new@example.net")), later, ref)
	for key := range w.mem.seen {
		if key[0] == ref+".trusted" && key[1] != "pool:big" {
			t.Errorf("trust in %s", key[1])
		}
	}
}

// TestTrustByDomain: trust is earned by the domain, and holds for its hosts, for a
// message.
func TestTrustByDomain(t *testing.T) {
	pooledTrust := func(g *plan.Grey) {
		trust(g)
		g.Trust.After, g.Trust.Key = 1, []plan.Part{{Field: "pool"}}
	}
	l := limit("l", plan.UnknownRecipient, only(tier("t", plan.Deny, "0/1h")), func(l *plan.Limit) {
		l.Except = []plan.Ref{{Trusted: "inbound"}, {Trusted: "other"}}
	})
	other := grey(pooledTrust, func(g *plan.Grey) { g.Name, g.Traffic = "other", plan.Relay })
	for name, g := range map[string]plan.Grey{"both keys": grey(byPool, pooledTrust), "trust only": grey(pooledTrust)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(g, other, l))
			w.truth = ownHosts
			// Nobody is trusted: it is not worth asking whether SPF passes.
			w.want(says(plan.UnknownRecipient, from(provider[7])), plan.Deny, "limit.l/t")
			if len(w.asked) > 0 {
				t.Errorf("asks for %v", w.asked)
			}
			w.want(says(plan.Recipient, from(provider[0])), later, ref)
			w.wait(5 * time.Minute)
			w.want(says(plan.Recipient, from(provider[0])), accept, "")
			d := w.want(says(plan.Recipient, from(provider[3]), sender("new@example.org")), accept, "")
			if d.Answer.Waive != wire.WaiveMessage {
				t.Errorf("it waives %s", d.Answer.Waive)
			}
			w.want(says(plan.Recipient, sender("new@example.org")), later, ref)
			w.want(says(plan.UnknownRecipient, from(provider[7])), accept, "")
			w.want(says(plan.UnknownRecipient, from(provider[8]), sender(""), helo("example.org")), accept, "")
			w.want(says(plan.UnknownRecipient), plan.Deny, "limit.l/t")
			if !slices.Equal(w.asked, []plan.Fact{spf}) {
				t.Errorf("asks for %v", w.asked)
			}
			w.want(says(plan.UnknownRecipient, sender("x@example.net")), plan.Deny, "limit.l/t")
			if len(w.asked) > 0 {
				t.Errorf("asks for %v", w.asked)
			}
		})
	}
}

func TestExceptPool(t *testing.T) {
	except := func(g *plan.Grey) { g.Except = []plan.Ref{{Pool: "big"}} }
	w := newWorld(t, makePlan(plan.Pool{Name: "big"}, plan.Pool{Name: "small"}, grey(except)))
	for pool, verdict := range map[string]string{"big": accept, "small": later, "": later} {
		w.mem = newMemory()
		w.live.Pool = poolOf(pool)
		d := w.want(says(plan.Recipient), verdict, map[string]string{later: ref}[verdict])
		if pool == "big" && (d.Answer.Waive != wire.WaiveConnection || len(d.Hits) > 0) {
			t.Errorf("waives %s, hits %+v", d.Answer.Waive, d.Hits)
		}
	}
	w.live.Pool = nil
	w.want(says(plan.Recipient), later, ref)
}

// TestUsedFromOneNetOnly: mail that always comes from the same network asks for no
// SPF; its sender's domain is not forgotten for that.
func TestUsedFromOneNetOnly(t *testing.T) {
	row := func(w *world, name string) engine.SeenRow {
		return w.mem.seen[[2]string{ref, name + "|alice@example.org|bob@example.com"}]
	}
	for name, c := range map[string]struct {
		change func(*plan.Grey)
		event  string
	}{
		"recipients": {func(*plan.Grey) {}, plan.Recipient},
		"messages":   {urgent, plan.WholeMessage},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, makePlan(codes, grey(byPool, c.change)))
			w.truth = ownHosts
			w.want(says(c.event, from(provider[0])), later, ref)
			w.wait(5 * time.Minute)
			w.want(says(c.event, from(provider[1])), accept, "")
			for range 40 {
				w.wait(25 * time.Hour)
				if w.want(says(c.event, from(provider[1])), accept, ""); len(w.asked) > 0 {
					t.Fatalf("asks for %v", w.asked)
				}
			}
			w.want(says(c.event, from(provider[2])), accept, "")
			w.want(says(c.event, from("198.18.0.1")), later, ref)
			w.want(says(c.event, from(provider[2]), sender("new@example.org")), later, ref)
			w.wait(time.Hour) // too little to be worth a write, or a look at the domain
			w.mem.reads = nil
			if d := w.want(says(c.event, from(provider[1])), accept, ""); len(d.Writes) > 0 || len(w.mem.reads) != 1 {
				t.Errorf("reads %q, writes %+v", w.mem.reads, d.Writes)
			}
		})
	}

	// Only what is there, and has passed, is kept: there need be no SPF at all, and who
	// waits under its domain goes on waiting.
	w := newWorld(t, makePlan(grey(byPool)))
	w.want(says(plan.Recipient), later, ref)
	w.wait(5 * time.Minute)
	w.want(says(plan.Recipient), accept, "")
	w.wait(48 * time.Hour)
	for _, there := range []bool{false, true} {
		waits := engine.SeenRow{First: w.now.Add(-time.Hour).UnixMilli(), Expires: w.now.Add(23 * time.Hour).UnixMilli()}
		if there {
			w.mem.seen[[2]string{ref, "spf:example.org|alice@example.org|bob@example.com"}] = waits
		}
		if d := w.want(says(plan.Recipient), accept, ""); len(d.Writes) != 1 {
			t.Errorf("writes %+v", d.Writes)
		}
		if got := row(w, "spf:example.org"); there != (got == waits) || !there && got != (engine.SeenRow{}) {
			t.Errorf("%+v", got)
		}
		w.wait(48 * time.Hour)
	}
	// A named pool has one name only.
	w.live.Pool = poolOf("big")
	w.mem.seen[[2]string{ref, "pool:big|alice@example.org|bob@example.com"}] = row(w, "192.0.2.0/24")
	w.mem.seen[[2]string{ref, "spf:example.org|alice@example.org|bob@example.com"}] = row(w, "192.0.2.0/24")
	w.wait(48 * time.Hour)
	if d := w.want(says(plan.Recipient), accept, ""); len(d.Writes) != 1 {
		t.Errorf("in a pool it writes %+v", d.Writes)
	}
}

// TestKeptDomainPassesErrorsOn: the store's.
func TestKeptDomainPassesErrorsOn(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool)))
	w.want(says(plan.Recipient), later, ref)
	w.wait(5 * time.Minute)
	w.want(says(plan.Recipient), accept, "")
	w.wait(48 * time.Hour)
	if _, err := w.e.Decide(says(plan.Recipient), w.now, broken{w.mem, "spf:"}, w.live); err == nil {
		t.Error("no error")
	}
}

// TestLimitByPool counts under the named pool, else the net: by SPF a client could
// choose among the names of all domains that let it pass.
func TestLimitByPool(t *testing.T) {
	w := newWorld(t, makePlan(limit("l", plan.UnknownRecipient, only(tier("t", plan.Deny, "1/1h")), func(l *plan.Limit) {
		l.Key = []plan.Part{{Field: "pool"}}
	})))
	w.truth = func(q wire.Question) engine.Facts {
		_, domain, _ := strings.Cut(q.Sender, "@")
		return engine.Facts{SPF: "pass", SPFDomain: domain}
	}
	w.want(says(plan.UnknownRecipient, from(provider[0])), accept, "")
	w.want(says(plan.UnknownRecipient, from(provider[0]), sender("a@another.test")), plan.Deny, "limit.l/t")
	w.want(says(plan.UnknownRecipient, from(provider[0]), sender("a@third.test")), plan.Deny, "limit.l/t")
	w.want(says(plan.UnknownRecipient, from(provider[1])), accept, "")
	w.want(says(plan.UnknownRecipient, from("198.18.0.1")), accept, "")
	if len(w.asked) > 0 {
		t.Errorf("asks for %v", w.asked)
	}
	w.want(says(plan.UnknownRecipient, from("198.18.1.1")), accept, "")
	w.want(says(plan.UnknownRecipient, from("198.18.1.2")), plan.Deny, "limit.l/t")
	w.live.Pool = poolOf("big")
	w.want(says(plan.UnknownRecipient, from(provider[0])), accept, "")
	if len(w.asked) > 0 {
		t.Errorf("asks for %v", w.asked)
	}
	w.want(says(plan.UnknownRecipient, from("198.18.7.7")), plan.Deny, "limit.l/t")
	keys := map[string]bool{}
	for k := range w.mem.counter {
		keys[k.key] = true
	}
	for _, want := range []string{"203.0.0.0/24", "203.0.1.0/24", "198.18.0.0/24", "198.18.1.0/24", "pool:big"} {
		if !keys[want] {
			t.Errorf("nothing is counted for %s: %v", want, keys)
		}
	}

	d := newWorld(t, makePlan(limit("d", plan.UnknownRecipient, only(tier("t", plan.Deny, "1/1h")), func(l *plan.Limit) {
		l.Key, l.Distinct = []plan.Part{{Field: "recipient"}}, &plan.Part{Field: "pool"}
	})))
	d.truth = ownHosts
	d.live.Pool = poolOf("big")
	for _, ip := range provider {
		d.want(says(plan.UnknownRecipient, from(ip)), accept, "")
	}
	d.live.Pool = nil
	d.want(says(plan.UnknownRecipient, from(provider[0])), plan.Deny, "limit.d/t")
}

// TestNoClient: local mail has no pool and no net, and one key.
func TestNoClient(t *testing.T) {
	w := newWorld(t, makePlan(grey(byPool)))
	w.live.Pool = poolOf("big") // must not be asked about nobody
	q := says(plan.Recipient)
	q.Client = netip.Addr{}
	w.want(q, later, ref)
	for key := range w.mem.seen {
		if key[1] != "|alice@example.org|bob@example.com" {
			t.Errorf("key %q", key[1])
		}
	}
}
