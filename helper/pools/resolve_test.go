package pools

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/dns"
	"exipol/internal/dnstest"
)

func start(t *testing.T, records ...string) (*dnstest.Server, *dns.Resolver) {
	t.Helper()
	s := dnstest.Start(t, records...)
	return s, dns.New(dns.Options{Servers: []string{s.Address()}, Timeout: 200 * time.Millisecond})
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func prefixes(text string) []netip.Prefix {
	var all []netip.Prefix
	for _, f := range strings.Fields(text) {
		all = append(all, netip.MustParsePrefix(f))
	}
	return all
}

func TestResolve(t *testing.T) {
	_, r := start(t, `
		provider.example TXT "other"
		provider.example TXT "v=spf1 include:_net1.provider.example include:_net2.provider.example +a:out.provider.example ~all"
		_net1.provider.example TXT "V=SPF1 ip4:192.0.2.0/25 IP4:192.0.2.128/25 ip4:198.51.100.7/24 ip6:2001:db8:1::/48 -all"
		_net2.provider.example TXT "v=spf1 include:_net1.provider.example mx mx:nomail.example/24 a/28//60 redirect=_net3.provider.example"
		_net2.provider.example A 203.0.113.17
		_net2.provider.example AAAA 2001:db8:2:15::1
		_net2.provider.example MX 10 out.provider.example
		_net2.provider.example MX 20 gone.provider.example
		nomail.example MX 0 .
		out.provider.example A 203.0.113.99
		_net3.provider.example TXT "v=spf1 ip4:203.0.113.100 exp=why.provider.example ?all redirect=nowhere.example"
		strange.example TXT "v=spf1 exists:%{i}.x.example ptr ptr:x.example include:%{d}.example include:gone.example a:gone.example ip4:0.0.0.0/0 ip4:10.0.0.0/8 ip4:127.0.0.1 ip4:nonsense ip4:2001:db8::1 ip6:192.0.2.1 ip6:::/0 ip6:::ffff:192.0.2.0/120 -ip4:192.0.2.1 ~include:_net1.provider.example a/99 a//x mx//129 a:out.provider.example/0 nonsense ip4:192.0.2.5/32 +all redirect=%{i}.example"
		macro.example TXT "v=spf1 ip4:192.0.2.6 redirect=%{i}.example"`)
	got, notes, err := Resolve(soon(t), r, plan.Pool{Name: "p", SPF: []string{"Provider.Example."}, Clients: []string{"10.1.0.0/16", "2001:db8:9::/48"}})
	want := prefixes("10.1.0.0/16 192.0.2.0/24 198.51.100.0/24 203.0.113.16/28 203.0.113.99/32 203.0.113.100/32 2001:db8:1::/48 2001:db8:2:10::/60 2001:db8:9::/48")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v\nwant %v", got, err, want)
	}
	if fmt.Sprint(notes) != `[_net2.provider.example: "mx:nomail.example/24" has no address]` {
		t.Errorf("notes %q", notes)
	}

	got, notes, err = Resolve(soon(t), r, plan.Pool{Name: "p", SPF: []string{"strange.example", "macro.example"}})
	if err != nil || !slices.Equal(got, prefixes("192.0.2.5/32 192.0.2.6/32")) {
		t.Errorf("%v, %v", got, err)
	}
	if len(notes) != 23 || !slices.IsSorted(notes) {
		t.Errorf("%d notes:\n%s", len(notes), strings.Join(notes, "\n"))
	}
	for _, part := range []string{`"exists:%{i}.x.example" holds a macro`, `"ptr" names no network`, `"+all" lets everybody pass`, `"ip4:0.0.0.0/0" is too wide`,
		`"ip4:10.0.0.0/8" is not public`, `"include:gone.example" leads to no SPF record`, `"-ip4:192.0.2.1" lets nobody pass`, `macro.example: redirect=%{i}.example holds a macro`} {
		if !strings.Contains(strings.Join(notes, "\n"), part) {
			t.Errorf("no note %q in\n%s", part, strings.Join(notes, "\n"))
		}
	}
	if got, notes, err := Resolve(soon(t), r, plan.Pool{Name: "p", Clients: []string{"192.0.2.0/24"}}); err != nil || notes != nil || len(got) != 1 {
		t.Errorf("only clients: %v, %v, %v", got, notes, err)
	}
}

