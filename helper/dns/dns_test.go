package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"exipol/internal/dnstest"
)

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func start(t *testing.T, records ...string) (*dnstest.Server, *Resolver, *clock) {
	t.Helper()
	s, c := dnstest.Start(t, records...), &clock{}
	return s, New(Options{Servers: []string{s.Address()}, Timeout: 300 * time.Millisecond, Clock: c.now}), c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func soon(t *testing.T) context.Context { return within(t, 10*time.Second) }

func TestLookups(t *testing.T) {
	_, r, _ := start(t, `
		example.com MX 20 second.example.com
		example.com MX 10 mail.example.com
		example.com TXT "v=spf1 " "mx -all"
		example.com TXT "other"
		mail.example.com A 192.0.2.1
		mail.example.com A 192.0.2.2
		mail.example.com AAAA 2001:db8::1
		mail.example.com AAAA ::ffff:192.0.2.9
		four.example.com A 192.0.2.4
		www.example.com CNAME alias.example.com
		alias.example.com CNAME mail.example.com
		192.0.2.1 PTR mail.example.com
		7.2.0.192.in-addr.arpa CNAME 7.0-25.2.0.192.in-addr.arpa
		7.0-25.2.0.192.in-addr.arpa PTR Seven.example.com
		2001:db8::1 PTR mail.example.com
		2001:db8::1 PTR other.example.com`)
	ctx := soon(t)
	if got, err := r.LookupTXT(ctx, "Example.COM"); err != nil || !slices.Equal(got, []string{"v=spf1 mx -all", "other"}) {
		t.Errorf("TXT: %q, %v", got, err)
	}
	mx, err := r.LookupMX(ctx, "example.com.")
	if err != nil || len(mx) != 2 || *mx[0] != (net.MX{Host: "mail.example.com.", Pref: 10}) || mx[1].Pref != 20 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	for _, c := range []struct{ network, name, want string }{
		{"ip4", "mail.example.com", "[192.0.2.1 192.0.2.2]"},
		{"ip6", "mail.example.com", "[2001:db8::1]"},
		{"ip", "mail.example.com", "[192.0.2.1 192.0.2.2 2001:db8::1]"},
		{"ip", "www.example.com", "[192.0.2.1 192.0.2.2 2001:db8::1]"},
		{"ip", "four.example.com", "[192.0.2.4]"},
	} {
		if got, err := r.LookupNetIP(ctx, c.network, c.name); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s of %s: %v, %v; want %s", c.network, c.name, got, err, c.want)
		}
	}
	if got, err := r.LookupIPAddr(ctx, "mail.example.com"); err != nil || len(got) != 3 || !got[0].IP.Equal(net.IPv4(192, 0, 2, 1)) {
		t.Errorf("IPAddr: %v, %v", got, err)
	}
	if got, err := r.LookupAddr(ctx, "192.0.2.1"); err != nil || !slices.Equal(got, []string{"mail.example.com."}) {
		t.Errorf("PTR: %v, %v", got, err)
	}
	if got, err := r.LookupAddr(ctx, "192.0.2.7"); err != nil || !slices.Equal(got, []string{"Seven.example.com."}) {
		t.Errorf("PTR of a delegated address (RFC 2317): %v, %v", got, err)
	}
	if got, err := r.LookupAddr(ctx, "2001:db8::1"); err != nil || len(got) != 2 {
		t.Errorf("PTR: %v, %v", got, err)
	}
}

