package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/internal/dnstest"
	"exipol/internal/eximtest"
)

// TestSuspicion: each way of looking bad defers on its own, and says so in the log; a
// well-run host is let in at once; the retry of who was deferred passes.
func TestSuspicion(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t)
	cases := []struct {
		name, suspicious string
		bad              contact
		why              string
		fine             []contact // besides the well-run one
	}{
		{
			"no name", "no_reverse_dns", contact{"192.0.2.20", "mail.nameless.test", "a@nameless.test", nil}, "no_reverse_dns", nil,
		},
		{
			"a name that does not lead back", "no_reverse_dns", contact{"192.0.2.21", "bent.nameless.test", "a@nameless.test", nil}, "no_reverse_dns", nil,
		},
		{
			"HELO without a dot", "helo_mismatch", contact{"192.0.2.10", "localhost", "a@honest.test", nil}, "helo_mismatch", nil,
		},
		{
			"HELO of another's address", "helo_mismatch", contact{"192.0.2.10", "[203.0.113.1]", "a@honest.test", nil}, "helo_mismatch",
			[]contact{{"192.0.2.10", "[192.0.2.10]", "a@honest.test", nil}},
		},
		{
			"HELO that does not exist", "helo_mismatch", contact{"192.0.2.10", "no.such.test", "a@honest.test", nil}, "helo_mismatch", nil,
		},
		{
			"HELO of someone else", "helo_mismatch", contact{"192.0.2.10", "elsewhere.nameless.test", "a@honest.test", nil}, "helo_mismatch", nil,
		},
		{
			"a dynamic name", "dynamic_name", contact{"198.51.100.30", "198-51-100-30.dyn.access.test", "a@access.test", nil}, "dynamic_name",
			[]contact{{"192.0.2.20", "mail.nameless.test", "a@nameless.test", nil}},
		},
		{
			"SPF fails", "spf_fail", contact{"192.0.2.10", "mail.honest.test", "a@spoofed.test", nil}, "spf_fail",
			[]contact{
				{"192.0.2.10", "mail.honest.test", "a@broken.test", nil},
				{"192.0.2.10", "mail.honest.test", "a@many.test", nil},
				{"192.0.2.10", "mail.honest.test", "a@circle.test", nil},
				{"192.0.2.10", "mail.honest.test", "a@no-record.test", nil},
			},
		},
		{
			"SPF softly fails", "spf_fail", contact{"192.0.2.10", "mail.honest.test", "a@soft.test", nil}, "spf_fail", nil,
		},
		{
			"on a list", `dnslist("list.test"), dnslist("closed.test")`, contact{"192.0.2.50", "mail.listed.test", "a@listed.test", nil}, "dnslist.list.test",
			[]contact{ // an error code, an answer that is none
				{"192.0.2.51", "mail.refused.test", "a@refused.test", nil},
				{"192.0.2.52", "mail.moved.test", "a@moved.test", nil},
			},
		},
		{
			"on a list, by one of its answers", `dnslist("list.test=127.0.0.10")`, contact{"192.0.2.53", "mail.other.test", "a@other.test", nil}, "dnslist.list.test",
			[]contact{{"192.0.2.50", "mail.listed.test", "a@listed.test", nil}},
		},
		{
			"not on the white list", `no_dnswl("white.test")`, contact{"192.0.2.51", "mail.refused.test", "a@refused.test", nil}, "no_dnswl",
			[]contact{{"192.0.2.20", "mail.nameless.test", "a@nameless.test", nil}, {"192.0.2.50", "mail.listed.test", "a@listed.test", nil}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := startOnline(t, fmt.Sprintf("greylist \"inbound\" {\nsuspicious = [%s]\n}\n", c.suspicious), Options{})
			want(t, "who looks bad", try(s, c.bad), 451)
			wantLogged(t, s, "greylist.inbound ("+c.why+")")
			for _, fine := range append(c.fine, wellRun) {
				want(t, fmt.Sprint(fine), try(s, fine), 250)
			}
			s.Clock.Advance(5 * time.Minute)
			want(t, "its retry", try(s, c.bad), 250)
			s.CheckLogs()
		})
	}
}

