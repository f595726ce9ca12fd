package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

func testDecisions(t *testing.T, s Store) {
	ctx := t.Context()
	if err := s.Decide(ctx, store.Decision{Case: 1, Release: true}); !errors.Is(err, store.ErrNoCase) || store.AtFault(err) {
		t.Error(err)
	}
	if _, err := s.Case(ctx, 1); !errors.Is(err, store.ErrNoCase) {
		t.Error(err)
	}
	c := open("k", 10)
	c.By, c.Why, c.Tier, c.Rate = "alice", "spam", "", ""
	id, err := s.Open(ctx, c)
	if id != 1 || err != nil {
		t.Fatal(id, err)
	}
	if file := theCase(t, s); file.LastWord != "opened by alice: spam" {
		t.Errorf("%+v", file)
	}
	if err := s.Decide(ctx, store.Decision{Case: 1, At: 11}); !errors.Is(err, store.ErrDecision) {
		t.Errorf("no decision: %v", err)
	}
	if _, err := s.Open(ctx, engine.OpenCase{}); !errors.Is(err, store.ErrDecision) {
		t.Errorf("a case of nobody: %v", err)
	}
	// One of many that decide at once has its way.
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = s.Decide(ctx, store.Decision{Case: 1, Release: true, Who: fmt.Sprint(i), At: 20}) })
	}
	wg.Wait()
	closed := 0
	for _, err := range errs {
		if errors.Is(err, store.ErrCaseClosed) {
			closed++
		}
	}
	if file, err := s.Case(ctx, 1); closed != len(errs)-1 || len(file.Audit) != 2 || err != nil {
		t.Errorf("%d were late, %+v, %v", closed, file.Audit, err)
	}
	if _, err := s.Open(ctx, open("k", 19)); err == nil {
		t.Error("opened by hand before it was released")
	}
	// An older case of the key is released without a word about the newer one.
	short := open("l", 10)
	short.Until = 20
	Do(t, s, short, open("l", 30))
	if err := s.Decide(ctx, store.Decision{Case: 2, Release: true, At: 40}); err != nil {
		t.Error(err)
	}
	if st, _ := stands(t, s, "l"); st.Case != 3 || !st.InForce(41) {
		t.Errorf("%+v", st)
	}
}
