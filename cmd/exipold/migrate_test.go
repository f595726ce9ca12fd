package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

// exipoldSays runs a command, which must end with that status.
func exipoldSays(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	if got := run(args, strings.NewReader(""), &out, &errs); got != status {
		t.Errorf("exipold %s: status %d, want %d\n%s%s", strings.Join(args, " "), got, status, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// planFile writes a plan whose store put puts elsewhere.
func planFile(t *testing.T, dir, name string, put putStore, change func(*plan.Plan)) (file, id string) {
	t.Helper()
	err := writePlan(dir, name, func(p *plan.Plan) {
		if put != nil {
			put(p)
		}
		if change != nil {
			change(p)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, name)
	p, err := helper.ReadPlan(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, p.ID
}

// Nothing is dropped as long as a gateway goes by another plan, unless somebody insists.
func TestContractWithOthers(t *testing.T) {
	onEachStore(t, func(t *testing.T, put putStore) {
		dir := t.TempDir()
		full, fullID := planFile(t, dir, "plan.json", put, nil)
		small, smallID := planFile(t, dir, "lean.json", put, lean)
		exipoldSays(t, 0, "migrate", "--plan", full)
		if out, errs := exipoldSays(t, 0, "migrate", "--plan", full); out != "" || !strings.Contains(errs, "nothing to do") {
			t.Errorf("twice: %s%s", out, errs)
		}
		s := openPlanned(t, full)
		see := func(gateway string, plans ...string) {
			t.Helper()
			if err := s.SeeGateway(t.Context(), store.Gateway{Name: gateway, Plans: plans}); err != nil {
				t.Fatal(err)
			}
		}
		see("mx1", smallID, fullID)
		see("mx2", fullID)
		if _, errs := exipoldSays(t, 1, "migrate", "--plan", small, "--contract"); !strings.Contains(errs, "gateway mx2 goes by plan "+fullID) || strings.Contains(errs, "mx1") || !strings.Contains(errs, "--force") {
			t.Error(errs)
		}
		if out, errs := exipoldSays(t, 3, "migrate", "--plan", small, "--contract", "--dry-run"); !strings.Contains(out, "DROP TABLE IF EXISTS counter;") || !strings.Contains(errs, "refused now") {
			t.Error(out, errs)
		}
		if todo, err := s.Pending(t.Context(), plan.Tables(plan.Needs{Counter: true})); len(todo) != 0 || err != nil {
			t.Errorf("it was dropped nevertheless: %q, %v", todo, err)
		}
		exipoldSays(t, 0, "migrate", "--plan", small, "--contract", "--force")
		if out, _ := exipoldSays(t, 3, "migrate", "--plan", full, "--dry-run"); !strings.Contains(out, "CREATE TABLE IF NOT EXISTS counter") {
			t.Errorf("to be made again: %s", out)
		}
		exipoldSays(t, 0, "migrate", "--plan", full)
		see("mx2", smallID)
		exipoldSays(t, 0, "migrate", "--plan", small, "--contract")
	})
}

// A user that may not change tables is told so, and one that may can be named.
func TestMigrateAs(t *testing.T) {
	server := mysqltest.Shared(t)
	at := server.Database()
	file, _ := planFile(t, t.TempDir(), "plan.json", onServer(at), nil)
	server.Exec("REVOKE CREATE, ALTER, DROP, INDEX ON " + at.Database + ".* FROM " + at.User + "@'%'")
	if out, errs := exipoldSays(t, 1, "migrate", "--plan", file); out != "" || !strings.Contains(errs, "run exipold migrate as a user who has the rights") {
		t.Error(out, errs)
	}
	owner := at.User + "_owner"
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("the owner's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Exec("CREATE USER " + owner + "@'%' IDENTIFIED BY 'the owner''s'")
	t.Cleanup(func() { server.Exec("DROP USER " + owner + "@'%'") })
	server.Exec("GRANT ALL ON " + at.Database + ".* TO " + owner + "@'%'")
	out, _ := exipoldSays(t, 0, "migrate", "--plan", file, "--user", owner, "--password-file", password)
	if !strings.Contains(out, "CREATE TABLE IF NOT EXISTS seen") {
		t.Error(out)
	}
	if out, errs := exipoldSays(t, 0, "migrate", "--plan", file); out != "" || !strings.Contains(errs, "nothing to do") {
		t.Errorf("with nothing to do no right is needed: %s%s", out, errs)
	}
}

// A gateway that had a file goes on with a server: what it knew is there, under the same numbers.
func TestCopyStoreToServer(t *testing.T) {
	dir := t.TempDir()
	old, _ := planFile(t, dir, "old.json", nil, nil)
	now, _ := planFile(t, dir, "plan.json", onServer(mysqltest.Shared(t).Database()), nil)
	exipoldSays(t, 0, "migrate", "--plan", old)
	for i := range 3 {
		exipoldSays(t, 0, "allow", "add", "--plan", old, "--client", fmt.Sprintf("192.0.2.%d", i), "--why", "x")
	}
	exipoldSays(t, 0, "allow", "remove", "--plan", old, "3")
	listed, _ := exipoldSays(t, 0, "allow", "list", "--plan", old)
	p, err := helper.ReadPlan(old)
	if err != nil {
		t.Fatal(err)
	}
	s := openPlanned(t, old)
	if err := s.SeeGateway(t.Context(), store.Gateway{Name: "mx1"}); err != nil {
		t.Fatal(err)
	}
	if _, errs := exipoldSays(t, 1, "copy-store", "--plan", now, p.Store.Path); !strings.Contains(errs, "an exipold uses the store: mx1") || !strings.Contains(errs, "--live") {
		t.Error(errs)
	}
	out, errs := exipoldSays(t, 0, "copy-store", "--plan", now, "--live", p.Store.Path)
	if out != "" || !strings.Contains(errs, "what it counts from now on is not in the copy") || !strings.Contains(errs, "they were read back and are the same") {
		t.Error(out, errs)
	}
	if copied, _ := exipoldSays(t, 0, "allow", "list", "--plan", now); copied != listed || strings.Count(copied, "\n") != 2 {
		t.Errorf("copied\n%s, was\n%s", copied, listed)
	}
	if id, _ := exipoldSays(t, 0, "allow", "add", "--plan", now, "--client", "192.0.2.9", "--why", "x"); id != "4\n" {
		t.Errorf("the next entry has the number %s", id)
	}
	// And back.
	back, _ := planFile(t, t.TempDir(), "back.json", nil, nil)
	exipoldSays(t, 0, "copy-store", "--plan", back, "--from-plan", now)
	if copied, _ := exipoldSays(t, 0, "allow", "list", "--plan", back); strings.Count(copied, "\n") != 3 {
		t.Errorf("copied back\n%s", copied)
	}
}
