package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

// What others chose reaches a terminal only as text.
func TestPrintedSafely(t *testing.T) {
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	p := testplan.New(dir)
	s, err := openStore(t.Context(), p, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	const bad = "\x1b]0;x\a\nroot"
	_, err = s.Allow(t.Context(), engine.Allowance{Field: "auth", Pattern: bad, Owner: bad, Why: bad, Made: 1})
	err = errors.Join(err, s.SwitchOff(t.Context(), engine.Switch{Policy: "limit.tarpit", Owner: bad, Why: bad, Made: 1}))
	if err != nil {
		t.Fatal(err)
	}
	st, err := gather(t.Context(), p, s, p.Socket, 5)
	if err != nil {
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
