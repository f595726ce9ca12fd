package mysqltest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// port is a TCP port of 127.0.0.1 that is kept for somebody, whether he listens there now or not. It is below those that the
// system gives to outgoing connections, so that none of these takes it while a server is down. And the
// UDP port of the same number is held: by that the other processes of tests know that it is taken.
type port struct {
	number int
	held   net.PacketConn
}

// freePort returns a port that nobody has.
func freePort() (*port, error) {
	const lowest = 15000
	above := 32768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var first, last int
		if n, _ := fmt.Sscan(string(text), &first, &last); n == 2 && first > lowest+5000 {
			above = first
		}
	}
	var err error
	for range 100 {
		p := &port{number: lowest + rand.IntN(above-lowest)} //nolint:gosec // no secret
		if p.held, err = net.ListenPacket("udp4", p.address()); err != nil {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp4", p.address()); err == nil {
			return p, l.Close()
		}
		p.free()
	}
	return nil, fmt.Errorf("no free port: %w", err)
}

func (p *port) address() string { return "127.0.0.1:" + strconv.Itoa(p.number) }

func (p *port) String() string { return strconv.Itoa(p.number) }

// free gives it back.
func (p *port) free() { _ = p.held.Close() }
