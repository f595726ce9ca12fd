// Package dnstest is a name server on loopback, for tests and benchmarks: it answers
// from records that the test gives it, over UDP and TCP, counts what it was asked, and
// can be told to be slow, silent, broken or a liar.
//
// It answers like a resolver that has looked everything up already, and follows aliases
// among its own records.
package dnstest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Server is a running name server. All its methods may be used at any time, by anybody.
type Server struct {
	udp  *net.UDPConn
	tcp  *net.TCPListener
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	zone    zone
	behave  map[string][]Behaviour
	counts  map[question]int
	latency time.Duration
	conns   map[net.Conn]bool
}

type question struct {
	name string // in lower case, without the last dot
	kind dnsmessage.Type
}

// TB is what Start needs of a testing.TB.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Start runs a server with these records (as Add takes them) until the test ends.
func Start(t TB, records ...string) *Server {
	t.Helper()
	s, err := New("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Add(records...); err != nil {
		t.Fatal(err)
	}
	return s
}

// New runs a server on an address with a port, or with port 0 for any.
func New(addr string) (*Server, error) {
	want, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address of a name server: %w", err)
	}
	s := &Server{
		stop: make(chan struct{}), zone: zone{}, behave: map[string][]Behaviour{},
		counts: map[question]int{}, conns: map[net.Conn]bool{},
	}
	for range 20 { // the port that UDP got may be taken for TCP
		if s.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(want)); err != nil {
			break
		}
		got := s.udp.LocalAddr().(*net.UDPAddr).AddrPort()
		if s.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(got)); err == nil {
			break
		}
		_ = s.udp.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("listening as a name server: %w", err)
	}
	s.wg.Add(2)
	go s.serveUDP()
	go s.serveTCP()
	return s, nil
}

// Address is where it listens, "127.0.0.1:port".
func (s *Server) Address() string { return s.udp.LocalAddr().String() }

// Close ends it, slow answers included, and waits until all is gone.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.stop:
		s.mu.Unlock()
		return
	default:
	}
	close(s.stop)
	_ = s.udp.Close()
	_ = s.tcp.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Latency delays every answer, besides what a behaviour says.
func (s *Server) Latency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// Count is how often a name was asked for, whatever the type; each packet counts, and
// the second asking over TCP.
func (s *Server) Count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for q, c := range s.counts {
		if q.name == canonical(name) {
			n += c
		}
	}
	return n
}

// CountType is how often a name was asked for with a type: "A", "AAAA", "TXT", "MX",
// "PTR", "NS", "CNAME".
func (s *Server) CountType(name, kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[question{canonical(name), types[strings.ToUpper(kind)]}]
}

// Total is how many queries there were.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.counts {
		n += c
	}
	return n
}

// ResetCounts forgets the counts.
func (s *Server) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
}

func (s *Server) serveUDP() {
	defer s.wg.Done()
	buf := make([]byte, 65535)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		query := append([]byte(nil), buf[:n]...)
		s.wg.Go(func() {
			for _, packet := range s.answer(query, true) {
				_, _ = s.udp.WriteToUDPAddrPort(packet, from)
			}
		})
	}
}

func (s *Server) serveTCP() {
	defer s.wg.Done()
	for {
		c, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if !s.keep(c) {
			_ = c.Close()
			return
		}
		s.wg.Go(func() {
			defer s.drop(c)
			s.serveConn(c)
		})
	}
}

func (s *Server) serveConn(c net.Conn) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		for _, packet := range s.answer(query, false) {
			packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
			if _, err := c.Write(packet); err != nil {
				return
			}
		}
	}
}

func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
		return false
	default:
		s.conns[c] = true
		return true
	}
}

func (s *Server) drop(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	_ = c.Close()
}

// sleep waits, or returns false where the server ends first.
func (s *Server) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.stop:
		return false
	case <-t.C:
		return true
	}
}
