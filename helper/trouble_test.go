package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

// An update that may have been kept counts once, however often it is asked for, and a
// decision that ends after its asker has gone takes nobody's place.
func TestUnknownOutcome(t *testing.T) {
	b := newBench(t)
	b.unknown()
	b.unknown() // the next one is delayed
	var lost sync.WaitGroup
	b.store.lost.Store(&lost)
	q := b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient)
	b.want(b.ask(q), wire.Failed)
	if got := b.old("TARLIST 192.0.2.7"); got != "0" {
		t.Errorf("TARLIST: %s", got)
	}
	lost.Wait()
	b.store.lost.Store(nil)
	if got := b.Status().Sleepers; len(got) > 0 {
		t.Errorf("sleepers %v of an answer that nobody got", got)
	}
	b.want(b.ask(q), wire.Failed)
	if got := b.old("TARLIST 192.0.2.1"); got != "4" {
		t.Errorf("counted %s with TARLIST's own, want 4", got)
	}
}

// What is not the store's fault is logged once, slows nobody, and is no trouble.
func TestNotTheStoresFault(t *testing.T) {
	for _, c := range []struct {
		why string
		err error
	}{
		{"busy", fmt.Errorf("store x: %w", store.ErrBusy)},
		{"decision", fmt.Errorf("store x: %w: it panicked", store.ErrDecision)},
	} {
		t.Run(c.why, func(t *testing.T) {
			b := newBench(t)
			b.want(b.grey(), plan.Defer)
			b.store.writes.Store(&c.err)
			for range 3 {
				b.want(b.unknown(), wire.Failed)
			}
			if s := b.Status(); s.Trouble != "" || s.Failures != 3 {
				t.Errorf("trouble %q, %d failures", s.Trouble, s.Failures)
			}
			log := b.log.String()
			if strings.Contains(log, "the store fails") || strings.Count(log, "why="+c.why) != 1 {
				t.Errorf("%s", log)
			}
		})
	}
}

// A late answer is the store's fault where that did nothing meanwhile, and else a
// sign that it is asked too much.
func TestLate(t *testing.T) {
	b := newBench(t)
	b.p.Timeout = plan.Duration(time.Second + 200*time.Millisecond)
	if err := b.p.Seal(); err != nil {
		t.Fatal(err)
	}
	b.restart()
	for _, c := range []struct {
		moves bool
		log   string
	}{{true, "why=late"}, {false, "the store fails"}} {
		gate := make(chan struct{})
		b.store.gate.Store(&gate)
		updates := b.store.updates.Load()
		answer := make(chan wire.Answer)
		q := b.question(plan.Rcpt, plan.Before, plan.UnknownRecipient)
		go func() { answer <- b.ask(q) }()
		if c.moves {
			waitFor(t, func() bool { return b.store.updates.Load() > updates })
			b.store.gate.Store(nil)
			b.want(b.unknown(), plan.Accept)
		}
		if got := (<-answer).Verdict; got != wire.Failed {
			t.Errorf("moves %v: %s", c.moves, got)
		}
		if log := b.log.String(); !strings.Contains(log, c.log) || (b.Status().Trouble == "") != c.moves {
			t.Errorf("moves %v: trouble %q\n%s", c.moves, b.Status().Trouble, log)
		}
		close(gate)
		waitFor(t, func() bool { return b.ask(q).Verdict == plan.Accept })
	}
	waitFor(t, func() bool { return b.Status().Trouble == "" })
}

// A store that can be read and not written to answers known keys where they are
// asked for, without a detour.
func TestOnlyWritingFails(t *testing.T) {
	b := newBench(t)
	b.want(b.grey(), plan.Defer)
	fault := error(store.ErrFull)
	b.store.writes.Store(&fault)
	b.want(b.unknown(), wire.Failed)
	if !strings.Contains(b.Status().Trouble, store.ErrFull.Error()) {
		t.Errorf("trouble %q", b.Status().Trouble)
	}
	q := b.question(plan.Rcpt, plan.After, plan.Recipient)
	if _, later := b.Handle([]byte(q.String())); later != nil {
		t.Error("a known key waits for the store's writer")
	}
	// Reading that works again says nothing of writing, and the other way round.
	b.store.reads.Store(&fault)
	b.refresh(t.Context())
	q = b.question(plan.Rcpt, plan.After, plan.Recipient)
	if _, later := b.Handle([]byte(q.String())); later == nil {
		t.Error("the accept loop looks into a store that cannot be read")
	}
	b.store.reads.Store(nil)
	b.refresh(t.Context())
	if b.Status().Trouble == "" {
		t.Error("writing is not well yet")
	}
	b.store.writes.Store(nil)
	b.want(b.unknown(), plan.Accept)
	if got := b.Status().Trouble; got != "" {
		t.Errorf("trouble %q", got)
	}
}

// A store that becomes read-only: known keys are answered, what is to be counted
// fails, and all is well when it can be written to again. It is the real one: SQLite
// opens a file that it may not write to for reading.
func TestReadOnlyStore(t *testing.T) {
	if os.Getuid() == 0 && os.Getenv("HELPER_TEST_READONLY") == "" {
		asNobody(t, "TestReadOnlyStore") // no mode stops root
		return
	}
	b := newBench(t)
	path := b.p.Store.Path
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	other := b.store.Store
	b.store = &faulty{Store: s}
	b.restart()
	b.want(b.grey(), plan.Defer)
	// Another process's lock costs the writer its connection; the next one is made of
	// the file as it is then.
	held, let, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = other.Update(context.Background(), func(engine.State) ([]engine.Write, error) {
			close(held)
			<-let
			return nil, errors.New("nothing to keep")
		})
	}()
	<-held
	b.want(b.unknown(), wire.Failed)
	close(let)
	<-done
	mode := func(file, dir os.FileMode) {
		files, err := filepath.Glob(path + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			err = errors.Join(err, os.Chmod(f, file))
		}
		if err := errors.Join(err, os.Chmod(b.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o444, 0o555)
	defer mode(0o600, 0o700)
	b.want(b.unknown(), wire.Failed)
	b.want(b.grey(), plan.Defer) // known: nothing to write
	if got := b.Status().Trouble; !strings.Contains(got, store.ErrReadOnly.Error()) || !strings.Contains(got, path) {
		t.Errorf("trouble %q", got)
	}
	mode(0o600, 0o700)
	b.want(b.unknown(), plan.Accept)
	if got := b.Status().Trouble; got != "" {
		t.Errorf("trouble %q", got)
	}
}

// asNobody runs a test in a copy of this program that may do less.
func asNobody(t *testing.T, test string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "exipol-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied, tmp := filepath.Join(dir, "helper.test"), filepath.Join(dir, "tmp")
	if err := errors.Join(os.WriteFile(copied, program, 0o755), os.Mkdir(tmp, 0o777), os.Chmod(tmp, 0o777), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "HELPER_TEST_READONLY=1", "TMPDIR="+tmp)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
