package helper

import (
	"log/slog"
	"sync"
	"sync/atomic"
)

// side is what a store fails at.
type side string

const (
	reading side = "reading"
	writing side = "writing"
)

// trouble logs a failing store once, and once when it is well again. A store that
// can be read may still be one that cannot be written.
type trouble struct {
	log  *slog.Logger
	bad  atomic.Bool // read on the hot path
	mu   sync.Mutex
	at   side
	last string
}

func (t *trouble) begins(at side, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = err.Error()
	if !t.bad.Swap(true) || at == writing {
		if t.at != at {
			t.log.Error("the store fails: what cannot be decided is answered with failed until it is well", "at", at, "error", err)
		}
		t.at = at
	}
}

// ends notes that the store did what it failed at.
func (t *trouble) ends(at side) {
	if !t.bad.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == writing && at == reading {
		return
	}
	if t.bad.Swap(false) {
		t.log.Info("the store is well again")
		t.at, t.last = "", ""
	}
}

// text is the last error while there is trouble.
func (t *trouble) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
