package desk

import (
	"time"

	"exipol/helper/store"
)

// tries is what a desk remembers of its work on the queue: with which messages Exim had its hands full, and
// when all of the queue was read. Only one goroutine uses it.
type tries struct {
	failing map[string]trial
	swept   map[int64]bool // cases for which the queue was read
	next    time.Time      // when to read it again
	lookErr error          // of the last reading
}

type trial struct {
	times int
	next  time.Time
}

func newTries() tries { return tries{failing: map[string]trial{}, swept: map[int64]bool{}} }

// A try on a message that another process works on is a line in mainlog: the pauses grow.
const (
	firstPause   = 2 * time.Second
	longestPause = 5 * time.Minute
)

// may says whether a message can be tried at now.
func (t *tries) may(message string, now time.Time) bool { return !now.Before(t.failing[message].next) }

func (t *tries) failed(message string, now time.Time) {
	f := t.failing[message]
	pause := min(firstPause<<min(f.times, 16), longestPause)
	t.failing[message] = trial{f.times + 1, now.Add(pause)}
}

func (t *tries) forget(message string) { delete(t.failing, message) }

// lookDue says whether the whole queue is to be read at now. holds: something in it may be of interest
// although nobody has said so.
func (t *tries) lookDue(holds bool, freezing []store.Case, now time.Time) bool {
	for _, c := range freezing {
		if !t.swept[c.ID] {
			return true
		}
	}
	return (holds || len(freezing) > 0) && !now.Before(t.next)
}

// looked notes that it was read, and how long that took. left: something is to be tried again soon.
func (t *tries) looked(freezing []store.Case, now time.Time, took time.Duration, left bool, err error) {
	t.lookErr = err
	t.swept = map[int64]bool{}
	for _, c := range freezing {
		t.swept[c.ID] = true
	}
	pause := lookEvery
	if left {
		pause = 5 * firstPause
	}
	t.next = now.Add(max(pause, lookShare*took))
	for message, f := range t.failing { // of messages that are nobody's business any more
		if now.Sub(f.next) > time.Hour {
			delete(t.failing, message)
		}
	}
}
