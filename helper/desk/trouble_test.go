package desk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/internal/eximtest"
)

// What is said to be held and is not in the queue is gone, but not before it can have come in.
func TestGone(t *testing.T) {
	w := newBed(t, nil)
	id := w.open("auth:bob@local.test", "block", 2)
	there := w.send("bob@local.test", "1held@remote.test")
	arrives := "1aaaaa-000000-00"
	put := func(message string) engine.PutHeld {
		return engine.PutHeld{Gateway: "mx1", Message: message, Case: id, At: w.at.UnixMilli()}
	}
	elsewhere := put("1aaaaa-000000-01")
	elsewhere.Gateway = "mx2"
	if err := w.store.SettleHeld(t.Context(), w.at.UnixMilli(), []engine.PutHeld{put(there), put(arrives), elsewhere}, nil); err != nil {
		t.Fatal(err)
	}
	if held := w.look(); len(held) != 3 {
		t.Errorf("held: %+v", held)
	}
	w.at = w.at.Add(arriving + time.Second)
	if held := w.look(); len(held) != 2 || held[there].Case != id || held["1aaaaa-000000-01"].Case != id {
		t.Errorf("held later: %+v", held)
	}
	// The same of one that is to be let go.
	late := w.open("auth:carol@local.test", "block", 2)
	late2 := engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-02", Case: late, At: w.at.UnixMilli()}
	if err := w.store.SettleHeld(t.Context(), w.at.UnixMilli(), []engine.PutHeld{late2}, nil); err != nil {
		t.Fatal(err)
	}
	w.decide(store.Decision{Case: late, Release: true})
	if held := w.look(); held[late2.Message].Wanted != store.Thaw {
		t.Errorf("held: %+v", held)
	}
	w.at = w.at.Add(arriving + time.Second)
	if held := w.look(); len(held) != 2 {
		t.Errorf("held: %+v", held)
	}
	// Somebody forces the queue: it is thawed and delivered.
	w.bed.RunQueue(true)
	if held := w.look(); len(held) != 1 {
		t.Errorf("held at the end: %+v", held)
	}
}

// A message that a delivery has in its hands is tried again, with growing pauses.
func TestBusy(t *testing.T) {
	w := newBed(t, func(b *eximtest.Bed) {
		b.Edit = func(conf string) string {
			before, after, _ := strings.Cut(conf, "  driver = appendfile\n")
			_, after, _ = strings.Cut(after, "escape_string =\n")
			return before + "  driver = pipe\n  command = /bin/sh " + b.Path("run/wait") + "\n" + after
		}
	})
	w.bed.WriteFile("run/wait", "touch "+w.bed.Path("run/begun")+"\nwhile ! test -e "+w.bed.Path("run/go")+"; do sleep 0.05; done\nexit 75\n")
	id := w.open("auth:bob@local.test", "block", 2)
	message := w.send("bob@local.test", "1held@remote.test")
	w.look()
	w.decide(store.Decision{Case: id, Remove: true})
	delivered := make(chan error, 1)
	go func() { // somebody forces this one
		_, _, err := w.bed.Exec("", "-M", message)
		delivered <- err
	}()
	for begun := false; !begun; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(w.bed.Path("run/begun"))
		begun = err == nil
	}
	locked := func() int { return len(w.bed.Grep(message + " Spool file for")) }
	for i, step := range []time.Duration{0, firstPause - 1, 1, 2*firstPause - 1, 1} {
		w.at = w.at.Add(step)
		err := w.Queue(t.Context(), false)
		if want := i/2 + 1; locked() != want {
			t.Errorf("step %d: %d tries, want %d: %v", i, locked(), want, err)
		} else if i%2 == 0 && (err == nil || !strings.Contains(err.Error(), "is locked")) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	w.bed.WriteFile("run/go", "")
	if err := <-delivered; err != nil {
		t.Fatal(err)
	}
	if _, there := w.frozen(message); !there {
		t.Fatal("it was delivered, which this test does not want")
	}
	w.at = w.at.Add(longestPause)
	if held := w.look(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
	if _, there := w.frozen(message); there {
		t.Error("it is still there")
	}
}

// A file that is cut off hides no other message, is told of, and its message is not taken for gone.
func TestCutOff(t *testing.T) {
	w := newBed(t, nil)
	id := w.open("auth:bob@local.test", "block", 2)
	first, second := w.send("bob@local.test", "1held@remote.test"), w.send("bob@local.test", "2held@remote.test")
	w.look()
	head := filepath.Join(w.plan.Spool, "input", first+"-H")
	whole := read(t, head)
	write(t, head, whole[:100])
	w.at = w.at.Add(arriving + time.Minute)
	for range 2 {
		err := w.Queue(t.Context(), true)
		if err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("nothing is said of it: %v", err)
		}
	}
	if held := w.held(); len(held) != 2 {
		t.Errorf("held: %+v", held)
	}
	w.decide(store.Decision{Case: id, Release: true})
	_ = w.Queue(t.Context(), true)
	w.wg.Wait()
	if held := w.held(); len(held) != 1 || held[first].Wanted != store.Thaw {
		t.Errorf("held after the release: %+v", held)
	}
	if _, there := w.frozen(second); there {
		t.Error("the other one is not delivered")
	}
	write(t, head, whole)
	w.at = w.at.Add(longestPause)
	if held := w.look(); len(held) != 0 {
		t.Errorf("held at the end: %+v", held)
	}
	w.bed.WaitMail(2)
}

