package hosts

import (
	"testing"
	"time"
)

// answer is a sample of a server whose clock is ahead by that much, asked at a moment; of the way there
// and back, the question took part.
func answer(asked time.Time, ahead, trip time.Duration, part float64) sample {
	there := time.Duration(float64(trip) * part)
	return sample{server: asked.Add(there + ahead).Round(0), local: asked.Add(trip / 2), trip: trip}
}

func TestClockTakesTheShortestTrip(t *testing.T) {
	var w watchmaker
	var c clock
	const ahead = time.Hour
	now := time.Now()
	for i := range 6 {
		trip := 15 * time.Millisecond
		if i == 3 {
			trip = time.Millisecond
		}
		w.add(answer(now, ahead, trip, 0.9))
		now = now.Add(time.Second)
	}
	c.set(w.best)
	if off := c.at(now).Sub(now.Add(ahead)).Abs(); off > 500*time.Microsecond {
		t.Errorf("the clock is wrong by %s, want no more than half of the shortest trip", off)
	}
	if skew := c.skew(now); (skew + ahead).Abs() > time.Millisecond {
		t.Errorf("skew %s, want %s: this host is behind", skew, -ahead)
	}
	for range samples {
		w.add(answer(now, ahead, 15*time.Millisecond, 0.9))
		now = now.Add(time.Second)
	}
	if w.best.trip != 15*time.Millisecond {
		t.Error("a sample is used that is older than the last few")
	}
}

func TestClockThatWasSet(t *testing.T) {
	var w watchmaker
	now := time.Now()
	for range samples {
		w.add(answer(now, 0, time.Millisecond, 0.5))
		now = now.Add(time.Second)
	}
	w.add(answer(now, time.Minute, 10*time.Millisecond, 0.5))
	if off := w.best.at(now).Sub(now.Add(time.Minute)).Abs(); off > 10*time.Millisecond {
		t.Errorf("wrong by %s after the server's clock was set", off)
	}
}

func TestClockDoesNotGoBack(t *testing.T) {
	var c clock
	now := time.Now()
	at := func(ahead time.Duration) { c.set(answer(now, ahead, 0, 0)) }
	at(time.Minute)
	first := c.at(now)
	at(time.Minute - 900*time.Millisecond)
	if again := c.at(now); !again.Equal(first) {
		t.Errorf("it went back by %s", first.Sub(again))
	}
	now = now.Add(time.Second)
	if later := c.at(now); later.Sub(first) != 100*time.Millisecond {
		t.Errorf("it is %s later, want 100ms: it stood still until the time had come again", later.Sub(first))
	}
	at(-time.Minute)
	if later := c.at(now); !later.Equal(now.Add(-time.Minute)) {
		t.Errorf("it did not take a clock that was put back by two minutes: %s", later.Sub(now))
	}
}

// TestClockBeforeAnyServer: it is this host's.
func TestClockBeforeAnyServer(t *testing.T) {
	var c clock
	now := time.Now()
	if !c.at(now).Equal(now) || c.skew(now) != 0 {
		t.Errorf("%s, skew %s", c.at(now), c.skew(now))
	}
}
