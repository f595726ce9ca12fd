package desk

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/helper/store"
	"exipol/internal/eximtest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What a block froze is found in the queue, is let go when the case is released, and is delivered
// then without waiting for a queue run. What others froze stays as it is.
func TestReleased(t *testing.T) {
	for name, main := range map[string]string{"plain": "", "split": "split_spool_directory\n"} {
		t.Run(name, func(t *testing.T) {
			w := newBed(t, func(b *eximtest.Bed) { b.Main += main })
			id := w.open("auth:bob@local.test", "block", 2)
			other := w.open("auth:mallory@local.test", "block", 2)
			first, second := w.send("bob@local.test", "1held@remote.test"), w.send("bob@local.test", "2held@remote.test")
			others := w.send("mallory@local.test", "3held@remote.test")
			stray := w.send("carol@local.test", "4held@remote.test")
			err := w.Queue(t.Context(), true)
			if err == nil || !strings.Contains(err.Error(), "1 frozen messages are marked") {
				t.Errorf("that which belongs to no case is not told of: %v", err)
			}
			held := w.held()
			if len(held) != 3 || held[first].Case != id || held[second].Case != id || held[others].Case != other || held[first].Gateway != "mx1" || held[first].Size == 0 {
				t.Fatalf("held: %+v", held)
			}
			w.decide(store.Decision{Case: id, Release: true})
			_ = w.Queue(t.Context(), false)
			w.wg.Wait()
			if held := w.held(); len(held) != 1 || held[others].Case != other {
				t.Errorf("held after the release: %+v", held)
			}
			w.bed.WaitMail(2)
			for _, id := range []string{others, stray} {
				if frozen, there := w.frozen(id); !frozen || !there {
					t.Errorf("%s of somebody else: frozen %v, there %v", id, frozen, there)
				}
			}
			for _, id := range []string{first, second} {
				if n := len(w.bed.Grep(id + " unfrozen by")); n != 1 {
					t.Errorf("%s was thawed %d times", id, n)
				}
			}
			w.bed.CheckLogs()
		})
	}
}

