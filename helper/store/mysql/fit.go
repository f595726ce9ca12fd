package mysql

import (
	"context"
	"sync/atomic"
	"time"

	"exipol/helper/store/mysql/hosts"
)

// fitness is whether the store is one that may be used: it is looked at once after each move to another host, before anything
// is read or written. So what has come into use while half a copy of another store is in it is not taken for a store.
type fitness struct {
	known atomic.Bool   // it may be
	turn  chan struct{} // whoever looks puts something in
	err   error         // why it may not be, as of at; whose turn it is reads and writes these
	at    time.Time
}

// lookAgain is after how long a store that was found unfit is looked at again.
const lookAgain = time.Second

func newFitness() *fitness { return &fitness{turn: make(chan struct{}, 1)} }

// use is the host in use, of a store that may be used: see Usable for the errors.
func (s *Store) use(ctx context.Context) (*hosts.Host, error) {
	host, err := s.hosts.Use(ctx)
	if err != nil || s.config.Copying || s.fit.known.Load() {
		return host, err
	}
	f := s.fit
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.known.Load() {
		return host, nil
	}
	if f.err != nil && time.Since(f.at) < lookAgain {
		return nil, f.err
	}
	note, err := dialect.ReadNote(ctx, host.DB())
	if err != nil {
		host.Failed(err)
		return nil, hosts.Classify(err)
	}
	if f.err, f.at = note.Usable(), time.Now(); f.err != nil {
		return nil, f.err
	}
	f.known.Store(true)
	return host, nil
}
