package dns

import (
	"container/list"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Budget bounds how much of something is under way at once, and how much of that for
// one zone: a zone whose servers say nothing holds a place for seconds each time, and must
// not hold them all. It may be used by anybody at any time.
type Budget struct {
	what         string // for the log: "lookups of ..."
	most         int    // under way at once
	share        int    // of these, for one zone
	waiting      int    // that may wait for a place
	waitingShare int    // of these, for one zone
	log          *slog.Logger
	clock        func() time.Time
	refused      atomic.Uint64

	mu          sync.Mutex
	used        int
	zones       map[string]*load
	queue       *list.List // of *waiter, who came first in front
	whole, part alarm
}

// load is what is under way, or waits, for one zone.
type load struct{ used, waiting int }

type waiter struct {
	zone    string
	granted chan struct{} // closed when there is a place
}

// newBudget makes a budget of which a zone may take one part in so many.
func newBudget(what string, most, waiting, parts int, log *slog.Logger, clock func() time.Time) *Budget {
	return &Budget{
		what: what, most: most, share: max(1, most/parts), waiting: waiting, waitingShare: waiting / parts,
		log: log, clock: clock, zones: map[string]*load{}, queue: list.New(),
	}
}

// Take takes a place for something of a zone (see Zone), which Give gives back; false
// where there is none.
func (b *Budget) Take(zone string) bool { return b.await(zone, 0) }

// await is Take that waits for a place, if need be.
func (b *Budget) await(zone string, patience time.Duration) bool {
	b.mu.Lock()
	z := b.zones[zone]
	if z == nil {
		z = &load{}
		b.zones[zone] = z
	}
	if b.room(z) {
		b.used++
		z.used++
		b.unlock(zone, "")
		return true
	}
	if patience <= 0 || b.queue.Len() >= b.waiting || z.waiting >= b.waitingShare {
		b.refuse(zone, z)
		return false
	}
	w := &waiter{zone, make(chan struct{})}
	at := b.queue.PushBack(w)
	z.waiting++
	b.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.granted:
		return true
	case <-timer.C:
	}
	b.mu.Lock()
	select {
	case <-w.granted: // in the meantime
		b.mu.Unlock()
		return true
	default:
	}
	b.queue.Remove(at)
	z.waiting--
	b.refuse(zone, z)
	return false
}

func (b *Budget) room(z *load) bool { return b.used < b.most && z.used < b.share }

// refuse counts who gets no place, for who holds mu, and lets go of that.
func (b *Budget) refuse(zone string, z *load) {
	b.refused.Add(1)
	why := "full"
	if b.used < b.most {
		why = "share"
	}
	b.forget(zone, z)
	b.unlock(zone, why)
}

// forget forgets a zone of which nothing is under way.
func (b *Budget) forget(zone string, z *load) {
	if z.used == 0 && z.waiting == 0 {
		delete(b.zones, zone)
	}
}

// Give gives a place of a zone back. It goes to whom has waited longest and may have
// it.
func (b *Budget) Give(zone string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	z := b.zones[zone]
	z.used--
	for at := b.queue.Front(); at != nil; at = at.Next() {
		w := at.Value.(*waiter)
		if next := b.zones[w.zone]; b.room(next) {
			b.queue.Remove(at)
			b.used++
			next.used++
			next.waiting--
			close(w.granted)
			break // one place was given
		}
	}
	b.forget(zone, z)
}

// calm is how long nobody must have been refused until that is over, for the log.
const calm = time.Minute

// alarm is whether somebody was refused lately.
type alarm struct {
	on   bool
	last time.Time
}

// tell says whether that has changed.
func (a *alarm) tell(now time.Time, refused bool) bool {
	switch {
	case refused:
		began := !a.on
		a.on, a.last = true, now
		return began
	case a.on && now.Sub(a.last) >= calm:
		a.on = false
		return true
	}
	return false
}

// unlock lets go of mu, and logs what has changed: that it is full, that a zone has its
// share, that neither was so for a while. why is "full" or "share" where somebody was
// refused.
func (b *Budget) unlock(zone, why string) {
	var full, part bool
	if why != "" || b.whole.on || b.part.on { // else there is no need of the time
		now := b.clock()
		full, part = b.whole.tell(now, why == "full"), b.part.tell(now, why == "share")
	}
	b.mu.Unlock()
	if full && why == "full" {
		b.log.Warn("too much is asked of DNS at once; what is left out is unclear", "what", b.what, "most", b.most)
	} else if full {
		b.log.Info("no longer is too much asked of DNS at once", "what", b.what)
	}
	if part && why == "share" {
		b.log.Warn("too much is asked of one DNS zone at once; what is left out is unclear", "what", b.what, "zone", zone, "most", b.share)
	} else if part {
		b.log.Info("no longer is too much asked of one DNS zone at once", "what", b.what)
	}
}
