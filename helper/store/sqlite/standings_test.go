package sqlite

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

// What is remembered of the standings is what the table says, whoever of two processes changed it, by
// whatever, alone or with others in one transaction of which some fail.
func TestStandingsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	both := []*Store{create(t, path, Options{}), create(t, path, Options{})}
	forgetful := create(t, path, Options{})
	random := rand.New(rand.NewPCG(5, 6))
	const window = 50
	read := func(s *Store, now int64) map[string]engine.Standing {
		t.Helper()
		r, err := s.Runtime(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]engine.Standing{}
		for st := range r.Standings.All() {
			if st.InForce(now) || st.Cleared > 0 && now < st.Cleared+window {
				found[st.Key] = st
			}
		}
		return found
	}
	for now := int64(1); now < 300; now++ {
		s := both[random.IntN(2)]
		key := fmt.Sprint(random.IntN(20))
		switch random.IntN(6) {
		case 0:
			if _, _, err := s.Cleanup(t.Context(), now, 3); err != nil {
				t.Fatal(err)
			}
		case 1:
			cases, err := s.Cases(t.Context(), store.CaseFilter{Now: now, Most: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cases {
				if err := s.Decide(t.Context(), store.Decision{Case: c.ID, Release: true, At: now}); err != nil {
					t.Fatal(err)
				}
			}
		case 2: // it fails after it has written
			err := s.Batch(t.Context(), func(tr engine.Transaction) error {
				_ = tr.Apply([]engine.Write{openCase("never", now)})
				return fmt.Errorf("no")
			})
			if err == nil {
				t.Fatal("the batch did not fail")
			}
		default:
			c := openCase(key, now)
			c.Window = window
			if random.IntN(2) == 0 {
				c.Until = now + random.Int64N(30)
			}
			storetest.Do(t, s, c, openCase(key+"x", now))
		}
		if random.IntN(2) == 0 {
			continue
		}
		forgetful.Forget()
		want := read(forgetful, now)
		for i, s := range both {
			if got := read(s, now); !maps.Equal(got, want) {
				t.Fatalf("at %d, store %d: %v\nwant %v", now, i, got, want)
			}
		}
	}
}

// A process that has made all changes itself reads none of them again: it does not miss what is taken away behind its back.
func TestStandingsNotReadAgain(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	storetest.Do(t, s, openCase("a", 1))
	expect := func(want int) {
		t.Helper()
		if r, err := s.Runtime(t.Context(), 2); err != nil || r.Standings.Len() != want {
			t.Errorf("%d standings, %v; want %d", r.Standings.Len(), err, want)
		}
	}
	expect(1)
	script(t, s, "DELETE FROM standing")
	storetest.Do(t, s, openCase("b", 1), openCase("c", 1))
	expect(3)
	s.Forget()
	expect(2)
}

// BenchmarkRuntimeAfter is what a question waits for that has opened a case, with so many blocks in force.
func BenchmarkRuntimeAfter(b *testing.B) {
	s := create(b, filepath.Join(b.TempDir(), "exipol.db"), Options{})
	const blocks = 20000
	for from := 0; from < blocks; from += 500 {
		var writes []engine.Write
		for i := range 500 {
			writes = append(writes, openCase(benchKey(int64(from+i)), 10))
		}
		storetest.Do(b, s, writes...)
	}
	if _, err := s.Runtime(b.Context(), 20); err != nil {
		b.Fatal(err)
	}
	for i := int64(blocks); b.Loop(); i++ {
		storetest.Do(b, s, openCase(benchKey(i), 10))
		if _, err := s.Runtime(b.Context(), 20); err != nil {
			b.Fatal(err)
		}
	}
}

// A store whose numbers go back has another history (a backup was restored): nothing that was remembered counts.
func TestStandingsGoBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	a, b := create(t, path, Options{}), create(t, path, Options{})
	inForce := func(s *Store, key string) bool {
		t.Helper()
		r, err := s.Runtime(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := r.Standings.Find(storetest.Policy, key)
		return st.InForce(10)
	}
	for _, key := range []string{"kept", "lost"} {
		if _, err := a.Open(t.Context(), openCase(key, 5)); err != nil {
			t.Fatal(err)
		}
	}
	if !inForce(a, "kept") || !inForce(a, "lost") {
		t.Fatal("the blocks are not in force")
	}
	script(t, b, "DELETE FROM standing WHERE key_ = x'6c6f7374'; DELETE FROM desk_case WHERE id = 2; DELETE FROM audit WHERE case_id = 2; UPDATE meta SET value = value - 1 WHERE name IN ('last_standings', 'last_case')")
	_ = inForce(a, "lost") // it looks twice a second
	if _, err := b.Open(t.Context(), openCase("new", 5)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Store{"a": a, "b": b} {
		if !inForce(s, "kept") || inForce(s, "lost") || !inForce(s, "new") {
			t.Errorf("%s: kept %v, lost %v, new %v", name, inForce(s, "kept"), inForce(s, "lost"), inForce(s, "new"))
		}
	}
	script(t, b, "DELETE FROM standing; DELETE FROM desk_case; DELETE FROM audit; DELETE FROM meta WHERE name IN ('last_standings', 'last_case')")
	_ = inForce(a, "kept")
	if inForce(a, "kept") {
		t.Error("a block of a store that is empty now")
	}
}
