package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

func TestKeepLease(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "exipol.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Migrate(t.Context(), plan.Tables(plan.Needs{})); err != nil {
		t.Fatal(err)
	}
	take := func(holder string, lasts time.Duration) bool {
		t.Helper()
		held, err := s.Lease(t.Context(), "work", holder, lasts)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	const lasts = 600 * time.Millisecond
	if !take("me", lasts) {
		t.Fatal("nobody has it, and it is not to be had")
	}
	ctx, done := store.KeepLease(t.Context(), s, "work", "me", lasts)
	for end := time.Now().Add(3 * lasts); time.Now().Before(end); time.Sleep(lasts / 10) {
		if take("other", lasts) {
			t.Fatal("it was not prolonged")
		}
	}
	if ctx.Err() != nil {
		t.Errorf("it was kept, and the work ended: %v", context.Cause(ctx))
	}
	// Whoever has slept for too long finds that another has it.
	if err := s.Yield(t.Context(), "work", "me"); err != nil {
		t.Fatal(err)
	}
	for !take("other", time.Minute) { // where it was prolonged in between
		if err := s.Yield(t.Context(), "work", "me"); err != nil {
			t.Fatal(err)
		}
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), store.ErrLeaseLost) {
		t.Errorf("it ended for %v", context.Cause(ctx))
	}
	done()

	ctx, done = store.KeepLease(t.Context(), s, "work", "other", time.Minute)
	done()
	if ctx.Err() == nil {
		t.Error("the context outlives the work")
	}
}