// Logins made of other languages' syntax are people like any other.
func TestHostileOwners(t *testing.T) {
	w := newBed(t, nil)
	cases := map[string]int64{}
	for _, login := range []string{
		"x;touch y", "$(touch y)", "${run{/bin/touch y}}", `a"b'c`, "a:b#c/d e", "' OR 1=1; --", "limit.stolen/block/block", `m\303\274ller`, "-frozen 17",
	} {
		id := w.open("auth:"+login, "block", 2)
		cases[w.send(strings.ReplaceAll(login, `m\303\274ller`, "müller"), "1held@remote.test")] = id
		cases[w.send(strings.ReplaceAll(login, `m\303\274ller`, "müller"), "free@remote.test")] = id
	}
	held := w.look()
	if len(held) != len(cases) {
		t.Errorf("%d messages are held, want %d", len(held), len(cases))
	}
	for message, id := range cases {
		if frozen, _ := w.frozen(message); held[message].Case != id || !frozen {
			t.Errorf("%s belongs to case %d, want %d; frozen: %v", message, held[message].Case, id, frozen)
		}
		w.release(id)
	}
	if held := w.look(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
	w.bed.WaitMail(len(cases))
	for _, dir := range []string{".", w.bed.Path("run"), w.bed.Path("spool")} {
		if _, err := os.Stat(filepath.Join(dir, "y")); err == nil {
			t.Errorf("something was run in %s", dir)
		}
	}
}

// release releases a case unless that is done.
func (w *world) release(id int64) {
	w.t.Helper()
	if w.file(id).State == store.CaseOpen {
		w.decide(store.Decision{Case: id, Release: true})
	}
}

// A queue that cannot be read leaves all as it is, and says so.
func TestNoQueue(t *testing.T) {
	exim, _ := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.plan.Spool = filepath.Join(t.TempDir(), "none")
	id := w.open("auth:bob@local.test", "block", 2)
	if err := w.store.SettleHeld(t.Context(), 1, []engine.PutHeld{{Gateway: "mx1", Message: "1aaaaa-000000-00", Case: id, At: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Queue(t.Context(), true); err == nil {
			t.Error("no error")
		}
	}
	w.decide(store.Decision{Case: id, Release: true})
	if err := w.Queue(t.Context(), true); err == nil || len(w.held()) != 1 {
		t.Errorf("%v, %+v", err, w.held())
	}
}
