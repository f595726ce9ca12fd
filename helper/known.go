package helper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"exipol/helper/engine"
)

// known keeps a copy, in a file, of what was said at run time and of how keys stand, for a start while the
// store is away: what was blocked then stays blocked, and what was released or allowed stays so.
type known struct {
	due chan struct{} // there may be something new

	mu     sync.Mutex
	newest *engine.Runtime // that the store has said
	asOf   time.Time       // of the copy that is gone by; zero: the store itself has spoken
	failed string          // why the copy could not be written, "" for fine

	written *engine.Runtime // the newest copy; keepKnown's, as is:
	touched time.Time       // when that was last said to be so still
}

const (
	// knownPause is how long after a copy the next one is written at the soonest, and knownShare by how
	// much longer than the writing took that is at least.
	knownPause = time.Second
	knownShare = 20
	// knownTouch is how often the file gets a new time where nothing has changed: it holds as of then.
	knownTouch = time.Minute
)

func (k *known) init() { k.due = make(chan struct{}, 1) }

// learn notes what the store says.
func (k *known) learn(r *engine.Runtime) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.newest, k.asOf = r, time.Time{}
	poke(k.due)
}

// copied is as of when what is gone by was known; zero where the store has spoken since the start.
func (k *known) copied() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asOf
}

func (k *known) latest() *engine.Runtime {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.newest
}

// keepKnown writes the copy whenever there is something new, until ctx ends, and then once more.
func (h *Helper) keepKnown(ctx context.Context) {
	k := &h.known
	write := func() time.Duration {
		r := k.latest()
		if h.o.Known == "" || r == nil {
			return 0
		}
		begin := time.Now()
		if k.written != nil && k.written.Same(r) {
			if begin.Sub(k.touched) >= knownTouch {
				k.touched = begin
				_ = os.Chtimes(h.o.Known, begin, begin) // else it seems older than it is
			}
			return 0
		}
		if h.noteKnown(writeKnown(h.o.Known, h.Plan().Store, r, h.o.Clock())) {
			k.written, k.touched = r, begin
		}
		return max(knownPause, knownShare*time.Since(begin))
	}
	for {
		select {
		case <-ctx.Done():
			write()
			return
		case <-k.due:
			if pause := write(); pause > 0 {
				sleep(ctx, pause)
			}
		}
	}
}

// noteKnown logs that the copy could not be written, once, and says whether it was.
func (h *Helper) noteKnown(err error) bool {
	k := &h.known
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.failed
	if k.failed = ""; err != nil {
		k.failed = writeError(h.o.Known, err).Error()
	}
	if k.failed != was && err != nil {
		h.o.Log.Error("what is known of blocks cannot be kept for a start while the store is away", "error", k.failed)
	}
	return err == nil
}

// goByKnown takes the copy where the store has not said anything.
func (h *Helper) goByKnown() {
	if h.o.Known == "" || h.runtime.Load() != nil {
		return
	}
	r, asOf, err := readKnown(h.o.Known, h.Plan().Store)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			h.o.Log.Warn("what was known of blocks is left out", "error", err)
		}
		return
	}
	if info, err := os.Stat(h.o.Known); err == nil && info.ModTime().After(asOf) {
		asOf = info.ModTime()
	}
	r.Prepare()
	h.runtime.Store(&r)
	h.known.mu.Lock()
	h.known.asOf = asOf
	h.known.mu.Unlock()
	h.o.Log.Warn("the store is away: blocks, releases and what was said at run time are as they were known last", "age", h.o.Clock().Sub(asOf).Round(time.Second),
		"blocks", r.Blocks(), "allowed", len(r.Allowances), "off", len(r.Off))
	h.said.mu.Lock()
	defer h.said.mu.Unlock()
	if _, err := os.Lstat(h.Plan().Blocked); err != nil { // what is there may be newer than the copy
		h.keepBlocked()
	}
}
