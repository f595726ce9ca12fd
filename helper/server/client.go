package server

import (
	"bytes"
	"io"
	"sync"
	"time"

	"exipol/generator/wire"
)

// stream is what a client needs of a connection: net.Conn has it, and os.File.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// client is one connection that was not answered at once.
type client struct {
	conn       stream
	since      time.Time
	asking     bool // in the list of those that have not asked yet
	prev, next *client
}

// list is a queue of clients from which any can leave. The zero value is empty.
type list struct{ head, tail *client }

func (l *list) front() *client { return l.head }

func (l *list) push(c *client) {
	c.prev, c.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = c
	} else {
		l.head = c
	}
	l.tail, c.asking = c, true
}

func (l *list) remove(c *client) {
	if !c.asking {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.tail = c.prev
	}
	c.prev, c.next, c.asking = nil, nil, false
}

// grace is how long a client may be silent before it can be closed in favour of
// another one: in a burst of honest ones each has just connected.
const grace = 50 * time.Millisecond

// admit makes room for a client and takes it in; false while closing. asking says
// that its question is still to come.
func (s *Server) admit(c *client, asking bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.open >= s.o.MaxConns && !s.closing {
		oldest := s.asking.front()
		if oldest == nil {
			s.room.Wait()
			continue
		}
		if young := grace - time.Since(oldest.since); young > 0 {
			again := time.AfterFunc(young, func() {
				s.mu.Lock() // not between this look and the wait
				defer s.mu.Unlock()
				s.room.Broadcast()
			})
			s.room.Wait()
			again.Stop()
			continue
		}
		s.forget(oldest)
		oldest.conn.Close() // its reader counts it as cut
	}
	if s.closing {
		return false
	}
	if asking {
		s.asking.push(c)
		s.silent.Add(1)
	}
	s.clients[c] = true
	s.open++
	s.wg.Add(1)
	return true
}

// asked notes that a client has put its question; false where it was closed in
// favour of another one.
func (s *Server) asked(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.clients[c] {
		return false
	}
	s.asking.remove(c)
	s.silent.Add(-1)
	return true
}

// leave closes a client's connection and gives its room away.
func (s *Server) leave(c *client) {
	c.conn.Close()
	s.mu.Lock()
	s.forget(c)
	s.mu.Unlock()
}

// forget drops a client; the caller holds mu.
func (s *Server) forget(c *client) {
	if !s.clients[c] {
		return
	}
	if c.asking {
		s.asking.remove(c)
		s.silent.Add(-1)
	}
	delete(s.clients, c)
	s.open--
	s.room.Signal()
}

// buffers hold questions while they are read. Most fit into their first size.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// serve reads a client's question and answers it.
func (s *Server) serve(c *client, got []byte) {
	buf := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 16<<10 { // a huge question's buffer is not worth keeping
			buffers.Put(buf)
		}
	}()
	line, ok := s.read(c, append((*buf)[:0], got...))
	*buf = line[:0]
	if !ok || !s.asked(c) {
		return
	}
	answer, later := s.handle(line)
	if later != nil {
		answer = s.finish(later)
	}
	s.reply(c, answer)
}

// reply writes an answer, if there is one.
func (s *Server) reply(c *client, answer []byte) {
	if len(answer) == 0 {
		return
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(s.o.WriteTimeout))
	_, _ = c.conn.Write(answer) // whoever went away learns nothing
}

// read reads up to a newline, the end, or one byte more than a question may have.
// ok is false where there was nothing, or not in time. All of it has one deadline,
// so that a byte now and then does not help.
func (s *Server) read(c *client, buf []byte) (line []byte, ok bool) {
	if s.stop.Load() {
		_ = c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	} else {
		_ = c.conn.SetReadDeadline(c.since.Add(s.o.ReadTimeout))
	}
	searched := 0
	for {
		if i := bytes.IndexByte(buf[searched:], '\n'); i >= 0 {
			return buf[:searched+i+1], true
		}
		searched = len(buf)
		if len(buf) > wire.MaxQuestion {
			return buf[:wire.MaxQuestion+1], true
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF:
			return buf, len(buf) > 0
		case err != nil && n == 0:
			s.cut.Add(1)
			return buf, false
		}
	}
}
