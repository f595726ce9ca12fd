package mysql

import (
	"context"
	"database/sql"

	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
)

// What reads large parts of the store, for a command, has connections of its own, and takes as long as its context lets it:
// a server that counts a million rows is not dead. It locks nothing.

// ownTime marks the context of such.
type ownTime struct{}

func patient(ctx context.Context) context.Context { return context.WithValue(ctx, ownTime{}, true) }

// pool is a host's connections for a context.
func pool(ctx context.Context, host *hosts.Host) *sql.DB {
	if ctx.Value(ownTime{}) != nil {
		return host.Long()
	}
	return host.DB()
}

// Stats implements store.Store.
func (s *Store) Stats(ctx context.Context, now int64) (store.Stats, error) {
	return s.Store.Stats(patient(ctx), now)
}

// Top implements store.Store.
func (s *Store) Top(ctx context.Context, policy string, n int, now int64) ([]store.TopKey, error) {
	return s.Store.Top(patient(ctx), policy, n, now)
}

// Whys implements store.Store.
func (s *Store) Whys(ctx context.Context, policy string, since, now int64) ([]store.WhyCount, error) {
	return s.Store.Whys(patient(ctx), policy, since, now)
}

// Recent implements store.Store.
func (s *Store) Recent(ctx context.Context, policy string, most int, now int64) ([]store.Contact, error) {
	return s.Store.Recent(patient(ctx), policy, most, now)
}

// SeenKeys implements store.Store.
func (s *Store) SeenKeys(ctx context.Context, policy string, most int, now int64) ([]store.SeenKey, error) {
	return s.Store.SeenKeys(patient(ctx), policy, most, now)
}

// Learned implements store.Store.
func (s *Store) Learned(ctx context.Context, policy string, now int64) (store.Learned, error) {
	return s.Store.Learned(patient(ctx), policy, now)
}

// Bouncers implements store.Store.
func (s *Store) Bouncers(ctx context.Context, hour, day int64, most int) ([]store.Bouncer, error) {
	return s.Store.Bouncers(patient(ctx), hour, day, most)
}
