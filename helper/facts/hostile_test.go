package facts

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/dns"
	"exipol/helper/engine"
	"exipol/internal/dnstest"
)

// suspect is a client of whom, by honest DNS, nothing bad is to be said.
var suspect = question("192.0.2.1", "mail.example.com", "a@example.com")

var honestly = []string{`
	192.0.2.1 PTR mail.example.com
	mail.example.com A 192.0.2.1
	example.com TXT "v=spf1 a:mail.example.com -all"
	2.0.0.127.white.example A 127.0.10.0
	1.2.0.192.white.example A 127.0.5.2`}

// TestHostile: whatever DNS does, nothing is said to hold that nobody said, and Gather
// returns: by itself, or because its time is over.
func TestHostile(t *testing.T) {
	for name, b := range map[string]dnstest.Behaviour{
		"dead": dnstest.Dead, "slow": dnstest.Slow(time.Hour), "servfail": dnstest.ServFail, "refused": dnstest.Refused,
		"garbage": dnstest.Garbage, "half garbage": dnstest.HalfGarbage, "cut off": dnstest.TruncatedAlways,
		"wrong id": dnstest.WrongIDOnly, "loop": dnstest.CNAMELoop, "lame": dnstest.Lame,
		"denying": dnstest.NXDomain, "empty": dnstest.Empty,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := finder(t, honestly...)
			s.Behave("*", b)
			for _, ctx := range []context.Context{within(t, 50*time.Millisecond), soon(t)} {
				got := f.Gather(ctx, suspect, everything, nil)
				if got.SPF != "temperror" {
					t.Errorf("SPF says %s", got.SPF)
				}
				for _, need := range everything {
					if need.Name != plan.SPF && got.Found[need] != engine.Unclear {
						t.Errorf("%s: %s", need, findings[got.Found[need]])
					}
				}
			}
		})
	}
}

// TestDeadline: it is the context that ends the wait, and the answers that come later
// are there for the next.
func TestDeadline(t *testing.T) {
	s := dnstest.Start(t, honestly...)
	s.Latency(120 * time.Millisecond)
	f := New(Options{Resolver: dns.New(dns.Options{Servers: []string{s.Address()}})})
	ctx := within(t, 40*time.Millisecond)
	got := f.Gather(ctx, suspect, everything, nil)
	if ctx.Err() == nil || len(held(got)) > 0 || got.SPF != "temperror" {
		t.Errorf("in no time: %+v", got)
	}
	got = f.Gather(soon(t), suspect, everything, nil)
	if fmt.Sprint(held(got)) != "[dnswl spf_pass]" || got.SPF != "pass" || got.Found[fact("no_reverse_dns")] != engine.No {
		t.Errorf("later: %+v", got)
	}
	s.Behave("*", dnstest.Dead)
	ended := within(t, 0)
	deadline := time.Now().Add(10 * time.Second)
	for { // answers that are there are found, even where there is no time
		got = f.Gather(ended, suspect, []plan.Fact{fact("no_reverse_dns")}, nil)
		if got.Found[fact("no_reverse_dns")] == engine.No {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("never found")
		}
	}
}

