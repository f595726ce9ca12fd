package copying_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/store/copying"
)

// dies copies in a process of its own, which is killed in the middle.
func dies(t *testing.T, from, to place) {
	t.Helper()
	at, err := json.Marshal(to.at)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "COPY_TO="+string(at), "COPY_FROM="+from.at.Path)
	out, err := cmd.CombinedOutput()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("it was not killed: %v\n%s", err, out)
	}
}

// copyAndDie is that process.
func copyAndDie(t *testing.T, at string) {
	var to plan.Store
	if err := json.Unmarshal([]byte(at), &to); err != nil {
		t.Fatal(err)
	}
	from := place{t, plan.Store{Kind: plan.SQLite, Path: os.Getenv("COPY_FROM")}}.must(false)
	_, err := copying.Copy(t.Context(), from, place{t, to}.must(true), copying.Options{Tables: everything, Progress: func(doing, table string, rows int64) {
		if table == plan.TableCounter {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	t.Fatalf("it lives: %v", err)
}
