package mysqltest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// line is one connection through a proxy.
type line struct {
	proxy  *Proxy
	client net.Conn
	mute   atomic.Bool // what the server says next is not passed on: the line is cut instead

	// Under the proxy's lock:
	server net.Conn // nil until it is connected
	over   bool
}

// reset ends a line as a router does that forgets it. Under the proxy's lock.
func (l *line) reset() {
	l.over = true
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, is := c.(*net.TCPConn); is {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}

// cut is reset for those who do not hold the lock.
func (l *line) cut() {
	l.proxy.change(func() {
		l.reset()
		delete(l.proxy.lines, l)
	})
}

// end ends a line on which all was said.
func (l *line) end() {
	l.proxy.change(func() {
		l.over = true
		_ = l.client.Close()
		if l.server != nil {
			_ = l.server.Close()
		}
		delete(l.proxy.lines, l)
	})
}

// open waits while everything hangs, and says whether the line is there still.
func (l *line) open() bool {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hanging && !l.over {
		p.changed.Wait()
	}
	return !l.over
}

// serve is the life of a line. Either side's end is the other's, when all that was said before has been passed on.
func (l *line) serve() {
	if !l.open() {
		return
	}
	defer l.end()
	p := l.proxy
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	server, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return
	}
	p.mu.Lock()
	l.server = server
	if l.over {
		l.reset()
	}
	p.mu.Unlock()
	p.work.Go(func() { l.questions(); l.close(server) })
	l.answers()
	l.close(l.client)
}

// close tells one side that the other has ended, in the orderly way.
func (l *line) close(c net.Conn) {
	if l.open() {
		_ = c.(*net.TCPConn).CloseWrite()
	}
}

// answers passes on what the server says, later where that is asked for.
func (l *line) answers() {
	type part struct {
		due  time.Time
		data []byte
	}
	parts := make(chan part, 1<<10)
	l.proxy.work.Go(func() {
		defer close(parts)
		for {
			buffer := make([]byte, 32<<10)
			n, err := l.server.Read(buffer)
			if err != nil {
				return
			}
			if l.mute.Load() {
				l.cut()
				return
			}
			l.proxy.mu.Lock()
			due := time.Now().Add(l.proxy.delay)
			l.proxy.mu.Unlock()
			parts <- part{due: due, data: buffer[:n]}
		}
	})
	for part := range parts {
		if !l.wait(part.due) || !l.open() {
			continue // the reader must come to its end
		}
		_, _ = l.client.Write(part.data)
	}
}

// wait waits for a time, and says whether the line is there still.
func (l *line) wait(due time.Time) bool {
	for time.Until(due) > 0 {
		time.Sleep(min(time.Until(due), 10*time.Millisecond))
		l.proxy.mu.Lock()
		over := l.over
		l.proxy.mu.Unlock()
		if over {
			return false
		}
	}
	return true
}

// questions passes on what the client says, packet by packet: three bytes of length (little-endian), one that
// counts, and the content.
func (l *line) questions() {
	for first := true; ; first = false {
		packet := make([]byte, 4)
		if _, err := io.ReadFull(l.client, packet); err != nil {
			return
		}
		length := int(binary.LittleEndian.Uint32(packet) & 0xffffff)
		packet = append(packet, make([]byte, length)...)
		if _, err := io.ReadFull(l.client, packet[4:]); err != nil {
			return
		}
		if isCommit(packet[4:]) {
			switch l.fate() {
			case Lost:
				l.cut()
				return
			case Unanswered:
				l.mute.Store(true)
			}
		}
		if !l.open() {
			return
		}
		if _, err := l.server.Write(packet); err != nil {
			return
		}
		if first && asksTLS(packet[4:]) {
			_, _ = io.Copy(held{l}, l.client)
			return
		}
	}
}

// held passes on what cannot be read.
type held struct{ *line }

func (h held) Write(data []byte) (int, error) {
	if !h.open() {
		return 0, net.ErrClosed
	}
	return h.server.Write(data)
}

func (l *line) fate() Fate {
	l.proxy.mu.Lock()
	f := l.proxy.onCommit
	l.proxy.mu.Unlock()
	if f == nil {
		return Answered
	}
	return f()
}

// isCommit says whether a packet is COM_QUERY with the text COMMIT.
func isCommit(content []byte) bool {
	const comQuery = 3
	text, is := bytes.CutPrefix(content, []byte{comQuery})
	return is && len(text) < 64 && strings.EqualFold(strings.Trim(string(text), " ;\n"), "commit")
}

// asksTLS says whether a client's first packet is the short one after which TLS begins: its
// first four bytes are what the client can do, and there is no user in it.
func asksTLS(content []byte) bool {
	const clientSSL, length = 0x800, 32
	return len(content) == length && binary.LittleEndian.Uint32(content)&clientSSL != 0
}
