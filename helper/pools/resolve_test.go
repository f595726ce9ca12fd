package pools

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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
	everybody := "v=spf1"
	for n := 1; n <= 223; n++ {
		if n != 10 && n != 127 {
			everybody += fmt.Sprintf(" ip4:%d.0.0.0/8", n)
		}
	}
	records = append(records, "everybody.example TXT \""+everybody+" -all\"", `
		five.example TXT "v=spf1 ip4:11.0.0.0/8 ip4:14.0.0.0/8 ip4:17.0.0.0/8 ip4:20.0.0.0/8 ip4:31.0.0.0/32 -all"
		pair.example TXT "v=spf1 ip4:12.0.0.0/8 include:odd.example -all"
		odd.example TXT "v=spf1 ip4:13.0.0.0/8 -all"
		pair6.example TXT "v=spf1 ip6:2600::/19 ip6:2600:2000::/19 -all"
		five6.example TXT "v=spf1 ip6:2600::/19 ip6:2601::/19 ip6:2602::/19 ip6:2603::/19 ip6:2604::/32 -all"
		old6.example TXT "v=spf1 ip6:2001::/19 -all"
		private.example TXT "v=spf1 ip4:192.0.0.0/8 -all"
		halves.example TXT "v=spf1 ip4:100.0.0.0/9 -all"
		docs.example TXT "v=spf1 ip4:203.0.112.0/24 ip4:203.0.113.0/24 -all"`)
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
		"everybody.example": "wider than a /8", "five.example": "more addresses than 4 networks /8", "pair.example": "12.0.0.0/7 is wider",
		"pair6.example": "2600::/18 is wider than a /19", "five6.example": "more addresses than 4 networks /19", "old6.example": "2001:db8::/32",
		"private.example": "192.0.0.0/8 has 192.", "halves.example": "100.64.0.0/10", "docs.example": "203.0.112.0/23 has 203.0.113.0/24 in it",
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

// silent is a resolver that says nothing.
type silent struct{ Resolver }

func (silent) LookupTXT(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestResolveTime: a pool that is slow ends before its caller's time, a minute.
func TestResolveTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := Resolve(ctx, silent{}, plan.Pool{Name: "p", SPF: []string{"a.example"}})
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "pool p: ") {
			t.Errorf("%v; the caller: %v", err, ctx.Err())
		}
	})
}

// TestClients: the networks that a plan itself gives may be anywhere, but not everywhere.
func TestClients(t *testing.T) {
	for clients, ok := range map[string]bool{
		"10.0.0.0/8 fc00::/7 192.168.1.0/24": true, "0.0.0.0/0": false, "::/0": false, "10.0.0.0/7": false,
	} {
		got, _, err := Resolve(soon(t), silent{}, plan.Pool{Name: "p", Clients: strings.Fields(clients)})
		if (err == nil) != ok || (got != nil) != ok {
			t.Errorf("%s: %v, %v", clients, got, err)
		}
	}
}
