package facts

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"exipol/helper/engine"
)

// dynamicName: all names of the client look like those that providers give to lines
// without a server. A client without a name has no such name.
func (s *subject) dynamicName(ctx context.Context) engine.Finding {
	names, has := s.hosts(ctx)
	if has != engine.Yes {
		return has
	}
	for _, name := range names {
		if !dynamic(name, s.Client) {
			return engine.No
		}
	}
	return engine.Yes
}

// Words of labels, without digits. Those of servers are the stronger ones: what is
// wrong about a name should never be held against a mail server.
var (
	serverWords = words(`business colo colocation corp ded dedicated dns email exchange fix fixed fixip hosting
		list lists mout mta newsletter ns out outbound outgoing post postfix relay sender server srv stat vds vps web www`)
	serverStarts = strings.Fields("mail mx relay server smtp static")
	serverEnds   = strings.Fields("mail mx relay server smtp static")

	dynamicWords = words(`abo adsl bband broadband cable cablemodem catv cgn cgnat client clients cpe cust customer
		customers dhcp dial dialin dialup dip dsl dyn dynamic dynamicip dynip dynpool fios ftth fttb fttx gprs home
		hotspot hsd lte mobile modem pool pools ppp pppoe residential subscriber umts user users vdsl wifi wireless xdsl`)
	dynamicStarts = strings.Fields("adsl dhcp dialup pppoe vdsl")
)

func words(s string) map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(s) {
		all[w] = true
	}
	return all
}

// dynamic says whether a host name (normalised) looks as if its provider had made it of
// the client's address, or put the client among its lines.
func dynamic(name string, client netip.Addr) bool {
	labels := strings.TrimSuffix(name, registered(name))
	found := false
	for _, word := range strings.FieldsFunc(labels, func(r rune) bool { return r < 'a' || r > 'z' }) {
		if serverWords[word] || hasAffix(word, serverStarts, strings.HasPrefix) || hasAffix(word, serverEnds, strings.HasSuffix) {
			return false
		}
		found = found || dynamicWords[word] || hasAffix(word, dynamicStarts, strings.HasPrefix)
	}
	return found || holdsAddress(name, client)
}

func hasAffix(word string, all []string, has func(string, string) bool) bool {
	return slices.ContainsFunc(all, func(s string) bool { return has(word, s) })
}

// holdsAddress says whether a name holds an address in one of the usual ways.
func holdsAddress(name string, addr netip.Addr) bool {
	if addr.Is4() {
		return holdsOctets(name, addr) || holdsRun(name, addr)
	}
	return holdsGroups(name, addr)
}

// holdsOctets finds four numbers in a row, one character apart ("192-0-2-1",
// "1.2.0.192", "192x000x002x001"), that are the octets in any order.
func holdsOctets(name string, addr netip.Addr) bool {
	raw := addr.As4()
	want := []int{int(raw[0]), int(raw[1]), int(raw[2]), int(raw[3])}
	slices.Sort(want)
	var row []int
	for i := 0; i < len(name); {
		j := i
		for j < len(name) && '0' <= name[j] && name[j] <= '9' {
			j++
		}
		if j == i { // two characters that are no digits end the row
			if i > 0 && !isDigit(name[i-1]) {
				row = nil
			}
			i++
			continue
		}
		n, err := strconv.Atoi(name[i:j])
		if err != nil {
			n = -1
		}
		row = append(row, n)
		if len(row) >= 4 {
			last := slices.Sorted(slices.Values(row[len(row)-4:]))
			if slices.Equal(last, want) {
				return true
			}
		}
		i = j
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// holdsRun finds the address without anything between its octets, in either order: each
// with three digits, or with two hexadecimal ones.
func holdsRun(name string, addr netip.Addr) bool {
	raw := addr.As4()
	for range 2 {
		decimal := fmt.Sprintf("%03d%03d%03d%03d", raw[0], raw[1], raw[2], raw[3])
		if strings.Contains(name, decimal) || strings.Contains(name, hex.EncodeToString(raw[:])) {
			return true
		}
		slices.Reverse(raw[:])
	}
	return false
}

// holdsGroups finds an IPv6 address: all of its digits or the last half of them (the
// first half is the line's net), with or without what stands between groups, or with the
// groups' leading zeros left out.
func holdsGroups(name string, addr netip.Addr) bool {
	raw := addr.As16()
	digits := hex.EncodeToString(raw[:])
	bare := strings.NewReplacer("-", "", ".", "", "_", "").Replace(name)
	if strings.Contains(bare, digits) || strings.Contains(bare, digits[16:]) || strings.Contains(bare, reversed(digits)) {
		return true
	}
	var groups []string
	for i := 0; i < len(digits); i += 4 {
		group := strings.TrimLeft(digits[i:i+3], "0") + digits[i+3:i+4]
		groups = append(groups, group)
	}
	for _, between := range []string{"-", ".", "_"} {
		if strings.Contains(name, strings.Join(groups, between)) {
			return true
		}
		// Half of one that is mostly zeros may be in a name by chance.
		if half := strings.Join(groups[4:], between); len(half) >= 12 && strings.Contains(name, half) {
			return true
		}
	}
	return false
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
