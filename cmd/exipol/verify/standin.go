package verify

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"exipol/generator/wire"
)

// standIn answers every question in the helper's place with one fixed text, or,
// where that is empty, is not there.
type standIn struct {
	path     string
	listener net.Listener
	done     sync.WaitGroup
}

// answer starts the stand-in with this text, instead of what it said before.
func (s *standIn) answer(text string) error {
	s.stop()
	if text == "" {
		return nil
	}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		return err
	}
	// Exim asks as its own user, whoever started it.
	if err := os.Chmod(s.path, 0o666); err != nil {
		return errors.Join(err, l.Close())
	}
	s.listener = l
	s.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed by stop
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(conn, wire.MaxQuestion))
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	})
	return nil
}

// stop ends the stand-in and waits for it; its socket is gone then.
func (s *standIn) stop() {
	if s.listener != nil {
		s.listener.Close()
		s.done.Wait()
		s.listener = nil
	}
}
