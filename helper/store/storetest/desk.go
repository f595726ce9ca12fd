package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store"
)

func testHeld(t *testing.T, s Store) {
	ctx := t.Context()
	count := func(id, want int64) {
		t.Helper()
		view(t, s, func(st engine.State) error {
			n, err := st.Held(id)
			if n != want {
				t.Errorf("case %d holds %d, want %d", id, n, want)
			}
			return err
		})
	}
	put := func(gateway, message string, at int64) engine.PutHeld {
		return engine.PutHeld{Gateway: gateway, Message: message, Case: 1, At: at, Size: 7}
	}
	Do(t, s, open("k", 10), put("a", "m1", 30), put("b", "m1", 20), put("a", "m2", 25), put("a", "m1", 99))
	count(1, 3)
	count(2, 0)
	if file := theCase(t, s); file.Case.Held != 3 || file.Oldest != 20 || len(file.Held) != 3 {
		t.Errorf("%+v", file)
	}
	for gateway, want := range map[string]string{"": "[{{b m1} 1 20 7 } {{a m2} 1 25 7 } {{a m1} 1 30 7 }]", "a": "[{{a m2} 1 25 7 } {{a m1} 1 30 7 }]", "c": "[]"} {
		if held, err := s.Held(ctx, gateway); fmt.Sprint(held) != want || err != nil {
			t.Errorf("%q: %v, %v; want %s", gateway, held, err, want)
		}
	}
	gone := []store.HeldMessage{{Gateway: "a", Message: "m1"}, {Gateway: "c", Message: "never"}}
	if err := s.SettleHeld(ctx, 40, []engine.PutHeld{put("a", "m3", 35), put("a", "m2", 35)}, gone); err != nil {
		t.Fatal(err)
	}
	count(1, 3)
	// The question that froze it comes late, and changes nothing; that it is there after all does.
	Do(t, s, put("a", "m1", 30))
	count(1, 3)
	if err := s.SettleHeld(ctx, 41, []engine.PutHeld{put("a", "m1", 30)}, nil); err != nil {
		t.Fatal(err)
	}
	count(1, 4)
	var many []engine.PutHeld
	gone = nil
	for i := range 501 {
		many = append(many, put("d", fmt.Sprint(i), 50))
		gone = append(gone, store.HeldMessage{Gateway: "d", Message: fmt.Sprint(i)})
	}
	if err := s.SettleHeld(ctx, 50, many, nil); err != nil {
		t.Fatal(err)
	}
	count(1, 505)
	if err := s.SettleHeld(ctx, 51, []engine.PutHeld{put("e", "m", 50)}, gone); err != nil {
		t.Fatal(err)
	}
	count(1, 5)
}

