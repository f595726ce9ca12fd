package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/server"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// The commands that say something at run time, and those that look, do the same with a store of either kind.
func TestCommandsOnEachStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, put putStore) {
		w := newDeskWorld(t, put)
		for _, step := range []struct {
			args   []string
			status int
			stdout string
			stderr string
		}{
			{[]string{"allow", "add", "--client", "192.0.2.0/24", "--why", "a test", "--for", "2h"}, 0, `^1\n$`, `client 192\.0\.2\.0/24 is exempt`},
			{[]string{"allow", "list"}, 0, `^1 +all policies +client 192\.0\.2\.0/24 +by jane +until 20\S+ +"a test"\n$`, ``},
			{[]string{"ask", "greylist.inbound", "client=192.0.2.1", "sender=a@b", "recipient=c@d"}, 0, `(?i)exempt|allow`, ``},
			{[]string{"ask", "greylist.inbound", "client=198.51.100.1", "sender=a@b", "recipient=c@d"}, 0, `^defer`, ``},
			{[]string{"off", "greylist.inbound", "--why", "a test"}, 0, `^$`, `greylist\.inbound is off`},
			{[]string{"ask", "greylist.inbound", "client=198.51.100.1", "sender=a@b", "recipient=c@d"}, 0, `^accept`, ``},
			{[]string{"status"}, 0, `(?s)\nallowed +1: client 192\.0\.2\.0/24.*\noff +greylist\.inbound, by jane`, ``},
			{[]string{"on", "greylist.inbound"}, 0, `^$`, `greylist\.inbound is on`},
			{[]string{"on", "greylist.inbound"}, 1, `^$`, `was not switched off`},
			{[]string{"case", "open", "limit.owners", "auth=bob", "--reason", "a test"}, 0, `^1\n$`, `auth bob is blocked`},
			{[]string{"status"}, 0, `\ncases +1 open, 1 of them block`, ``},
			{[]string{"case", "release", "1", "--reason", "a test"}, 0, `(?i)released`, ``},
			{[]string{"list", "report"}, 0, `192\.0\.2\.0/24`, ``},
			{[]string{"allow", "remove", "1"}, 0, `^$`, `entry 1 is removed`},
			{[]string{"allow", "remove", "1"}, 1, `^$`, `there is no entry 1`},
			{[]string{"cleanup"}, 0, `^\d+ rows? removed\n$`, `^$`},
		} {
			var stdout, stderr strings.Builder
			status := run(append(step.args, "--plan", w.plan), strings.NewReader(""), &stdout, &stderr)
			if status != step.status {
				t.Errorf("exipold %s: status %d, want %d", strings.Join(step.args, " "), status, step.status)
			}
			want(t, stdout.String(), step.stdout)
			want(t, stderr.String(), step.stderr)
		}
	})
}

// Of all who share a store one cleans it up, and exipold cleanup says who that is.
func TestCleanupIsSomebodyElses(t *testing.T) {
	onEachStore(t, func(t *testing.T, put putStore) {
		w := newDeskWorld(t, put)
		expired := engine.PutSeen{Policy: "greylist.inbound", Key: "old", Row: engine.SeenRow{First: 1, Counted: 1, Expires: 2}}
		if err := w.store.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{expired}, nil }); err != nil {
			t.Fatal(err)
		}
		if held, err := w.store.Lease(t.Context(), store.CleanupLease, "mx7/abc", time.Minute); err != nil || !held {
			t.Fatal(held, err)
		}
		w.run(3, "cleanup", "--plan", w.plan)
		want(t, w.err, `^exipold: mx7 cleans the store up already\n$`)
		want(t, w.run(0, "status", "--plan", w.plan), `\n  clean-up +mx7 is at it\n`)
		if err := w.store.Yield(t.Context(), store.CleanupLease, "mx7/abc"); err != nil {
			t.Fatal(err)
		}
		want(t, w.run(0, "cleanup", "--plan", w.plan), `^1 row removed\n$`)
		if holder, _, err := w.store.Holder(t.Context(), store.CleanupLease); holder != "" || err != nil {
			t.Errorf("the clean-up is still %q's, %v", holder, err)
		}
	})
}

