package dns

import (
	"errors"
	"testing"
	"time"

	"exipol/internal/dnstest"
)

// TestDenied: that a name does not exist is not believed of a server that denies the
// root, or says nothing of it, until it knows it; and that is logged once each.
func TestDenied(t *testing.T) {
	var log logged
	s, c := dnstest.Start(t, "a.example A 192.0.2.1"), &clock{}
	r := New(Options{Servers: []string{s.Address()}, Timeout: 100 * time.Millisecond, Clock: c.now, Log: log.log()})
	for name, b := range map[string]dnstest.Behaviour{"denies": dnstest.NXDomain, "empty": dnstest.Empty, "fails": dnstest.ServFail, "dead": dnstest.Dead} {
		s.Behave(".", b)
		for _, network := range []string{"ip4", "ip"} {
			if _, err := r.LookupNetIP(soon(t), network, "none.example"); !errors.Is(err, ErrUnclear) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.LookupAddr(soon(t), "192.0.2.9"); !errors.Is(err, ErrUnclear) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
			t.Errorf("%s: what it finds is not believed: %v", name, err)
		}
		c.advance(keepNotFound)
	}
	if log.count("level=WARN") != 1 || log.count("server="+s.Address()) != 1 {
		t.Errorf("%s", &log.b)
	}
	s.Behave(".")
	for range 3 {
		if _, err := r.LookupNetIP(soon(t), "ip", "none.example"); !errors.Is(err, ErrNotFound) {
			t.Errorf("honest again: %v", err)
		}
	}
	if log.count("level=INFO") != 1 {
		t.Errorf("%s", &log.b)
	}
	s.ResetCounts()
	if _, err := r.LookupNetIP(soon(t), "ip", "another.example"); !errors.Is(err, ErrNotFound) || s.Count(".") != 0 {
		t.Errorf("asked for the root %d times, %v", s.Count("."), err)
	}
	s.Behave("*", dnstest.NXDomain)
	c.advance(keepRoot)
	if _, err := r.LookupNetIP(soon(t), "ip", "third.example"); !errors.Is(err, ErrUnclear) {
		t.Errorf("believed for too long: %v", err)
	}
}

// TestOneDenies: the word of a server that denies everything is not made better by
// another that knows the root; that one is asked instead.
func TestOneDenies(t *testing.T) {
	denying, good := dnstest.Start(t), dnstest.Start(t, "a.example A 192.0.2.1")
	denying.Behave("*", dnstest.NXDomain)
	r := New(Options{Servers: []string{denying.Address(), good.Address()}})
	if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := r.LookupNetIP(soon(t), "ip4", "none.example"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what the good one denies: %v", err)
	}
	if n := denying.Count("none.example"); n != 0 {
		t.Error("the one that denies everything is asked first again")
	}
}

// TestBroken: what breaks in a lookup ends that lookup.
func TestBroken(t *testing.T) {
	var log logged
	s := dnstest.Start(t, "a.example A 192.0.2.1")
	r := New(Options{Log: log.log()})
	r.servers.clock = func() time.Time { panic("oh") }
	for _, network := range []string{"ip4", "ip"} {
		if _, err := r.LookupNetIP(soon(t), network, "a.example"); !errors.Is(err, ErrUnclear) {
			t.Errorf("%s: %v", network, err)
		}
	}
	if log.count("level=ERROR") != 3 || log.count("panic=oh") != 3 {
		t.Errorf("%s", &log.b)
	}
	r.servers.given = []string{s.Address()}
	if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("after that: %v, %v", got, err)
	}
}
