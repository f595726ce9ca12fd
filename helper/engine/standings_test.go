package engine_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
)

// TestStandings compares them with a map, over random changes; what there was before a change stays as it was.
func TestStandings(t *testing.T) {
	var none *engine.Standings
	if _, ok := none.Find("p", "k"); ok || none.Len() != 0 || len(slices.Collect(none.All())) != 0 {
		t.Error("nothing is something")
	}
	random := rand.New(rand.NewPCG(1, 2))
	s, want := none, map[string]engine.Standing{}
	check := func(s *engine.Standings, want map[string]engine.Standing) {
		t.Helper()
		got := map[string]engine.Standing{}
		for st := range s.All() {
			got[st.Key] = st
		}
		if !maps.Equal(got, want) || s.Len() != len(want) {
			t.Fatalf("%d of %d, and they say %d", len(got), len(want), s.Len())
		}
		for i := range 500 {
			key := fmt.Sprint(i)
			st, ok := s.Find("p", key)
			if w, there := want[key]; ok != there || ok && st != w {
				t.Fatalf("%s: %+v, %v; want %+v, %v", key, st, ok, w, there)
			}
		}
	}
	for i := range int64(300) {
		before, had := s, maps.Clone(want)
		var changed []engine.Standing
		for range 1 + random.IntN(5) {
			st := engine.Standing{Policy: "p", Key: fmt.Sprint(random.IntN(400)), Case: i + 1, Blocks: random.IntN(3) > 0}
			changed = append(changed, st)
			if delete(want, st.Key); st.Blocks {
				want[st.Key] = st
			}
		}
		s = s.With(changed)
		check(s, want)
		check(before, had)
	}
}

// BenchmarkStandings is one change, of so many blocks.
func BenchmarkStandings(b *testing.B) {
	for _, blocks := range []int{100, 20000} {
		var all []engine.Standing
		for i := range blocks {
			all = append(all, engine.Standing{Policy: "limit.stolen", Key: fmt.Sprintf("user%d@example.com", i), Case: int64(i + 1), Blocks: true})
		}
		s := new(engine.Standings).With(all)
		b.Run(fmt.Sprint(blocks), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				s = s.With(all[i%blocks : i%blocks+1])
			}
		})
	}
}

// TestAdrift: blocks that an earlier plan has left, and this one does nothing about.
func TestAdrift(t *testing.T) {
	named := func(name string, key ...plan.Part) plan.Limit {
		return stolen(only(blocking(tier("t", accept, "1/1h"))), func(l *plan.Limit) { l.Name, l.Key = name, key })
	}
	owner, auth := plan.Part{Field: "owner"}, plan.Part{Field: "auth"}
	w := newWorld(t, makePlan(named("owner", owner), named("auth", auth), named("both", auth, clientIP), stolen(only(tier("t", "defer", "1/1h")), func(l *plan.Limit) { l.Name = "mild" })))
	stands := func(policy string, parts ...string) engine.Standing {
		return engine.Standing{Policy: "limit." + policy, Key: normalize.Key(parts), Case: 1, Tier: "t", Rank: 1, Blocks: true}
	}
	for _, c := range []struct {
		s      engine.Standing
		adrift bool
	}{
		{stands("owner", "auth:bob"), false}, {stands("owner", "relay:it's me"), false}, {stands("owner", "bob"), true}, {stands("owner", "x:bob"), true},
		{stands("auth", "bob"), false}, {stands("auth", "x:bob"), false}, {stands("auth", "auth:bob"), true}, {stands("auth", "bob", "192.0.2.1"), true},
		{stands("both", "bob", "192.0.2.1"), false}, {stands("both", "bob"), true}, {stands("both", strings.Repeat("bob", 100)), false},
		{stands("mild", "bob"), true}, {stands("gone", "bob"), true},
	} {
		want := []string{c.s.Policy}
		if !c.adrift {
			want = nil
		}
		if got := w.e.Adrift(&engine.Runtime{Standings: new(engine.Standings).With([]engine.Standing{c.s})}, w.now); !slices.Equal(got, want) {
			t.Errorf("%s of %s: %q", c.s.Key, c.s.Policy, got)
		}
		c.s.Released = 1
		if got := w.e.Adrift(&engine.Runtime{Standings: new(engine.Standings).With([]engine.Standing{c.s})}, w.now); len(got) != 0 {
			t.Errorf("released: %q", got)
		}
	}
}
