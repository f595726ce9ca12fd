package hosts

import (
	"testing"
	"time"

	"exipol/helper/store"
)

func TestFirstOfAll(t *testing.T) {
	w := newWorld(t, well, well, well)
	w.run(time.Second)
	w.uses(0, 1)
	if w.hosts[1].trials+w.hosts[2].trials != 0 {
		t.Error("hosts were tried that nobody needs")
	}
	w.run(time.Minute)
	w.uses(0, 1)
}

func TestFirstThatIsWell(t *testing.T) {
	w := newWorld(t, away, unready, donor, well)
	w.run(time.Second)
	w.uses(3, 1)
	for i, want := range []string{store.HostAway, store.HostUnready, store.HostUnready, store.HostInUse} {
		if use, _ := w.c.use(i, w.now); use != want {
			t.Errorf("host %d is %q, want %q", i, use, want)
		}
	}
}

// TestNotYetLookedAt: a host that answers late is waited for when nothing is in use.
func TestNotYetLookedAt(t *testing.T) {
	w := newWorld(t, well, well)
	w.hosts[0].next = w.now.Add(1800 * time.Millisecond)
	w.run(1700 * time.Millisecond)
	w.uses(-1, 0)
	w.run(500 * time.Millisecond)
	w.uses(0, 1)
}

func TestFailoverAndFailback(t *testing.T) {
	w := newWorld(t, well, well)
	w.cluster()
	w.run(10 * time.Second)
	w.hosts[0].state = away
	w.fails()
	w.run(300 * time.Millisecond)
	w.uses(1, 3) // 0, none, 1
	w.hosts[0].state = well
	w.run(4 * time.Second)
	w.uses(1, 3)
	w.run(6 * time.Second)
	w.uses(0, 4)
	if w.hosts[0].barriers != 2 || w.hosts[1].barriers != 1 {
		t.Errorf("%d and %d barriers, want 2 and 1: one before each use", w.hosts[0].barriers, w.hosts[1].barriers)
	}
}

// TestFlapping: a host that is never well for long is not gone back to.
func TestFlapping(t *testing.T) {
	w := newWorld(t, away, well)
	w.cluster()
	w.run(2 * time.Second)
	w.uses(1, 1)
	for range 20 {
		w.hosts[0].state = well
		w.run(4 * time.Second)
		w.hosts[0].state = unready
		w.run(time.Second)
	}
	w.uses(1, 1)
}

// TestCutOff: a host that says it is well, whose commits hang, is left: when an operation fails there,
// and after a few seconds even if there are none.
func TestCutOff(t *testing.T) {
	for _, failing := range []bool{true, false} {
		w := newWorld(t, well, well)
		w.cluster()
		w.run(10 * time.Second)
		w.hosts[0].hangs = true
		limit := 5 * time.Second
		if failing {
			w.fails()
			limit = 2 * time.Second
		}
		w.run(limit)
		w.uses(1, 3)
		if use, why := w.c.use(0, w.now); use != store.HostUnready || why != "it hangs" {
			t.Errorf("the host that hangs is %q (%s)", use, why)
		}
		w.run(time.Minute)
		w.uses(1, 3)
		w.hosts[0].hangs = false
		w.run(10 * time.Second)
		w.uses(0, 4)
	}
}

// TestAllStandStill: while a cluster has no view its nodes say that they are well, and none
// commits. When they do again the first is used, though it was not the first to be tried.
func TestAllStandStill(t *testing.T) {
	for _, offset := range []time.Duration{0, 300, 600, 900} {
		w := newWorld(t, well, well, well)
		w.cluster()
		w.run(10*time.Second + offset*time.Millisecond)
		w.uses(0, 1)
		for _, h := range w.hosts {
			h.hangs = true
		}
		w.run(10 * time.Second)
		w.uses(-1, 2)
		for _, h := range w.hosts {
			h.hangs = false
		}
		w.run(3 * time.Second)
		w.uses(0, 3)
	}
}

// TestOthersWrite: where commits of others are seen, none of our own is made.
func TestOthersWrite(t *testing.T) {
	w := newWorld(t, well)
	w.hosts[0].others = true
	w.run(time.Minute)
	if w.hosts[0].trials != 1 {
		t.Errorf("%d trials, want the first one alone", w.hosts[0].trials)
	}
	w.hosts[0].others = false
	w.run(time.Minute)
	if n := w.hosts[0].trials; n < 15 || n > 31 {
		t.Errorf("%d trials in a minute alone, want one every two or three seconds", n)
	}
	w.uses(0, 1)
}

// TestNoTable: a store that has no tables yet is believed.
func TestNoTable(t *testing.T) {
	w := newWorld(t, well)
	w.hosts[0].notable = true
	w.run(time.Minute)
	w.uses(0, 1)
	if w.hosts[0].trials != 1 {
		t.Errorf("%d trials, want one", w.hosts[0].trials)
	}
}

// TestDoubt: one lost connection moves nobody, where a write commits.
func TestDoubt(t *testing.T) {
	w := newWorld(t, well, well)
	w.run(10 * time.Second)
	before := w.hosts[0].trials
	w.fails()
	w.run(50 * time.Millisecond)
	if w.hosts[0].trials != before+1 {
		t.Error("it was not tried at once")
	}
	if !w.c.hosts[0].suspect.IsZero() {
		t.Error("it is still suspect after a commit")
	}
	w.uses(0, 1)
}

