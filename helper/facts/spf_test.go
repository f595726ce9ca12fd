package facts

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/internal/dnstest"
)

// textLog writes to a string; callers read it when nobody logs any more.
func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(&locked{w: w}, nil))
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestSPF(t *testing.T) {
	records := []string{`
		ip.example TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:1::/48 -all"
		soft.example TXT "v=spf1 ip4:198.51.100.1 ~all"
		neutral.example TXT "v=spf1 ip4:198.51.100.1 ?all"
		silent.example TXT "other"
		a.example TXT "v=spf1 a -all"
		a.example A 192.0.2.1
		a.example AAAA 2001:db8:1::1
		mx.example TXT "v=spf1 mx -all"
		mx.example MX 10 a.example
		include.example TXT "v=spf1 include:ip.example -all"
		redirect.example TXT "v=spf1 redirect=ip.example"
		all.example TXT "v=spf1 +all"
		allinside.example TXT "v=spf1 include:all.example -all"
		halves.example TXT "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 ip6:::/0 -all"
		lower.example TXT "v=spf1 ip4:192.0.2.1 ip4:0.0.0.0/1 -all"
		upper.example TXT "v=spf1 ip4:128.0.0.0/1 -all"
		exists.example TXT "v=spf1 exists:%{i}.ok.example -all"
		*.ok.example A 127.0.0.2
		exists1.example TXT "v=spf1 exists:%{i}.some.example -all"
		192.0.2.1.some.example A 127.0.0.2
		local.example TXT "v=spf1 exists:%{l}.who.example -all"
		good.who.example A 127.0.0.2
		bad.example TXT "v=spf1 nonsense -all"
		twice.example TXT "v=spf1 -all"
		twice.example TXT "v=spf1 +all"
		loop.example TXT "v=spf1 include:pool.example -all"
		pool.example TXT "v=spf1 include:loop.example -all"
		self.example TXT "v=spf1 redirect=self.example"
		mail.helo.example TXT "v=spf1 ip4:192.0.2.1 -all"
		xn--bcher-kva.example TXT "v=spf1 ip4:192.0.2.1 -all"
		ptr.example TXT "v=spf1 ptr:ptr.example -all"
		doc.example TXT "v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all"
		many.example TXT "` + manyIncludes(11) + `"
		ten.example TXT "` + manyIncludes(9) + ` ip4:192.0.2.1 -all"`}
	for i := range 11 {
		records = append(records, fmt.Sprintf(`i%d.example TXT "v=spf1 ip4:198.51.100.%d -all"`, i, i))
	}
	s, f := finder(t, records...)
	s.Behave("*.broken.example", dnstest.ServFail)
	s.Behave("huge.example", dnstest.HugeTXT(60000))
	if err := s.Add(`fails.example TXT "v=spf1 include:x.broken.example ip4:192.0.2.1 -all"`,
		`failsbelow.example TXT "v=spf1 a:x.broken.example -all"`,
		`probefails.example TXT "v=spf1 exists:%{i}.probe.example -all"`, "192.0.2.1.probe.example A 127.0.0.2"); err != nil {
		t.Fatal(err)
	}
	s.Behave("203.0.113.1.probe.example", dnstest.ServFail)
	s.Behave(dnstest.Reverse(netip.MustParseAddr("192.0.2.1")), dnstest.ServFail)
	for _, c := range []struct{ client, helo, sender, word, domain string }{
		{"192.0.2.1", "x", "a@ip.example", "pass", "ip.example"},
		{"192.0.2.1", "x", "a@IP.Example.", "pass", "ip.example"},
		{"2001:db8:1::1", "x", "a@ip.example", "pass", "ip.example"},
		{"198.51.100.1", "x", "a@ip.example", "fail", "ip.example"},
		{"192.0.2.1", "x", "a@soft.example", "softfail", "soft.example"},
		{"192.0.2.1", "x", "a@neutral.example", "neutral", "neutral.example"},
		{"192.0.2.1", "x", "a@silent.example", "none", "silent.example"},
		{"192.0.2.1", "x", "a@nowhere.example", "none", "nowhere.example"},
		{"192.0.2.1", "x", "a@huge.example", "none", "huge.example"},
		{"192.0.2.1", "x", "a@a.example", "pass", "a.example"},
		{"192.0.2.2", "x", "a@a.example", "fail", "a.example"},
		{"2001:db8:1::1", "x", "a@mx.example", "pass", "mx.example"},
		{"192.0.2.1", "x", "a@mx.example", "pass", "mx.example"},
		{"192.0.2.1", "x", "a@include.example", "pass", "include.example"},
		{"192.0.2.1", "x", "a@redirect.example", "pass", "redirect.example"},
		{"192.0.2.1", "x", "a@all.example", "pass open", "all.example"},
		{"192.0.2.1", "x", "a@allinside.example", "pass open", "allinside.example"},
		{"192.0.2.1", "x", "a@halves.example", "pass open", "halves.example"},
		{"192.0.2.1", "x", "a@lower.example", "pass open", "lower.example"},
		{"192.0.2.1", "x", "a@upper.example", "pass open", "upper.example"},
		{"2001:db8:1::1", "x", "a@halves.example", "pass open", "halves.example"},
		{"192.0.2.1", "x", "a@exists.example", "pass open", "exists.example"},
		{"192.0.2.1", "x", "a@exists1.example", "pass", "exists1.example"},
		{"192.0.2.2", "x", "a@exists1.example", "fail", "exists1.example"},
		{"203.0.113.9", "x", "a@doc.example", "pass", "doc.example"},
		{"2001:db8:1::9", "x", "a@doc.example", "pass", "doc.example"},
		{"192.0.2.1", "x", "good@local.example", "pass open", "local.example"},
		{"192.0.2.1", "x", "evil@local.example", "fail", "local.example"},
		{"192.0.2.1", "x", `"a@all.example"@ip.example`, "pass", "ip.example"},
		{"198.51.100.1", "x", `"a@all.example"@ip.example`, "fail", "ip.example"},
		{"192.0.2.1", "x", "a@bücher.example", "pass", "xn--bcher-kva.example"},
		{"192.0.2.1", "x", "a@bad.example", "permerror", "bad.example"},
		{"192.0.2.1", "x", "a@twice.example", "permerror", "twice.example"},
		{"192.0.2.1", "x", "a@loop.example", "permerror", "loop.example"},
		{"192.0.2.1", "x", "a@self.example", "permerror", "self.example"},
		{"192.0.2.1", "x", "a@many.example", "permerror", "many.example"},
		{"192.0.2.1", "x", "a@ten.example", "pass", "ten.example"},
		{"192.0.2.1", "x", "a@fails.example", "temperror", "fails.example"},
		{"192.0.2.1", "x", "a@failsbelow.example", "temperror", "failsbelow.example"},
		{"192.0.2.1", "x", "a@probefails.example", "temperror", "probefails.example"},
		{"192.0.2.1", "x", "a@ptr.example", "temperror", "ptr.example"}, // the library alone says fail
		{"192.0.2.1", "mail.helo.example", "", "pass", "mail.helo.example"},
		{"192.0.2.2", "mail.helo.example", "", "fail", "mail.helo.example"},
		{"192.0.2.1", "localhost", "", "none", "localhost"},
		{"192.0.2.1", "[192.0.2.1]", "", "none", "[192.0.2.1]"},
		{"192.0.2.1", "192.0.2.1", "", "none", "192.0.2.1"},
		{"192.0.2.1", "x", "a@[192.0.2.1]", "none", "[192.0.2.1]"},
		{"192.0.2.1", "x", "nobody", "none", ""},
		{"192.0.2.1", "x", "a@", "none", ""},
		{"192.0.2.1", "x", "a@b..\xff\x00%{d}.example", "none", "b..\xff\x00%{d}.example"},
	} {
		got := f.Gather(soon(t), question(c.client, c.helo, c.sender), []plan.Fact{fact("spf"), fact("spf_fail"), fact("spf_pass friends")}, nil)
		word := got.SPF
		if got.SPFOpen {
			word += " open"
		}
		if word != c.word || got.SPFDomain != c.domain {
			t.Errorf("%s, %s: %s of %q, not %s of %q", c.client, c.sender, word, got.SPFDomain, c.word, c.domain)
		}
		fail, pass := got.Found[fact("spf_fail")], got.Found[fact("spf_pass friends")]
		if (fail == engine.Yes) != strings.HasSuffix(c.word, "fail") || (pass == engine.Yes) != (c.word == "pass") ||
			(fail == engine.Unclear) != (c.word == "temperror") || (pass == engine.Unclear) != (c.word == "temperror") {
			t.Errorf("%s, %s: %s, but spf_fail is %s, spf_pass is %s", c.client, c.sender, c.word, findings[fail], findings[pass])
		}
	}
}

