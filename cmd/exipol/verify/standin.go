package verify

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// standIn answers in the helper's place: with one fixed text at one half of a stage,
// and with a plain accept everywhere else.
type standIn struct {
	path     string
	signed   bool // says the text only of a message whose signature verified
	listener net.Listener
	done     sync.WaitGroup
}

// accept is the plain answer.
var accept = wire.Answer{Verdict: plan.Accept}.String()

// answer starts the stand-in with this text for questions of one place ("rcpt.after"),
// instead of what it said before.
func (s *standIn) answer(at, text string) error {
	s.stop()
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
			question, _ := io.ReadAll(io.LimitReader(conn, wire.MaxQuestion))
			said := text
			// A question that cannot be read gets the text, too: it is the text's business.
			if q, err := wire.ParseQuestion(question); err == nil && (q.Stage+"."+q.Half != at || s.signed && len(q.Dkim) == 0) {
				said = accept
			}
			_, _ = io.WriteString(conn, said)
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
