package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
)

// View implements engine.Store. f is run once, on a snapshot of the whole store, and each thing that
// it asks for is a question to the server: see Look. f must not keep the State. A panic of f is an error.
func (s *Store) View(ctx context.Context, f func(engine.State) error) error {
	select {
	case <-s.quit:
		return s.named(store.ErrClosed)
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	var reading *session
	defer func() {
		if reading != nil {
			reading.end()
		}
	}()
	var broken error
	m := &memory{}
	missing := func() error {
		if reading == nil && broken == nil {
			reading, broken = s.begin(ctx, toSnapshot)
		}
		if broken == nil {
			broken = m.fetch(reading)
		}
		return broken
	}
	err := guarded(func() error { return f(&state{m: m, missing: missing}) })
	if broken != nil {
		return s.named(err)
	}
	return err
}

// Look is View for an f that may be run more than once, on guesses, and whose last run counts: it has no effects but what
// that run leaves. What it asks for is read together, in as few round trips as can be, and together with what others ask
// for at the same time. Each row is as it was at some moment of the call; what f finds twice is the same.
func (s *Store) Look(ctx context.Context, f func(engine.State) error) error {
	m, guesses := &memory{}, 0
	missing := func() error { guesses++; return nil }
	for range runs {
		guesses = 0
		if err := guarded(func() error { return f(&state{m: m, missing: missing}) }); guesses == 0 {
			return err
		}
		if err := s.read(ctx, m); err != nil {
			return s.named(err)
		}
	}
	return s.named(fmt.Errorf("%w: it asks for more and more", store.ErrDecision))
}

// lookup is somebody who waits for what he wants to be read.
type lookup struct {
	wanted wants
	answer chan found // has room for one
}

// found is what was read for several; nobody changes it any more.
type found struct {
	*memory
	err error
}

// lookups is the most lookups of one reading.
const lookups = 64

// read reads what is wanted, together with others.
func (s *Store) read(ctx context.Context, m *memory) error {
	l := &lookup{wanted: m.wanted, answer: make(chan found, 1)}
	m.wanted = wants{}
	select {
	case s.lookups <- l:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return store.ErrClosed
	}
	select {
	case f := <-l.answer:
		if f.err == nil {
			m.take(f.memory, &l.wanted)
		}
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return store.ErrClosed
	}
}

// look is the goroutine of a reader: it reads what all want that wait.
func (s *Store) look() {
	for {
		select {
		case <-s.quit:
			return
		case l := <-s.lookups:
			all := []*lookup{l}
			for more := true; more && len(all) < lookups; {
				select {
				case l = <-s.lookups:
					all = append(all, l)
				default:
					more = false
				}
			}
			s.readFor(all)
		}
	}
}

// readFor reads what some want, and answers them.
func (s *Store) readFor(all []*lookup) {
	m := &memory{}
	for _, l := range all {
		m.wanted.merge(&l.wanted)
	}
	err := s.fetch(m)
	if err != nil && len(all) > 1 && aboutOne(err) {
		for _, l := range all {
			s.readFor([]*lookup{l})
		}
		return
	}
	for _, l := range all {
		l.answer <- found{m, err}
	}
}

// fetch reads what is wanted at the host in use; where the connection was lost, once more.
func (s *Store) fetch(m *memory) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout)
	defer cancel()
	for again := true; ; again = false {
		host, err := s.use(ctx)
		if err != nil {
			return err
		}
		began, changes := time.Now(), s.cache.changes()
		tried := memory{wanted: m.wanted}
		if err = tried.fetch(&reader{ctx, host}); err == nil {
			*m = tried
			for k, row := range m.seen {
				s.cache.read(k, row, began, changes)
			}
			return nil
		}
		if !again || !errors.Is(err, store.ErrAway) || ctx.Err() != nil {
			return err
		}
	}
}

// reader reads at a host, outside of transactions.
type reader struct {
	ctx  context.Context
	host *hosts.Host
}

// Query implements querier.
func (r *reader) Query(take func(scan func(dest ...any) error) error, query string, args ...any) error {
	rows, err := r.host.DB().QueryContext(r.ctx, query, args...)
	if err == nil {
		defer rows.Close()
		for rows.Next() {
			if err := take(rows.Scan); err != nil {
				return err
			}
		}
		err = rows.Err()
	}
	r.host.Failed(err)
	return hosts.Classify(err)
}
