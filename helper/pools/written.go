package pools

import (
	"fmt"
	"net/netip"
)

// written is a file as a person may have written it: with plain addresses among the
// networks.
type written struct {
	FormatVersion int `json:"format_version"`
	Pools         []struct {
		Networks
		Words []string `json:"networks"` // hides the embedded one's
	} `json:"pools"`
}

// file is the same with networks alone.
func (w written) file() (file, error) {
	f := file{FormatVersion: w.FormatVersion}
	for _, p := range w.Pools {
		for _, word := range p.Words {
			n, err := network(word)
			if err != nil {
				return f, fmt.Errorf("pool %s: %w", p.Name, err)
			}
			p.Networks.Networks = append(p.Networks.Networks, n)
		}
		f.Pools = append(f.Pools, p.Networks)
	}
	return f, nil
}

// network reads a network, or an address, which is one of its own.
func network(word string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(word)
	if a, plain := netip.ParseAddr(word); plain == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return p, fmt.Errorf("%q is neither an IP address nor a network as in 192.0.2.0/24", word)
	}
	return p, nil
}