// wantLogged checks that the main log holds a text.
func wantLogged(t *testing.T, s *Site, text string) {
	t.Helper()
	if s.Grep(text) == nil {
		t.Errorf("mainlog does not say %q:\n%s", text, strings.Join(s.Log("mainlog"), "\n"))
	}
}

// TestSuspicionTogether: one of several facts is enough, and the log has all that hold.
func TestSuspicionTogether(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t)
	s := startOnline(t, `greylist "inbound" {
  suspicious = [no_reverse_dns, helo_mismatch, dynamic_name, spf_fail, dnslist("list.test"), no_dnswl("white.test")]
}`, Options{})
	want(t, "a well-run host", try(s, wellRun), 250)
	want(t, "all at once", try(s, contact{"203.0.113.5", "friend", "a@spoofed.test", nil}), 451)
	wantLogged(t, s, "greylist.inbound (no_reverse_dns,helo_mismatch,spf_fail,no_dnswl)")
	want(t, "only listed", try(s, contact{"192.0.2.50", "mail.listed.test", "a@listed.test", nil}), 451)
	s.CheckLogs()
}

// TestSpare: each way of being spared lets a client in that would be deferred, and
// nobody else.
func TestSpare(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t)
	const known = `
list "known" {
  senders = ["nameless.test", "anybody.test"]
}
pool "own" {
  clients = ["192.0.2.16/29"]
}
pool "named" {
  spf = ["nameless.test"]
}
`
	nameless := contact{"192.0.2.20", "mail.nameless.test", "a@nameless.test", nil}
	cases := []struct {
		name, spare string
		spared      contact
		others      []contact
	}{
		{"white list", `dnswl("white.test")`, nameless, []contact{
			{"192.0.2.50", "mail.listed.test", "a@listed.test", nil}, // listed, but without trust
			{"192.0.2.51", "mail.refused.test", "a@refused.test", nil},
		}},
		{"SPF of a known domain", "spf_pass(list.known)", nameless, []contact{
			{"192.0.2.99", "mail.nameless.test", "a@nameless.test", nil},  // SPF fails
			{"192.0.2.10", "mail.honest.test", "a@honest.test", nil},      // passes, but unknown
			{"203.0.113.40", "mail.anybody.test", "a@anybody.test", nil},  // known, but anybody passes
			{"192.0.2.20", "mail.nameless.test", "a@no-record.test", nil}, // neither
		}},
		{"a pool, by address and by SPF", "pool", nameless, []contact{
			{"192.0.2.50", "mail.listed.test", "a@listed.test", nil},
		}},
		{"a pool by SPF alone", "pool", contact{"192.0.2.21", "bent.nameless.test", "a@x.test", nil}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := startOnline(t, known+fmt.Sprintf("greylist \"inbound\" {\nspare = [%s]\n}\n", c.spare), Options{})
			want(t, "who is spared", try(s, c.spared), 250)
			for _, other := range c.others {
				want(t, fmt.Sprint(other), try(s, other), 451)
			}
			s.CheckLogs()
		})
	}
}

// TestSpareLearned: whom one's users write to is in the list for spf_pass; the answer
// comes at once from the correspondent's own hosts, and from nobody else's.
func TestSpareLearned(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t, `remote.test TXT "v=spf1 ip4:192.0.2.70 -all"`)
	s := startOnline(t, `
list "correspondents" {
  learn {}
}
greylist "inbound" {
  spare = [spf_pass(list.correspondents)]
}`, Options{})
	bob := contact{"192.0.2.70", "mail.remote.test", "bob@remote.test", nil}
	want(t, "a stranger", try(s, bob), 451)
	submit(t, s, body, "alice@local.test", "bob@remote.test")
	want(t, "who was written to", try(s, bob), 250)
	want(t, "who forges the address", try(s, contact{"192.0.2.71", "mail.remote.test", "bob@remote.test", nil}), 451)
	want(t, "another of the same host", try(s, contact{"192.0.2.70", "mail.remote.test", "carl@remote.test", nil}), 451)
	s.CheckLogs()
}

