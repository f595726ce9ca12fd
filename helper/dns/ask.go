package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// udpSize is how long an answer over UDP may be (the EDNS size): what goes through any
// net in one piece. A longer one comes over TCP.
const udpSize = 1232

// rounds is how often a server that says nothing is asked. One that says something, be
// it a failure, is asked once: a resolver has its own retries behind it.
const rounds = 2

var (
	errSilent = errors.New("no answer in time")
	errNone   = errors.New("no server to ask")
)

// ask goes from server to server, the one first that answered last, until one of them
// knows.
func (r *Resolver) ask(ctx context.Context, q query, servers []string) answer {
	err := errNone
	spoke := make([]bool, len(servers))
	first := int(r.preferred.Load())
	for range rounds {
		for i := range servers {
			n := (first + i) % len(servers)
			if spoke[n] {
				continue
			}
			if ctx.Err() != nil {
				return answer{err: ctx.Err()}
			}
			a, tried := r.try(ctx, q, servers[n])
			if tried == nil && errors.Is(a.err, ErrNotFound) && q.name != "" {
				tried = r.believed(ctx, servers[n])
			}
			if tried == nil {
				if len(servers) > 1 { // else it is the only one, or Probe's
					r.preferred.Store(uint32(n))
				}
				return a
			}
			spoke[n] = !errors.Is(tried, errSilent)
			err = fmt.Errorf("%s: %w", servers[n], tried)
		}
	}
	return answer{err: err}
}

// try asks one server once, over UDP, and again over TCP where the answer is too long.
// An error means that another may know better.
func (r *Resolver) try(ctx context.Context, q query, server string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		m, err := r.exchange(ctx, network, server, q)
		if err != nil {
			return answer{}, err
		}
		if m.Truncated {
			continue
		}
		return read(q, m)
	}
	return answer{}, errors.New("cut off over TCP")
}

// exchange sends the query in a packet or a connection of its own (so from a port of
// its own, which a forger would have to guess besides the id), and waits for the answer
// to it.
func (r *Resolver) exchange(ctx context.Context, network, server string, q query) (*dnsmessage.Message, error) {
	id, packed, err := pack(q)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, silence(err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := c.Write(packed); err != nil {
		return nil, silence(err)
	}
	if network == "tcp" {
		return receiveTCP(c, id, q)
	}
	return receiveUDP(c, id, q)
}

// receiveUDP waits for the answer, and overhears all else: it may be forged.
func receiveUDP(c net.Conn, id uint16, q query) (*dnsmessage.Message, error) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, silence(err)
		}
		if ours(buf[:n], id, q) {
			return unpack(buf[:n])
		}
	}
}

func receiveTCP(c net.Conn, id uint16, q query) (*dnsmessage.Message, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, silence(err)
	}
	buf := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, buf); err != nil {
		return nil, silence(err)
	}
	if !ours(buf, id, q) {
		return nil, errors.New("an answer to something else")
	}
	return unpack(buf)
}

// silence names what is the same to the asker: a timeout of ours.
func silence(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return errSilent
	}
	return err
}

// pack makes the query's message, with an id that cannot be guessed.
func pack(q query) (uint16, []byte, error) {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	id := binary.BigEndian.Uint16(random[:])
	name, err := dnsmessage.NewName(q.name + ".")
	if err != nil {
		return 0, nil, err
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	edns := dnsmessage.ResourceHeader{}
	err = errors.Join(
		b.StartQuestions(),
		b.Question(dnsmessage.Question{Name: name, Type: q.kind, Class: dnsmessage.ClassINET}),
		b.StartAdditionals(),
		edns.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false),
		b.OPTResource(edns, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return 0, nil, err
	}
	packed, err := b.Finish()
	return id, packed, err
}

// ours says whether a message answers this query.
func ours(message []byte, id uint16, q query) bool {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || !h.Response || h.ID != id {
		return false
	}
	asked, err := p.Question()
	return err == nil && asked.Type == q.kind && asked.Class == dnsmessage.ClassINET &&
		lower(asked.Name.String()) == q.name+"."
}
