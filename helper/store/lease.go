package store

import (
	"context"
	"errors"
	"time"
)

// ErrLeaseLost is why the context of KeepLease ends where the lease became another's.
var ErrLeaseLost = errors.New("the lease was lost: another has gone on in its place")

// Leaser gives leases, as Store does.
type Leaser interface {
	Lease(ctx context.Context, name, holder string, lasts time.Duration) (held bool, err error)
}

// KeepLease prolongs a lease that holder has, until done is called, for work of which nobody knows how long it
// takes. The context that it gives ends, with ErrLeaseLost as its cause, where another has the lease. That the
// store cannot be asked is no such thing: then nobody else can take it either, and the work will meet that itself.
func KeepLease(ctx context.Context, s Leaser, name, holder string, lasts time.Duration) (held context.Context, done func()) {
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lasts / 6)
		defer tick.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			if ours, err := s.Lease(held, name, holder, lasts); err == nil && !ours {
				cancel(ErrLeaseLost)
			}
		}
	}()
	return held, func() {
		cancel(nil)
		<-ended
	}
}
