package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// A case is opened by an update, a batch and by hand at once: there is one, told of once.
func sharedCase(t *testing.T, a, b Store) {
	together(a, b, 48, func(i int, s Store) {
		var err error
		switch i / 2 % 3 {
		case 0:
			err = s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{open("k", 10)}, nil })
		case 1:
			err = s.Batch(t.Context(), func(tr engine.Transaction) error { return tr.Apply([]engine.Write{open("k", 10)}) })
		case 2:
			var id int64
			if id, err = s.Open(t.Context(), open("k", 10)); id != 1 {
				t.Errorf("case %d", id)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	for _, s := range []Store{a, b} {
		if file := theCase(t, s); len(file.Audit) != 1 || len(file.Notices) != 2 || file.ID != 1 {
			t.Errorf("%+v", file)
		}
	}
}

// Many keys, each opened by both: as many cases as keys, no id twice, and each key's standing is of its case.
func sharedCases(t *testing.T, a, b Store) {
	const keys = 30
	together(a, b, 2*keys, func(i int, s Store) {
		if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
			return []engine.Write{sample(fmt.Sprint(i/2), 0, 5), open(fmt.Sprint(i/2), 10)}, nil
		}); err != nil {
			t.Error(err)
		}
	})
	cases, err := a.Cases(t.Context(), store.CaseFilter{All: true})
	if len(cases) != keys || err != nil {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for i, c := range cases {
		if c.ID != int64(keys-i) {
			t.Errorf("case %d is number %d of %d", c.ID, keys-i, keys)
		}
		if st, _ := stands(t, b, c.Key); st.Case != c.ID {
			t.Errorf("the standing of case %d: %+v", c.ID, st)
		}
		if file, err := b.Case(t.Context(), c.ID); len(file.Audit) != 1 || len(file.Evidence) != 1 || err != nil {
			t.Errorf("%+v, %v", file, err)
		}
	}
}

// Several raise a case at once: the highest tier holds, and what each did is on record.
func sharedRaise(t *testing.T, a, b Store) {
	Do(t, a, open("k", 10))
	const tiers = 12
	together(a, b, tiers, func(i int, s Store) {
		c := open("k", 20)
		c.Rank, c.Tier = 3+i, fmt.Sprint("tier", i)
		if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{sample("k", int64(i), 15), c}, nil }); err != nil {
			t.Error(err)
		}
	})
	if st, _ := stands(t, b, "k"); st.Rank != 2+tiers || st.Tier != fmt.Sprint("tier", tiers-1) || st.Case != 1 {
		t.Errorf("%+v", st)
	}
	file := theCase(t, a)
	raised := 0
	for _, w := range file.Audit {
		if w.Did == "raised" {
			raised++
		}
	}
	// Who comes after a higher one does nothing.
	if raised == 0 || raised != len(file.Audit)-1 || len(file.Notices) != 2*len(file.Audit) || file.Tier != fmt.Sprint("tier", tiers-1) {
		t.Errorf("%+v", file)
	}
}

// Two who decide about one case: one does, the other hears that it is closed.
func sharedDecide(t *testing.T, a, b Store) {
	for id := int64(1); id <= 8; id++ {
		Do(t, a, open(fmt.Sprint(id), 10), engine.PutHeld{Gateway: "gw", Message: fmt.Sprint(id), Case: id, At: 11})
		var done, late atomic.Int64
		together(a, b, 4, func(i int, s Store) {
			switch err := s.Decide(t.Context(), store.Decision{Case: id, Release: true, Remove: i%2 == 0, Who: fmt.Sprint(i), At: 20}); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, store.ErrCaseClosed):
				late.Add(1)
			default:
				t.Error(err)
			}
		})
		file, err := b.Case(t.Context(), id)
		if err != nil || done.Load() != 1 || late.Load() != 3 || file.State != store.CaseReleased {
			t.Fatalf("%d decided, %d were late: %+v, %v", done.Load(), late.Load(), file, err)
		}
		removed := file.Audit[1].Did == "removed"
		if len(file.Held) != 1 || (file.Held[0].Wanted == store.Remove) != removed || file.Held[0].Wanted == store.Keep || len(file.Audit) != map[bool]int{true: 3, false: 2}[removed] {
			t.Errorf("%+v", file)
		}
	}
}

