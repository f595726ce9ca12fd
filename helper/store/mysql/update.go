package mysql

import (
	"context"
	"errors"
	"fmt"

	"exipol/helper/engine"
	"exipol/helper/store"
)

// group is the most updates of one transaction: the first of them waits for the last.
const group = 256

// batchTime is how many times as long as an answer a batch may take, for which nobody waits.
const batchTime = 4

// Update implements engine.Store: all updates that wait are decided in one transaction. Where too many wait already the
// error is store.ErrBusy. A caller whose context ends gets its error, and where it was too late to take the update back, that is
// also store.ErrUnknown, as it is where the connection was lost in the COMMIT: it may be counted, or not. After any other error
// nothing of it is kept: store.ErrAway, store.ErrConflict (others were in the way, again and again), and what f
// gave itself. A panic of f is an error.
func (s *Store) Update(ctx context.Context, f func(engine.State) ([]engine.Write, error)) error {
	if err := ctx.Err(); err != nil {
		return s.named(err)
	}
	select {
	case <-s.quit:
		return s.named(store.ErrClosed)
	default:
	}
	r := &request{decide: f, answer: make(chan error, 1)}
	select {
	case s.queue <- r:
	default:
		return s.named(store.ErrBusy)
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.abandon() {
			return s.named(ctx.Err())
		}
		select {
		case err := <-r.answer:
			return err
		default:
			return s.named(fmt.Errorf("%w (%w)", store.ErrUnknown, ctx.Err()))
		}
	case <-s.done:
		select {
		case err := <-r.answer:
			return err
		default: // queued after the writers had ended
			return s.named(store.ErrClosed)
		}
	}
}

// write is a writer's goroutine. There are few of them: what waits while all are at work travels together.
func (s *Store) write() {
	for {
		select {
		case r := <-s.queue:
			s.update(s.waiting(r))
		case <-s.quit:
			for {
				select {
				case r := <-s.queue:
					s.update(s.waiting(r))
				default:
					return
				}
			}
		}
	}
}

// waiting takes a request and those that wait behind it.
func (s *Store) waiting(r *request) (all []*request) {
	for {
		if r.take() {
			all = append(all, r)
		}
		if len(all) == group {
			return all
		}
		select {
		case r = <-s.queue:
		default:
			return all
		}
	}
}

// update runs requests in one transaction, and answers them.
func (s *Store) update(all []*request) {
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout)
	defer cancel()
	err := s.transact(ctx, s.config.Timeout, (&transaction{store: s, requests: all}).run)
	if err != nil && len(all) > 1 && aboutOne(err) {
		for _, r := range all {
			s.update([]*request{r})
		}
		return
	}
	for _, r := range all {
		switch {
		case err != nil:
			r.err = s.named(err)
		case r.err == nil:
			s.remember(r.writes)
		}
		r.answer <- r.err
	}
}

// aboutOne says whether an error that ended a transaction is likely to be the fault of one of its requests: a table
// that only one needs is missing, or the server did not take a value.
func aboutOne(err error) bool {
	for _, all := range []error{
		store.ErrAway, store.ErrRefused, store.ErrReadOnly, store.ErrFull, store.ErrDisk, store.ErrCorrupt, store.ErrConflict, store.ErrUnknown,
		store.ErrBusy, store.ErrClosed, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, all) {
			return false
		}
	}
	return true
}

// Batch implements engine.Store. f is run on what was read before, and again where it asks for more; what it applies is
// written together at the end. A panic of f is an error.
//
// Once f has begun, Batch comes back only after it, so that f may keep what it found where its
// caller can read it. Where the context ends meanwhile, the next Apply fails with its error, and
// nothing is kept; where that happens in the COMMIT, or the connection is lost there, the error is store.ErrUnknown.
func (s *Store) Batch(ctx context.Context, f func(engine.Transaction) error) error {
	if err := ctx.Err(); err != nil {
		return s.named(err)
	}
	select {
	case <-s.quit:
		return s.named(store.ErrClosed)
	default:
	}
	t := &transaction{store: s, requests: []*request{{batch: f}}, ctx: ctx}
	t.requests[0].take()
	err := s.transact(ctx, batchTime*s.config.Timeout, t.run)
	switch {
	case err == nil:
		for k := range t.written.seen {
			s.cache.wrote(k)
		}
	case ctx.Err() != nil, !aboutOne(err):
		return s.named(err)
	}
	return err
}
