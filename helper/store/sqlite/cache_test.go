package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
)

const policy = "greylist.inbound"

func put(key string, row engine.SeenRow) engine.PutSeen {
	return engine.PutSeen{Policy: policy, Key: key, Row: row}
}

// glanceAt is what the process remembers of a key.
func glanceAt(t *testing.T, s *Store, key string) (row engine.SeenRow, remembered bool) {
	t.Helper()
	err := s.Glance(func(st engine.State) (err error) {
		row, _, err = st.Seen(policy, key)
		return err
	})
	if err != nil && !errors.Is(err, ErrUnseen) {
		t.Fatal(err)
	}
	return row, err == nil
}

// look reads a key from the file.
func look(t *testing.T, s *Store, key string) (row engine.SeenRow) {
	t.Helper()
	if err := s.View(t.Context(), func(st engine.State) (err error) {
		row, _, err = st.Seen(policy, key)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return row
}

func TestGlance(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	passed := engine.SeenRow{First: 1, Passed: 2, Expires: 100}
	storetest.Do(t, s, put("new", engine.SeenRow{First: 1, Expires: 100}), put("known", passed))
	if _, ok := glanceAt(t, s, "new"); ok {
		t.Error("a key that never passed is remembered from its writing")
	}
	if row, ok := glanceAt(t, s, "known"); !ok || row != passed {
		t.Errorf("known: %v, %v", row, ok)
	}
	look(t, s, "new")
	if row, ok := glanceAt(t, s, "new"); !ok || row.First != 1 {
		t.Errorf("a key that was read is not remembered: %v, %v", row, ok)
	}
	look(t, s, "absent")
	if _, ok := glanceAt(t, s, "absent"); ok {
		t.Error("it is remembered that a key is not there")
	}
	storetest.Do(t, s, put("new", engine.SeenRow{First: 5, Expires: 100}))
	if row, ok := glanceAt(t, s, "new"); ok && row.First != 5 {
		t.Errorf("what was written over is remembered: %v", row)
	}
	// What is kept of nothing must not be remembered either.
	mine := errors.New("mine")
	if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
		return []engine.Write{put("known", engine.SeenRow{First: 9, Passed: 9, Expires: 100})}, mine
	}); !errors.Is(err, mine) {
		t.Fatal(err)
	}
	if row, _ := glanceAt(t, s, "known"); row != passed {
		t.Errorf("an update that failed is remembered: %v", row)
	}
	for name, ask := range map[string]func(engine.State) error{
		"Count":    func(st engine.State) error { _, err := st.Count(policy, "known", time.Hour, 0, 1); return err },
		"Distinct": func(st engine.State) error { _, _, err := st.Distinct(policy, "known", "m", 0, 1, 1); return err },
	} {
		if err := s.Glance(ask); !errors.Is(err, ErrUnseen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.Cleanup(t.Context(), 1000, 100); err != nil {
		t.Fatal(err)
	}
	if row, ok := glanceAt(t, s, "known"); ok {
		t.Errorf("what was cleaned up is remembered: %v", row)
	}
}

// What a decision reads inside an update is not committed yet.
func TestGlanceSeesNoUncommittedRow(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	mine := errors.New("mine")
	var wg sync.WaitGroup
	for i := range 40 { // some of them in one transaction
		wg.Go(func() {
			_ = s.Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
				if _, _, err := st.Seen(policy, "k"); err != nil {
					return nil, err
				}
				if i%2 == 0 {
					return nil, mine
				}
				return []engine.Write{put("k", engine.SeenRow{First: 7, Passed: 7, Expires: 100}), put(string(make([]byte, 300)), engine.SeenRow{})}, nil
			})
		})
	}
	wg.Wait()
	if row, ok := glanceAt(t, s, "k"); ok {
		t.Errorf("a row that is in no file is remembered: %v", row)
	}
}

