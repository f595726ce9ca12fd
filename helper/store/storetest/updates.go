package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// An update sees what the ones before it in its batch wrote: each of these adds one
// only where it finds the number that it expects to.
func testBatchIsVisible(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
				row, _, err := st.Seen("greylist.x", "k")
				row.Passes++
				row.Expires = 1 << 50
				return []engine.Write{engine.PutSeen{Policy: "greylist.x", Key: "k", Row: row}}, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_ = s.View(t.Context(), func(st engine.State) error {
		if row, _, err := st.Seen("greylist.x", "k"); row.Passes != 64 || err != nil {
			t.Errorf("%d passes, %v; want 64", row.Passes, err)
		}
		return nil
	})
}

func testFailureKeepsNothing(t *testing.T, s Store) {
	mine := errors.New("mine")
	long := string(make([]byte, 256))
	for name, f := range map[string]func(engine.State) ([]engine.Write, error){
		"error": func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1)}, mine },
		"panic": func(engine.State) ([]engine.Write, error) { panic("mine") },
		"long key": func(engine.State) ([]engine.Write, error) {
			return []engine.Write{Add("k", 1, 1), Add(long, 1, 1)}, nil
		},
		"negative": func(engine.State) ([]engine.Write, error) {
			return []engine.Write{Add("k", 1, 1), Add("k", 1, -1)}, nil
		},
		"long reason": func(engine.State) ([]engine.Write, error) {
			return []engine.Write{Add("k", 1, 1), engine.PutSeen{Policy: "greylist.x", Key: "k", Row: engine.SeenRow{Why: string(make([]byte, 1<<16))}}}, nil
		},
		"nil": func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1), nil}, nil },
	} {
		err := s.Update(t.Context(), f)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if name == "error" && !errors.Is(err, mine) {
			t.Errorf("%s: %v is not the error of f", name, err)
		}
		if name != "error" && (!errors.Is(err, store.ErrDecision) || store.AtFault(err)) {
			t.Errorf("%s: %v is not said to be the decision's fault", name, err)
		}
		if n := Count(t, s, "k", 0); n != 0 {
			t.Errorf("%s: %d were kept", name, n)
		}
	}
	if err := s.View(t.Context(), func(engine.State) error { panic("mine") }); err == nil {
		t.Error("View: a panic is no error")
	}
	if err := s.View(t.Context(), func(engine.State) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("View: %v is not the error of f", err)
	}
	Do(t, s, Add("k", 1, 1))
	if n := Count(t, s, "k", 0); n != 1 {
		t.Errorf("after all failures: %d, want 1", n)
	}
}

func testOneFailureAmongMany(t *testing.T, s Store) {
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range 200 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
				if i%5 == 0 {
					return nil, errors.New("mine")
				}
				return []engine.Write{Add("k", 1, 1)}, nil
			})
			if err != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := Count(t, s, "k", 0); failed.Load() != 40 || n != 160 {
		t.Errorf("%d failed and %d were kept, want 40 and 160", failed.Load(), n)
	}
}

func testSnapshot(t *testing.T, s Store) {
	Do(t, s, Add("k", 1, 1))
	for name, first := range map[string]func(engine.State) error{
		"count":    func(st engine.State) error { _, err := st.Count(Policy, "k", Window, 0, forever); return err },
		"seen":     func(st engine.State) error { _, _, err := st.Seen("greylist.x", "nobody"); return err },
		"distinct": func(st engine.State) error { _, _, err := st.Distinct(Policy, "k", "m", 0, forever, 100); return err },
	} {
		before := Count(t, s, "k", 0)
		err := s.View(t.Context(), func(st engine.State) error {
			if err := first(st); err != nil {
				return err
			}
			Do(t, s, Add("k", 1, 1))
			for range 2 {
				n, err := st.Count(Policy, "k", Window, 0, forever)
				if err != nil {
					return err
				}
				if n != before {
					t.Errorf("after %s: %d, and a snapshot has %d", name, n, before)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if n := Count(t, s, "k", 0); n != before+1 {
			t.Errorf("after %s, in a new view: %d, want %d", name, n, before+1)
		}
	}
}

func testConcurrentIncrements(t *testing.T, s Store) {
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
					return []engine.Write{Add("all", 1, 1), Add(fmt.Sprint(i), int64(j), 2)}, nil
				})
				if err != nil {
					t.Error(err)
				}
				if err := s.View(t.Context(), func(st engine.State) error {
					_, err := st.Count(Policy, "all", Window, 0, forever)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := Count(t, s, "all", 0); n != callers*each {
		t.Errorf("%d, want %d", n, callers*each)
	}
	for i := range callers {
		if n := Count(t, s, fmt.Sprint(i), 0); n != 2*each {
			t.Errorf("caller %d: %d, want %d", i, n, 2*each)
		}
	}
}

func testContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1)}, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an update whose context has ended: %v", err)
	}
	if n := Count(t, s, "k", 0); n != 0 {
		t.Errorf("%d were kept", n)
	}
}

func testClosed(t *testing.T, s Store) {
	Do(t, s, Add("k", 1, 1))
	var wg sync.WaitGroup
	var kept atomic.Int64
	for range 32 {
		wg.Go(func() {
			for {
				err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{Add("k", 1, 1)}, nil })
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				kept.Add(1)
			}
		})
	}
	for kept.Load() < 100 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := s.View(t.Context(), func(engine.State) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a view of a closed store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
