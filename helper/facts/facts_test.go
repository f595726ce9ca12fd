package facts

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/dns"
	"exipol/helper/engine"
	"exipol/internal/dnstest"
)

// finder asks a server with these records.
func finder(t *testing.T, records ...string) (*dnstest.Server, *Finder) {
	t.Helper()
	s := dnstest.Start(t, records...)
	return s, New(Options{Resolver: resolver(s)})
}

func resolver(s *dnstest.Server) *dns.Resolver {
	return dns.New(dns.Options{Servers: []string{s.Address()}, Timeout: 300 * time.Millisecond})
}

// within ends after a while; 10 s stand for "in any case".
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func soon(t *testing.T) context.Context { return within(t, 10*time.Second) }

func question(client, helo, sender string) wire.Question {
	q := wire.Question{Helo: helo, Sender: sender}
	if client != "" {
		q.Client = netip.MustParseAddr(client)
	}
	return q
}

// fact reads one as it is written in a policy: name, or name zone.
func fact(text string) plan.Fact {
	name, arg, _ := strings.Cut(text, " ")
	return plan.Fact{Name: name, Arg: arg}
}

var findings = map[engine.Finding]string{engine.Unasked: "unasked", engine.Unclear: "unclear", engine.No: "no", engine.Yes: "yes"}

// expect asks for one fact.
func expect(t *testing.T, f *Finder, q wire.Question, what, want string) {
	t.Helper()
	got := f.Gather(soon(t), q, []plan.Fact{fact(what)}, nil)
	if findings[got.Found[fact(what)]] != want {
		t.Errorf("%s of %s, HELO %q, host %q, sender %q: %s, not %s", what, q.Client, q.Helo, q.Host, q.Sender, findings[got.Found[fact(what)]], want)
	}
}

// everything is one need of each kind.
var everything = []plan.Fact{
	fact("no_reverse_dns"), fact("helo_mismatch"), fact("dynamic_name"), fact("dnslist list.example"),
	fact("dnslist list.example=127.0.0.2"), fact("spf_fail"), fact("no_dnswl white.example"),
	fact("dnswl white.example"), fact("spf_pass friends"), fact("spf"), fact("pool"),
}

// held are the facts that are said to hold.
func held(f *engine.Facts) []string {
	var all []string
	for fact, finding := range f.Found {
		if finding == engine.Yes {
			all = append(all, fact.Name)
		}
	}
	slices.Sort(all)
	return all
}

func TestNoReverseDNS(t *testing.T) {
	records := []string{`
		192.0.2.1 PTR mail.example.com
		mail.example.com A 192.0.2.1
		192.0.2.2 PTR mail.example.com
		192.0.2.3 PTR gone.example.com
		192.0.2.4 PTR gone.example.com
		192.0.2.4 PTR four.example.com
		four.example.com A 192.0.2.9
		four.example.com A 192.0.2.4
		192.0.2.6 PTR half.example.com
		half.example.com AAAA 2001:db8:1::6
		2001:db8:1::6 PTR half.example.com
		2001:db8:1::7 PTR mail.example.com
		192.0.2.8 PTR broken.example.com
		192.0.2.9 PTR broken.example.com
		192.0.2.9 PTR four.example.com`}
	for i := range 20 { // the eleventh and later are not looked at
		records = append(records, fmt.Sprintf("192.0.2.20 PTR n%d.example.com", i), fmt.Sprintf("192.0.2.21 PTR m%d.example.com", i))
	}
	records = append(records, "n15.example.com A 192.0.2.20", "m5.example.com A 192.0.2.21")
	s, f := finder(t, records...)
	s.Behave("broken.example.com", dnstest.ServFail)
	s.Behave(dnstest.Reverse(netip.MustParseAddr("192.0.2.10")), dnstest.ServFail)
	for client, want := range map[string]string{
		"192.0.2.1": "no", "::ffff:192.0.2.1": "no", "192.0.2.2": "yes", "192.0.2.3": "yes", "192.0.2.4": "no",
		"192.0.2.5": "yes", "192.0.2.6": "yes", "2001:db8:1::6": "no", "2001:db8:1::7": "yes", "2001:db8:1::8": "yes",
		"192.0.2.8": "unclear", "192.0.2.9": "no", "192.0.2.10": "unclear", "192.0.2.20": "yes", "192.0.2.21": "no",
	} {
		expect(t, f, question(client, "", ""), "no_reverse_dns", want)
	}
	if n := s.Count("n15.example.com"); n != 0 {
		t.Errorf("the sixteenth name was looked up")
	}
	// What Exim knows already is not asked again.
	s.ResetCounts()
	for host, want := range map[string]string{wire.HostUnclear: "unclear", "mail.example.com": "no"} {
		q := question("192.0.2.77", "", "")
		q.Host = host
		expect(t, f, q, "no_reverse_dns", want)
	}
	if n := s.Total(); n != 0 {
		t.Errorf("%d queries for what Exim knew", n)
	}
	// That it found no name is not believed.
	for client, want := range map[string]string{"192.0.2.1": "no", "192.0.2.3": "yes", "192.0.2.10": "unclear"} {
		q := question(client, "", "")
		q.Host = wire.HostNone
		expect(t, f, q, "no_reverse_dns", want)
	}
}

