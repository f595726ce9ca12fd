package mysql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
)

const (
	// conflicts is how often a transaction is run again that others were in the way of, pause how long it waits before
	// that at most, the first time; each time twice as long.
	conflicts = 8
	pause     = 4 * time.Millisecond
	// lostPause is likewise where the connection was lost: the hosts are looked at meanwhile.
	lostPause = 50 * time.Millisecond
	// beginnings is how often a transaction begins again for what turned out in it.
	beginnings = 16
)

// transact runs body in a transaction of its own, which takes no longer than within, and again where others were in its way, or
// where the connection was lost before the COMMIT was sent, as long as the context lets it. An error of body's own is given back as
// it is; what was done is then not kept. Others are the store's, without its name: store.ErrAway where no server can be used,
// store.ErrConflict where others were in the way again and again, store.ErrUnknown where the connection was lost in the COMMIT.
func (s *Store) transact(ctx context.Context, within time.Duration, body func(*session) error) error {
	began, met := 0, 0
	var conflict error // the last one
	for {
		database, err := s.once(ctx, within, body)
		switch {
		case err == nil || errors.Is(err, store.ErrUnknown):
			return err
		case errors.Is(err, errAgain):
			if began++; began == beginnings {
				return fmt.Errorf("%w: what it writes differs each time that it is run", store.ErrDecision)
			}
		case hosts.Retry(database):
			s.hosts.Retried()
			conflict = err
			if met++; met > conflicts || !sleep(ctx, rand.N(pause<<met)) {
				return err
			}
		case ctx.Err() != nil && conflict != nil:
			return conflict // it still waited for others
		case hosts.Lost(database) && sleep(ctx, rand.N(lostPause)):
			// Whichever host is in use next; where there is none, that is the error.
		default:
			return err
		}
	}
}

// once is one attempt; database is the first error on the way to the database, or of it.
func (s *Store) once(ctx context.Context, within time.Duration, body func(*session) error) (database, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	session, err := s.begin(ctx, toWrite)
	if err != nil {
		return err, err
	}
	defer session.end()
	if err = body(session); err == nil {
		err = session.failed
	}
	if err == nil {
		err = session.commit()
	}
	if err == nil {
		s.Committed(&session.changes)
	}
	return session.failed, err
}

// sleep waits, unless the context ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