// TestSpareWins: to be spared outweighs every suspicion.
func TestSpareWins(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	online(t)
	s := startOnline(t, `greylist "inbound" {
  suspicious = [no_reverse_dns, helo_mismatch]
  spare      = [dnswl("white.test")]
}`, Options{})
	want(t, "suspicious and on the white list", try(s, contact{"192.0.2.20", "friend", "a@nameless.test", nil}), 250)
	want(t, "suspicious", try(s, contact{"192.0.2.22", "friend", "a@nameless.test", nil}), 451)
	s.CheckLogs()
}

// impatient keeps Exim's own lookups of names from taking most of the test's time.
func impatient(b *eximtest.Bed) { b.Main += "dns_retrans = 1s\ndns_retry = 1\n" }

// TestBadDNS: whatever the DNS does, an answer comes in time, nobody is refused, and
// on_failure says what becomes of who cannot be judged. Mail that is known asks nothing.
func TestBadDNS(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	dns := online(t)
	const policies = `greylist "inbound" {
  key        = [client.pool, sender, recipient]
  suspicious = [no_reverse_dns, helo_mismatch, dynamic_name, spf_fail, dnslist("list.test"), no_dnswl("white.test")]
  on_failure = %q
}`
	bad := map[string][]dnstest.Behaviour{
		"dead":     {dnstest.Dead},
		"slow":     {dnstest.Slow(20 * time.Second)},
		"servfail": {dnstest.ServFail},
		"refused":  {dnstest.Refused},
		"lame":     {dnstest.Lame},
		"garbage":  {dnstest.Garbage},
		"loop":     {dnstest.CNAMELoop},
		"cut off":  {dnstest.TruncatedAlways},
		"denying":  {dnstest.NXDomain}, // as if there were nothing at all
		"lying":    {dnstest.Lying("203.0.113.66")},
		"listing":  {dnstest.Lying("127.0.0.2")}, // as if everybody were on every list
	}
	for name, behaviours := range bad {
		for _, onFailure := range []string{"pass", "defer"} {
			t.Run(name+" "+onFailure, func(t *testing.T) {
				dns.Behave("*")
				s := startOnline(t, fmt.Sprintf(policies, onFailure), Options{Configure: impatient})
				known := contact{"198.51.100.30", "198-51-100-30.dyn.access.test", "a@access.test", nil}
				want(t, "suspicious while the DNS is well", try(s, known), 451)
				s.Clock.Advance(5 * time.Minute)
				want(t, "its retry", try(s, known), 250)

				dns.Behave("*", behaviours...)
				s.Clock.Advance(5 * time.Minute) // nobody believes a server for so long
				code := 250
				if onFailure == "defer" {
					code = 451
				}
				first := contact{"203.0.113.5", "mail.new.test", "a@new.test", nil}
				begun := time.Now()
				want(t, "a first contact without DNS", try(s, first), code)
				if took := time.Since(begun); took > 30*time.Second { // Exim's own lookups, too
					t.Errorf("that took %s", took)
				}
				asked := dns.CountType("access.test", "TXT")
				want(t, "who is known", try(s, known), 250)
				if n := dns.CountType("access.test", "TXT"); n != asked {
					t.Errorf("%d queries for the SPF record of who is known", n-asked)
				}
				s.Clock.Advance(5 * time.Minute)
				want(t, "the retry without DNS", try(s, first), 250)
				s.CheckLogs()
			})
		}
	}
}

// TestHugeRecords: 60 kB of text, and it over TCP, are no reason to defer anybody, nor to
// let anybody in.
func TestHugeRecords(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	dns := online(t)
	dns.Behave("*", dnstest.HugeTXT(60000))
	s := startOnline(t, `greylist "inbound" {
  key        = [client.pool, sender, recipient]
  suspicious = [no_reverse_dns, helo_mismatch, spf_fail]
  on_failure = "defer"
}`, Options{})
	want(t, "a well-run host", try(s, wellRun), 250)
	want(t, "who looks bad", try(s, contact{"203.0.113.5", "friend", "a@new.test", nil}), 451)
	if dns.CountType("honest.test", "TXT") == 0 {
		t.Error("nobody asked for the text")
	}
	s.CheckLogs()
}
