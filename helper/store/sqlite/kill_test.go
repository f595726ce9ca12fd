package sqlite

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
)

// rounds is how often the child is killed.
const rounds = 100

// A child updates from several goroutines and prints each update after its answer;
// it is killed at any moment, a hundred times. Every update that was printed is in
// the file, and no update is in it by half.
func TestKill(t *testing.T) {
	if path := os.Getenv("SQLITE_TEST_KILL"); path != "" {
		updateForEver(t, path)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "exipol.db")
	s := create(t, path, Options{})
	acknowledged := map[string]int64{}
	for range rounds {
		cmd := child(t, self, "TestKill", "SQLITE_TEST_KILL="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := func() { _ = cmd.Process.Kill() }
		var timer *time.Timer
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if timer == nil { // it is at work
				timer = time.AfterFunc(time.Duration(rand.IntN(15000))*time.Microsecond, kill)
			}
			if key, n, found := strings.Cut(lines.Text(), " "); found && strings.HasSuffix(n, ".") {
				count, err := strconv.ParseInt(strings.TrimSuffix(n, "."), 10, 64)
				if err != nil {
					t.Fatalf("the child says %q", lines.Text())
				}
				acknowledged[key] = max(acknowledged[key], count)
			}
		}
		if timer == nil {
			kill()
			t.Errorf("the child did nothing: %v", cmd.Wait())
			break
		}
		_ = cmd.Wait()
	}
	total := int64(0)
	for key, want := range acknowledged {
		got := storetest.Count(t, s, key, 0)
		if got < want {
			t.Errorf("key %s: %d were acknowledged, the file has %d", key, want, got)
		}
		if twin := storetest.Count(t, s, "twin"+key, 0); twin != got {
			t.Errorf("key %s: half an update: %d and %d", key, got, twin)
		}
		total += want
	}
	if total < rounds {
		t.Errorf("only %d updates were acknowledged in %d rounds", total, rounds)
	}
	t.Logf("%d updates acknowledged", total)
	var text string
	if err := s.readDB.QueryRow("PRAGMA integrity_check").Scan(&text); err != nil || text != "ok" {
		t.Errorf("integrity check: %s, %v", text, err)
	}
}

// updateForEver is the child: each goroutine prints the number that its key had
// after the update that was answered.
func updateForEver(t *testing.T, path string) {
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprint("key", i)
			for {
				var n int64
				err := s.Update(t.Context(), func(st engine.State) (_ []engine.Write, err error) {
					n, err = st.Count(storetest.Policy, key, storetest.Window, 0, 1<<50)
					return []engine.Write{storetest.Add(key, 1, 1), storetest.Add("twin"+key, 1, 1)}, err
				})
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Printf("%s %d.\n", key, n+1)
			}
		})
	}
	wg.Wait()
}
