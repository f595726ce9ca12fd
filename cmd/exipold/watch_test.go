package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// bouncePlan writes a plan that counts bounces of its mainlog, and makes the store.
func bouncePlan(t *testing.T, dir string, put putStore) (file string) {
	t.Helper()
	day := plan.Duration(24 * time.Hour)
	change := func(p *plan.Plan) {
		p.Source, p.Mainlog = plan.FromLog, []string{filepath.Join(dir, "mainlog")}
		p.Tables = plan.Tables(plan.Needs{Counter: true, Distinct: true, Log: true})
		p.Limits = append(p.Limits, plan.Limit{
			Name: "zz_bounces", Events: []plan.WeightedEvent{{Event: plan.Bounce, Weight: 1}}, Key: []plan.Part{{Field: "owner"}},
			Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass, Windows: []plan.Duration{day},
			Tiers: []plan.Tier{{Name: "slow", Over: []plan.Rate{{Count: 3, Per: day}}, Verdict: plan.Defer, Message: "later"}},
		})
		put(p)
	}
	if err := writePlan(dir, "plan.json", change); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "plan.json")
	openPlanned(t, file)
	return file
}

func exipold(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &err)
	return out.String(), err.String(), code
}

// bouncing is what Exim logs of a message of bob's that fails, and of one of nobody's.
func bouncing(at time.Time) string {
	now := at.Format(time.DateTime) + " "
	return now + "1abcde-000001-AB <= bob@local.test H=(x) [192.0.2.1] P=esmtpa A=plain:bob S=300\n" +
		now + "1abcde-000001-AB ** gone@x.test R=out T=out: SMTP error from remote mail server after RCPT TO:<gone@x.test>: 550 5.1.1 no\n" +
		now + "1abcde-000001-AB ** lost@x.test R=out T=out: SMTP error from remote mail server after RCPT TO:<lost@x.test>: 550 5.1.1 no\n" +
		now + "1abcde-000002-AB <= a@b.test H=(x) [192.0.2.1] P=esmtp S=300\n" +
		now + "1abcde-000002-AB ** gone@x.test R=out T=out: no\n"
}

func bouncesOf(t *testing.T, dir, owner string) (n int64) {
	t.Helper()
	s := openPlanned(t, filepath.Join(dir, "plan.json"))
	if err := s.View(t.Context(), func(st engine.State) (err error) {
		n, err = st.Bounces(owner, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWatchOnce(t *testing.T) { onEachStore(t, testWatchOnce) }

func testWatchOnce(t *testing.T, put putStore) {
	dir := t.TempDir()
	file, log := bouncePlan(t, dir, put), filepath.Join(dir, "mainlog")
	if _, stderr, code := exipold("watch", "--once", "--plan", file); code != 1 || !strings.Contains(stderr, "mainlog") {
		t.Errorf("without a log: %d, %s", code, stderr)
	}
	if err := os.WriteFile(log, []byte(bouncing(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		stdout, stderr, code := exipold("watch", "--once", "--plan", file, "--gateway", "mx1")
		if code != 0 || !strings.Contains(stdout, log+": ") {
			t.Fatalf("%d: %s%s", code, stdout, stderr)
		}
		if n := bouncesOf(t, dir, "auth:bob"); n != 2 {
			t.Fatalf("%d bounces, want 2", n)
		}
	}
	// The same under another name is known; as another gateway's it is not.
	copied := filepath.Join(dir, "copy")
	if err := os.WriteFile(copied, []byte(bouncing(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		gateway string
		want    int64
	}{{"mx1", 2}, {"mx2", 4}} {
		if _, stderr, code := exipold("watch", "--once", "--plan", file, "--gateway", c.gateway, copied); code != 0 {
			t.Fatal(stderr)
		}
		if n := bouncesOf(t, dir, "auth:bob"); n != c.want {
			t.Errorf("%d bounces after %s, want %d", n, c.gateway, c.want)
		}
	}
	for _, wrong := range [][]string{{"--gateway", "a b"}, {"--mainlog-timezone", "Nowhere/Else"}, {"--log-level", "loud"}} {
		if _, _, code := exipold(append([]string{"watch", "--once", "--plan", file}, wrong...)...); code != 2 {
			t.Errorf("%v: exit status %d, want 2", wrong, code)
		}
	}
}

// TestWatchFollows: it goes on until it is ended, and takes a new plan with SIGHUP.
func TestWatchFollows(t *testing.T) {
	dir := t.TempDir()
	file, log := bouncePlan(t, dir, func(*plan.Plan) {}), filepath.Join(dir, "mainlog")
	if err := os.WriteFile(log, []byte(bouncing(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var said syncBuffer
	cmd.SetArgs([]string{"watch", "--plan", file, "--gateway", "mx1"})
	cmd.SetOut(&said)
	cmd.SetErr(&said)
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s\n%s", what, said.String())
			}
		}
	}
	wait("the bounces are not counted", func() bool { return bouncesOf(t, dir, "auth:bob") == 2 })
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait("the plan is not taken", func() bool { return strings.Contains(said.String(), "plan taken") })
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.ReplaceAll(bouncing(time.Now()), "1abcde", "1abcdf")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	wait("what came later is not counted", func() bool { return bouncesOf(t, dir, "auth:bob") == 4 })
	cancel()
	if err := <-done; err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

// syncBuffer is what a program says while somebody looks.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
