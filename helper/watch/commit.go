package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/mainlog"
	"exipol/helper/store"
)

// Others wait for the store's writer while a transaction of this one lasts. So arrivals, which
// are good to have at any time, go ahead in small parts, and what was completed goes when the place is kept; only
// what is counted has to be in one transaction with the place.
const (
	part     = 400 // writes of a kind in one transaction
	mostGone = 10 * part
	// leastKept are the happenings of a transaction that takes too long whatever is in it, as where each commit
	// waits for a slow disk or a node far away: fewer make it no shorter, and the log is to be caught up with.
	leastKept = 64
	mostKept  = 4096
	// mostShared is mostKept for a store on a server, which locks rows: after many happenings that cost next to nothing, for
	// they were counted before, many could come that do, and others would wait for their owners.
	mostShared = 256
	holding    = 25 * time.Millisecond // how long a transaction may last
	// Other processes can only ask for SQLite's lock again and again, tens of milliseconds apart: after a
	// long transaction there has to be a gap that they can meet.
	gap = 15 * time.Millisecond
)

// commit keeps all that was read so far. It comes back when that is done, or with the error of ctx, or
// with Once when the store was away for too long.
func (f *follower) commit(ctx context.Context) error {
	puts, others := f.arrivals()
	if err := f.inParts(ctx, puts); err != nil {
		return err
	}
	where, err := json.Marshal(place{f.p.position, f.last, f.numbers.list()})
	if err != nil {
		return fmt.Errorf("place: %w", err)
	}
	var drops []engine.Write
	for _, id := range f.p.gone {
		drops = append(drops, engine.DropArrival{Gateway: f.o.Gateway, Message: id})
	}
	n := min(part, len(drops))
	last := append([]engine.Write{engine.PutPlace{Gateway: f.o.Gateway, Log: f.log, Place: string(where), At: f.o.Now().UnixMilli()}}, drops[:n]...)
	if err := f.count(ctx, last); err != nil {
		return err
	}
	if err := f.inParts(ctx, drops[n:]); err != nil {
		return err
	}
	f.flights.kept(others)
	f.p = pending{happenings: f.p.happenings[:0], gone: f.p.gone[:0]}
	return nil
}

func (f *follower) inParts(ctx context.Context, writes []engine.Write) error {
	for some := range slices.Chunk(writes, part) {
		if err := f.apply(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// arrivals are the messages that came since the last time and are under way: what is to be stored, and
// those that nobody answers for, by hash.
func (f *follower) arrivals() (puts []engine.Write, others map[uint64]bool) {
	others = map[uint64]bool{}
	for i := range f.flights.table {
		p := &f.flights.table[i]
		if p.hash == 0 || p.state != fresh {
			continue
		}
		e, _ := mainlog.Parse(f.flights.text(p), f.lines)
		a := f.wants.arrivalOf(&e)
		expires := e.Time.Add(keepArrival)
		if len(e.ID) == 0 || !owned(a, &e) || !expires.After(f.now) {
			others[p.hash] = true
			continue
		}
		puts = append(puts, engine.PutArrival{Gateway: f.o.Gateway, Message: string(e.ID), Arrival: a, Expires: expires.UnixMilli()})
	}
	return puts, others
}

// apply keeps writes. One that no store could keep is left out, so that the rest goes on.
func (f *follower) apply(ctx context.Context, writes []engine.Write) error {
	_, err := f.keep(ctx, func(tx engine.Transaction, _ func(engine.Happening) error) error { return tx.Apply(writes) })
	if !errors.Is(err, store.ErrDecision) {
		return err
	}
	if len(writes) == 1 {
		f.o.Log.Error("a line of the log is left out", "log", f.log, "write", fmt.Sprintf("%.500q", writes), "error", err)
		return nil
	}
	for _, w := range writes {
		if err := f.apply(ctx, []engine.Write{w}); err != nil {
			return err
		}
	}
	return nil
}

// count has the happenings counted, and the last writes applied with them.
func (f *follower) count(ctx context.Context, last []engine.Write) error {
	all := f.p.happenings
	took, err := f.keep(ctx, func(tx engine.Transaction, count func(engine.Happening) error) error {
		for i := range all {
			if err := f.one(tx, count, all[i]); err != nil {
				return err
			}
		}
		return tx.Apply(last)
	})
	switch {
	case errors.Is(err, store.ErrDecision) && len(all) > 0:
		return f.oneByOne(ctx, last)
	case err != nil:
		return err
	}
	f.tune(len(all), took)
	f.noteKept(len(all))
	if took >= holding/2 {
		sleep(ctx, gap)
	}
	return nil
}

// tune makes the next transactions as large as fits into holding, half way at a time, by how long one took with n happenings.
func (f *follower) tune(n int, took time.Duration) {
	if n < leastKept {
		return
	}
	most := mostKept
	if f.plan.Store.Kind == plan.MySQL {
		most = mostShared
	}
	fits := int(holding * time.Duration(n) / max(took, time.Microsecond))
	f.most = max(leastKept, min(most, (f.most+fits)/2))
}

// one counts a happening.
func (f *follower) one(tx engine.Transaction, count func(engine.Happening) error, h happening) error {
	if h.lookup {
		a, ok, err := tx.Arrival(h.Gateway, h.Message)
		if err != nil || !ok {
			return err
		}
		h.of(a)
		if !f.wants.traffic[h.Event][h.Traffic] {
			return nil
		}
	}
	return count(h.Happening)
}

// oneByOne leaves out what makes the engine fail, so that the rest goes on. Each counts once whatever
// happens in between.
func (f *follower) oneByOne(ctx context.Context, last []engine.Write) error {
	n := 0
	for _, h := range f.p.happenings {
		_, err := f.keep(ctx, func(tx engine.Transaction, count func(engine.Happening) error) error { return f.one(tx, count, h) })
		switch {
		case errors.Is(err, store.ErrDecision):
			f.o.Log.Error("an event is left out", "log", f.log, "event", h.Event, "line", h.Line, "error", err)
		case err != nil:
			return err
		default:
			n++
		}
	}
	f.p.happenings = f.p.happenings[:0]
	if err := f.apply(ctx, last); err != nil {
		return err
	}
	f.noteKept(n)
	return nil
}

// How long to wait for a store that is away.
const (
	retryFirst  = 250 * time.Millisecond
	retryMost   = 5 * time.Second
	tryFor      = 30 * time.Second // one transaction
	patientOnce = 30 * time.Second // with Once, all told
)

// keep runs a transaction until it is done. It returns the error of ctx, or one that
// trying again does not mend.
//
// took is how long others may have had to wait for the one that was kept: from when it was run first, for then it has
// the store's writer, or gets the rows' locks next, until it was on disk. How long do takes says little: on a server
// it is rehearsed in memory, and what costs is what is read and written around it.
func (f *follower) keep(ctx context.Context, do func(engine.Transaction, func(engine.Happening) error) error) (took time.Duration, err error) {
	begin := time.Now()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		var first time.Time
		try, cancel := context.WithTimeout(ctx, tryFor)
		err := f.o.Counter.Count(try, func(tx engine.Transaction, count func(engine.Happening) error) error {
			if first.IsZero() {
				first = f.clock()
			}
			return do(tx, count)
		})
		cancel()
		switch {
		case err == nil:
			took = f.clock().Sub(first)
			f.well(keeping)
			return took, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, store.ErrDecision) || f.o.Once && time.Since(begin) > patientOnce:
			return 0, err
		}
		f.trouble(keeping, err)
		sleep(ctx, wait)
	}
}
