package dnstest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// asker is the standard library's resolver, which asks the server only.
func asker(s *Server) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Address())
	}}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestRecords(t *testing.T) {
	s := Start(t, `
		; a site
		example.com MX 10 mail.example.com
		example.com TXT "v=spf1 " "mx -all"
		mail.example.com A 192.0.2.1
		mail.example.com AAAA 2001:db8::1
		www.example.com CNAME mail.example.com
		*.list.example A 127.0.0.2
		192.0.2.1 PTR mail.example.com
		2001:db8::1 PTR mail.example.com`)
	r, ctx := asker(s), within(t, 10*time.Second)
	if got, err := r.LookupTXT(ctx, "example.com."); err != nil || !slices.Equal(got, []string{"v=spf1 mx -all"}) {
		t.Errorf("TXT: %v, %v", got, err)
	}
	if got, err := r.LookupMX(ctx, "EXAMPLE.com."); err != nil || len(got) != 1 || got[0].Host != "mail.example.com." {
		t.Errorf("MX: %v, %v", got, err)
	}
	for _, name := range []string{"mail.example.com.", "www.example.com."} {
		if got, err := r.LookupHost(ctx, name); err != nil || len(got) != 2 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		if got, err := r.LookupAddr(ctx, addr); err != nil || !slices.Equal(got, []string{"mail.example.com."}) {
			t.Errorf("PTR of %s: %v, %v", addr, got, err)
		}
	}
	if got, err := r.LookupHost(ctx, "4.3.2.1.list.example."); err != nil || !slices.Equal(got, []string{"127.0.0.2"}) {
		t.Errorf("wildcard: %v, %v", got, err)
	}
	for _, name := range []string{"none.example.com.", "list.example.", "com."} {
		var e *net.DNSError
		if got, err := r.LookupTXT(ctx, name); !errors.As(err, &e) || !e.IsNotFound {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if s.CountType("example.com", "TXT") != 1 || s.Count("example.com") != 2 || s.Total() < 9 {
		t.Errorf("counted %d TXT, %d of the name, %d in all", s.CountType("example.com", "TXT"), s.Count("example.com"), s.Total())
	}
	s.ResetCounts()
	if s.Total() != 0 {
		t.Error("counts are still there")
	}
}

func TestBadRecords(t *testing.T) {
	s := Start(t)
	for _, line := range []string{"x", "x A", "x A 2001:db8::1", "x AAAA 192.0.2.1", "x TXT text", `x TXT "text`, "x MX mail", "x SRV 1 2 3 y", strings.Repeat("x", 300) + " A 192.0.2.1"} {
		if s.Add(line) == nil {
			t.Errorf("%.40q is a record", line)
		}
	}
}

func TestBehaviours(t *testing.T) {
	s := Start(t, "a.example A 192.0.2.1", `a.example TXT "honest"`)
	r := asker(s)
	ask := func(d time.Duration) ([]string, error) { return r.LookupHost(within(t, d), "a.example.") }

	for name, want := range map[string]struct {
		b  Behaviour
		ok string
	}{
		"servfail": {ServFail, ""}, "refused": {Refused, ""}, "nxdomain": {NXDomain, ""}, "empty": {Empty, ""},
		"truncated": {Truncated, "192.0.2.1"}, "lying": {Lying("203.0.113.9"), "203.0.113.9"},
		"wrong id": {WrongID, "192.0.2.1"}, "wrong question": {WrongQuestion, "192.0.2.1"},
		"slow": {Slow(10 * time.Millisecond), "192.0.2.1"}, "loop": {CNAMELoop, ""}, "lame": {Lame, ""},
		"half garbage": {HalfGarbage, ""},
	} {
		s.Behave("*", want.b)
		got, err := ask(10 * time.Second)
		if (err == nil) != (want.ok != "") || err == nil && !slices.Equal(got, []string{want.ok}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, b := range map[string]Behaviour{"dead": Dead, "garbage": Garbage, "wrong id only": WrongIDOnly} {
		s.Behave("a.example", b)
		if got, err := ask(200 * time.Millisecond); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	s.Behave("a.example")
	s.Behave("*", Refused)
	s.Behave("*.example", HugeTXT(60000))
	got, err := r.LookupTXT(within(t, 10*time.Second), "a.example.")
	if all := strings.Join(got, ""); err != nil || len(all) != 60000 {
		t.Errorf("huge text: %d bytes, %v", len(all), err)
	}
	if got, err := ask(10 * time.Second); err != nil || len(got) != 1 {
		t.Errorf("honest again: %v, %v", got, err)
	}
}

// TestRoot: the root has a name server, unless it is told otherwise.
func TestRoot(t *testing.T) {
	s := Start(t)
	ask := func() ([]*net.NS, error) { return asker(s).LookupNS(within(t, 10*time.Second), ".") }
	if got, err := ask(); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	s.Behave("*", NXDomain)
	if got, err := ask(); err == nil {
		t.Errorf("all is denied: %v", got)
	}
	s.Behave(".", Honest)
	if got, err := ask(); err != nil || len(got) != 1 {
		t.Errorf("all but the root is denied: %v, %v", got, err)
	}
	if err := s.Add(". NS a.root.example", ". NS b.root.example"); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(); err != nil || len(got) != 2 {
		t.Errorf("with records of its own: %v, %v", got, err)
	}
}

func TestClose(t *testing.T) {
	s := Start(t, "a.example A 192.0.2.1")
	s.Latency(time.Hour)
	done := make(chan error)
	go func() {
		_, err := asker(s).LookupHost(within(t, 100*time.Millisecond), "a.example.")
		done <- err
	}()
	if err := <-done; err == nil {
		t.Error("an answer within an hour")
	}
	s.Close()
	s.Close()
	again, err := New(s.Address())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	again.Close()
}
