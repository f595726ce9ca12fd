package helper

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/pools"
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// pooled exempts the pool "google" from the bench's greylist.
func (b *bench) pooled(w *world, change func(*plan.Plan)) {
	b.t.Helper()
	b.p.Pools = []plan.Pool{{Name: "google", SPF: []string{"_spf.google.example"}, Clients: []string{"203.0.113.0/28"}}}
	b.p.Greylists[0].Except = []plan.Ref{{Pool: "google"}}
	if change != nil {
		change(b.p)
	}
	if err := b.p.Seal(); err != nil {
		b.t.Fatal(err)
	}
	b.outside = func([]string) Outside { return w }
	b.restart()
}

// from asks for a client.
func (b *bench) from(client string) string {
	b.t.Helper()
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	q.Client = netip.MustParseAddr(client)
	q.Plan = b.Plan().ID
	return b.ask(q).Verdict
}

// Pools are resolved in the background; what is known stays where DNS fails, over a
// restart, too; a change is logged once, and so is a failure.
func TestPools(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("192.0.2.0/24", "203.0.113.0/28")}}
	b.pooled(w, nil)
	if got := b.from("203.0.113.1"); got != plan.Accept {
		t.Errorf("an address that the plan gives, before DNS said anything: %s", got)
	}
	stop := b.run()
	waitFor(t, func() bool { return b.from("192.0.2.9") == plan.Accept })
	stop()
	s := b.Status().Pools
	if len(s) != 1 || s[0].Networks != 2 || s[0].Error != "" || s[0].Resolved.IsZero() || len(s[0].Notes) != 1 {
		t.Errorf("%+v", s)
	}
	w.err = errors.New("DNS is dead")
	b.restart()
	for range 3 {
		if b.resolvePools(t.Context()) {
			t.Error("a failure is none")
		}
	}
	if got := b.from("192.0.2.9"); got != plan.Accept {
		t.Errorf("after a restart without DNS: %s", got)
	}
	if s := b.Status().Pools; s[0].Networks != 2 || s[0].Error != "DNS is dead" {
		t.Errorf("%+v", s)
	}
	w.err, w.pools["google"] = nil, prefixes("198.51.100.0/24")
	for range 2 {
		if !b.resolvePools(t.Context()) {
			t.Error("no success")
		}
	}
	if b.from("192.0.2.99") != plan.Defer || b.from("198.51.100.1") != plan.Accept {
		t.Error("the change is not in force")
	}
	for text, want := range map[string]int{"cannot be resolved": 1, "pools can be resolved again": 1, "a pool has changed": 1, "198.51.100.0/24": 1} {
		if n := strings.Count(b.log.String(), text); n != want {
			t.Errorf("logged %d times %q:\n%s", n, text, b.log)
		}
	}
	// A damaged file of what was known does not keep the helper from starting.
	if err := os.WriteFile(filepath.Join(b.dir, "pools.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if b.from("203.0.113.2") != plan.Accept || !strings.Contains(b.log.String(), "are left out") {
		t.Errorf("%s", b.log)
	}
}

// With a pinned file DNS is never asked; the file is read again when a plan is taken;
// one that is missing or damaged stops nothing.
func TestPinnedPools(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("198.51.100.0/24")}}
	file := filepath.Join(b.dir, "pinned.json")
	b.pooled(w, func(p *plan.Plan) { p.PoolsFile = file })
	if b.from("192.0.2.1") != plan.Defer || b.from("203.0.113.1") != plan.Accept {
		t.Error("without the file")
	}
	status := b.Status()
	if !strings.Contains(status.PoolsFile, "exipold pools --pin "+file) || !strings.Contains(b.log.String(), "are not all there") || status.Pools[0].Pinned {
		t.Errorf("%+v\n%s", status, b.log)
	}
	pin := func(name string, networks ...string) {
		t.Helper()
		if err := pools.Write(file, []pools.Networks{{Name: name, Networks: prefixes(networks...)}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Take(t.Context(), b.p); err != nil {
			t.Fatal(err)
		}
	}
	pin("google", "192.0.2.0/24")
	if b.from("192.0.2.2") != plan.Accept || b.from("203.0.113.2") != plan.Accept || b.from("198.51.100.2") != plan.Defer {
		t.Error("the file is not in force, or what the plan gives is not")
	}
	if s := b.Status(); s.PoolsFile != "" || !s.Pools[0].Pinned || s.Pools[0].Networks != 2 {
		t.Errorf("%+v", s)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Take(t.Context(), b.p); err != nil {
		t.Fatal(err)
	}
	if b.from("192.0.2.3") != plan.Accept || b.Status().PoolsFile == "" {
		t.Error("what was known is gone with a damaged file")
	}
	pin("other", "192.0.2.0/24")
	if b.from("192.0.2.4") != plan.Accept || !strings.Contains(b.Status().PoolsFile, "says nothing of google") {
		t.Errorf("%+v", b.Status())
	}
	stop := b.run()
	time.Sleep(20 * time.Millisecond)
	stop()
	if w.resolved != 0 {
		t.Error("DNS was asked")
	}
	// A plan that does not pin any more has them resolved at once.
	next := *b.p
	next.PoolsFile = ""
	if err := next.Seal(); err != nil {
		t.Fatal(err)
	}
	stop = b.run()
	if err := b.Take(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.from("198.51.100.1") == plan.Accept })
	stop()
}

// Pools of another plan than the newest stay as they were for those who ask by it.
func TestPoolsOfEarlierPlans(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{"google": prefixes("192.0.2.0/24")}}
	b.pooled(w, nil)
	b.resolvePools(t.Context())
	old := b.p.ID
	next := *b.p
	next.Greylists = slices.Clone(next.Greylists)
	next.Pools, next.Greylists[0].Except = nil, nil
	if err := next.Seal(); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		q := b.question(plan.Rcpt, plan.After, plan.Recipient)
		q.Plan = old
		b.want(b.ask(q), plan.Accept)
	}
	if err := b.Take(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	check()
	if b.from("192.0.2.7") != plan.Defer {
		t.Error("the new plan has pools")
	}
	b.p = &next
	b.restart()
	check()
}
