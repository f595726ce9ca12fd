package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/pools"
	"exipol/helper/store"
	"exipol/helper/testplan"
)

// What others chose reaches a terminal only as text.
func TestPrintedSafely(t *testing.T) {
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	p := testplan.New(dir)
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	const bad = "\x1b]0;x\a\nroot"
	_, err = s.Allow(t.Context(), engine.Allowance{Field: "auth", Pattern: bad, Owner: bad, Why: bad, Made: 1})
	err = errors.Join(err, s.SwitchOff(t.Context(), engine.Switch{Policy: "limit.tarpit", Owner: bad, Why: bad, Made: 1}))
	if err != nil {
		t.Fatal(err)
	}
	st := newStatus(t.Context(), p, p.Socket)
	if err := st.gather(t.Context(), p, s, 5); err != nil {
		t.Fatal(err)
	}
	st.Running = &helper.Status{Trouble: bad}
	var out bytes.Buffer
	if err := errors.Join(st.print(&out), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"allow", "list", "--plan", dir + "/plan.json"},
		{"ask", "--plan", dir + "/plan.json", "greylist.inbound", "client=192.0.2.1", "sender=a@b", "recipient=c@d", "auth=" + bad},
	} {
		if code := run(args, nil, &out, &out); code != 0 {
			t.Errorf("%v: exit status %d", args, code)
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\a") || strings.Contains(out.String(), "\nroot") || strings.Count(out.String(), "root") < 8 {
		t.Errorf("%q", out.String())
	}
}

func TestPulse(t *testing.T) {
	var accepted int64
	var fault error
	p := pulse{ask: func() error { return fault }, accepted: func() int64 { return accepted }}
	for i, c := range []struct {
		fault    error
		accepted int64
		lives    bool
	}{
		{nil, 1, true},
		{nil, 1, true},
		{context.DeadlineExceeded, 2, true}, // overrun
		{context.DeadlineExceeded, 2, false},
		{nil, 3, true},
	} {
		fault, accepted = c.fault, c.accepted
		if lives, err := p.beats(); lives != c.lives || !errors.Is(err, fault) {
			t.Errorf("look %d: %v, %v", i, lives, err)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1048576": "1MiB", "1536M": "1536MiB", "512MiB": "512MiB", "4G": "4GiB", "4GiB": "4GiB", "2048KiB": "2MiB", "1048577": "1048577",
	} {
		var s size
		if err := s.Set(text); err != nil || s.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, s, err, want)
		}
	}
	for _, text := range []string{"", "G", "-1", "1T", "1 GiB", "1gib", "1KiB", "99999999999GiB", "1GG", "4iB"} {
		s := defaultMaxStore
		if err := s.Set(text); err == nil || s != defaultMaxStore {
			t.Errorf("%q: %s", text, s)
		}
	}
}

// Where no pool can be resolved for one reason, that is said once.
func TestAllPoolsFail(t *testing.T) {
	failing := func(name, reason string, networks int) helper.PoolStatus {
		return helper.PoolStatus{Name: name, Networks: networks, Error: "_spf." + name + ": " + reason, Reason: reason}
	}
	given := helper.PoolStatus{Name: "given", Given: true, Networks: 1}
	p := testplan.New("/")
	p.Pools = []plan.Pool{{Name: "a", SPF: []string{"_spf.a"}}}
	for _, c := range []struct {
		pools []helper.PoolStatus
		want  []string // of all three
		not   string
	}{
		{[]helper.PoolStatus{failing("a", "dead", 0), given, failing("b", "dead", 3)}, []string{"none of 2 pools c", ": dead\n", "exipold pools --plan plan.json --pin FILE"}, "_spf"},
		{[]helper.PoolStatus{failing("a", "dead", 0), failing("b", "slow", 0)}, []string{"_spf.a: dead", "_spf.b: slow"}, "none of"},
		{[]helper.PoolStatus{failing("a", "dead", 0), {Name: "b"}}, []string{"_spf.a: dead"}, "none of"},
		{[]helper.PoolStatus{failing("a", "dead", 0), given}, []string{"_spf.a: dead"}, "none of"},
	} {
		var status, doctored, resolved strings.Builder
		printOutside(&status, &helper.Status{Pools: c.pools})
		d := doctor{plan: p, running: &helper.Status{Pools: c.pools}}
		d.checkPools()
		d.print(&doctored)
		r := poolsReport{resolvable: resolvable(c.pools)}
		for _, pool := range c.pools {
			r.Pools = append(r.Pools, poolReport{Name: pool.Name, Error: pool.Error, Reason: pool.Reason})
		}
		if err := r.print(&resolved); err != nil {
			t.Fatal(err)
		}
		for what, out := range map[string]string{"status": status.String(), "doctor": doctored.String(), "pools": resolved.String()} {
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%s: no %q in\n%s", what, want, out)
				}
			}
			if strings.Contains(out, c.not) {
				t.Errorf("%s: %q in\n%s", what, c.not, out)
			}
		}
		if c.not == "_spf" && !strings.Contains(status.String(), "pool b\t3 networks, never resolved\n") {
			t.Errorf("what is known of a pool is not said:\n%s", status.String())
		}
	}
}

