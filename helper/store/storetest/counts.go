package storetest

import (
	"fmt"
	"strings"
	"testing"

	"exipol/helper/engine"
)

// keys are bytes that SMTP lets in, and others.
var keys = []string{"", "a", "A", "a ", "ä", "\x00", "a\x00b", "\xff\xfe", "'; DROP TABLE seen; --", `\|"`, fmt.Sprintf("%0255d", 7)}

func testSeen(t *testing.T, s Store) {
	for i, key := range keys {
		n := int64(i + 1)
		row := engine.SeenRow{First: n, Passed: 2 * n, Passes: 3 * n, Counted: 4 * n, Expires: 1 << 50, Why: strings.ToValidUTF8(key, "?") + "x"}
		seen := func() (got engine.SeenRow, ok bool) {
			if err := s.View(t.Context(), func(st engine.State) (err error) {
				got, ok, err = st.Seen("greylist.x", key)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return got, ok
		}
		if got, ok := seen(); ok {
			t.Errorf("key %q before it was written: %+v", key, got)
		}
		Do(t, s, engine.PutSeen{Policy: "greylist.x", Key: key, Row: row})
		if got, ok := seen(); !ok || got != row {
			t.Errorf("key %q: %+v, %v, want %+v", key, got, ok, row)
		}
		row.Passes++
		row.Counted, row.Why = 0, ""
		Do(t, s, engine.PutSeen{Policy: "greylist.x", Key: key, Row: row})
		if got, ok := seen(); !ok || got != row {
			t.Errorf("key %q replaced: %+v, %v, want %+v", key, got, ok, row)
		}
		_ = s.View(t.Context(), func(st engine.State) error {
			if got, ok, err := st.Seen("greylist.y", key); ok || err != nil {
				t.Errorf("key %q of another policy: %+v, %v", key, got, err)
			}
			return nil
		})
	}
}

func testCount(t *testing.T, s Store) {
	for i, key := range keys {
		n := int64(i)
		Do(t, s, Add(key, 10, 1), Add(key, 11, 2), Add(key, 12, 4), Add(key, 11, n))
		for slot, want := range map[int64]int64{9: 7 + n, 10: 7 + n, 11: 6 + n, 12: 4, 13: 0} {
			if got := Count(t, s, key, slot); got != want {
				t.Errorf("key %q from slot %d: %d, want %d", key, slot, got, want)
			}
		}
	}
	_ = s.View(t.Context(), func(st engine.State) error {
		// What a clock that was ahead has counted is not of the time asked about.
		for to, want := range map[int64]int64{9: 0, 10: 1, 11: 4, 12: 8} {
			if n, err := st.Count(Policy, "a", Window, 10, to); n != want || err != nil {
				t.Errorf("slots 10 to %d: %d, %v; want %d", to, n, err, want)
			}
		}
		if n, err := st.Count(Policy, "a", 2*Window, 0, forever); n != 0 || err != nil {
			t.Errorf("another window: %d, %v", n, err)
		}
		if n, err := st.Count("limit.other", "a", Window, 0, forever); n != 0 || err != nil {
			t.Errorf("another policy: %d, %v", n, err)
		}
		return nil
	})
}

func testDistinct(t *testing.T, s Store) {
	put := func(key, member string, at int64) engine.Write {
		return engine.PutDistinct{Policy: Policy, Key: key, Member: member, At: at, Expires: 1 << 50}
	}
	Do(t, s, put("k", "a", 10), put("k", "b", 20), put("k", "\xff", 30), put("k", "b", 25), put("other", "a", 99))
	for _, c := range []struct {
		member             string
		since, until, most int64
		n, at              int64
	}{
		{"a", 0, 99, 9, 3, 10},
		{"b", 0, 99, 9, 3, 25},
		{"\xff", 11, 99, 9, 2, 30},
		{"a", 10, 25, 9, 2, 10},
		{"a", 11, 99, 9, 2, 0},
		{"\xff", 0, 29, 9, 2, 0},
		{"c", 26, 99, 9, 1, 0},
		{"a", 31, 99, 9, 0, 0},
		{"a", 0, 99, 2, 2, 10},
		{"\xff", 0, 99, 1, 1, 30},
	} {
		_ = s.View(t.Context(), func(st engine.State) error {
			n, at, err := st.Distinct(Policy, "k", c.member, c.since, c.until, c.most)
			if n != c.n || at != c.at || err != nil {
				t.Errorf("%+v: %d, %d, %v", c, n, at, err)
			}
			return nil
		})
	}
	// A clock that was ahead for a while leaves nothing that stays: the time noted last
	// holds.
	Do(t, s, put("clock", "a", 1<<40), put("clock", "a", 50))
	_ = s.View(t.Context(), func(st engine.State) error {
		if n, at, err := st.Distinct(Policy, "clock", "a", 0, 60, 9); n != 1 || at != 50 || err != nil {
			t.Errorf("after the clock was put right: %d, %d, %v", n, at, err)
		}
		return nil
	})
}