// A message is frozen while its case is released: whichever comes first, it is thawed.
func sharedHeld(t *testing.T, a, b Store) {
	const rounds, messages = 10, 6
	for id := int64(1); id <= rounds; id++ {
		Do(t, a, open(fmt.Sprint(id), 10))
		together(a, b, messages+1, func(i int, s Store) {
			h := engine.PutHeld{Gateway: "gw", Message: fmt.Sprint(id, "-", i), Case: id, At: 30, Size: 1}
			var err error
			switch {
			case i == messages/2:
				err = s.Decide(t.Context(), store.Decision{Case: id, Release: true, At: 20})
			case i%3 == 0:
				err = s.SettleHeld(t.Context(), 31, []engine.PutHeld{h}, nil)
			default:
				err = s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{h}, nil })
			}
			if err != nil {
				t.Error(err)
			}
		})
		file, err := b.Case(t.Context(), id)
		if err != nil || len(file.Held) != messages || file.State != store.CaseReleased {
			t.Fatalf("%+v, %v", file, err)
		}
		for _, h := range file.Held {
			if h.Wanted != store.Thaw {
				t.Errorf("%s of a released case: %q", h.Message, h.Wanted)
			}
		}
	}
}

// A message that a question and a look into the queue find at once is held once.
func sharedHeldTwice(t *testing.T, a, b Store) {
	Do(t, a, open("k", 10))
	h := engine.PutHeld{Gateway: "gw", Message: "m", Case: 1, At: 30}
	together(a, b, 16, func(i int, s Store) {
		one := h
		one.Size = int64(i % 3)
		var err error
		if i/2%2 == 0 {
			err = s.SettleHeld(t.Context(), 31, []engine.PutHeld{one}, nil)
		} else {
			err = s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{one}, nil })
		}
		if err != nil {
			t.Error(err)
		}
	})
	if held, err := b.Held(t.Context(), "gw"); len(held) != 1 || held[0].Size == 0 || err != nil {
		t.Errorf("%+v, %v", held, err)
	}
}

// What is to be told is handed out once, all of it.
func sharedNotices(t *testing.T, a, b Store) {
	const cases = 40
	for i := range cases {
		Do(t, a, open(fmt.Sprint(i), 10))
	}
	var mu sync.Mutex
	handed := map[string]int{}
	together(a, b, 8, func(i int, s Store) {
		for {
			some, err := s.ClaimNotices(t.Context(), fmt.Sprint(i), 20, 9999, 3)
			if err != nil {
				t.Error(err)
			}
			if len(some) == 0 {
				return
			}
			for _, n := range some {
				n.Mailed, n.Due = 21, 0
				if err := s.SettleNotice(t.Context(), n); err != nil {
					t.Error(err)
				}
				mu.Lock()
				handed[fmt.Sprint(n.Case, n.Receiver)]++
				mu.Unlock()
			}
		}
	})
	for which, times := range handed {
		if times != 1 {
			t.Errorf("%s was handed out %d times", which, times)
		}
	}
	if len(handed) != 2*cases {
		t.Errorf("%d of %d were handed out", len(handed), 2*cases)
	}
	if left, err := b.ClaimNotices(t.Context(), "late", 100_000, 200_000, 9); len(left) != 0 || err != nil {
		t.Errorf("%+v, %v", left, err)
	}
}

func sharedDigests(t *testing.T, a, b Store) {
	now := int64(1000)
	for round := range 6 {
		var got atomic.Int64
		var who string
		together(a, b, 12, func(i int, s Store) {
			from, ok, err := s.ClaimDigest(t.Context(), "notice.desk", fmt.Sprint(i), now, now+10, 100)
			if err != nil {
				t.Error(err)
			}
			if ok {
				got.Add(1)
				who = fmt.Sprint(i)
				if from >= now {
					t.Errorf("from %d at %d", from, now)
				}
			}
		})
		// The first time they are only asked for.
		if want := int64(min(round, 1)); got.Load() != want {
			t.Fatalf("round %d: %d have claimed it, want %d", round, got.Load(), want)
		}
		if round > 0 {
			if err := b.SettleDigest(t.Context(), "notice.desk", who, now, true); err != nil {
				t.Fatal(err)
			}
		}
		now += 100
	}
}

// Two clean up at once: a case ends once.
func sharedEnded(t *testing.T, a, b Store) {
	const cases = 10
	for i := range cases {
		c := open(fmt.Sprint(i), 10)
		c.Until = 100
		Do(t, a, c)
	}
	together(a, b, 8, func(_ int, s Store) {
		for more := true; more; {
			var err error
			if _, more, err = s.Cleanup(t.Context(), 200, 100); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for id := int64(1); id <= cases; id++ {
		if file, err := b.Case(t.Context(), id); file.State != store.CaseEnded || len(file.Audit) != 2 || err != nil {
			t.Errorf("%+v, %v", file, err)
		}
	}
	if r, err := a.Runtime(t.Context(), 200); r.Standings.Len() != 0 || err != nil {
		t.Errorf("%d standings, %v", r.Standings.Len(), err)
	}
}
