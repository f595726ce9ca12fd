package sqlite

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"exipol/generator/ddl"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

func TestUntold(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	for i, key := range []string{"a", "b", "c", "d"} {
		storetest.Do(t, s, openCase(key, int64(10+i)))
	}
	all, err := s.ClaimNotices(t.Context(), "mx1", 20, 30, 4)
	if err != nil || len(all) != 4 {
		t.Fatal(all, err)
	}
	all[0].Due, all[0].Mailed = 0, 20                                     // told
	all[1].Due, all[1].Error = 0, "given up: no such host"                //
	all[2].Due, all[2].Tries, all[2].Error = 500, 1, "no such host today" // to be tried again
	for _, n := range all[:3] {
		if err := s.SettleNotice(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Untold(t.Context())
	if err != nil || !slices.Equal(got, all[1:]) {
		t.Errorf("%+v, %v; want %+v", got, err, all[1:])
	}
}

func TestBouncers(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	n := 0
	put := func(owner, kind string, at ...int64) {
		for _, at := range at {
			n++
			storetest.Do(t, s, engine.PutEvent{Gateway: "mx1", Message: fmt.Sprint(n), Item: "i", Kind: kind, Owner: owner, At: at, Expires: 1 << 50})
		}
	}
	put("auth:bob", plan.Bounce, 99, 100, 500, 900, 901)
	put("auth:eve\n", plan.Bounce, 950, 960, 970, 980, 990)
	put("relay:192.0.2.1", plan.Bounce, 100)
	put("auth:old", plan.Bounce, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	put("auth:mallory", plan.Login, 950, 960, 970, 980, 990)
	put("", plan.Bounce, 950, 960, 970, 980, 990)
	want := []store.Bouncer{{Owner: "auth:eve\n", Hour: 5, Day: 5}, {Owner: "auth:bob", Hour: 2, Day: 4}, {Owner: "relay:192.0.2.1", Hour: 0, Day: 1}}
	for most := range 5 {
		got, err := s.Bouncers(t.Context(), 900, 100, most)
		if err != nil || !slices.Equal(got, want[:min(most, len(want))]) {
			t.Errorf("%d: %+v, %v", most, got, err)
		}
	}
	old, err := Open(t.Context(), filepath.Join(t.TempDir(), "exipol.db"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	script(t, old, ddl.SQLite(plan.Tables(plan.Needs{Desk: true}), "0123456789abcdef01234567"))
	if got, err := old.Bouncers(t.Context(), 900, 100, 5); err != nil || len(got) != 0 {
		t.Errorf("nothing is read from the log: %+v, %v", got, err)
	}
}

// Who was not seen for a week is left out before the clean-up forgets it.
func TestGatewaysOfThisWeek(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	for _, name := range []string{"old", "young"} {
		if err := s.SeeGateway(t.Context(), store.Gateway{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	const week = 7 * 24 * 3600 * 1000
	script(t, s, fmt.Sprintf("UPDATE gateway SET seen_at = seen_at - CASE name WHEN 'old' THEN %d ELSE %d END", week, week-60_000))
	if all, err := s.Gateways(t.Context()); len(all) != 1 || all[0].Name != "young" || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
}
