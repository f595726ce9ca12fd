package desk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/helper/store"
)

// A running desk tells of a case that is opened while it runs, and ends when it is told to.
func TestRun(t *testing.T) {
	exim, mails := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.o.Clock, w.o.Log = time.Now, slog.New(slog.NewTextHandler(io.Discard, nil))
	w.plan.Spool = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	id := w.open("auth:bob@local.test", "block", 2)
	for end := time.Now().Add(time.Minute); len(mails()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody was told")
		}
	}
	cancel()
	wg.Wait()
	if n := w.told(id)["block notice.desk"]; len(mails()) != 1 || n.Mailed == 0 || n.Due != 0 {
		t.Errorf("%d mails, %+v", len(mails()), n)
	}
}

// An error is logged when it comes, when it changes and when it is over, not every two seconds.
func TestNote(t *testing.T) {
	exim, _ := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	for _, err := range []error{nil, errors.New("one"), errors.New("one"), errors.New("two"), nil, nil, errors.New("one")} {
		w.note("queue", err)
	}
	if got := strings.Count(w.log.String(), "\n"); got != 4 {
		t.Errorf("%d lines:\n%s", got, w.log)
	}
}

// A store that cannot be asked stops nothing for good, and is told of.
func TestStoreAway(t *testing.T) {
	exim, mails := fakeExim(t)
	s := newStore(t)
	w := newWorld(t, s, "mx1", exim)
	w.plan.Spool = t.TempDir()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Once(t.Context()); !errors.Is(err, store.ErrClosed) && err == nil {
		t.Error("no error")
	}
	if len(mails()) != 0 {
		t.Error("somebody was told something")
	}
}