// TestLiar: a resolver that has an address for everything, and one that has one for what
// does not exist.
func TestLiar(t *testing.T) {
	var log strings.Builder
	s := dnstest.Start(t, honestly...)
	s.Behave("*", dnstest.Lying("203.0.113.9"))
	f := New(Options{Resolver: resolver(s), Log: textLog(&log)})
	got := f.Gather(soon(t), suspect, everything, nil)
	if len(held(got)) > 0 {
		t.Errorf("a liar's word is believed: %v", held(got))
	}
	for _, name := range []string{"no_reverse_dns", "helo_mismatch", "dynamic_name", "dnslist list.example", "dnswl white.example", "no_dnswl white.example"} {
		if got.Found[fact(name)] != engine.Unclear {
			t.Errorf("%s: %s", name, findings[got.Found[fact(name)]])
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}

	s, f = finder(t, append(honestly, `
		far.example.com A 198.51.100.7
		other.example TXT "v=spf1 a:far.example.com -all"`)...)
	s.Behave("no-such-name.example.com", dnstest.Lying("203.0.113.9"))
	s.Behave("*.list.example", dnstest.Lying("203.0.113.9"))
	s.Behave("*.white.example", dnstest.Lying("203.0.113.9"))
	got = f.Gather(soon(t), suspect, everything, nil)
	if fmt.Sprint(held(got)) != "[spf_pass]" || got.Found[fact("no_reverse_dns")] != engine.No || got.Found[fact("helo_mismatch")] != engine.No {
		t.Errorf("where it does not lie: %+v", got)
	}
	expect(t, f, question("192.0.2.9", "far.example.com", ""), "helo_mismatch", "unclear")
	expect(t, f, question("192.0.2.9", "x", "a@other.example"), "spf_fail", "unclear")
	expect(t, f, question("192.0.2.9", "x", ""), "no_reverse_dns", "yes") // of that it says the truth
}

// TestLiesAboutLists: a resolver that answers for every list with what a list would say.
func TestLiesAboutLists(t *testing.T) {
	s, f := finder(t)
	for _, lie := range []string{"127.0.0.2", "127.0.0.1", "127.255.255.254", "127.0.0.255", "203.0.113.66"} {
		zone := strings.ReplaceAll(lie, ".", "-") + ".example"
		s.Behave("*."+zone, dnstest.Lying(lie))
		for _, what := range []string{"dnslist " + zone, "dnslist " + zone + "=" + lie, "dnswl " + zone} {
			expect(t, f, suspect, what, "unclear")
		}
	}
}

// TestTooManyJobs: beyond so many, facts are unclear at once, unless they need no DNS;
// who fills the one half leaves the other alone.
func TestTooManyJobs(t *testing.T) {
	_, f := finder(t, honestly...)
	for i := range mostChosenJobs {
		f.chosenJobs.Take(fmt.Sprint(i))
	}
	for what, want := range map[string]string{
		"no_reverse_dns": "unclear", "helo_mismatch": "unclear", "dynamic_name": "unclear", "spf_fail": "unclear",
		"dnslist list.example": "no", "dnswl white.example": "yes", "no_dnswl white.example": "no",
	} {
		expect(t, f, suspect, what, want)
	}
	if f.dns.Stats().Refused != 4 {
		t.Errorf("%+v", f.dns.Stats())
	}
	told := suspect
	told.Host, told.Helo = "192-0-2-1.dyn.example.com", "localhost"
	for what, want := range map[string]string{"no_reverse_dns": "no", "dynamic_name": "yes", "helo_mismatch": "yes"} {
		expect(t, f, told, what, want)
	}
	told.Helo = "[192.0.2.1]"
	expect(t, f, told, "helo_mismatch", "no")
	for i := range mostListJobs {
		f.listJobs.Take(fmt.Sprint(i))
	}
	expect(t, f, suspect, "dnslist list.example", "unclear")
	for i := range mostChosenJobs {
		f.chosenJobs.Give(fmt.Sprint(i))
	}
	if got := f.Gather(soon(t), suspect, everything, nil); fmt.Sprint(held(got)) != "[spf_pass]" {
		t.Errorf("%+v", got)
	}
}

// TestDeadZone: a stranger whose zone says nothing, and who asks much, makes nobody
// else's facts unclear.
func TestDeadZone(t *testing.T) {
	s := dnstest.Start(t, honestly...)
	s.Behave("*.dead.example", dnstest.Dead)
	f := New(Options{Resolver: dns.New(dns.Options{Servers: []string{s.Address()}, Timeout: time.Minute})})
	ended := within(t, 0)
	needs := []plan.Fact{fact("helo_mismatch"), fact("spf")}
	for i := range 3000 {
		zone := fmt.Sprintf("n%d.dead.example", i)
		f.Gather(ended, question("198.51.100.1", "h."+zone, "a@s."+zone), needs, nil)
	}
	if f.dns.Stats().Refused == 0 {
		t.Error("nothing was refused")
	}
	got := f.Gather(soon(t), suspect, everything, nil)
	if fmt.Sprint(held(got)) != "[dnswl spf_pass]" || got.Found[fact("no_reverse_dns")] != engine.No || got.Found[fact("helo_mismatch")] != engine.No {
		t.Errorf("%+v", got)
	}
}

// TestBroken: what breaks in a search makes that fact unclear, and is logged.
func TestBroken(t *testing.T) {
	var log strings.Builder
	_, f := finder(t, honestly...)
	f.log = textLog(&log)
	f.chosen = &dns.Resolver{} // fit for nothing
	got := f.Gather(soon(t), suspect, everything, nil)
	if fmt.Sprint(held(got)) != "[dnswl]" || got.SPF != "temperror" {
		t.Errorf("%+v", got)
	}
	for _, what := range []string{"no_reverse_dns", "helo_mismatch", "dynamic_name", "spf_fail"} {
		if got.Found[fact(what)] != engine.Unclear {
			t.Errorf("%s: %s", what, findings[got.Found[fact(what)]])
		}
	}
	f.dns = f.chosen
	got = f.Gather(soon(t), suspect, everything, nil)
	if len(held(got)) != 0 || got.Found[fact("dnslist list.example")] != engine.Unclear || got.Found[fact("dynamic_name")] != engine.Unclear {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n < 8 {
		t.Errorf("%d errors are logged:\n%s", n, log.String())
	}
}