// What is removed is gone, and nobody gets a word of it; the block stays.
func TestRemoved(t *testing.T) {
	w := newBed(t, nil)
	id := w.open("auth:bob@local.test", "block", 2)
	first, second := w.send("bob@local.test", "1held@remote.test"), w.send("bob@local.test", "2held@remote.test")
	w.look()
	// One is thawed meanwhile, by somebody who does not know: it is to go all the same.
	if _, _, err := w.bed.Exec("", "-Mt", second); err != nil {
		t.Fatal(err)
	}
	w.decide(store.Decision{Case: id, Remove: true})
	if held := w.look(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
	for _, id := range []string{first, second} {
		if _, there := w.frozen(id); there {
			t.Errorf("%s is there", id)
		}
		if n := len(w.bed.Grep(id + " removed by")); n != 1 {
			t.Errorf("%s was removed %d times", id, n)
		}
	}
	if len(w.bed.Grep("<= <>")) > 0 || len(w.bed.Grep("cancelled")) > 0 || len(w.bed.Mailbox()) > 0 {
		t.Errorf("somebody was told: %q", w.bed.Log("mainlog"))
	}
	if f := w.file(id); f.State != store.CaseOpen {
		t.Errorf("the case is %s", f.State)
	}
}

// What of an owner's waits already when he is blocked is frozen, by whatever way it came; what he is
// allowed by hand goes.
func TestWaitingIsFrozen(t *testing.T) {
	w := newBed(t, nil)
	w.at = time.Now().Add(-time.Second) // a case opens before what it freezes is frozen
	waiting := w.send("bob@local.test", "free@remote.test")
	others := w.send("carol@local.test", "free@remote.test")
	id := w.open("auth:bob@local.test", "block", 2)
	local := w.open("user:"+w.bed.ID.User, "block", 2)
	if _, _, err := w.bed.Exec("Subject: y\n\nlocal\n", "free2@remote.test"); err != nil {
		t.Fatal(err)
	}
	held := w.look()
	if len(held) != 2 || held[waiting].Case != id {
		t.Fatalf("held: %+v", held)
	}
	for message, h := range held {
		if frozen, _ := w.frozen(message); !frozen || message != waiting && h.Case != local {
			t.Errorf("%+v, frozen: %v", h, frozen)
		}
	}
	if frozen, _ := w.frozen(others); frozen {
		t.Error("another's mail is frozen")
	}
	// Somebody lets one go by hand. It stays so, also while the desk looks again and again.
	if _, _, err := w.bed.Exec("", "-Mt", waiting); err != nil {
		t.Fatal(err)
	}
	w.at = w.at.Add(arriving + time.Minute)
	for range 2 {
		if held := w.look(); len(held) != 1 {
			t.Errorf("held: %+v", held)
		}
	}
	if frozen, there := w.frozen(waiting); frozen || !there {
		t.Errorf("frozen %v, there %v", frozen, there)
	}
	// The process dies between the freezing and the store's word for it.
	late := w.send("bob@local.test", "free@remote.test")
	if _, _, err := w.bed.Exec("", "-Mf", late); err != nil {
		t.Fatal(err)
	}
	if held := w.look(); held[late].Case != id {
		t.Errorf("held: %+v", held)
	}
	w.decide(store.Decision{Case: id, Release: true})
	if held := w.look(); len(held) != 1 {
		t.Errorf("held: %+v", held)
	}
	if _, there := w.frozen(late); there {
		t.Error("it is not delivered")
	}
}

// A running desk freezes what waits as soon as a case is there, and does not read the queue each time.
func TestLookDue(t *testing.T) {
	now := time.Now()
	tries := newTries()
	cases := func(ids ...int64) (all []store.Case) {
		for _, id := range ids {
			all = append(all, store.Case{ID: id})
		}
		return all
	}
	if tries.lookDue(false, nil, now) {
		t.Error("where nothing is of interest the queue is read")
	}
	if !tries.lookDue(true, nil, now) || !tries.lookDue(false, cases(1), now) {
		t.Error("it is not read at first")
	}
	tries.looked(cases(1), now, time.Second, false, nil)
	if tries.lookDue(true, cases(1), now.Add(lookEvery-1)) || !tries.lookDue(true, cases(1), now.Add(lookEvery)) {
		t.Error("the pause is wrong")
	}
	if !tries.lookDue(true, cases(1, 2), now.Add(time.Second)) {
		t.Error("a new case waits")
	}
	tries.looked(cases(1, 2), now, time.Minute, false, nil)
	if tries.lookDue(true, cases(1), now.Add(lookShare*time.Minute-1)) {
		t.Error("a queue that takes long to read is read too often")
	}
	tries.looked(cases(1, 2), now, time.Millisecond, true, nil)
	if !tries.lookDue(true, cases(1), now.Add(lookEvery/2)) {
		t.Error("what could not be frozen waits long")
	}
}

// What Exim froze by itself while exipold was away, also after the release that it could not know
// of, is let go; what an administrator froze again by hand is not.
func TestAfterTheRelease(t *testing.T) {
	w := newBed(t, nil)
	id := w.open("auth:bob@local.test", "block", 2)
	first := w.send("bob@local.test", "1held@remote.test")
	w.decide(store.Decision{Case: id, Release: true})
	late := w.send("bob@local.test", "2held@remote.test")
	w.look() // finds them
	if held := w.look(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
	for _, m := range []string{first, late} {
		if _, there := w.frozen(m); there {
			t.Errorf("%s is not delivered", m)
		}
	}
	again := w.send("bob@local.test", "later-held@defer.test")
	w.look()
	w.look()
	if frozen, there := w.frozen(again); frozen || !there {
		t.Fatalf("frozen %v, there %v", frozen, there)
	}
	if _, _, err := w.bed.Exec("", "-Mf", again); err != nil {
		t.Fatal(err)
	}
	_ = w.Queue(t.Context(), true)
	_ = w.Queue(t.Context(), true)
	w.wg.Wait()
	if frozen, _ := w.frozen(again); !frozen {
		t.Error("what was frozen by hand is thawed")
	}
}

// What is released while queue runners go through the queue, and force what is frozen, is delivered once.
func TestReleasedAmongRunners(t *testing.T) {
	w := newBed(t, nil)
	id := w.open("auth:bob@local.test", "block", 2)
	const messages = 12
	for i := range messages {
		w.send("bob@local.test", fmt.Sprintf("%dheld@remote.test", i))
	}
	if held := w.look(); len(held) != messages {
		t.Fatalf("held: %+v", held)
	}
	w.decide(store.Decision{Case: id, Release: true})
	over := make(chan struct{})
	var runners sync.WaitGroup
	for range 2 {
		runners.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					_, _, _ = w.bed.Exec("", "-qff")
				}
			}
		})
	}
	for range 100 {
		_ = w.Queue(t.Context(), true) // one that a runner has in its hands is tried again
		if w.at = w.at.Add(longestPause); len(w.held()) == 0 {
			break
		}
	}
	close(over)
	runners.Wait()
	w.wg.Wait()
	if held := w.held(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
	got := map[string]int{}
	for _, m := range w.bed.WaitMail(messages) {
		got[m.Recipient]++
	}
	if len(got) != messages {
		t.Errorf("delivered: %v", got)
	}
}
