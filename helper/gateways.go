package helper

import (
	"context"
	"time"

	"exipol/helper/store"
)

// Every gateway tells the store now and then that it is there, for those who look at any of them (exipold
// status), and looks whether another calls itself the same: both would follow their logs from one place, and
// each would take what is held in the other's queue for gone.

// lookAgain is how many of the times apart a gateway looks whether another has its name, but for the
// first few.
const (
	lookAgain = 12
	lookFirst = 2
)

// keepSeen tells the store that this gateway is there, until ctx ends.
func (h *Helper) keepSeen(ctx context.Context) {
	twin := twin{}
	h.seen(ctx)
	times := 1
	every(ctx, h.o.SeenEvery, func(ctx context.Context) {
		if times <= lookFirst || times%lookAgain == 0 {
			h.lookForTwin(ctx, &twin)
		}
		times++
		h.seen(ctx)
	})
	h.leave(context.WithoutCancel(ctx))
}

// leave tells the store that this gateway has ended as it should: who copies the store need not wait to see
// whether it is still there.
func (h *Helper) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	h.beat.Lock()
	defer h.beat.Unlock()
	if err := h.o.Store.LeaveGateway(ctx, h.o.Gateway, h.started.UnixMilli()); err != nil {
		h.o.Log.Debug("the store does not know that this gateway has ended", "error", err)
	}
}

// seen tells the store once.
func (h *Helper) seen(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.o.SeenEvery)
	defer cancel()
	h.beat.Lock()
	defer h.beat.Unlock()
	err := h.o.Store.SeeGateway(ctx, store.Gateway{
		Name: h.o.Gateway, Version: h.o.Version, Plans: h.plans.Load().ids(), Started: h.started.UnixMilli(),
	})
	h.trouble.unasked(writing, err)
}

// twin is what was seen of another gateway with this one's name.
type twin struct {
	started, seen int64
	said          bool
}

// lookForTwin looks who has written the row of this gateway's name. This one did the last time, so whoever is in it
// now writes there, too; but one that is ending does not do so again.
func (h *Helper) lookForTwin(ctx context.Context, t *twin) {
	ctx, cancel := context.WithTimeout(ctx, h.o.SeenEvery)
	defer cancel()
	all, err := h.o.Store.Gateways(ctx)
	if err != nil {
		return // as will be said of the next thing that is written
	}
	for _, g := range all {
		if g.Name != h.o.Gateway || g.Started == h.started.UnixMilli() {
			continue
		}
		again := t.started == g.Started && g.Seen > t.seen
		t.started, t.seen = g.Started, g.Seen
		if again && !t.said {
			t.said = true
			h.o.Log.Error("another exipold that shares the store has this gateway's name", "gateway", h.o.Gateway,
				"started", time.UnixMilli(g.Started).UTC().Format(time.RFC3339), "version", g.Version,
				"mend", "start each with a name of its own (exipold serve, watch and desk --gateway): else each counts of the log what the other has left, and their held mail is mixed up")
		}
	}
}