// TestErrors: not found and unclear are two things, for errors.Is as well as for those
// who look into a *net.DNSError.
func TestErrors(t *testing.T) {
	s, r, _ := start(t, "a.example A 192.0.2.1", "deep.below.example A 192.0.2.1", "gone.example CNAME nowhere.example")
	for _, name := range []string{
		"none.example", "below.example", "gone.example", "", ".", "a..example", ".a.example", "192.0.2.1",
		strings.Repeat("x", 64) + ".example", strings.Repeat("long.", 60) + "example", "a b\x00\xff.example",
	} {
		_, err := r.LookupNetIP(soon(t), "ip", name)
		var e *net.DNSError
		if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnclear) || !errors.As(err, &e) || !e.IsNotFound || e.Temporary() {
			t.Errorf("%.30q: %v", name, err)
		}
	}
	if _, err := r.LookupAddr(soon(t), "mail.example"); !errors.Is(err, ErrNotFound) {
		t.Errorf("PTR of a name: %v", err)
	}
	for what, b := range map[string]dnstest.Behaviour{
		"servfail": dnstest.ServFail, "refused": dnstest.Refused, "loop": dnstest.CNAMELoop, "half": dnstest.HalfGarbage,
		"garbage": dnstest.Garbage, "dead": dnstest.Dead, "cut": dnstest.TruncatedAlways, "lame": dnstest.Lame,
		"forged": dnstest.WrongIDOnly, "slow": dnstest.Slow(time.Hour),
	} {
		s.Behave(what+".example", b)
		for _, network := range []string{"ip4", "ip6", "ip"} {
			got, err := r.LookupNetIP(soon(t), network, what+".example")
			e, ok := err.(*net.DNSError) // itself: the SPF library does not unwrap
			if !ok || got != nil || !errors.Is(err, ErrUnclear) || errors.Is(err, ErrNotFound) || e.IsNotFound || !e.Temporary() {
				t.Errorf("%s, %s: %v, %v", what, network, got, err)
			}
		}
	}
}

