package emit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// TestNetsOnExim: two addresses have the same text exactly if they are of one net,
// whatever its length.
func TestNetsOnExim(t *testing.T) {
	t.Parallel()
	b := eximtest.New(t, eximtest.Small)
	random := rand.New(rand.NewPCG(1, 2))
	flip := func(a netip.Addr, bit int) netip.Addr {
		bytes := a.AsSlice()
		bytes[bit/8] ^= 0x80 >> (bit % 8)
		flipped, _ := netip.AddrFromSlice(bytes)
		return flipped
	}
	var in strings.Builder
	type pair struct {
		a, b netip.Addr
		bits int
	}
	var pairs []pair
	for bits := 1; bits <= 128; bits++ {
		for range 3 {
			v6 := [16]byte{0x20, 0x01}
			v4 := [4]byte{}
			for i := 2; i < 16; i++ {
				v6[i] = byte(random.Uint32())
			}
			for i := range v4 {
				v4[i] = byte(random.Uint32())
			}
			addrs := []netip.Addr{netip.AddrFrom16(v6)}
			if bits <= 32 {
				addrs = append(addrs, netip.AddrFrom4(v4))
			}
			for _, a := range addrs {
				pairs = append(pairs, pair{a, flip(a, bits-1), bits}) // the last bit of the net
				if bits < a.BitLen() {
					pairs = append(pairs, pair{a, flip(a, bits), bits}, pair{a, flip(a, a.BitLen()-1), bits})
				}
			}
		}
	}
	text := func(a netip.Addr, bits int) string {
		f := netIPv6
		if a.Is4() {
			f = netIPv4
		}
		return strings.ReplaceAll(f(bits), "$sender_host_address", a.String())
	}
	for _, p := range pairs {
		fmt.Fprintf(&in, "${if eq{%s}{%s}{yes}{no}}\n", text(p.a, p.bits), text(p.b, p.bits))
	}
	out, _, err := b.Exec(in.String(), "-be")
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Fields(strings.ReplaceAll(out, ">", " "))
	if len(said) != len(pairs) {
		t.Fatalf("%d answers to %d pairs", len(said), len(pairs))
	}
	for i, p := range pairs {
		want := "no"
		if netip.PrefixFrom(p.a, p.bits).Masked().Contains(p.b) {
			want = "yes"
		}
		if said[i] != want {
			t.Errorf("%s and %s in one /%d: %s", p.a, p.b, p.bits, said[i])
		}
	}
}
