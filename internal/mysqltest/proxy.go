package mysqltest

import (
	"net"
	"sync"
	"time"
)

// Proxy is the network between clients and a server, and does to connections what networks do. All its methods may be
// called at any time, from any goroutine.
type Proxy struct {
	t    T
	port *port
	work sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond // of what follows
	to       string
	delay    time.Duration
	hanging  bool
	closed   bool
	onCommit func() Fate
	listener net.Listener // nil: connections are refused
	lines    map[*line]bool
}

// Fate is what becomes of a COMMIT.
type Fate int

// The fates.
const (
	Answered   Fate = iota // as without a proxy
	Lost                   // the connection is cut before the server gets it: it does not commit
	Unanswered             // the server commits, and the connection is cut before the client gets its answer
)

// NewProxy makes a proxy with an address of its own that passes everything on to the address to. It ends with the test.
func NewProxy(t T, to string) *Proxy {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatalf("a port for a proxy: %v", err)
	}
	p := &Proxy{t: t, port: port, to: to, lines: map[*line]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.mu.Lock()
	err = p.listen()
	p.mu.Unlock()
	if err != nil {
		t.Fatalf("listen as a proxy: %v", err)
	}
	t.Cleanup(p.close)
	return p
}

// Addr is where clients connect to.
func (p *Proxy) Addr() string { return p.port.address() }

// To has connections that are made from now on go to another address. Those that are there stay; Cut ends them.
func (p *Proxy) To(addr string) { p.change(func() { p.to = addr }) }

// Delay has everything that the server says arrive that much later.
func (p *Proxy) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// Cut resets all connections. New ones are taken.
func (p *Proxy) Cut() { p.change(p.cut) }

// Refuse resets all connections, and refuses new ones.
func (p *Proxy) Refuse() {
	p.change(func() {
		if p.listener != nil {
			_ = p.listener.Close()
			p.listener = nil
		}
		p.cut()
	})
}

// Hang passes nothing on any more, either way, of connections that are there and of new ones, which are
// taken: as if the network lost every packet but the kernel had answered.
func (p *Proxy) Hang() { p.change(func() { p.hanging = true }) }

// Heal ends Delay, Refuse and Hang. What hung is passed on then.
func (p *Proxy) Heal() {
	p.t.Helper()
	p.change(func() {
		p.delay, p.hanging = 0, false
		if p.listener == nil && !p.closed {
			if err := p.listen(); err != nil {
				p.t.Errorf("listen again as a proxy: %v", err)
			}
		}
	})
}

// OnCommit has f say what becomes of each COMMIT that a client sends from now on, and nil ends that. f is called at
// that moment and may take its time; the client waits. Over TLS nothing is recognised.
func (p *Proxy) OnCommit(f func() Fate) { p.change(func() { p.onCommit = f }) }

// LoseCommit gives the next COMMIT this fate, and all others none.
func (p *Proxy) LoseCommit(fate Fate) {
	var once sync.Once
	p.OnCommit(func() (now Fate) {
		once.Do(func() { now = fate })
		return now
	})
}

// Connections says how many there are now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func (p *Proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.changed.Broadcast()
}

func (p *Proxy) cut() {
	for l := range p.lines {
		l.reset()
	}
	clear(p.lines)
}

func (p *Proxy) close() {
	p.Refuse()
	p.change(func() { p.closed = true })
	p.work.Wait()
	p.port.free()
}

// listen begins to take connections.
func (p *Proxy) listen() error {
	l, err := net.Listen("tcp4", p.Addr())
	if err != nil {
		return err
	}
	p.listener = l
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.take(l, c)
		}
	})
	return nil
}

// take serves a connection that came in by this listener.
func (p *Proxy) take(from net.Listener, c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &line{proxy: p, client: c}
	if from != p.listener { // refused meanwhile
		l.reset()
		return
	}
	p.lines[l] = true
	p.work.Go(l.serve)
}
