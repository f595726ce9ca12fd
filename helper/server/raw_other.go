//go:build !linux

package server

import (
	"errors"
	"net"
)

// serveRaw is for Linux only; elsewhere the portable loop does it all.
func (s *Server) serveRaw(*net.UnixListener) error { return errors.ErrUnsupported }

// wake ends an accept loop that waits.
func (s *Server) wake(ln net.Listener) { ln.Close() }
