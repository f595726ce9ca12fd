package sqlite

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"sync/atomic"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// group is the most updates of one transaction. Measured, more gain little, and the
// first of them waits for the last.
const group = 256

// writer is the queue of updates and the connection of the one goroutine that runs
// them.
type writer struct {
	queue   chan *request
	ahead   *request // was taken from the queue, and is to have a transaction of its own
	session *session // of the goroutine; nil until needed and after an error
}

// States of a request.
const (
	waiting   = iota // its caller may give up
	taken            // the writer has begun with it
	abandoned        // its caller has given up
)

// request is one update. Exactly one of decide, batch and run is set.
type request struct {
	decide func(engine.State) ([]engine.Write, error)
	batch  func(*transaction) error // has a transaction of its own
	run    func(*session, sqldriver.Conn) error
	apart  bool // run leaves the table seen alone
	state  atomic.Int32
	writes []engine.Write // what decide or batch asked for last
	err    error          // of the writer alone, until it answers
	answer chan error     // has room for one
}

// Update implements engine.Store. Where too many updates wait already the error is
// store.ErrBusy. A caller whose context ends gets its error; an update that the
// writer had begun with may have been kept nevertheless, and then the error is also
// store.ErrUnknown. A panic of f is an error.
func (s *Store) Update(ctx context.Context, f func(engine.State) ([]engine.Write, error)) error {
	return s.submit(ctx, &request{decide: f})
}

func (s *Store) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store %s: %w", s.path, err)
	}
	r.answer = make(chan error, 1)
	select {
	case <-s.quit:
		return fmt.Errorf("store %s: %w", s.path, store.ErrClosed)
	default:
	}
	select {
	case s.writer.queue <- r:
	default:
		return fmt.Errorf("store %s: %w", s.path, store.ErrBusy)
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return fmt.Errorf("store %s: %w", s.path, ctx.Err())
		}
		if r.batch != nil { // it knows the context, and will end soon
			return <-r.answer
		}
		select {
		case err := <-r.answer:
			return err
		default:
			return fmt.Errorf("store %s: %w (%w)", s.path, store.ErrUnknown, ctx.Err())
		}
	case <-s.done:
		select {
		case err := <-r.answer:
			return err
		default: // queued after the writer had ended
			return fmt.Errorf("store %s: %w", s.path, store.ErrClosed)
		}
	}
}

// write is the writer's goroutine.
func (s *Store) write() {
	defer close(s.done)
	defer s.dropWriter()
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	for {
		for s.writer.ahead != nil {
			s.transaction(s.writer.ahead)
		}
		select {
		case r := <-s.writer.queue:
			s.transaction(r)
		case <-watch.C:
			s.watch()
		case <-s.quit:
			for {
				select {
				case r := <-s.writer.queue:
					for s.transaction(r); s.writer.ahead != nil; {
						s.transaction(s.writer.ahead)
					}
				default:
					return
				}
			}
		}
	}
}

func (s *Store) dropWriter() {
	if s.writer.session != nil {
		s.writer.session.close()
		s.writer.session = nil
	}
}

// transaction runs the first request and all that wait behind it, up to one that has a
// transaction of its own, and answers them.
func (s *Store) transaction(first *request) {
	s.writer.ahead = nil
	batch, err := s.begun(first)
	if err == nil {
		err = s.settle(batch)
	}
	if err != nil {
		// Whatever is the matter, a new connection starts clean; where the fault has
		// gone (the disk has room again) the next transaction succeeds.
		s.dropWriter()
		s.cache.forget()
		s.health.failed(err, false)
		err = fmt.Errorf("store %s: %w", s.path, err)
	}
	if err == nil {
		s.remember(batch)
		s.Committed(s.writer.session.changed)
	}
	for _, r := range batch {
		if r.err == nil {
			r.err = err
		}
		r.answer <- r.err
	}
}

// writing is the writer's session.
func (s *Store) writing() (*session, error) {
	if s.writer.session != nil {
		return s.writer.session, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.options.BusyTimeout)
	defer cancel()
	session, err := open(ctx, s.writeDB, false)
	if err == nil {
		session.desk = s.Store
		s.writer.session = session
	}
	return session, err
}

// begun begins a transaction and then takes the requests that still wait, so that
// no caller is bound to one while another process holds the lock.
func (s *Store) begun(first *request) (batch []*request, err error) {
	session, err := s.writing()
	if err == nil {
		err = session.begin()
	}
	batch = make([]*request, 0, 16)
	next, more := first, true
	for more {
		if next.state.CompareAndSwap(waiting, taken) {
			batch = append(batch, next)
		}
		if len(batch) == group || first.batch != nil {
			break
		}
		select {
		case next = <-s.writer.queue:
			if next.batch != nil {
				s.writer.ahead, more = next, false
			}
		default:
			more = false
		}
	}
	return batch, err
}

func (s *session) begin() error {
	s.broken = nil
	return s.locked(func(c sqldriver.Conn) error { return s.exec(c, begin) })
}

// settle runs the batch within the transaction that was begun, and commits. A
// request that fails by itself keeps its error and takes nobody with it: where it
// had written something, the others run again without it. An error here is one of
// the whole batch.
func (s *Store) settle(batch []*request) error {
	session := s.writer.session
	return session.locked(func(c sqldriver.Conn) error {
		for again := true; again; {
			again, session.changed = false, new(portable.Changes)
			for _, r := range batch {
				if r.err != nil {
					continue
				}
				wrote, err := session.apply(c, r)
				if session.broken != nil {
					return session.broken
				}
				if err == nil {
					continue
				}
				r.err = err
				if wrote {
					again = true
					break
				}
			}
			last := commit
			if again {
				last = rollback
			}
			if err := session.exec(c, last); err != nil {
				return err
			}
			if again {
				if err := session.exec(c, begin); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// apply runs one request; wrote says that it may have changed something.
func (s *session) apply(c sqldriver.Conn, r *request) (wrote bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			wrote, err = r.decide == nil, panicked(p)
		}
	}()
	if r.run != nil {
		return true, r.run(s, c)
	}
	if r.batch != nil {
		t := &transaction{state: state{s, c}}
		if err := r.batch(t); err != nil {
			return true, err
		}
		r.writes = t.writes
		return false, nil
	}
	writes, err := r.decide(state{s, c})
	if err != nil {
		return false, err
	}
	for _, w := range writes {
		if err := portable.CheckWrite(w); err != nil {
			return false, err
		}
	}
	r.writes = writes
	for _, w := range writes {
		if err := s.write(c, w); err != nil {
			return true, err
		}
	}
	return false, nil
}
