package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

// daemonUnderTest starts the real program, which this test binary is under its name.
func daemonUnderTest(t *testing.T, dir string, flags ...string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0], append([]string{"serve", "--plan", filepath.Join(dir, "plan.json")}, flags...)...)
	cmd.Args[0] = "exipold" // TestMain goes by that
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestKill kills the daemon a hundred times while clients offend, each from an
// address of its own, and then compares what is stored with what was answered: no
// answered offence may be missing, and none may be there that nobody asked about.
func TestKill(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	const clients = 8
	var asked, answered [clients]atomic.Int64
	socket := filepath.Join(dir, "exipold.sock")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	id := testplan.New(dir).ID
	for c := range clients {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				q := fmt.Sprintf("v=1 plan=%s at=rcpt.before traffic=inbound events=unknown_recipient nonce=%d.%d ip=192.0.2.%d\n", id, c, n, c)
				asked[c].Add(1)
				b, err := askSocket(context.Background(), socket, q, 5*time.Second)
				a, perr := wire.ParseAnswer(string(b))
				switch {
				case err == nil && perr == nil && a.Verdict == plan.Accept:
					answered[c].Add(1)
				case err != nil:
					time.Sleep(time.Millisecond) // nobody there
				}
			}
		})
	}
	for round := range rounds {
		cmd := daemonUnderTest(t, dir)
		total := func() (n int64) {
			for c := range clients {
				n += answered[c].Load()
			}
			return n
		}
		before := total()
		for end := time.Now().Add(30 * time.Second); total() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				log, _ := os.ReadFile(filepath.Join(dir, "log"))
				t.Errorf("round %d: no answer\n%s", round, log)
				break
			}
		}
		time.Sleep(rand.N(15 * time.Millisecond))
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		if t.Failed() {
			break
		}
	}
	cancel()
	wg.Wait()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "exipol.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for c := range clients {
		stored := counted(t, s, fmt.Sprintf("192.0.2.%d", c))
		if stored < answered[c].Load() || stored > asked[c].Load() {
			t.Errorf("client %d: %d stored, %d answered, %d asked", c, stored, answered[c].Load(), asked[c].Load())
		}
		t.Logf("client %d: %d asked, %d answered, %d stored", c, asked[c].Load(), answered[c].Load(), stored)
	}
}

func counted(t *testing.T, s *sqlite.Store, key string) (n int64) {
	t.Helper()
	err := s.View(t.Context(), func(st engine.State) (err error) {
		n, err = st.Count("limit.tarpit", key, 4*time.Hour, 0, 1<<50)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A store that has its largest size takes no more keys, and says so.
func TestMaxStore(t *testing.T) {
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	p := testplan.New(dir)
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(engine.State) (rows []engine.Write, _ error) {
		for i := range 20000 {
			rows = append(rows, engine.AddCount{Policy: "limit.tarpit", Key: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Window: 4 * time.Hour, Slot: 1, N: 1, Expires: 1 << 50})
		}
		return rows, nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	cmd := daemonUnderTest(t, dir, "--max-store", "1MiB")
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	verdict, known := "", ""
	ask := func(client, nonce int) string {
		q := fmt.Sprintf("v=1 plan=%s at=rcpt.before traffic=inbound events=unknown_recipient nonce=1.%d ip=198.51.%d.%d\n", p.ID, nonce, client/256, client%256)
		b, err := askSocket(t.Context(), p.Socket, q, 10*time.Second)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // nobody there yet
			return ""
		}
		a, err := wire.ParseAnswer(string(b))
		if err != nil {
			t.Fatal(err)
		}
		return a.Verdict
	}
	for end := time.Now().Add(time.Minute); known != plan.Accept && time.Now().Before(end); {
		known = ask(0, 0)
	}
	for i := 1; i < 2000 && verdict != wire.Failed; i++ {
		verdict = ask(i, i)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	if known != plan.Accept || verdict != wire.Failed || !strings.Contains(string(log), "no room left") {
		t.Errorf("at first %q, at last %q\n%s", known, verdict, log)
	}
}

// A store that cannot be written to gives failed answers, and all is well when it can
// be again; a full disk is tested with the store itself.
func TestStoreTakenAway(t *testing.T) {
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	cmd := daemonUnderTest(t, dir)
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	socket := filepath.Join(dir, "exipold.sock")
	nonce := 0
	ask := func() string {
		nonce++
		q := fmt.Sprintf("v=1 plan=%s at=rcpt.before traffic=inbound events=unknown_recipient nonce=1.%d ip=192.0.2.1\n", testplan.New(dir).ID, nonce)
		b, err := askSocket(t.Context(), socket, q, 10*time.Second)
		if err != nil {
			return err.Error()
		}
		a, err := wire.ParseAnswer(string(b))
		if err != nil {
			return err.Error()
		}
		return a.Verdict
	}
	until := func(want string) {
		t.Helper()
		got := ""
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if got = ask(); got == want {
				return
			}
		}
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("%s, want %s\n%s", got, want, log)
	}
	until(plan.Accept)
	// Another process that holds the lock is the rudest thing that can be done to a
	// store without root: sqlite waits, the deadline passes.
	release := lock(t, filepath.Join(dir, "exipol.db"))
	until(wire.Failed)
	release()
	until(plan.Accept)
	for _, want := range []string{"the store fails", "the store is well again"} {
		var log []byte
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if log, _ = os.ReadFile(filepath.Join(dir, "log")); strings.Contains(string(log), want) {
				break
			}
		}
		if n := strings.Count(string(log), want); n != 1 {
			t.Errorf("%q logged %d times:\n%s", want, n, log)
		}
	}
}

// lock holds the store's write lock until release.
func lock(t *testing.T, path string) (release func()) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held, let, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Update(context.Background(), func(engine.State) ([]engine.Write, error) {
			close(held)
			<-let
			return nil, io.EOF // nothing to keep
		})
	}()
	<-held
	return func() {
		close(let)
		<-done
		_ = s.Close()
	}
}
