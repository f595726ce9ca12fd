// Package server keeps the helper's Unix socket: one question per connection, as
// Exim's ${readsocket} asks it. It knows nothing of what is asked; it sees to it
// that no client, however slow, silent, huge or broken, costs another one more
// than a moment.
//
// A question ends at its first newline, or where the client shuts down its side
// (the old verbs end so). The answer is written and the connection closed, which
// is how Exim knows that the answer is whole.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"exipol/generator/wire"
)

// Handler answers one question. line holds the question with its newline, if it
// had one; one that is longer than wire.MaxQuestion arrives cut off, one byte
// longer than that, so that no parser takes it for whole.
//
// The handler runs where connections are accepted and may not wait for anything.
// Where it would have to, it returns a function that finds the answer, which is run
// elsewhere and may wait; its context ends when the server does. The handler may
// keep nothing of line. An empty answer closes the connection without a word.
type Handler func(line []byte) (answer []byte, later Later)

// Later finds the answer that a Handler could not give at once.
type Later func(ctx context.Context) []byte

// Options of a server; the zero value of each means its default.
type Options struct {
	ReadTimeout  time.Duration // for the whole question, from accept on; 2 s
	WriteTimeout time.Duration // for the answer; 2 s
	MaxConns     int           // unfinished connections at a time; 1024
	Portable     bool          // never use the accept loop on raw system calls
	Broken       []byte        // what is answered when the Handler panics; a failed answer
	Log          *slog.Logger  // none: slog.Default()
}

// Stats is what a server has seen since it was made.
type Stats struct {
	Accepted int64 `json:"accepted"` // connections
	Open     int64 `json:"open"`     // now unfinished; those answered at once are not counted
	Cut      int64 `json:"cut"`      // closed for being slow, or to make room for others
	Panics   int64 `json:"panics"`   // of the Handler
}

// Server answers questions on any number of listeners.
//
// Where MaxConns connections are unfinished, the oldest of those that have not
// asked yet is closed in favour of a new one: an honest client asks within a
// moment. Where all of them have asked and wait for their answers, new ones wait
// in the kernel's queue.
type Server struct {
	handler Handler
	o       Options

	ctx    context.Context // ends when a shutdown has waited long enough
	cancel context.CancelFunc

	mu        sync.Mutex
	room      *sync.Cond // signalled when a client leaves, and on shutdown
	asking    list       // clients that have not asked yet, oldest first
	open      int
	closing   bool
	listeners map[net.Listener]bool
	clients   map[*client]bool
	wg        sync.WaitGroup // accept loops and clients

	stop     atomic.Bool // closing, for the accept loops
	silent   atomic.Int64
	accepted atomic.Int64
	cut      atomic.Int64
	panics   atomic.Int64
}

// New makes a server that answers with h.
func New(h Handler, o Options) *Server {
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = 2 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 2 * time.Second
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 1024
	}
	if o.Broken == nil {
		o.Broken = []byte(wire.Answer{Verdict: wire.Failed}.String())
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{handler: h, o: o, listeners: map[net.Listener]bool{}, clients: map[*client]bool{}}
	s.room = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Stats is what the server has seen so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := int64(s.open)
	s.mu.Unlock()
	return Stats{Accepted: s.accepted.Load(), Open: open, Cut: s.cut.Load(), Panics: s.panics.Load()}
}

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = errors.New("server closed")

// Serve answers what comes in on ln until Shutdown, and then returns ErrClosed. It
// closes ln.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		ln.Close()
		return ErrClosed
	}
	s.listeners[ln] = true
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	defer ln.Close()
	if unix, ok := ln.(*net.UnixListener); ok && !s.o.Portable {
		if err := s.serveRaw(unix); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return s.servePortable(ln)
}

// servePortable is the accept loop on the standard library alone.
func (s *Server) servePortable(ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			if s.stop.Load() {
				return ErrClosed
			}
			if err := s.acceptFailed(err); err != nil {
				return err
			}
			continue
		}
		s.accepted.Add(1)
		s.start(conn, nil, nil)
	}
}

// acceptFailed waits a moment after an error that passes (no file descriptors
// left, say), and returns one that does not.
func (s *Server) acceptFailed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("accept: %w", err)
	}
	s.o.Log.Warn("cannot accept a connection", "error", err)
	select {
	case <-time.After(20 * time.Millisecond):
	case <-s.ctx.Done():
	}
	return nil
}

// start gives a connection a goroutine of its own: got is what was read of its
// question, or later is what finds the answer to it.
func (s *Server) start(conn stream, got []byte, later Later) {
	c := &client{conn: conn, since: time.Now()}
	if !s.admit(c, later == nil) {
		conn.Close()
		return
	}
	go func() {
		defer s.wg.Done()
		defer s.leave(c)
		if later == nil {
			s.serve(c, got)
			return
		}
		s.reply(c, s.finish(later))
	}()
}

// handle calls the handler and survives it.
func (s *Server) handle(line []byte) (answer []byte, later Later) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
			answer, later = s.o.Broken, nil
		}
	}()
	return s.handler(line)
}

// finish calls what the handler left for later and survives it.
func (s *Server) finish(later Later) (answer []byte) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
			answer = s.o.Broken
		}
	}()
	return later(s.ctx)
}

func (s *Server) panicked(r any) {
	s.panics.Add(1)
	s.o.Log.Error("a question broke its handler", "panic", r, "stack", string(debug.Stack()))
}

// Shutdown stops accepting, lets questions that were asked be answered, and
// returns when all connections are closed. Where ctx ends first it closes the
// rest and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop.Store(true)
	s.mu.Lock()
	s.closing = true
	for ln := range s.listeners {
		s.wake(ln)
	}
	for c := s.asking.front(); c != nil; c = c.next {
		// Whoever connected before the end may still ask, but not for long.
		_ = c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	}
	s.room.Broadcast()
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	for c := range s.clients {
		c.conn.Close()
	}
	s.mu.Unlock()
	return ctx.Err()
}
