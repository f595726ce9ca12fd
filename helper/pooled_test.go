package helper

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/pools"
)

// change takes a plan with other pools.
func (b *bench) change(spf, clients []string) {
	b.t.Helper()
	next := *b.p
	next.Pools = []plan.Pool{{Name: "google", SPF: spf, Clients: clients}}
	if err := next.Seal(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Take(b.t.Context(), &next); err != nil {
		b.t.Fatal(err)
	}
	b.p = &next
}

// in says which of the clients are in the pool.
func (b *bench) in(clients ...string) string {
	b.t.Helper()
	var in []string
	for _, c := range clients {
		if b.from(c) == plan.Accept {
			in = append(in, c)
		}
	}
	return strings.Join(in, " ")
}

// The networks that the policies give come and go with them, whatever is known of the
// SPF records, and after a restart, too.
func TestGivenNetworks(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("192.0.2.0/24")}}
	b.pooled(w, nil)
	b.resolvePools(t.Context())
	if len(w.asked.Clients) > 0 || len(w.asked.SPF) != 1 {
		t.Errorf("resolved %+v", w.asked)
	}
	spf := []string{"_spf.google.example"}
	w.err = errors.New("DNS is dead")
	for _, c := range []struct {
		clients []string
		want    string
	}{
		{[]string{"203.0.113.0/28", "198.51.100.0/24"}, "192.0.2.1 203.0.113.1 198.51.100.1"},
		{[]string{"198.51.100.0/24"}, "192.0.2.1 198.51.100.1"},
		{nil, "192.0.2.1"},
	} {
		b.change(spf, c.clients)
		for _, when := range []string{"taken", "resolved anew", "restarted"} {
			switch when {
			case "resolved anew":
				b.resolvePools(t.Context())
			case "restarted":
				b.restart()
			}
			if got := b.in("192.0.2.1", "203.0.113.1", "198.51.100.1"); got != c.want {
				t.Errorf("with clients %v, %s: %s", c.clients, when, got)
			}
			if n := b.Status().Pools[0].Networks; n != 1+len(c.clients) {
				t.Errorf("with clients %v, %s: %d networks", c.clients, when, n)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(b.dir, "pools.json")); err != nil || strings.Contains(string(text), "203.0.113") || !strings.Contains(string(text), "_spf.google.example") {
		t.Errorf("remembered: %s, %v", text, err)
	}
}

// What is known counts as long as the policies still name an SPF domain that it came
// from.
func TestOtherDomains(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("192.0.2.0/24")}}
	b.pooled(w, func(p *plan.Plan) { p.Pools[0].SPF, p.Pools[0].Clients = []string{"b.example", "a.example"}, nil })
	b.resolvePools(t.Context())
	w.err = errors.New("DNS is dead")
	for _, c := range []struct {
		spf, clients []string
		want         string
	}{
		{[]string{"a.example"}, nil, "192.0.2.1"},
		{[]string{"c.example", "b.example"}, nil, "192.0.2.1"},
		{[]string{"c.example"}, nil, ""},
		{nil, []string{"198.51.100.0/24"}, "198.51.100.1"},
		{[]string{"b.example", "a.example"}, nil, "192.0.2.1"},
	} {
		b.change(c.spf, c.clients)
		for range 2 {
			if got := b.in("192.0.2.1", "198.51.100.1"); got != c.want {
				t.Errorf("SPF domains %v: in the pool: %q", c.spf, got)
			}
			b.restart()
		}
	}
	b.change(nil, []string{"198.51.100.0/24"})
	if s := b.Status().Pools[0]; !s.Given || s.Networks != 1 || s.Error != "" || !s.Resolved.IsZero() {
		t.Errorf("%+v", s)
	}
	if before := w.resolved; !b.resolvePools(t.Context()) || w.resolved != before {
		t.Error("there is nothing to resolve")
	}
}