func TestHeloMismatch(t *testing.T) {
	s, f := finder(t, `
		mail.example.com A 192.0.2.1
		192.0.2.1 PTR mail.example.com
		near.example.com A 192.0.2.200
		far.example.com A 198.51.100.1
		far.other.example A 198.51.100.1
		aliased.other.example CNAME mail.example.com
		six.example.com AAAA 2001:db8:1::25
		bulk.other.example AAAA 2001:db8:2::25
		2001:db8:1::25 PTR six.example.com
		domain.example MX 10 mail.example.com
		nomail.example MX 0 .
		co.uk A 198.51.100.1
		192.0.2.40 PTR host.one.co.uk
		host.one.co.uk A 192.0.2.40
		far.one.co.uk A 198.51.100.1
		far.two.co.uk A 198.51.100.1`)
	s.Behave("broken.example.com", dnstest.ServFail)
	s.Behave("halfbroken.example.com", dnstest.FailType("AAAA"))
	s.Behave("nomx.example.com", dnstest.FailType("MX"))
	s.Behave(dnstest.Reverse(netip.MustParseAddr("192.0.2.50")), dnstest.ServFail)
	for _, c := range []struct{ client, helo, want string }{
		{"192.0.2.1", "mail.example.com", "no"},
		{"192.0.2.1", "MAIL.Example.COM.", "no"},
		{"192.0.2.1", "near.example.com", "no"},
		{"192.0.2.1", "aliased.other.example", "no"},
		{"192.0.2.1", "far.example.com", "no"},    // its own name is in the same domain
		{"192.0.2.1", "far.other.example", "yes"}, // it is not
		{"192.0.2.2", "far.example.com", "yes"},   // no name of its own
		{"192.0.2.40", "far.one.co.uk", "no"},
		{"192.0.2.40", "far.two.co.uk", "yes"},
		{"192.0.2.40", "co.uk", "yes"},
		{"192.0.2.50", "far.example.com", "unclear"},
		{"192.0.2.50", "mail.example.com", "no"},
		{"192.0.2.1", "", "yes"}, {"192.0.2.1", "localhost", "yes"}, {"192.0.2.1", "WIN-ABC123", "yes"},
		{"192.0.2.1", "none.example.com", "yes"}, {"192.0.2.1", "a..b", "yes"}, {"192.0.2.1", "\xff\x00.\"", "yes"},
		{"192.0.2.1", strings.Repeat("long.", 100) + "example", "yes"},
		{"192.0.2.1", "bücher.example", "yes"},
		{"192.0.2.1", "[192.0.2.1]", "no"}, {"192.0.2.1", "[192.0.2.2]", "yes"}, {"192.0.2.1", "[nonsense]", "yes"},
		{"192.0.2.1", "192.0.2.1", "no"}, {"192.0.2.1", "192.0.2.2", "yes"}, {"192.0.2.1", "[::ffff:192.0.2.1]", "no"},
		{"2001:db8:1::1", "[IPv6:2001:db8:1::1]", "no"}, {"2001:db8:1::1", "[IPv6:2001:db8:1::2]", "yes"},
		{"2001:db8:1::1", "2001:db8:1::1", "no"}, {"2001:db8:1::1", "2001:db8:1::2", "yes"},
		{"2001:db8:1::99", "six.example.com", "no"}, {"2001:db8:2::99", "six.example.com", "yes"},
		{"2001:db8:1::25", "bulk.other.example", "yes"},
		{"2001:db8:2::99", "far.other.example", "no"}, // cannot be compared
		{"192.0.2.1", "six.example.com", "no"},
		{"192.0.2.1", "domain.example", "no"}, {"192.0.2.1", "nomail.example", "yes"},
		{"192.0.2.1", "broken.example.com", "unclear"}, {"192.0.2.1", "halfbroken.example.com", "unclear"},
		{"192.0.2.1", "nomx.example.com", "unclear"},
	} {
		expect(t, f, question(c.client, c.helo, ""), "helo_mismatch", c.want)
	}
	q := question("192.0.2.3", "far.example.com", "")
	q.Host = "out.example.com"
	expect(t, f, q, "helo_mismatch", "no")
	q.Host = wire.HostUnclear
	expect(t, f, q, "helo_mismatch", "unclear")
	q.Host = wire.HostNone
	expect(t, f, q, "helo_mismatch", "yes")
}

