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

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store/storetest"
)

// rounds is how often the child is killed.
const rounds = 100

// A child updates from several goroutines, by single updates and by batches, and prints each after
// its answer; it is killed at any moment, a hundred times. Every update that was printed is in
// the file, and no update and no batch is in it by half.
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
		if err := s.View(t.Context(), func(st engine.State) error {
			events, err := st.Bounces(key, 0)
			if strings.HasSuffix(key, "0") != (events > 0) || events > 0 && events != got {
				t.Errorf("key %s: half a batch: %d and %d", key, got, events)
			}
			return err
		}); err != nil {
			t.Error(err)
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
				var err error
				if i == 0 {
					n, err = batchOfThree(t, s, key)
				} else {
					err = s.Update(t.Context(), func(st engine.State) (_ []engine.Write, err error) {
						n, err = st.Count(storetest.Policy, key, storetest.Window, 0, 1<<50)
						return []engine.Write{storetest.Add(key, 1, 1), storetest.Add("twin"+key, 1, 1)}, err
					})
				}
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

// batchOfThree counts an event in a batch, in three places one after the other.
func batchOfThree(t *testing.T, s *Store, key string) (n int64, err error) {
	err = s.Batch(t.Context(), func(tr engine.Transaction) (err error) {
		if n, err = tr.Count(storetest.Policy, key, storetest.Window, 0, 1<<50); err != nil {
			return err
		}
		for _, w := range []engine.Write{
			storetest.Add(key, 1, 1),
			engine.PutEvent{Gateway: "gw", Message: key, Item: fmt.Sprint(n), Kind: plan.Bounce, Owner: key, At: 1, Expires: 1 << 50},
			storetest.Add("twin"+key, 1, 1),
		} {
			if err := tr.Apply([]engine.Write{w}); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