// A plan that came while another one's pools were resolved does not get them.
func TestResolvedTooLate(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("192.0.2.0/24")}}
	b.pooled(w, nil)
	old := b.plans.Load().newest()
	found, err := ResolvePool(t.Context(), w, old.Plan().Pools[0], b.o.Clock())
	b.change([]string{"other.example"}, nil)
	w.pools["google"] = prefixes("198.51.100.0/24")
	if !b.resolvePools(t.Context()) || !b.applyPools(old, []pools.Networks{found}, []error{err}) {
		t.Fatal("not resolved")
	}
	if s := b.Status().Pools[0]; s.Resolved.IsZero() || s.Networks != 1 || b.in("192.0.2.1", "198.51.100.1") != "198.51.100.1" {
		t.Errorf("%+v", s)
	}
}

// What the last refresh changed is known until the next one, and one that makes a pool
// another size is a warning.
func TestPoolChanges(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{}}
	b.pooled(w, nil)
	refresh := func(networks ...string) string {
		t.Helper()
		had := len(b.log.String())
		b.pass(time.Hour)
		w.pools["google"] = prefixes(networks...)
		if !b.resolvePools(t.Context()) {
			t.Fatal("not resolved")
		}
		return b.log.String()[had:]
	}
	if said := refresh("192.0.2.0/25", "198.51.100.0/25"); !strings.Contains(said, "pool resolved") || b.Status().Pools[0].LastChange != nil {
		t.Errorf("first: %s", said)
	}
	if said := refresh("192.0.2.0/25", "198.51.100.128/25"); !strings.Contains(said, "level=INFO msg=\"a pool has changed\"") {
		t.Errorf("one for another: %s", said)
	}
	changed := time.UnixMilli(b.now.Load()).UTC().Truncate(time.Second)
	if said := refresh("192.0.2.0/25", "198.51.100.128/25"); said != "" {
		t.Errorf("nothing: %s", said)
	}
	for range 2 {
		c := b.Status().Pools[0].LastChange
		if c == nil || !c.At.Equal(changed) || len(c.Added) != 1 || len(c.Removed) != 1 || c.Added[0].String() != "198.51.100.128/25" {
			t.Fatalf("last change %+v, not of %s", c, changed)
		}
		b.restart()
	}
	for _, c := range []struct {
		networks []string
		warns    bool
	}{
		{[]string{"192.0.2.0/25", "198.51.100.0/24"}, false},
		{[]string{"192.0.2.0/25", "198.48.0.0/12"}, true},
		{[]string{"192.0.2.0/25", "198.48.0.0/13"}, false},
		{[]string{"192.0.2.0/25", "198.48.0.0/13", "2001:db8::/32"}, true},
		{[]string{"192.0.2.0/25", "198.48.0.0/13", "2001:db8::/31"}, false},
		{[]string{"192.0.2.0/25", "198.48.0.0/13"}, true},
		{[]string{"192.0.2.0/25"}, true},
		{[]string{"192.0.2.0/28", "192.0.2.32/28", "192.0.2.64/28", "192.0.2.96/28"}, true},
	} {
		if said := refresh(c.networks...); strings.Contains(said, "level=WARN") != c.warns || !strings.Contains(said, "changed") {
			t.Errorf("%v: %s", c.networks, said)
		}
	}
	b.change([]string{"other.example", "_spf.google.example"}, nil)
	if said := refresh("10.0.0.0/8"); strings.Contains(said, "level=WARN") || !strings.Contains(said, "a pool has changed") {
		t.Errorf("the policies name other domains: %s", said)
	}
}

// A record that breaks exipold's reader costs the pool its refresh, no more.
func TestPoolPanics(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("192.0.2.0/24")}}
	b.pooled(w, nil)
	b.resolvePools(t.Context())
	w.panics = true
	if b.resolvePools(t.Context()) || b.in("192.0.2.1") == "" {
		t.Error("what was known is gone")
	}
	if s := b.Status().Pools[0]; !strings.Contains(s.Error, "nobody thought of") || strings.Contains(s.Error, "\n") || !strings.Contains(b.log.String(), "outside_test.go") {
		t.Errorf("%+v\n%s", s, b.log)
	}
}
