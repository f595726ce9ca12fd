package hosts

import (
	"testing"
	"time"
)

func TestLag(t *testing.T) {
	var l lag
	if l.of(5, 100) != 0 {
		t.Error("a replica lags though nothing is known")
	}
	for row := int64(10_000); row <= 20_000; row += 2_000 {
		l.add(row)
	}
	check := func(row, now int64, want time.Duration) {
		t.Helper()
		if got := l.of(row, now); got != want {
			t.Errorf("row %d at %d: %s behind, want %s", row, now, got, want)
		}
	}
	check(20_000, 21_900, 0)
	check(22_000, 21_900, 0)                   // it was asked later
	check(18_000, 20_030, 30*time.Millisecond) // the write that it lacks is new
	check(12_000, 21_000, 7*time.Second)       //
	check(1_000, 21_000, 11*time.Second)       // at least: that is how far back it is known
	check(0, 21_000, 0)                        // it has none of our rows
	for row := int64(22_000); row <= 90_000; row += 2_000 {
		l.add(row)
	}
	if len(l.written) != kept {
		t.Errorf("%d rows are remembered, want %d", len(l.written), kept)
	}
	check(1_000, 91_000, 90*time.Second)
}

func TestFlow(t *testing.T) {
	var f flow
	now := time.Now()
	look := func(paused time.Duration, after time.Duration) bool {
		now = now.Add(after)
		f.add(report{galera: true, paused: int64(paused)}, now)
		return f.stops
	}
	for i, c := range []struct {
		paused, after time.Duration
		want          bool
	}{
		{time.Hour, 0, false}, // since whenever
		{time.Hour, time.Second, false},
		{time.Hour + 200*time.Millisecond, time.Second, false},
		{time.Hour + 500*time.Millisecond, time.Second, true},
		{time.Hour + 600*time.Millisecond, 150 * time.Millisecond, true}, // too short: as before
		{time.Hour + 600*time.Millisecond, time.Second, false},
		{0, time.Second, false}, // FLUSH STATUS
	} {
		if got := look(c.paused, c.after); got != c.want {
			t.Errorf("look %d: %v, want %v", i, got, c.want)
		}
	}
}
