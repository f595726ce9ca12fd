package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// mostAliases is how many CNAME records are followed from a name.
const mostAliases = 16

var errAliases = errors.New("aliases in a circle, or too many")

// unpack reads what read needs: records of other kinds, which may be of any shape, are
// passed over.
func unpack(packed []byte) (*dnsmessage.Message, error) {
	var p dnsmessage.Parser
	h, err := p.Start(packed)
	if err == nil {
		err = p.SkipAllQuestions()
	}
	if err != nil {
		return nil, err
	}
	m := &dnsmessage.Message{Header: h}
	for {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch rh.Type {
		case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeTXT, dnsmessage.TypeMX,
			dnsmessage.TypePTR, dnsmessage.TypeNS, dnsmessage.TypeCNAME:
			record, err := p.Answer()
			if err != nil {
				return nil, err
			}
			m.Answers = append(m.Answers, record)
		default:
			if err := p.SkipAnswer(); err != nil {
				return nil, err
			}
		}
	}
	// Of the authority only its first record matters: whether there is a start of it.
	if rh, err := p.AuthorityHeader(); err == nil {
		m.Authorities = append(m.Authorities, dnsmessage.Resource{Header: rh})
	}
	return m, nil
}

// read takes the answer out of a server's message. The error means that the server did
// not give one.
func read(q query, m *dnsmessage.Message) (answer, error) {
	if m.RCode != dnsmessage.RCodeSuccess && m.RCode != dnsmessage.RCodeNameError {
		return answer{}, fmt.Errorf("the server says %s", rcode(m.RCode))
	}
	name, err := alias(q.name+".", m.Answers)
	if err != nil {
		return answer{}, err
	}
	var a answer
	for _, record := range m.Answers {
		if record.Header.Type == q.kind && record.Header.Class == dnsmessage.ClassINET && lower(record.Header.Name.String()) == name {
			a.add(record.Body)
		}
	}
	slices.SortStableFunc(a.mx, func(x, y net.MX) int { return int(x.Pref) - int(y.Pref) })
	if len(a.addrs)+len(a.texts)+len(a.mx) > 0 {
		return a, nil
	}
	// A server that neither knows the name nor asks others for it says nothing, too.
	if m.RCode == dnsmessage.RCodeSuccess && !m.Authoritative && !m.RecursionAvailable && len(m.Authorities) == 0 {
		return answer{}, errors.New("the server does not look up names for us")
	}
	return answer{err: ErrNotFound}, nil
}

// alias is the name at the end of the aliases that begin with a name.
func alias(name string, records []dnsmessage.Resource) (string, error) {
	to := map[string]string{}
	for _, record := range records {
		if c, ok := record.Body.(*dnsmessage.CNAMEResource); ok {
			to[lower(record.Header.Name.String())] = lower(c.CNAME.String())
		}
	}
	for range mostAliases {
		next, ok := to[name]
		if !ok {
			return name, nil
		}
		name = next
	}
	return "", errAliases
}

func (a *answer) add(body dnsmessage.ResourceBody) {
	switch b := body.(type) {
	case *dnsmessage.AResource:
		a.addrs = append(a.addrs, netip.AddrFrom4(b.A))
	case *dnsmessage.AAAAResource:
		// An IPv4 address in IPv6 clothes is nobody's: clients come by IPv4 then.
		if addr := netip.AddrFrom16(b.AAAA); !addr.Is4In6() {
			a.addrs = append(a.addrs, addr)
		}
	case *dnsmessage.TXTResource:
		a.texts = append(a.texts, strings.Join(b.TXT, ""))
	case *dnsmessage.PTRResource:
		a.texts = append(a.texts, b.PTR.String())
	case *dnsmessage.NSResource:
		a.texts = append(a.texts, b.NS.String())
	case *dnsmessage.MXResource:
		a.mx = append(a.mx, net.MX{Host: b.MX.String(), Pref: b.Pref})
	}
}

// rcode is a response code in the words of dig(1).
func rcode(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	}
	return fmt.Sprintf("response code %d", code)
}