// TestHalfAnswered: where one kind of address is unclear, both together are, too.
func TestHalfAnswered(t *testing.T) {
	s, r, _ := start(t, "a.example AAAA 2001:db8::1")
	s.Behave("a.example", dnstest.FailType("A"))
	if got, err := r.LookupNetIP(soon(t), "ip", "a.example"); !errors.Is(err, ErrUnclear) || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := r.LookupIPAddr(soon(t), "a.example"); !errors.Is(err, ErrUnclear) || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := r.LookupNetIP(soon(t), "ip6", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestForgedAnswers(t *testing.T) {
	s, r, _ := start(t, "a.example A 192.0.2.1", "b.example A 192.0.2.2")
	s.Behave("a.example", dnstest.WrongID)
	s.Behave("b.example", dnstest.WrongQuestion)
	for name, want := range map[string]string{"a.example": "[192.0.2.1]", "b.example": "[192.0.2.2]"} {
		if got, err := r.LookupNetIP(soon(t), "ip4", name); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestTCP(t *testing.T) {
	s, r, _ := start(t, "a.example A 192.0.2.1")
	s.Behave("a.example", dnstest.Truncated)
	s.Behave("huge.example", dnstest.HugeTXT(60000))
	if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("truncated: %v, %v", got, err)
	}
	got, err := r.LookupTXT(soon(t), "huge.example")
	if all := strings.Join(got, ""); err != nil || len(all) != 60000 {
		t.Errorf("huge: %d bytes, %v", len(all), err)
	}
	if n := s.CountType("huge.example", "TXT"); n != 2 {
		t.Errorf("asked %d times, not by UDP and TCP", n)
	}
}

func TestMemory(t *testing.T) {
	s, r, c := start(t, "a.example A 192.0.2.1")
	s.Behave("bad.example", dnstest.ServFail)
	ask := func(name string) { _, _ = r.LookupNetIP(soon(t), "ip4", name) }
	for _, step := range []struct {
		name string
		keep time.Duration
	}{{"a.example", keepFound}, {"none.example", keepNotFound}, {"bad.example", keepFailed}} {
		for range 3 {
			ask(step.name)
		}
		c.advance(step.keep - time.Second)
		ask(step.name)
		if n := s.Count(step.name); n != 1 {
			t.Errorf("%s was asked for %d times", step.name, n)
		}
		c.advance(time.Second)
		ask(strings.ToUpper(step.name) + ".")
		if n := s.Count(step.name); n != 2 {
			t.Errorf("%s was asked for %d times after its time", step.name, n)
		}
	}
	// The name that is missing is believed, as the server knows the root, and not for ever.
	if n := s.CountType(".", "NS"); n != 2 {
		t.Errorf("the root was asked for %d times", n)
	}
	if got, want := r.Stats(), (Stats{Asked: 6 + 2, Known: 9, Failed: 2}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

// TestOwnCopies: what an asker does with an answer stays his.
func TestOwnCopies(t *testing.T) {
	_, r, _ := start(t, "a.example A 192.0.2.1", `a.example TXT "x"`, "a.example MX 1 m.example")
	for range 2 {
		addrs, _ := r.LookupNetIP(soon(t), "ip4", "a.example")
		texts, _ := r.LookupTXT(soon(t), "a.example")
		mx, _ := r.LookupMX(soon(t), "a.example")
		if addrs[0] != netip.MustParseAddr("192.0.2.1") || texts[0] != "x" || mx[0].Host != "m.example." {
			t.Fatalf("%v %v %v", addrs, texts, mx[0])
		}
		addrs[0], texts[0], mx[0].Host = netip.Addr{}, "", ""
	}
}

func TestOneFlight(t *testing.T) {
	s, r, _ := start(t, "a.example A 192.0.2.1")
	s.Latency(100 * time.Millisecond)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := s.Count("a.example"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestGoesOn: who has no time left gets no answer, but the next one finds it.
func TestGoesOn(t *testing.T) {
	s, r, _ := start(t, "a.example A 192.0.2.1")
	s.Latency(150 * time.Millisecond)
	if _, err := r.LookupNetIP(within(t, time.Millisecond), "ip4", "a.example"); !errors.Is(err, ErrUnclear) {
		t.Errorf("an answer at once: %v", err)
	}
	if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if n := s.Count("a.example"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestServers(t *testing.T) {
	dead, good := dnstest.Start(t, "a.example A 192.0.2.66"), dnstest.Start(t, "a.example A 192.0.2.1", "b.example A 192.0.2.2")
	for what, b := range map[string]dnstest.Behaviour{"dead": dnstest.Dead, "broken": dnstest.ServFail, "lame": dnstest.Lame} {
		dead.Behave("*", b)
		dead.ResetCounts()
		r := New(Options{Servers: []string{dead.Address(), good.Address()}, Timeout: 100 * time.Millisecond})
		for name, want := range map[string]string{"a.example": "[192.0.2.1]", "b.example": "[192.0.2.2]"} {
			if got, err := r.LookupNetIP(soon(t), "ip4", name); err != nil || fmt.Sprint(got) != want {
				t.Errorf("%s: %v, %v", what, got, err)
			}
		}
		if n := dead.Total(); n != 1 {
			t.Errorf("%s: asked %d times, although the other had answered", what, n)
		}
		if err := r.Probe(soon(t), dead.Address()); err == nil {
			t.Errorf("%s: the probe says nothing", what)
		}
	}
	if err := New(Options{}).Probe(soon(t), good.Address()); err != nil {
		t.Errorf("probe: %v", err)
	}
	good.Behave(".", dnstest.NXDomain)
	if err := New(Options{}).Probe(soon(t), good.Address()); !errors.Is(err, ErrNotFound) {
		t.Errorf("probe of a server without a root: %v", err)
	}
	closed := dnstest.Start(t)
	closed.Close()
	r := New(Options{Servers: []string{closed.Address()}})
	if _, err := r.LookupNetIP(soon(t), "ip4", "a.example"); !errors.Is(err, ErrUnclear) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestResolvConf(t *testing.T) {
	file, c := filepath.Join(t.TempDir(), "resolv.conf"), &clock{}
	s := &servers{path: file, clock: c.now}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.advance(rereadServers)
	}
	want := func(want ...string) {
		t.Helper()
		if got := s.list(); !slices.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
	want("127.0.0.1:53")
	write("# nameserver 192.0.2.9\nsearch example.com\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 \nnameserver fe80::1%eth0\nnameserver nonsense\noptions edns0")
	want("192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%eth0]:53")
	write("nameserver 192.0.2.2\n")
	want("192.0.2.2:53")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.advance(rereadServers)
	want("192.0.2.2:53")
	s.given = []string{"192.0.2.3:5353"}
	want("192.0.2.3:5353")
}

func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "1.2.0.192.", "::ffff:192.0.2.1": "1.2.0.192.",
		"2001:db8::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.",
	} {
		if got := Reverse(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

// FuzzRead: whatever a server sends, there is an answer or an error, never a crash nor
// an address from elsewhere.
func FuzzRead(f *testing.F) {
	q := query{name: "a.example", kind: dnsmessage.TypeA}
	name := dnsmessage.MustNewName("a.example.")
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}},
		}},
	}
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte("\xff\xfe220 this is not a name server\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !ours(b, 0, q) {
			return
		}
		m, err := unpack(b)
		if err != nil {
			return
		}
		a, err := read(q, m)
		if found := len(a.addrs) > 0; err == nil && found == (a.err != nil) || err != nil && found || len(a.texts)+len(a.mx) > 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