// TestResolveFails: of what cannot be had whole, there is nothing at all, in bounded time.
func TestResolveFails(t *testing.T) {
	records := []string{`
		loop.example TXT "v=spf1 ip4:192.0.2.1 include:pool.example -all"
		pool.example TXT "v=spf1 redirect=loop.example"
		self.example TXT "v=spf1 ip4:192.0.2.1 redirect=self.example"
		twice.example TXT "v=spf1 ip4:192.0.2.1 -all"
		twice.example TXT "v=spf1 -all"
		none.example TXT "text"
		nobody.example TXT "v=spf1 -all"
		below.example TXT "v=spf1 ip4:192.0.2.1 include:bad.example -all"
		hosts.example TXT "v=spf1 ip4:192.0.2.1 a:bad.example -all"
		mx.example TXT "v=spf1 ip4:192.0.2.1 mx:bad.example -all"
		half.example TXT "v=spf1 ip4:192.0.2.1 a:half.example -all"
		half.example A 192.0.2.1`}
	var many, wide strings.Builder
	for i := range 200 {
		records = append(records, fmt.Sprintf(`d%d.example TXT "v=spf1 ip4:192.0.2.%d include:d%d.example -all"`, i, i, i+1))
	}
	for i := range 400 {
		fmt.Fprintf(&many, " include:m%d.example", i)
		records = append(records, fmt.Sprintf(`m%d.example TXT "v=spf1 ip4:198.51.100.1 -all"`, i))
	}
	for i := range 11_000 { // in records that are each small enough
		if i%500 == 0 {
			fmt.Fprintf(&wide, "\"\nw%d.example TXT \"v=spf1", i/500)
		}
		fmt.Fprintf(&wide, " ip4:203.%d.%d.1", i/250, i%250)
	}
	records = append(records, `many.example TXT "v=spf1`+many.String()+`"`, strings.TrimPrefix(wide.String(), "\"\n")+`"`)
	all := "v=spf1"
	for i := range 22 {
		all += fmt.Sprintf(" include:w%d.example", i)
	}
	records = append(records, `wide.example TXT "`+all+`"`)
	s, r := start(t, records...)
	s.Behave("bad.example", dnstest.ServFail)
	s.Behave("dead.example", dnstest.Dead)
	s.Behave("garbage.example", dnstest.Garbage)
	s.Behave("alias.example", dnstest.CNAMELoop)
	s.Behave("huge.example", dnstest.HugeTXT(60000))
	s.Behave("half.example", dnstest.FailType("AAAA"))
	for domain, part := range map[string]string{
		"loop.example": "includes itself (loop.example, pool.example, loop.example)", "self.example": "includes itself",
		"twice.example": "2 SPF records", "none.example": "no SPF record", "gone.example": "no SPF record",
		"nobody.example": "no network", "below.example": "SERVFAIL", "hosts.example": "SERVFAIL", "mx.example": "SERVFAIL",
		"half.example": "SERVFAIL", "bad.example": "SERVFAIL", "dead.example": "no answer", "garbage.example": "no answer",
		"alias.example": "circle", "huge.example": "bytes of text", "d0.example": "includes deep",
		"many.example": "lookups", "wide.example": "networks",
	} {
		got, _, err := Resolve(soon(t), r, plan.Pool{Name: "p", SPF: []string{domain}, Clients: nil})
		if err == nil || got != nil || !strings.Contains(err.Error(), part) || !strings.HasPrefix(err.Error(), "pool p: ") {
			t.Errorf("%s: %d networks, %v; want %q", domain, len(got), err, part)
		}
	}
	if _, _, err := Resolve(soon(t), r, plan.Pool{Name: "p", Clients: []string{"nonsense"}}); err == nil {
		t.Error("a plan with nonsense")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s.Behave("*", dnstest.Slow(time.Hour))
	if _, _, err := Resolve(ctx, r, plan.Pool{Name: "p", SPF: []string{"late.example"}}); err == nil || ctx.Err() == nil {
		t.Errorf("without time: %v", err)
	}
}
