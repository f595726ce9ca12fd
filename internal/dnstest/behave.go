package dnstest

import (
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Behaviour changes what a query is answered with.
type Behaviour func(*reply)

// reply is what is about to be sent.
type reply struct {
	message dnsmessage.Message
	udp     bool
	delay   time.Duration
	silent  bool
	forged  []func(dnsmessage.Message) []byte // packets that go first
}

// Behave says how queries for a name are answered from now on: after looking up the
// records, these are applied in turn. The name "*" stands for all names, that of the root
// (".") among them, "*.zone" for those below a zone; the most exact one holds. Without
// behaviours that is over.
func (s *Server) Behave(name string, behaviours ...Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(behaviours) == 0 {
		delete(s.behave, canonical(name))
		return
	}
	s.behave[canonical(name)] = behaviours
}

// behaviour is what Behave said of a name.
func (s *Server) behaviour(name string) []Behaviour {
	if b, ok := s.behave[name]; ok {
		return b
	}
	for below := name; below != ""; {
		_, below, _ = strings.Cut(below, ".")
		if b, ok := s.behave["*."+below]; ok {
			return b
		}
	}
	return s.behave["*"]
}

// Honest answers as the records are: for names that "*" should not cover.
func Honest(*reply) {}

// Slow answers late.
func Slow(d time.Duration) Behaviour { return func(r *reply) { r.delay += d } }

// Dead does not answer.
func Dead(r *reply) { r.silent = true }

// ServFail answers SERVFAIL.
func ServFail(r *reply) { r.fail(dnsmessage.RCodeServerFailure) }

// Refused answers REFUSED.
func Refused(r *reply) { r.fail(dnsmessage.RCodeRefused) }

// NXDomain answers that there is no such name, whatever the records are. For "*" it
// makes a resolver that denies the root as well, as one that is cut off does.
func NXDomain(r *reply) { r.fail(dnsmessage.RCodeNameError) }

// Empty answers that there are no such records.
func Empty(r *reply) { r.fail(dnsmessage.RCodeSuccess) }

func (r *reply) fail(code dnsmessage.RCode) {
	r.message.RCode = code
	r.message.Answers = nil
}

// Lame answers nothing, as a server that neither knows the zone nor asks others.
func Lame(r *reply) {
	r.fail(dnsmessage.RCodeSuccess)
	r.message.RecursionAvailable = false
	r.message.Authorities = nil
}

// Truncated answers over UDP with the truncation bit and no records, so that the
// asker must come back over TCP.
func Truncated(r *reply) {
	if r.udp {
		r.message.Truncated = true
		r.message.Answers = nil
	}
}

// TruncatedAlways has the truncation bit over TCP, too.
func TruncatedAlways(r *reply) {
	r.message.Truncated = true
	r.message.Answers = nil
}

// Garbage answers with bytes that are no DNS message.
func Garbage(r *reply) {
	r.silent = true
	r.forged = append(r.forged, func(dnsmessage.Message) []byte {
		return []byte("\xff\xfe220 this is not a name server\r\n")
	})
}

// HalfGarbage answers with the right header and question, and then with bytes that
// end in the middle of a record.
func HalfGarbage(r *reply) {
	r.silent = true
	r.forged = append(r.forged, func(m dnsmessage.Message) []byte {
		m.Answers = []dnsmessage.Resource{resource(m.Questions[0].Name, &dnsmessage.TXTResource{TXT: []string{strings.Repeat("x", 200)}})}
		b, err := m.Pack()
		if err != nil {
			return nil
		}
		return b[:len(b)-100]
	})
}

// WrongID sends a forged answer with another id first, in which the name has the
// address 203.0.113.66 and a text, and then the honest one.
func WrongID(r *reply) {
	r.forged = append(r.forged, func(m dnsmessage.Message) []byte {
		m.ID ^= 0x5555
		return forge(m, m.Questions[0].Name)
	})
}

// WrongQuestion is like WrongID, with the right id for a question that nobody asked.
func WrongQuestion(r *reply) {
	r.forged = append(r.forged, func(m dnsmessage.Message) []byte {
		m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("forged.example."), Type: m.Questions[0].Type, Class: dnsmessage.ClassINET}}
		return forge(m, m.Questions[0].Name)
	})
}

// WrongIDOnly sends the forged answer only.
func WrongIDOnly(r *reply) {
	WrongID(r)
	r.silent = true
}

func forge(m dnsmessage.Message, name dnsmessage.Name) []byte {
	m.RCode, m.Authorities = dnsmessage.RCodeSuccess, nil
	m.Answers = []dnsmessage.Resource{
		resource(name, &dnsmessage.AResource{A: [4]byte{203, 0, 113, 66}}),
		resource(name, &dnsmessage.TXTResource{TXT: []string{"v=spf1 +all"}}),
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// Lying answers every query for an address with this one, existing name or not, as
// resolvers of some providers do, and queries for a name (PTR) with "liar.example".
func Lying(addr string) Behaviour {
	a := netip.MustParseAddr(addr)
	return func(r *reply) {
		q := r.message.Questions[0]
		r.message.RCode = dnsmessage.RCodeSuccess
		r.message.Answers, r.message.Authorities = nil, nil
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4(), q.Type == dnsmessage.TypeAAAA && a.Is6():
			r.message.Answers = []dnsmessage.Resource{resource(q.Name, address(a))}
		case q.Type == dnsmessage.TypePTR:
			r.message.Answers = []dnsmessage.Resource{resource(q.Name, &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("liar.example.")})}
		}
	}
}

// CNAMELoop answers that the name is an alias of another, which is one of the name.
func CNAMELoop(r *reply) {
	here, there := r.message.Questions[0].Name, dnsmessage.MustNewName("loop.invalid.")
	r.message.RCode = dnsmessage.RCodeSuccess
	r.message.Answers = []dnsmessage.Resource{
		resource(here, &dnsmessage.CNAMEResource{CNAME: there}),
		resource(there, &dnsmessage.CNAMEResource{CNAME: here}),
	}
}

// HugeTXT answers queries for text with about so many bytes of it (60000, say), which
// go over TCP only.
func HugeTXT(size int) Behaviour {
	return func(r *reply) {
		q := r.message.Questions[0]
		if q.Type != dnsmessage.TypeTXT {
			return
		}
		r.message.RCode, r.message.Authorities = dnsmessage.RCodeSuccess, nil
		r.message.Answers = nil
		for rest := size; rest > 0; rest -= 3000 {
			text := strings.Repeat("all work and no play ", 1+min(rest, 3000)/21)[:min(rest, 3000)]
			r.message.Answers = append(r.message.Answers, resource(q.Name, &dnsmessage.TXTResource{TXT: chunks(text)}))
		}
	}
}

// FailType answers SERVFAIL where the query is of this type ("A"), as the servers of
// some zones do that have not heard of it.
func FailType(kind string) Behaviour {
	return func(r *reply) {
		if r.message.Questions[0].Type == types[strings.ToUpper(kind)] {
			ServFail(r)
		}
	}
}
