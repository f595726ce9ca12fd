//go:build !linux

package server

import (
	"errors"
	"net"
)

// AcceptThreads is how many threads block in accept, each with a processor of the
// runtime's: none where the portable loop does it all.
func AcceptThreads() int { return 0 }

// serveRaw is for Linux only; elsewhere the portable loop does it all.
func (s *Server) serveRaw(*net.UnixListener) error { return errors.ErrUnsupported }

// wake ends an accept loop that waits.
func (s *Server) wake(ln net.Listener) { ln.Close() }