func testStandings(t *testing.T, s Store) {
	ctx := t.Context()
	keys := func(now int64) (all string) {
		t.Helper()
		r, err := s.Runtime(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range slices.SortedFunc(r.Standings.All(), func(a, b engine.Standing) int { return strings.Compare(a.Key, b.Key) }) {
			if st.InForce(now) || st.Probation > now || st.Cleared != 0 {
				all += st.Key + " "
			}
		}
		return all
	}
	if got := keys(1); got != "" {
		t.Error(got)
	}
	short, tell, window := open("short", 10), open("tell", 10), open("window", 10)
	short.Until, tell.Until, tell.Blocks, window.Window = 50, 50, false, 1000
	Do(t, s, short, tell, window, open("ever", 10), open("trial", 10))
	if got := keys(20); got != "ever short trial window " {
		t.Error(got)
	}
	if got := keys(50); got != "ever trial window " {
		t.Error(got)
	}
	want, _ := stands(t, s, "ever")
	r, err := s.Runtime(ctx, 20)
	if got, ok := r.Standings.Find(Policy, "ever"); err != nil || !ok || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, key := range []string{"window", "trial"} {
		st, _ := stands(t, s, key)
		probation := map[string]int64{"trial": 1 << 45}[key]
		if err := s.Decide(ctx, store.Decision{Case: st.Case, Release: true, At: 60, Probation: probation}); err != nil {
			t.Fatal(err)
		}
	}
	// The first counts nothing of before its release for a second, the other stays on probation.
	clean := func(now int64) {
		t.Helper()
		for more := true; more; {
			var err error
			if _, more, err = s.Cleanup(ctx, now, 500); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		now  int64
		want string
	}{{100, "ever trial window "}, {1059, "ever trial window "}, {1060, "ever trial "}, {1 << 44, "ever trial "}, {1 << 45, "ever "}} {
		clean(c.now)
		if got := keys(c.now); got != c.want {
			t.Errorf("at %d: %q, want %q", c.now, got, c.want)
		}
	}
	if _, ok := stands(t, s, "tell"); ok {
		t.Error("what ended long ago still stands")
	}
}

func testCases(t *testing.T, s Store) {
	ctx := t.Context()
	eve, other, tell := open("e", 20), open("k", 30), open("t", 40)
	eve.Owner, other.Policy, tell.Blocks, tell.Until, tell.Freeze = "auth:eve", "limit.other", false, 100, false
	short := open("s", 50)
	short.Until = 60
	Do(t, s, open("k", 10), eve, other, tell, short, engine.PutHeld{Gateway: "gw", Message: "m", Case: 5, At: 51})
	if err := s.Decide(ctx, store.Decision{Case: 1, Release: true, At: 70}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		which store.CaseFilter
		want  string
	}{
		{store.CaseFilter{Now: 70}, "5 4 3 2"},
		{store.CaseFilter{Now: 100}, "5 3 2"},
		{store.CaseFilter{All: true}, "5 4 3 2 1"},
		{store.CaseFilter{All: true, Most: 2}, "5 4"},
		{store.CaseFilter{Since: 20, Now: 70, Policy: Policy}, "5 4 2"},
		{store.CaseFilter{All: true, Owner: "auth:bob", Since: 30}, "5 4 3"},
		{store.CaseFilter{Owner: "auth:eve"}, "2"},
		{store.CaseFilter{Owner: "auth:nobody"}, ""},
	} {
		var got []string
		cases, err := s.Cases(ctx, c.which)
		for _, found := range cases {
			got = append(got, fmt.Sprint(found.ID))
		}
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%+v: %v, %v; want %s", c.which, got, err, c.want)
		}
	}
	cases, err := s.Cases(ctx, store.CaseFilter{All: true, Now: 100})
	if err != nil || cases[1].State != store.CaseEnded || cases[1].Decided != 100 || cases[0].State != store.CaseOpen || cases[4].State != store.CaseReleased {
		t.Errorf("%+v, %v", cases, err)
	}
	freezing := func(now int64) (n int) {
		all, err := s.Freezing(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if a, b := freezing(59), freezing(60); a != 3 || b != 2 {
		t.Errorf("%d and then %d owners whose mail is to be frozen", a, b)
	}
}

// A case ends by itself when its block has ended and nothing is held any more; all that belongs
// to it goes ninety days later.
func testEndedCases(t *testing.T, s Store) {
	ctx := t.Context()
	const day = 24 * 3600 * 1000
	clean := func(now int64) {
		t.Helper()
		for more := true; more; {
			var err error
			if _, more, err = s.Cleanup(ctx, now, 30); err != nil {
				t.Fatal(err)
			}
		}
	}
	state := func(id int64) string {
		t.Helper()
		file, err := s.Case(ctx, id)
		if err != nil {
			return "none"
		}
		return file.State
	}
	a, b := open("a", 10), open("b", 10)
	a.Until, b.Until = 100, 100
	Do(t, s, sample("a", 0, 5), a, b, engine.PutHeld{Gateway: "gw", Message: "m", Case: 2, At: 20})
	clean(99)
	if state(1) != store.CaseOpen {
		t.Error("closed before its end")
	}
	clean(100)
	if state(1) != store.CaseEnded || state(2) != store.CaseOpen {
		t.Errorf("%s, %s", state(1), state(2))
	}
	if file, _ := s.Case(ctx, 1); file.Decided != 100 || file.LastWord != "ended" {
		t.Errorf("%+v", file)
	}
	if err := s.SettleHeld(ctx, 150, nil, []store.HeldMessage{{Gateway: "gw", Message: "m"}}); err != nil {
		t.Fatal(err)
	}
	clean(200)
	if state(2) != store.CaseEnded {
		t.Error(state(2))
	}
	// A message that was frozen at the last moment opens it again: somebody has to decide.
	Do(t, s, engine.PutHeld{Gateway: "gw", Message: "late", Case: 2, At: 99})
	clean(300)
	if state(2) != store.CaseOpen {
		t.Error(state(2))
	}
	if err := s.Decide(ctx, store.Decision{Case: 2, Release: true, At: 400}); err != nil {
		t.Error(err)
	}
	clean(100 + 90*day - 1)
	if state(1) != store.CaseEnded {
		t.Error(state(1))
	}
	clean(100 + 90*day)
	if state(1) != "none" {
		t.Error(state(1))
	}
	clean(100 * day) // its message is still in a queue
	if state(2) != store.CaseReleased {
		t.Error(state(2))
	}
	if err := s.SettleHeld(ctx, 100*day, nil, []store.HeldMessage{{Gateway: "gw", Message: "late"}}); err != nil {
		t.Fatal(err)
	}
	clean(100 * day)
	if state(2) != "none" {
		t.Error(state(2))
	}
	Do(t, s, open("a", 10))
	if file := theCase(t, s); file.ID != 3 || len(file.Audit) != 1 || len(file.Notices) != 2 {
		t.Errorf("%+v", file)
	}
}

// Whatever a log line or a question has in it, it is kept, and two of them never become one.
func testHostileBytes(t *testing.T, s Store) {
	for i, bad := range []string{"", "\x00", "\xff\xfe", "ä", " m", "'; DROP TABLE held; --", strings.Repeat("x", 97), strings.Repeat("x", 256), strings.Repeat("\xe4", 70000), strings.Repeat("x", 255) + "ä"} {
		c := open(bad, 10)
		c.Who, c.Owner, c.Gateway, c.Rate, c.By, c.Why = bad, "auth:"+bad, bad, bad, "by"+bad, bad
		Do(t, s,
			engine.PutArrival{Gateway: bad, Message: bad, Arrival: engine.Arrival{Traffic: "local", Auth: bad, Login: bad, Client: bad, Helo: bad, Sender: bad, Came: 5}, Expires: forever},
			engine.PutEvent{Gateway: bad, Message: bad, Item: bad, Kind: "bounce", Owner: "auth:" + bad, At: 5, Expires: forever},
			engine.PutSample{Policy: Policy, Key: bad, Gateway: bad, Message: bad, Address: bad, Line: bad, At: 5, Expires: forever},
			engine.PutPlace{Gateway: bad, Log: bad, Place: "{}"}, c,
			engine.PutHeld{Gateway: bad, Message: bad, Case: int64(i) + 1, At: 5})
		view(t, s, func(st engine.State) error {
			if stands, ok, err := st.Standing(Policy, bad); stands.Case != int64(i)+1 || stands.Key != bad || !ok || err != nil {
				t.Errorf("%.20q: %+v, %v", bad, stands, err)
			}
			if a, ok, err := st.Arrival(bad, bad); !ok || err != nil || a.Came != 5 || len(bad) < 1<<16 && (a.Sender != bad || a.Auth != bad) {
				t.Errorf("%.20q: %.100v, %v", bad, a, err)
			}
			if known, err := st.Known(bad, bad, bad); !known || err != nil {
				t.Errorf("%.20q is not known: %v", bad, err)
			}
			if n, err := st.Bounces("auth:"+bad, 0); n != 1 || err != nil {
				t.Errorf("%.20q: %d bounces, %v", bad, n, err)
			}
			return nil
		})
		cases, err := s.Cases(t.Context(), store.CaseFilter{Owner: "auth:" + bad})
		if err != nil || len(cases) != 1 || cases[0].Held != 1 || cases[0].Owner != store.Short("auth:"+bad) {
			t.Errorf("%.20q: %.200v, %v", bad, cases, err)
		}
		if held, err := s.Held(t.Context(), bad); err != nil || len(held) == 0 {
			t.Errorf("%.20q: %.200v, %v", bad, held, err)
		}
		if err := s.SettleNotice(t.Context(), store.Notice{Case: int64(i) + 1, Tier: "stop", Receiver: "owner", Error: bad}); err != nil {
			t.Error(err)
		}
		if err := s.Decide(t.Context(), store.Decision{Case: int64(i) + 1, Release: true, Who: bad, Why: bad, Gateway: bad, At: 20}); err != nil {
			t.Error(err)
		}
		if _, err := s.Runtime(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
}
