package pools

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMerge(t *testing.T) {
	for _, c := range [][2]string{
		{"", ""},
		{"192.0.2.7/24", "192.0.2.0/24"},
		{"192.0.2.0/25 192.0.2.128/25", "192.0.2.0/24"},
		{"192.0.2.128/25 192.0.3.0/25", "192.0.2.128/25 192.0.3.0/25"},
		{"192.0.2.0/26 192.0.2.64/26 192.0.2.128/25 192.0.3.0/24", "192.0.2.0/23"},
		{"192.0.2.1/32 192.0.2.0/24 192.0.2.0/24 10.0.0.0/8", "10.0.0.0/8 192.0.2.0/24"},
		{"2001:db8::/33 2001:db8:8000::/33 192.0.2.0/24", "192.0.2.0/24 2001:db8::/32"},
		{"0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1", "0.0.0.0/0 ::/0"},
	} {
		if got := Merge(prefixes(c[0])); !slices.Equal(got, prefixes(c[1])) {
			t.Errorf("%s: %v", c[0], got)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable([]Networks{
		{Name: "wide", Networks: prefixes("192.0.0.0/16 2001:db8::/32")},
		{Name: "narrow", Networks: prefixes("192.0.2.0/24 192.0.2.7/32 2001:db8:1::/48")},
		{Name: "b", Networks: prefixes("198.51.100.0/24")},
		{Name: "a", Networks: prefixes("198.51.100.0/24 198.51.100.8/29")},
		{Name: "end", Networks: prefixes("255.255.255.0/24 ffff::/16")},
	})
	for addr, want := range map[string]string{
		"192.0.2.1": "narrow", "192.0.1.255": "wide", "192.0.3.0": "wide", "192.0.255.255": "wide", "192.1.0.0": "", "191.255.255.255": "",
		"::ffff:192.0.2.1": "narrow", "198.51.100.1": "a", "198.51.100.9": "a", "198.51.101.0": "", "255.255.255.255": "end",
		"2001:db8::1": "wide", "2001:db8:1::1%eth0": "narrow", "2001:db8:2::": "wide", "2001:db9::": "", "::": "", "ffff::1": "end",
		"0.0.0.0": "", "::c000:201": "",
	} {
		if got := table.Pool(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, not %q", addr, got, want)
		}
	}
	if (*Table)(nil).Pool(netip.MustParseAddr("192.0.2.1")) != "" || table.Pool(netip.Addr{}) != "" || NewTable(nil).Pool(netip.MustParseAddr("::1")) != "" {
		t.Error("nobody's address is somebody's")
	}
}

// TestTableProperty compares the table with the longest of all networks, looked through
// one by one.
func TestTableProperty(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Addr { // of few, so that networks meet
		raw := []byte{byte(rng.IntN(3)) * 127, byte(rng.IntN(3)) * 127, byte(rng.IntN(2)), byte(rng.IntN(4))}
		if rng.IntN(2) == 0 {
			raw = append(make([]byte, 12, 16), raw...)
			raw[0] = byte(rng.IntN(2)) * 255
		}
		a, _ := netip.AddrFromSlice(raw)
		return a
	}
	for range 300 {
		var all []Networks
		for i := range rng.IntN(6) {
			n := Networks{Name: fmt.Sprintf("p%d", i)}
			for range rng.IntN(6) {
				a := random()
				n.Networks = append(n.Networks, netip.PrefixFrom(a, rng.IntN(a.BitLen()+1)))
			}
			all = append(all, n)
		}
		table := NewTable(all)
		for range 100 {
			a := random()
			bits, want := -1, ""
			for _, n := range all {
				for _, p := range n.Networks {
					if p.Contains(a) && p.Bits() > bits {
						bits, want = p.Bits(), n.Name
					}
				}
			}
			if got := table.Pool(a); got != want {
				t.Fatalf("%s in %v: %q, not %q", a, all, got, want)
			}
		}
	}
}

func BenchmarkPool(b *testing.B) {
	var all []Networks
	for i := range 100 {
		n := Networks{Name: fmt.Sprintf("p%d", i)}
		for j := range 100 {
			n.Networks = append(n.Networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(100 + i), byte(j), 0, 0}), 20))
		}
		all = append(all, n)
	}
	table := NewTable(all)
	addr := netip.MustParseAddr("150.50.1.1")
	b.ReportAllocs()
	for b.Loop() {
		if table.Pool(addr) != "p50" {
			b.Fatal("not found")
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pools.json")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	if err := Write(path, []Networks{
		{Name: "b", Networks: prefixes("192.0.2.128/25 192.0.2.0/25"), Notes: []string{"<x>"}, Resolved: at},
		{Name: "a"},
	}); err != nil {
		t.Fatal(err)
	}
	want := `{
  "format_version": 1,
  "pools": [
    {
      "name": "a",
      "networks": []
    },
    {
      "name": "b",
      "networks": [
        "192.0.2.0/24"
      ],
      "notes": [
        "<x>"
      ],
      "resolved": "2026-11-22T10:00:00Z"
    }
  ]
}
`
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	all, err := Read(path)
	if err != nil || !reflect.DeepEqual(all, []Networks{
		{Name: "a", Networks: []netip.Prefix{}}, {Name: "b", Networks: prefixes("192.0.2.0/24"), Notes: []string{"<x>"}, Resolved: at},
	}) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := Write(path, all); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); string(again) != want {
		t.Errorf("what was read is written as\n%s", again)
	}
	if err := Write(filepath.Join(path, "below"), nil); err == nil {
		t.Error("written below a file")
	}
	for _, bad := range []string{"", "{}", `{"format_version":2,"pools":[]}`, `{"format_version":1,"pools":[{"name":""}]}`,
		`{"format_version":1,"pools":[{"name":"a"},{"name":"a"}]}`, `{"format_version":1,"pools":[{"name":"a","networks":["192.0.2"]}]}`,
		`{"format_version":1,"pools":[{"name":"a","networks":["::ffff:192.0.2.1"]}]}`, `{"format_version":1,"pools":[{"name":"a","networks":["fe80::1%eth0"]}]}`,
		`{"format_version":1,"pools":[{"name":"a","networks":[7]}]}`, `{"format_version":1,"pools":[{"name":"a","nets":[]}]}`,
		`{"format_version":1,"pools":[{"name":"a","networks":[""]}]}`, `{"format_version":1,"pools":[{"name":"a","networks":["::ffff:192.0.2.0/120"]}]}`,
		`{"format_version":1,"pools":[],"more":1}`, `{"format_version":1,"pools":[]} x`} {
		if got, err := decode(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: %v", bad, got)
		}
	}
}