func manyIncludes(n int) string {
	text := "v=spf1"
	for i := range n {
		text += fmt.Sprintf(" include:i%d.example", i)
	}
	return text
}

// TestSPFBounded: a record built to cost much costs a bounded number of queries.
func TestSPFBounded(t *testing.T) {
	records := []string{`evil.example TXT "v=spf1 mx:m0.example mx:m1.example mx:m2.example mx:m3.example mx:m4.example mx:m5.example mx:m6.example mx:m7.example mx:m8.example mx:m9.example mx:m10.example -all"`}
	for i := range 11 {
		for j := range 10 {
			records = append(records, fmt.Sprintf("m%d.example MX 10 h%d-%d.example", i, i, j), fmt.Sprintf("h%d-%d.example A 198.51.100.1", i, j))
		}
	}
	s, f := finder(t, records...)
	expect(t, f, question("192.0.2.1", "x", "a@evil.example"), "spf_fail", "no")
	if n := s.Total(); n > 1+10*11 {
		t.Errorf("%d queries", n)
	}
}

// TestSPFMemory: a result is kept for an address and a domain, not beyond its time,
// and not where it depends on more.
func TestSPFMemory(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s := dnstest.Start(t, `example.com TXT "v=spf1 ip4:192.0.2.1 -all"`,
		`local.example TXT "v=spf1 exists:%{l}.who.example -all"`, "good.who.example A 127.0.0.2")
	f := New(Options{Resolver: resolver(s), Clock: clock})
	check := func(client, sender, want string) {
		t.Helper()
		if got := f.Gather(soon(t), question(client, "x", sender), []plan.Fact{fact("spf")}, nil); got.SPF != want {
			t.Errorf("%s of %s, not %s", got.SPF, sender, want)
		}
	}
	check("192.0.2.1", "a@example.com", "pass")
	check("192.0.2.2", "a@example.com", "fail")
	check("192.0.2.1", "good@local.example", "pass")
	check("192.0.2.1", "evil@local.example", "fail")
	if n := f.spf.Len(); n != 2 {
		t.Errorf("%d results are kept", n)
	}
	f.spf.Put(spfKey{netip.MustParseAddr("192.0.2.1"), "example.com"}, spfResult{word: "neutral"}, 1, clock().Add(keepSPF))
	check("192.0.2.1", "b@example.com", "neutral")
	mu.Lock()
	now = now.Add(keepSPF)
	mu.Unlock()
	check("192.0.2.1", "b@example.com", "pass")
}