// TestDoubtDuringTrial: a trial that was under way before the operation failed says nothing about it.
func TestDoubtDuringTrial(t *testing.T) {
	w := newWorld(t, well)
	w.run(time.Second)
	began := w.now
	w.c.hosts[0].running = true
	w.c.doubt(0, w.now.Add(5*time.Millisecond))
	w.c.finished(0, began, "", w.now.Add(10*time.Millisecond))
	if w.c.wants(0, w.now.Add(11*time.Millisecond)) != writing {
		t.Error("an older trial has answered a newer doubt")
	}
}

// TestDonor: a node that gives its state to another goes on where it is in use, and is not moved to.
func TestDonor(t *testing.T) {
	w := newWorld(t, well, well)
	w.cluster()
	w.run(10 * time.Second)
	w.hosts[0].state = donor
	w.run(10 * time.Second)
	w.uses(0, 1)
	w.hosts[0].state = away
	w.run(2 * time.Second)
	w.uses(1, 3)
	w.hosts[0].state = donor
	w.run(20 * time.Second)
	w.uses(1, 3)
}

// TestBack: a host that was away for a moment is tried again before it is used again.
func TestBack(t *testing.T) {
	w := newWorld(t, well)
	w.run(10 * time.Second)
	w.hosts[0].state = away
	w.run(1200 * time.Millisecond)
	w.uses(-1, 2)
	w.hosts[0].state, w.hosts[0].hangs = well, true
	w.run(5 * time.Second)
	w.uses(-1, 2)
	w.hosts[0].hangs = false
	w.run(3 * time.Second)
	w.uses(0, 3)
}

func TestSettled(t *testing.T) {
	w := newWorld(t, away, unready)
	if w.c.settled() {
		t.Error("settled before anybody was asked")
	}
	w.run(time.Second)
	if !w.c.settled() {
		t.Error("not settled, though both have answered")
	}
}

// TestDoesNotFollow: a host that lacks what was written at the host in use is not gone back to, until it is
// seen to have it; and it is used where there is nothing else.
func TestDoesNotFollow(t *testing.T) {
	lost := func(states ...state) *world {
		w := newWorld(t, states...)
		w.run(10 * time.Second)
		w.hosts[0].state = away
		w.fails()
		w.run(10 * time.Second)
		w.uses(1, 3)
		w.hosts[0].state = well
		return w
	}
	stays := func(w *world) {
		t.Helper()
		if use, why := w.c.use(0, w.now); use != store.HostUnready || why != doesNotFollow {
			t.Errorf("the first host is %q (%s), want it not to follow", use, why)
		}
	}
	for name, row := range map[string]func(w *world) time.Time{
		"an old row":    func(w *world) time.Time { return w.hosts[0].row },
		"no row":        func(*world) time.Time { return time.Time{} },
		"a row to come": func(w *world) time.Time { return w.now.Add(time.Hour) },
	} {
		w := lost(well, well)
		w.hosts[0].row = row(w)
		trials := w.hosts[0].trials
		w.run(time.Minute)
		w.uses(1, 3)
		stays(w)
		if w.hosts[0].trials != trials {
			t.Errorf("%s: it was written to", name)
		}
		w.hosts[0].follows = 2
		w.run(10 * time.Second)
		w.uses(0, 4)
		if w.c.behind(0) {
			t.Errorf("%s: it is gone back to, and said to be behind", name)
		}
	}

	// It followed once, and has stopped.
	w := lost(well, well)
	w.hosts[0].state = unready // as a replica is that is read-only
	w.hosts[0].follows = 2
	w.run(20 * time.Second)
	w.hosts[0].follows = 0
	w.run(20 * time.Second)
	w.hosts[0].state = well
	w.run(time.Minute)
	w.uses(1, 3)
	stays(w)

	// The host in use goes: what is behind is better than nothing.
	w.hosts[1].state = away
	w.fails()
	w.run(time.Second)
	w.uses(0, 5)
	if !w.c.behind(0) {
		t.Error("it is not said that it may be behind")
	}

	// But not better than one that followed.
	w = lost(well, well, well)
	w.hosts[2].follows = 2
	w.run(20 * time.Second)
	w.hosts[1].state = away
	w.fails()
	w.run(time.Second)
	w.uses(2, 5)
	if w.c.behind(2) || !w.c.behind(0) {
		t.Error("it is the third that followed, and the first that did not")
	}
}

// TestRowOfBefore: a row that the host in use had when it came into use says nothing of who follows it.
func TestRowOfBefore(t *testing.T) {
	w := newWorld(t, away, well)
	w.run(time.Second)
	row := w.now
	w.c.lag.begin(row.UnixMilli())
	for range 20 {
		for i := range w.hosts {
			w.c.reported(i, report{state: well, table: true, version: "10.11.19-MariaDB", row: row.UnixMilli(), clock: w.now.UnixMicro()}, w.now)
		}
		w.now = w.now.Add(time.Second)
	}
	if w.c.follows(0, w.now) {
		t.Error("the same old row on both was taken for a proof")
	}
}

// TestAlone: an exipold that alone did not reach the first host joins the others there, who go on to write to it; but
// nobody follows one that comes later.
func TestAlone(t *testing.T) {
	w := newWorld(t, well, well)
	w.hosts[0].others = true
	w.run(10 * time.Second)
	w.hosts[0].state = away
	w.fails()
	w.run(20 * time.Second)
	w.uses(1, 3)
	w.hosts[0].state = well
	w.run(10 * time.Second)
	w.uses(0, 4)

	w.hosts[0].state, w.hosts[0].others = away, false
	w.run(20 * time.Second)
	w.uses(1, 6)
	w.hosts[0].state = well
	w.run(5 * time.Second)
	w.hosts[0].others = true
	w.run(time.Minute)
	w.uses(1, 6)
}