// Whoever writes the file by hand writes addresses as in the policies.
func TestReadAddresses(t *testing.T) {
	got, err := decode(strings.NewReader(`{"format_version":1,"pools":[{"name":"b","spf":["x"],"networks":["203.0.113.5","2001:4860:4864::1","203.0.113.128/25"]},{"name":"a"}]}`))
	want := []Networks{{Name: "a", Networks: []netip.Prefix{}}, {Name: "b", SPF: []string{"x"}, Networks: prefixes("203.0.113.5/32 203.0.113.128/25 2001:4860:4864::1/128")}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = decode(strings.NewReader(`{"format_version":1,"pools":[{"name":"b","networks":["mail.example"]}]}`))
	if err == nil || err.Error() != `pool b: "mail.example" is neither an IP address nor a network as in 192.0.2.0/24` {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	before := []Networks{
		{Name: "same", Networks: prefixes("192.0.2.0/25 192.0.2.128/25")}, {Name: "gone", Networks: prefixes("10.0.0.0/8")},
		{Name: "changed", Networks: prefixes("192.0.2.0/24 198.51.100.0/24")}, {Name: "empty"},
	}
	after := []Networks{
		{Name: "same", Networks: prefixes("192.0.2.0/24"), Resolved: time.Unix(1, 0)}, {Name: "new", Networks: prefixes("11.0.0.0/8")},
		{Name: "changed", Networks: prefixes("198.51.100.0/24 203.0.113.0/24")},
	}
	want := []Change{
		{"changed", prefixes("203.0.113.0/24"), prefixes("192.0.2.0/24")},
		{"gone", nil, prefixes("10.0.0.0/8")},
		{"new", prefixes("11.0.0.0/8"), nil},
	}
	got := Diff(before, after)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if got := Diff(after, after); got != nil {
		t.Errorf("nothing differs: %v", got)
	}
}

// TestReadTooMuch: what Resolve would not give is not read either, whoever wrote it.
func TestReadTooMuch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pools.json")
	for networks, want := range map[string]string{
		"0.0.0.0/0":             "pool big: the network 0.0.0.0/0 is wider than a /8",
		"12.0.0.0/8 13.0.0.0/8": "pool big: the network 12.0.0.0/7 is wider",
		"::/0":                  "pool big: the network ::/0 is wider than a /19",
		"11.0.0.0/8 14.0.0.0/8 17.0.0.0/8 20.0.0.0/8":             "",
		"11.0.0.0/8 14.0.0.0/8 17.0.0.0/8 20.0.0.0/8 31.0.0.0/32": "pool big: with the network 31.0.0.0/32",
		"172.0.0.0/8": "pool big: the network 172.0.0.0/8 has 172.16.0.0/12 in it",
		"192.0.0.0/22 10.0.0.0/8 fc00::/7 ::1/128 192.0.2.0/25": "pool big: the network 192.0.0.0/22 has 192.0.2.0/24 in it",
		"10.0.0.0/8 127.0.0.1/32 fc00::/7 ::1/128 192.0.2.0/24": "",
	} {
		if err := Write(path, []Networks{{Name: "big", Networks: prefixes(networks)}, {Name: "small"}}); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %v, not %q", networks, err, want)
		}
	}
}