// Another process's writing is noticed, also by one that writes nothing itself.
func TestGlanceNoticesOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s, other := create(t, path, Options{}), create(t, path, Options{})
	storetest.Do(t, other, put("k", engine.SeenRow{First: 1, Passed: 1, Expires: 100}))
	for round := int64(2); round < 5; round++ {
		if row := look(t, s, "k"); row.First != round-1 {
			t.Fatalf("read %v", row)
		}
		storetest.Do(t, other, put("k", engine.SeenRow{First: round, Passed: 1, Expires: 100}))
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if row, ok := glanceAt(t, s, "k"); !ok || row.First == round {
				break
			}
			if time.Now().After(end) {
				t.Fatal("another process's change goes unnoticed")
			}
		}
	}
}

// Whoever was told that an update is kept never glances at what was before it.
func TestGlanceIsNeverBehindAnUpdate(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = s.View(t.Context(), func(st engine.State) error {
						_, _, err := st.Seen(policy, "k")
						return err
					})
				}
			}
		})
	}
	for n := int64(1); n <= 300; n++ {
		row := engine.SeenRow{First: n, Expires: 1 << 50}
		if n%2 == 0 {
			row.Passed = n
		}
		storetest.Do(t, s, put("k", row))
		if n%50 == 0 {
			s.cache.forget()
		}
		for range 20 {
			if row, ok := glanceAt(t, s, "k"); ok && row.First != n {
				t.Fatalf("after update %d: %v", n, row)
			}
		}
	}
	close(stop)
	readers.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	hot := cacheKey{policy, "hot"}
	c.wrote(put("hot", engine.SeenRow{Passed: 1}))
	for i := range 4 * shards * generation {
		c.read(cacheKey{policy, fmt.Sprint(i)}, engine.SeenRow{}, c.changes.Load())
		if _, ok, _ := c.get(hot); !ok {
			t.Fatalf("what is asked for all the time was forgotten after %d others", i)
		}
	}
	rows := 0
	for i := range c.shards {
		rows += len(c.shards[i].young) + len(c.shards[i].old)
	}
	if most := 2 * shards * generation; rows > most || rows < most/4 {
		t.Errorf("%d rows are remembered, at most %d should be", rows, most)
	}
}

// TestGlanceAtLearned: that a list has not learned somebody is remembered, until it has.
func TestGlanceAtLearned(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	const list, who = "list.correspondents", "a@example.com"
	seen := func(run func(func(engine.State) error) error) (ok bool, err error) {
		err = run(func(st engine.State) error {
			var err error
			_, ok, err = st.Seen(list, who)
			return err
		})
		return ok, err
	}
	view := func(f func(engine.State) error) error { return s.View(t.Context(), f) }
	if _, err := seen(s.Glance); !errors.Is(err, ErrUnseen) {
		t.Fatalf("before it was looked for: %v", err)
	}
	for n := int64(1); n <= 100; n++ {
		if ok, err := seen(view); ok || err != nil {
			t.Fatalf("not learned yet: %v, %v", ok, err)
		}
		if ok, err := seen(s.Glance); ok || err != nil {
			t.Fatalf("that nobody is there is not remembered: %v, %v", ok, err)
		}
		storetest.Do(t, s, engine.PutSeen{Policy: list, Key: who, Row: engine.SeenRow{First: n, Expires: n}})
		if ok, err := seen(s.Glance); err == nil && !ok {
			t.Fatal("who was learned is remembered as unknown")
		}
		if ok, err := seen(view); !ok || err != nil {
			t.Fatalf("learned: %v, %v", ok, err)
		}
		if _, _, err := s.Cleanup(t.Context(), n, 100); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 * shards * generation {
		s.cache.readNone(cacheKey{list, fmt.Sprint(i)}, s.cache.changes.Load())
	}
	rows := 0
	for i := range s.cache.missing {
		rows += len(s.cache.missing[i].young) + len(s.cache.missing[i].old)
	}
	if most := 2 * shards * generation; rows > most || rows < most/4 {
		t.Errorf("%d keys are remembered as unknown, at most %d should be", rows, most)
	}
}
