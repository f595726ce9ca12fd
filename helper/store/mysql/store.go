// Package mysql keeps the state of many gateways in one database of MariaDB (10.11 or later) or MySQL
// (8 or later), or in a Galera cluster of it.
//
// Package hosts knows the servers, and which of them is used. Here are decisions: what they ask for is read together,
// and what they write travels together, for what costs are round trips and commits. No answer leaves before its
// counts are committed. Several gateways count the same keys at the same time: see transaction for
// what keeps them from missing each other's counts.
package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/mysql/hosts"
	"exipol/helper/store/portable"
)

// Config says which database, and how it is used.
type Config struct {
	Store   plan.Store    // of kind plan.MySQL
	Gateway string        // who this is, for others who look at what it holds
	Timeout time.Duration // of an answer: a transaction is given up before that; 3 s where it is 0
	Log     *slog.Logger  // nil: slog.Default()
	Queue   int           // updates that may wait; one more gets store.ErrBusy; 4096 where it is 0
	Writers int           // transactions of updates at a time; 2 where it is 0
	Readers int           // readings of lookups at a time; 2 where it is 0
	Copying bool          // use an unfinished copy, too: for who makes it
}

// Store is a database that is used, or looked for: it is open where no server answers, too. It is safe for
// concurrent use.
type Store struct {
	config          Config
	hosts           *hosts.Hosts
	queue           chan *request
	lookups         chan *lookup
	cache           *cache
	fit             *fitness
	*portable.Store // what all kinds do alike

	closing sync.Once
	quit    chan struct{} // closed by Close
	done    chan struct{} // closed when the writers have ended
	readers sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// What stands for a setting that was not made.
const (
	defaultTimeout = 3 * time.Second
	defaultQueue   = 4096
	// Measured, more writers make less: what waits while all are at work travels together, and fewer transactions
	// have more in them. With one, nobody decides while it waits for the disk.
	defaultWriters = 2
	defaultReaders = 2
)

// Open reads the password's file and begins to look for a server; whether there is one, Wait says, and each call. An
// error is one of the configuration.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	if c.Writers <= 0 {
		c.Writers = defaultWriters
	}
	if c.Readers <= 0 {
		c.Readers = defaultReaders
	}
	password, err := hosts.ReadPassword(c.Store.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", c.Store.Database, err)
	}
	h, err := hosts.New(hosts.Config{Store: c.Store, Password: password, Gateway: c.Gateway, Timeout: c.Timeout, Log: c.Log})
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", c.Store.Database, err)
	}
	s := &Store{
		config: c, hosts: h, cache: newCache(), fit: newFitness(),
		queue: make(chan *request, c.Queue), lookups: make(chan *lookup),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	s.Store = s.portable()
	h.OnMove(func() {
		s.fit.known.Store(false)
		s.cache.forget()
		s.Forget()
	})
	var writers sync.WaitGroup
	for range c.Writers {
		writers.Go(s.write)
	}
	for range c.Readers {
		s.readers.Go(s.look)
	}
	go func() {
		writers.Wait()
		close(s.done)
	}()
	return s, nil
}

// Wait waits until a server can be used, or the context ends: the error says why none can, which is store.ErrAway, or
// store.ErrRefused, for which it does not wait.
//
// Where the store itself must not be used by this program, Wait says so: see Usable.
func (s *Store) Wait(ctx context.Context) error {
	if err := s.hosts.Wait(ctx); err != nil {
		return s.named(err)
	}
	return s.Usable(ctx)
}

// Name implements store.Store: "exipol at db1:3306".
func (s *Store) Name() string {
	if host := s.hosts.Health().Host; host != "" {
		return s.config.Store.Database + " at " + host
	}
	return s.config.Store.Database
}

// Now implements store.Store: it is the time of the host in use.
func (s *Store) Now() time.Time { return s.hosts.Now() }

// Health implements store.Store.
func (s *Store) Health() store.Health { return s.hosts.Health() }

// named is an error as callers get it. That the caller's own time is over says nothing of the store.
func (s *Store) named(err error) error {
	switch err {
	case nil:
		return nil
	case context.DeadlineExceeded, context.Canceled:
	default:
		err = hosts.Classify(err)
	}
	return fmt.Errorf("store %s: %w", s.Name(), err)
}

// Close decides and writes what still waits, and closes the connections. Nothing that was answered is
// lost without it.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.quit)
		<-s.done
		s.readers.Wait()
		_ = s.hosts.Close()
	})
	return nil
}