func TestLists(t *testing.T) {
	s, f := finder(t, `
		1.2.0.192.list.example A 127.0.0.2
		1.2.0.192.list.example A 127.0.0.10
		2.2.0.192.list.example A 127.255.255.254
		3.2.0.192.list.example A 203.0.113.9
		4.2.0.192.list.example A 127.0.0.1
		5.2.0.192.list.example A 127.255.255.252
		5.2.0.192.list.example A 127.0.0.4
		5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.list.example A 127.0.0.2
		*.world.example A 127.0.0.2
		1.2.0.192.refuses.example A 127.0.0.2
		1.0.0.127.refuses.example A 127.255.255.254
		1.2.0.192.tested.example A 127.0.0.2
		2.0.0.127.white.example A 127.0.10.0
		1.2.0.192.white.example A 127.0.5.1
		2.2.0.192.white.example A 127.0.5.0
		3.2.0.192.white.example A 127.0.0.255
		4.2.0.192.white.example A 127.0.15.3
		5.2.0.192.white.example A 203.0.113.9
		6.2.0.192.white.example A 127.3.0.1
		1.2.0.192.dead-white.example A 127.0.5.1`)
	s.Behave("9.2.0.192.list.example", dnstest.ServFail)
	s.Behave("9.2.0.192.white.example", dnstest.ServFail)
	s.Behave("1.0.0.127.tested.example", dnstest.ServFail)
	for _, c := range []struct{ client, fact, want string }{
		{"192.0.2.1", "dnslist list.example", "yes"},
		{"192.0.2.1", "dnslist list.example=127.0.0.10", "yes"},
		{"192.0.2.1", "dnslist list.example=127.0.0.3,127.0.0.10", "yes"},
		{"192.0.2.1", "dnslist list.example=127.0.0.1", "no"},
		{"192.0.2.1", "dnslist list.example=127.0.0.3,127.0.0.100", "no"},
		{"192.0.2.2", "dnslist list.example", "unclear"},
		{"192.0.2.2", "dnslist list.example=127.255.255.254", "unclear"},
		{"192.0.2.3", "dnslist list.example", "unclear"},
		{"192.0.2.4", "dnslist list.example", "unclear"},
		{"192.0.2.5", "dnslist list.example", "yes"},
		{"2001:db8:1::25", "dnslist list.example", "yes"},
		{"2001:db8:1::2:5", "dnslist list.example", "no"},
		{"2001:db8:1::25", "dnslist world.example", "unclear"},
		{"192.0.2.8", "dnslist list.example", "no"},
		{"192.0.2.9", "dnslist list.example", "unclear"},
		{"192.0.2.1", "dnslist world.example", "unclear"},
		{"192.0.2.1", "dnslist refuses.example", "unclear"},
		{"192.0.2.1", "dnslist tested.example", "unclear"},
		{"192.0.2.1", "dnslist gone.example", "no"},

		{"192.0.2.1", "dnswl white.example", "yes"}, {"192.0.2.1", "no_dnswl white.example", "no"},
		{"192.0.2.2", "dnswl white.example", "no"}, {"192.0.2.2", "no_dnswl white.example", "no"},
		{"192.0.2.3", "dnswl white.example", "unclear"}, {"192.0.2.3", "no_dnswl white.example", "unclear"},
		{"192.0.2.4", "dnswl white.example", "yes"}, {"192.0.2.4", "no_dnswl white.example", "no"},
		{"192.0.2.5", "dnswl white.example", "unclear"}, {"192.0.2.5", "no_dnswl white.example", "unclear"},
		{"192.0.2.6", "dnswl white.example", "unclear"}, {"192.0.2.6", "no_dnswl white.example", "unclear"},
		{"192.0.2.8", "dnswl white.example", "no"}, {"192.0.2.8", "no_dnswl white.example", "yes"},
		{"192.0.2.9", "dnswl white.example", "unclear"}, {"192.0.2.9", "no_dnswl white.example", "unclear"},
		{"192.0.2.8", "dnswl gone.example", "no"}, {"192.0.2.8", "no_dnswl gone.example", "unclear"},
		{"192.0.2.1", "dnswl world.example", "unclear"}, {"192.0.2.1", "no_dnswl world.example", "no"},
	} {
		expect(t, f, question(c.client, "", ""), c.fact, c.want)
	}
	want := "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.list.example"
	if s.Count(want) != 1 {
		t.Errorf("the test entry for IPv6 was not asked for")
	}
}

