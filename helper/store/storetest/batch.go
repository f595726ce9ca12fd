package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// event is a bounce of an owner's.
func event(message, item, owner string, at int64) engine.PutEvent {
	return engine.PutEvent{Gateway: "gw", Message: message, Item: item, Kind: "bounce", Owner: owner, At: at, Expires: forever}
}

// view reads, or fails the test.
func view(t testing.TB, s engine.Store, f func(engine.State) error) {
	t.Helper()
	if err := s.View(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func testLog(t *testing.T, s Store) {
	a := engine.Arrival{Traffic: "submission", Auth: "bob\xff", Login: "l\x00", Client: "192.0.2.1", Helo: "h ä", Sender: "s\xfe@example.com", Came: 7}
	Do(t, s, engine.PutArrival{Gateway: "gw", Message: "m1", Arrival: a, Expires: forever}, engine.PutArrival{Gateway: "gw", Message: "m2", Expires: forever},
		event("m1", "i", "auth:bob", 10), event("m1", "j", "auth:bob", 20), event("m2", "i", "auth:bob", 30), event("m2", "j", "auth:eve", 30))
	other := event("m3", "i", "auth:bob", 40)
	other.Kind = "login"
	again := event("m1", "i", "auth:eve", 99)
	Do(t, s, other, again, engine.DropArrival{Gateway: "gw", Message: "m2"}, engine.DropArrival{Gateway: "gw", Message: "never"})
	view(t, s, func(st engine.State) error {
		if got, ok, err := st.Arrival("gw", "m1"); got != a || !ok || err != nil {
			t.Errorf("%+v, %v, %v; want %+v", got, ok, err, a)
		}
		for _, message := range []string{"m2", "m3", ""} {
			if got, ok, err := st.Arrival("gw", message); ok || err != nil {
				t.Errorf("arrival %q: %+v, %v", message, got, err)
			}
		}
		if _, ok, _ := st.Arrival("other", "m1"); ok {
			t.Error("another gateway's message has the same id")
		}
		for _, c := range []struct {
			gateway, message, item string
			want                   bool
		}{{"gw", "m1", "i", true}, {"gw", "m2", "i", true}, {"gw", "m3", "i", true}, {"gw", "m1", "k", false}, {"other", "m1", "i", false}, {"gw", "", "i", false}} {
			if known, err := st.Known(c.gateway, c.message, c.item); known != c.want || err != nil {
				t.Errorf("%+v: %v, %v", c, known, err)
			}
		}
		for since, want := range map[int64]int64{0: 3, 10: 3, 11: 2, 30: 1, 31: 0} {
			if n, err := st.Bounces("auth:bob", since); n != want || err != nil {
				t.Errorf("bounces since %d: %d, %v; want %d", since, n, err, want)
			}
		}
		return nil
	})
	a.Auth = "carol"
	Do(t, s, engine.PutArrival{Gateway: "gw", Message: "m1", Arrival: a, Expires: forever},
		engine.PutPlace{Gateway: "gw", Log: "/log", Place: "{1}", At: 1}, engine.PutPlace{Gateway: "b", Log: "/log", Place: "{2}", At: 2}, engine.PutPlace{Gateway: "gw", Log: "/log", Place: "{3}", At: 3})
	view(t, s, func(st engine.State) error {
		if got, _, err := st.Arrival("gw", "m1"); got != a || err != nil {
			t.Errorf("seen again: %+v, %v; want %+v", got, err, a)
		}
		return nil
	})
	places, err := s.Places(t.Context())
	if want := []engine.PutPlace{{Gateway: "b", Log: "/log", Place: "{2}", At: 2}, {Gateway: "gw", Log: "/log", Place: "{3}", At: 3}}; fmt.Sprint(places) != fmt.Sprint(want) || err != nil {
		t.Errorf("%+v, %v; want %+v", places, err, want)
	}
}

// In a batch, what reads sees all that was applied before it, of every table.
func testBatch(t *testing.T, s Store) {
	err := s.Batch(t.Context(), func(tr engine.Transaction) error {
		for i := range int64(300) {
			n, err := tr.Count(Policy, "k", Window, 0, forever)
			known, err2 := tr.Known("gw", "m", fmt.Sprint(i%200))
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			if n != min(i, 200) || known != (i >= 200) {
				return fmt.Errorf("event %d: %d counted, known %v", i, n, known)
			}
			if known {
				continue
			}
			if err := tr.Apply([]engine.Write{Add("k", i, 1), event("m", fmt.Sprint(i), "auth:bob", i)}); err != nil {
				return err
			}
		}
		if err := tr.Apply([]engine.Write{open("k", 5)}); err != nil {
			return err
		}
		st, ok, err := tr.Standing(Policy, "k")
		if !ok || !st.InForce(6) {
			return fmt.Errorf("%+v, %v", st, ok)
		}
		return errors.Join(err, tr.Apply(nil), tr.Apply([]engine.Write{engine.PutHeld{Gateway: "gw", Message: "m", Case: st.Case, At: 5}}))
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, s, func(st engine.State) error {
		bounces, err := st.Bounces("auth:bob", 0)
		stands, _, err2 := st.Standing(Policy, "k")
		held, err3 := st.Held(stands.Case)
		if bounces != 200 || held != 1 {
			t.Errorf("%d bounces, %d held", bounces, held)
		}
		return errors.Join(err, err2, err3)
	})
}

func testBatchFails(t *testing.T, s Store) {
	mine := errors.New("mine")
	for name, f := range map[string]func(engine.Transaction) error{
		"error":     func(engine.Transaction) error { return mine },
		"panic":     func(engine.Transaction) error { panic("mine") },
		"bad write": func(tr engine.Transaction) error { return tr.Apply([]engine.Write{Add("k", 1, 1), Add("k", 1, -1)}) },
		"no write":  func(tr engine.Transaction) error { return tr.Apply([]engine.Write{nil}) },
		"long place": func(tr engine.Transaction) error {
			return tr.Apply([]engine.Write{engine.PutPlace{Place: string(make([]byte, 1<<16))}})
		},
		"swallowed": func(tr engine.Transaction) error {
			if tr.Apply([]engine.Write{Add("k", 1, -1)}) == nil {
				return mine
			}
			_ = tr.Apply([]engine.Write{Add("k", 1, 1)})
			return nil
		},
	} {
		err := s.Batch(t.Context(), func(tr engine.Transaction) error {
			if err := tr.Apply([]engine.Write{Add("k", 1, 1), event("m", "i", "auth:bob", 1), open("k", 1)}); err != nil {
				return err
			}
			return f(tr)
		})
		switch {
		case err == nil:
			t.Errorf("%s: no error", name)
		case name == "error" && !errors.Is(err, mine):
			t.Errorf("%s: %v is not the error of f", name, err)
		case name != "error" && (!errors.Is(err, store.ErrDecision) || store.AtFault(err)):
			t.Errorf("%s: %v is not said to be the decision's fault", name, err)
		}
		view(t, s, func(st engine.State) error {
			known, err := st.Known("gw", "m", "i")
			_, ok, err2 := st.Standing(Policy, "k")
			if n, err := st.Count(Policy, "k", Window, 0, forever); n != 0 || err != nil || known || ok {
				t.Errorf("%s: %d were kept, %v, %v, %v", name, n, known, ok, err)
			}
			return errors.Join(err, err2)
		})
	}
	if cases, err := s.Cases(t.Context(), store.CaseFilter{All: true}); len(cases) != 0 || err != nil {
		t.Errorf("%+v, %v", cases, err)
	}
	Do(t, s, open("k", 1))
	if c := theCase(t, s); c.ID != 1 {
		t.Errorf("the first case after failures is number %d", c.ID)
	}
}

// Batches and updates at once: each sees all that was answered before, and nothing is lost.
func testBatchAmongUpdates(t *testing.T, s Store) {
	const callers, each = 16, 10
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				if i%2 == 0 {
					Do(t, s, Add("all", 1, 1))
					continue
				}
				err := s.Batch(t.Context(), func(tr engine.Transaction) error {
					before, err := tr.Count(Policy, "all", Window, 0, forever)
					if err != nil {
						return err
					}
					for range 5 {
						if err := tr.Apply([]engine.Write{Add("all", 1, 1)}); err != nil {
							return err
						}
					}
					if after, err := tr.Count(Policy, "all", Window, 0, forever); after != before+5 || err != nil {
						return fmt.Errorf("%d, and then %d, %v", before, after, err)
					}
					if j%5 == 4 {
						return errors.New("mine")
					}
					return nil
				})
				if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := Count(t, s, "all", 0); n != callers/2*each+callers/2*each*4/5*5 || failed.Load() != callers/2*each/5 {
		t.Errorf("%d, and %d failed", n, failed.Load())
	}
}

// A batch whose context ends keeps nothing, and f does not run on when Batch is back.
func testBatchContext(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	runs, ended := 0, false
	err := s.Batch(ctx, func(tr engine.Transaction) error {
		runs++
		if err := tr.Apply([]engine.Write{Add("k", 1, 1)}); err != nil {
			return err
		}
		cancel()
		for range 100 {
			if err := tr.Apply([]engine.Write{Add("k", 1, 1)}); err == nil {
				t.Error("applied after the end of the context")
			}
		}
		ended = true
		return nil
	})
	if !errors.Is(err, context.Canceled) || runs != 1 || !ended {
		t.Errorf("%v after %d runs", err, runs)
	}
	if err := s.Batch(ctx, func(engine.Transaction) error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := Count(t, s, "k", 0); n != 0 {
		t.Errorf("%d were kept", n)
	}
}
