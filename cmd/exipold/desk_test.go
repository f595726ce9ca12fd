package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
)

// exipold desk --once mails, and takes a new plan where it runs on.
func TestDesk(t *testing.T) { onEachStore(t, testDesk) }

func testDesk(t *testing.T, put putStore) {
	w := newDeskWorld(t, put)
	exim := filepath.Join(w.dir, "exim")
	script := fmt.Sprintf("#!/bin/sh\n{ echo \"$@\"; cat; } >>%s/mails\n", w.dir)
	if err := os.WriteFile(exim, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(w.dir, "spool"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.cases(0, "open", "limit.owners", "auth=bob", "--reason", "one", "--gateway", "mx1")
	for range 2 {
		w.run(0, "desk", "--plan", w.plan, "--once", "--exim", exim, "--exim-config", "/dev/null", "--gateway", "mx1")
	}
	b, err := os.ReadFile(filepath.Join(w.dir, "mails"))
	if err != nil || strings.Count(string(b), "Message-ID: <exipol.case1.block.notice.desk.") != 1 || !strings.HasPrefix(string(b), "-C /dev/null -oi -f <> -- abuse@example.com\n") {
		t.Errorf("%s, %v", b, err)
	}
	w.run(1, "desk", "--plan", w.plan, "--once", "--exim", "/nowhere/exim")
	want(t, w.err, "/nowhere/exim")
}

// Without a store exipold desk says what makes one.
func TestDeskWithoutStore(t *testing.T) {
	w := newDeskWorld(t, func(p *plan.Plan) { p.Store.Path += ".other" })
	if err := os.Remove(filepath.Join(w.dir, "exipol.db.other")); err != nil {
		t.Fatal(err)
	}
	w.run(1, "desk", "--plan", w.plan, "--once", "--exim", "/bin/true")
	want(t, w.err, "run exipold migrate")
}

// A running desk takes a new plan by itself, and keeps the old one where the new one is bad, or
// names another store.
func TestLivePlan(t *testing.T) {
	w := newDeskWorld(t, func(*plan.Plan) {})
	var log strings.Builder
	live, err := newLivePlan(w.plan, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := live.now()
	put := func(change func(*plan.Plan)) {
		t.Helper()
		if err := os.Remove(w.plan); err != nil {
			t.Fatal(err)
		}
		if err := writePlan(w.dir, "plan.json", change); err != nil {
			t.Fatal(err)
		}
	}
	put(func(p *plan.Plan) { p.Admin = "a@b.test" })
	if got := live.now(); got.ID == first.ID || got.Admin != "a@b.test" {
		t.Errorf("the new plan is not taken: %s", log.String())
	}
	put(func(p *plan.Plan) { p.Store.Path += ".other" })
	if got := live.now(); got.Admin != "a@b.test" {
		t.Errorf("a plan of another store is taken")
	}
	if err := os.WriteFile(w.plan, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := live.now(); got.Admin != "a@b.test" {
			t.Errorf("a bad plan is taken")
		}
	}
	if n := strings.Count(log.String(), "is not taken"); n != 2 {
		t.Errorf("%d complaints:\n%s", n, log.String())
	}
	if err := os.Remove(w.plan); err != nil {
		t.Fatal(err)
	}
	if got := live.now(); got.Admin != "a@b.test" {
		t.Errorf("without a file there is no plan")
	}
}

// What would set NoNewPrivileges keeps Exim from its work: the desk's unit has none of it.
func TestDeskUnit(t *testing.T) {
	b, err := os.ReadFile("../../templates/systemd/exipold-desk.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if slices.Contains([]string{
			"SystemCallFilter", "SystemCallArchitectures", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "PrivateDevices", "PrivateUsers",
			"ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "LockPersonality", "MemoryDenyWriteExecute", "DynamicUser",
			"ProtectHome", "PrivateTmp",
		}, name) || name == "NoNewPrivileges" && value != "no" || name == "ProtectSystem" && value == "strict" {
			t.Errorf("%s", line)
		}
	}
	for _, want := range []string{"\nSupplementaryGroups=Debian-exim\n", "\nKillMode=process\n", "CAP_SETUID CAP_SETGID", "/usr/sbin/exipold desk "} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing", want)
		}
	}
}