// TestLocal: of clients whom nobody outside knows, nothing holds, and nobody is asked.
func TestLocal(t *testing.T) {
	s, f := finder(t)
	s.Behave("*", dnstest.Lying("127.0.0.2"))
	for _, client := range []string{"", "10.1.2.3", "192.168.1.1", "100.64.1.1", "169.254.1.1", "fe80::1%eth0", "fd00::1", "::ffff:10.1.2.3"} {
		got := f.Gather(soon(t), question(client, "x", "a@example.com"), everything, nil)
		if len(held(got)) > 0 || got.SPF != "none" || len(got.Found) != len(everything)-1 {
			t.Errorf("%q: %v", client, got)
		}
		for fact, finding := range got.Found {
			if finding != engine.No {
				t.Errorf("%q: %s is %s", client, fact, findings[finding])
			}
		}
	}
	if s.Total() != 0 {
		t.Errorf("%d queries", s.Total())
	}
}

// TestLoopback: a stranger from this host is judged as one from elsewhere.
func TestLoopback(t *testing.T) {
	_, f := finder(t)
	got := f.Gather(soon(t), question("127.0.0.2", "stranger", "a@example.com"), []plan.Fact{{Name: plan.HeloMismatch}}, nil)
	if got.Found[plan.Fact{Name: plan.HeloMismatch}] != engine.Yes {
		t.Errorf("a HELO without a dot from 127.0.0.2: %v", got)
	}
}

// TestHave: what is known stays, is not asked for again, and is not written to.
func TestHave(t *testing.T) {
	s, f := finder(t, `example.com TXT "v=spf1 -all"`)
	have := &engine.Facts{Found: map[plan.Fact]engine.Finding{
		fact("no_reverse_dns"): engine.Unclear, fact("dnslist list.example"): engine.Yes,
	}}
	before := maps.Clone(have.Found)
	q := question("192.0.2.1", "x", "a@example.com")
	got := f.Gather(soon(t), q, []plan.Fact{fact("no_reverse_dns"), fact("dynamic_name"), fact("spf_fail"), fact("spf")}, have)
	want := map[plan.Fact]engine.Finding{
		fact("no_reverse_dns"): engine.Unclear, fact("dnslist list.example"): engine.Yes,
		fact("dynamic_name"): engine.No, fact("spf_fail"): engine.Yes,
	}
	if !maps.Equal(got.Found, want) || got.SPF != "fail" || got.SPFDomain != "example.com" {
		t.Errorf("%+v", got)
	}
	if !maps.Equal(have.Found, before) || have.SPF != "" {
		t.Errorf("have became %+v", have)
	}
	s.ResetCounts()
	again := f.Gather(soon(t), q, []plan.Fact{fact("spf_pass friends"), fact("spf")}, &engine.Facts{SPF: "pass", SPFDomain: "d.example", SPFOpen: true})
	if again.SPF != "pass" || again.SPFDomain != "d.example" || !again.SPFOpen || again.Found[fact("spf_pass friends")] != engine.No || s.Total() != 0 {
		t.Errorf("%+v after %d queries", again, s.Total())
	}
	if none := f.Gather(soon(t), q, nil, nil); none == nil || len(none.Found) != 0 || none.SPF != "" {
		t.Errorf("of nothing: %+v", none)
	}
}

// TestManyAtOnce is for the race detector, and finds the same for all.
func TestManyAtOnce(t *testing.T) {
	_, f := finder(t, `
		192.0.2.1 PTR mail.example.com
		mail.example.com A 192.0.2.1
		example.com TXT "v=spf1 a:mail.example.com -all"
		2.0.0.127.white.example A 127.0.10.0`)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got := f.Gather(soon(t), question("192.0.2.1", "mail.example.com", "a@example.com"), everything, nil)
			if fmt.Sprint(held(got)) != "[no_dnswl spf_pass]" || got.SPF != "pass" {
				t.Errorf("%v", got)
			}
		})
	}
	wg.Wait()
}