// What exipold status says of a store that several share, to people and to machines.
func TestStatusOfSharedStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, put putStore) {
		w := newDeskWorld(t, put)
		p, err := helper.ReadPlan(w.plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []store.Gateway{
			{Name: "mx1", Version: "1.0", Plans: []string{p.ID}, Started: 1},
			{Name: "mx2", Version: "0.9", Plans: []string{"another"}, Started: 1},
		} {
			if err := w.store.SeeGateway(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		out := w.run(0, "status", "--plan", w.plan)
		want(t, out, `\n  gateway +mx1: exipold 1\.0, plan `+p.ID+`, seen \d seconds? ago\n`, `\n  gateway +mx2: exipold 0\.9, plan another, seen \d seconds? ago, does not have this plan\n`, `\nstore +\S.*: \d+ KiB, schema version \d+\n`)
		var st struct {
			Store struct {
				Name     string
				Version  int
				Tables   []store.TableStats
				Health   store.Health
				Gateways []struct {
					Name    string
					Remarks []string
				}
			}
		}
		decode(t, w.run(0, "status", "--plan", w.plan, "--json"), &st)
		s := st.Store
		if len(s.Gateways) != 2 || s.Gateways[1].Name != "mx2" || len(s.Gateways[1].Remarks) != 1 || len(s.Gateways[0].Remarks) != 0 || s.Version == 0 || len(s.Tables) == 0 {
			t.Errorf("%+v", s)
		}
		if s.Health.Kind != plan.MySQL {
			return
		}
		want(t, out, `\n  host +127\.0\.0\.1:\d+: in use since 20\S+, 10\.\d+\.\d+-MariaDB\S*\n`, `\n  since the start +0 failures, 0 retries of transactions, 0 moves between hosts\n`)
		if len(s.Health.Hosts) != 1 || s.Health.Hosts[0].Use != store.HostInUse || s.Health.Host != s.Health.Hosts[0].Host {
			t.Errorf("%+v", s.Health)
		}
	})
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// What a command says at run time is in force at once at the exipold that runs beside it, which would look by itself in
// an hour here.
func TestInForceAtOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, put putStore) {
		w := newDeskWorld(t, put)
		p, err := helper.ReadPlan(w.plan)
		if err != nil {
			t.Fatal(err)
		}
		helps(t, p, w.store)
		nonce := 0
		verdict := func(want string) {
			t.Helper()
			nonce++
			q := fmt.Sprintf("v=1 plan=%s at=rcpt.after traffic=inbound events=recipient nonce=1.%d ip=198.51.100.1 helo= sender=YUBiLmV4YW1wbGU= rcpt=Y0BkLmV4YW1wbGU= auth=\n", p.ID, nonce)
			b, err := askSocket(t.Context(), p.Socket, q, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if a, err := wire.ParseAnswer(string(b)); err != nil || a.Verdict != want {
				t.Errorf("%q, %v; want %s", b, err, want)
			}
		}
		verdict(plan.Defer)
		w.run(0, "off", "greylist.inbound", "--why", "a test", "--plan", w.plan)
		verdict(plan.Accept)
		w.run(0, "on", "greylist.inbound", "--plan", w.plan)
		verdict(plan.Defer)
		w.run(0, "allow", "add", "--client", "198.51.100.1", "--why", "a test", "--plan", w.plan)
		verdict(plan.Accept)
		w.run(0, "allow", "remove", "1", "--plan", w.plan)
		verdict(plan.Defer)

		// And the status is that exipold's.
		want(t, w.run(0, "status", "--plan", w.plan), `\nquestions +5 `, `\nstore +\S`)
	})
}

// helps runs a helper on the plan's socket, as exipold serve does, until the test ends. It looks at nothing by itself
// that commands write.
func helps(t *testing.T, p *plan.Plan, s store.Store) {
	t.Helper()
	h, err := helper.New(t.Context(), p, helper.Options{Store: s, RuntimeEvery: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, release, err := server.Listen(p.Socket, "")
	if err != nil {
		t.Fatal(err)
	}
	listens := server.New(h.Handle, server.Options{})
	served := make(chan error, 1)
	go func() { served <- listens.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := listens.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
		release()
	})
}

// While the database is away, exipold status says what the running exipold knows, and the commands that need the store
// say what there is to do.
func TestStatusWhileAway(t *testing.T) {
	proxy := mysqltest.NewProxy(t, mysqltest.Shared(t).Addr())
	database := mysqltest.Shared(t).Database()
	database.Hosts = []string{proxy.Addr()}
	w := newDeskWorld(t, onServer(database))
	p, err := helper.ReadPlan(w.plan)
	if err != nil {
		t.Fatal(err)
	}
	helps(t, p, w.store)
	proxy.Refuse()
	for end := time.Now().Add(30 * time.Second); w.store.Health().Away == ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the store is not away")
		}
	}
	out := w.run(1, "status", "--plan", w.plan)
	want(t, out, `\nrunning +since 20`, `\nstore +`+database.Database+` at `+proxy.Addr()+`: .*no database server can be used`, `\n  away +since 20\S+: `+proxy.Addr()+`: `, `\n  host +`+proxy.Addr()+`: away: .*refused`)
	want(t, w.err, `^exipold: .*no database server can be used.*: start the server, or open the way to it; exipold doctor looks at each host\n$`)
	var st struct {
		Running *helper.Status
		Store   struct{ Error string }
	}
	decode(t, w.run(1, "status", "--plan", w.plan, "--json"), &st)
	if st.Running == nil || st.Running.Store.Away == "" || !strings.Contains(st.Store.Error, "no database server can be used") {
		t.Errorf("%+v", st)
	}
	proxy.Heal()
	w.run(0, "case", "list", "--plan", w.plan) // a command waits for a server that comes back
}
