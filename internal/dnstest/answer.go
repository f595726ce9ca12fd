package dnstest

import (
	"golang.org/x/net/dns/dnsmessage"
)

// mostAliases bounds how many CNAME records are followed.
const mostAliases = 16

// answer is what is sent for a query, packet by packet; nothing for one that is not
// understood.
func (s *Server) answer(query []byte, udp bool) [][]byte {
	var asked dnsmessage.Message
	if asked.Unpack(query) != nil || asked.Response || len(asked.Questions) != 1 {
		return nil
	}
	r := s.look(asked, udp)
	if !s.sleep(r.delay) {
		return nil
	}
	var packets [][]byte
	for _, forged := range r.forged {
		packets = append(packets, forged(r.message))
	}
	if r.silent {
		return packets
	}
	packed, err := r.message.Pack()
	if err == nil && udp && len(packed) > udpSize(asked) {
		r.message.Truncated = true
		r.message.Answers, r.message.Authorities = nil, nil
		packed, err = r.message.Pack()
	}
	if err != nil || len(packed) > 65535 {
		ServFail(r)
		if packed, err = r.message.Pack(); err != nil {
			return packets
		}
	}
	return append(packets, packed)
}

// look counts the query, looks up its records, and applies what Behave said.
func (s *Server) look(asked dnsmessage.Message, udp bool) *reply {
	q := asked.Questions[0]
	name := canonical(q.Name.String())
	s.mu.Lock()
	s.counts[question{name, q.Type}]++
	r := &reply{udp: udp, delay: s.latency, message: dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: asked.ID, Response: true, OpCode: asked.OpCode,
			RecursionDesired: asked.RecursionDesired, RecursionAvailable: true,
		},
		Questions: asked.Questions,
	}}
	s.zone.fill(&r.message, q.Type)
	behaviours := s.behaviour(name)
	s.mu.Unlock()
	for _, b := range behaviours {
		b(r)
	}
	return r
}

// fill puts the records of the question's name and type into the answer, through
// aliases, and a start of authority where there are none.
func (z zone) fill(m *dnsmessage.Message, kind dnsmessage.Type) {
	at := m.Questions[0].Name
	for range mostAliases {
		all, known := z.records(canonical(at.String()))
		if !known {
			m.RCode = dnsmessage.RCodeNameError
		}
		var alias *dnsmessage.CNAMEResource
		found := false
		for _, body := range all {
			c, isAlias := body.(*dnsmessage.CNAMEResource)
			if typeOf(body) == kind {
				m.Answers = append(m.Answers, resource(at, body))
				found = true
			} else if isAlias {
				alias = c
			}
		}
		if found {
			return
		}
		if alias == nil {
			m.Authorities = []dnsmessage.Resource{startOfAuthority}
			return
		}
		m.Answers = append(m.Answers, resource(at, alias))
		at = alias.CNAME
	}
}

var startOfAuthority = resource(dnsmessage.MustNewName("."), &dnsmessage.SOAResource{
	NS: dnsmessage.MustNewName("ns.invalid."), MBox: dnsmessage.MustNewName("hostmaster.invalid."),
	Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, MinTTL: 60,
})

func resource(name dnsmessage.Name, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
		Name: name, Type: typeOf(body), Class: dnsmessage.ClassINET, TTL: 60,
	}, Body: body}
}

func typeOf(body dnsmessage.ResourceBody) dnsmessage.Type {
	switch body.(type) {
	case *dnsmessage.AResource:
		return dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		return dnsmessage.TypeAAAA
	case *dnsmessage.TXTResource:
		return dnsmessage.TypeTXT
	case *dnsmessage.MXResource:
		return dnsmessage.TypeMX
	case *dnsmessage.PTRResource:
		return dnsmessage.TypePTR
	case *dnsmessage.NSResource:
		return dnsmessage.TypeNS
	case *dnsmessage.CNAMEResource:
		return dnsmessage.TypeCNAME
	}
	return dnsmessage.TypeSOA
}

// udpSize is how long an answer the asker takes over UDP: 512 bytes, or what its EDNS
// record says (RFC 6891, 6.2.3).
func udpSize(asked dnsmessage.Message) int {
	for _, extra := range asked.Additionals {
		if extra.Header.Type == dnsmessage.TypeOPT {
			return max(512, int(extra.Header.Class))
		}
	}
	return 512
}
