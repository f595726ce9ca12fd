package dns

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// resolvConf names the machine's resolvers (resolv.conf(5)).
const resolvConf = "/etc/resolv.conf"

// rereadServers is how old what was read of it may be.
const rereadServers = 30 * time.Second

// mostServers is how many resolvers are asked, one after the other.
const mostServers = 6

// servers says which resolvers to ask: those given, else the machine's. A laptop or a
// DHCP client gets others while exipold runs, so that file is read again and again.
type servers struct {
	given []string
	path  string
	clock func() time.Time

	mu   sync.Mutex
	read time.Time
	all  []string
}

func (s *servers) list() []string {
	if len(s.given) > 0 {
		return s.given[:min(len(s.given), mostServers)]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if age := now.Sub(s.read); s.all != nil && age >= 0 && age < rereadServers {
		return s.all
	}
	s.read = now
	text, err := os.ReadFile(s.path)
	if err != nil && s.all != nil {
		return s.all // being replaced, say
	}
	s.all = parseResolvConf(string(text))
	return s.all
}

// parseResolvConf finds the nameserver lines. Where there are none, the resolver is on
// this machine, as resolv.conf(5) has it.
func parseResolvConf(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(all) == mostServers {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil {
			all = append(all, net.JoinHostPort(addr.String(), "53"))
		}
	}
	if all == nil {
		all = []string{"127.0.0.1:53"}
	}
	return all
}