// One pool is one line, whatever is known of it.
func TestHowPool(t *testing.T) {
	at := time.Date(2026, 11, 20, 1, 2, 3, 0, time.UTC)
	change := &pools.LastChange{At: at, Added: make([]netip.Prefix, 3), Removed: make([]netip.Prefix, 1)}
	for want, p := range map[string]helper.PoolStatus{
		"2 networks, given in the policies":     {Networks: 2, Given: true},
		"2 networks, pinned":                    {Networks: 2, Pinned: true},
		"0 networks, never resolved":            {},
		"0 networks, never resolved: no answer": {Error: "no answer"},
		"5 networks, resolved 2026-11-20T01:02:03Z, changed 2026-11-20: +3 -1 networks":                       {Networks: 5, Resolved: at, LastChange: change},
		"5 networks, resolved 2026-11-20T01:02:03Z; cannot be resolved at the moment: \"no answer\\nat all\"": {Networks: 5, Resolved: at, Error: "no answer\nat all"},
	} {
		if got := howPool(p); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// The keys of a greylist are printed once: with the reason why they wait, where that is
// known.
func TestKeysAreSaidOnce(t *testing.T) {
	top := func(policy string) policyTop { return policyTop{policy, []store.TopKey{{Key: "k", Table: "seen"}}} }
	st := status{
		Running: &helper.Status{DNS: &helper.DNSStatus{Refused: 3}},
		Contacts: []contacts{
			{Policy: "greylist.a", rows: "observe:greylist.a", Observe: true, Newest: []newContact{{Key: "k", First: "x"}}},
			{Policy: "greylist.b", rows: "greylist.b"},
		},
		Top: []policyTop{top("observe:greylist.a"), top("observe:greylist.a.trusted"), top("greylist.a"), top("greylist.b"), top("limit.c")},
	}
	var out strings.Builder
	if err := st.print(&out); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"top of observe:greylist.a\n": false, "top of observe:greylist.a.trusted\n": true, "top of greylist.a\n": true, "top of greylist.b\n": true, "top of limit.c\n": true,
		"3 lookups not made: too many at once\n": true,
	} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%q: want %v\n%s", text, want, out.String())
		}
	}
}

// A greylist's own keys were let in or wait; only those of its clients count passes.
func TestHowBusy(t *testing.T) {
	for _, c := range []struct {
		policy string
		k      store.TopKey
		want   string
	}{
		{"greylist.a", store.TopKey{Table: "seen"}, "waiting"},
		{"greylist.a", store.TopKey{Table: "seen", LetIn: true}, "let in"},
		{"observe:greylist.a", store.TopKey{Table: "seen", LetIn: true}, "let in"},
		{"greylist.a.trusted", store.TopKey{Table: "seen", N: 1}, "1 pass"},
		{"greylist.a.trusted", store.TopKey{Table: "seen", N: 3}, "3 passes"},
		{"limit.a", store.TopKey{Table: "counter", N: 3, Span: 3600}, "3 counted in 1h"},
		{"limit.a", store.TopKey{Table: "distinct_member", N: 3}, "3 different"},
	} {
		if got := howBusy(c.policy, c.k); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}
