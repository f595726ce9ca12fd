package helper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"exipol/generator/plan"
)

// A reason has neither the pool's name nor the server's twice.
func TestReason(t *testing.T) {
	lookup := func(text string) error {
		return fmt.Errorf("pool big: %w", &net.DNSError{Name: "_spf.big.example", Err: text})
	}
	for _, c := range []struct {
		err          error
		reason, text string
	}{
		{lookup("127.0.0.1:1: read udp 127.0.0.1:5->127.0.0.1:1: read: connection refused"), "127.0.0.1:1: connection refused", "_spf.big.example: 127.0.0.1:1: connection refused"},
		{lookup("[::1]:1: dial tcp [::1]:1: connect: connection refused"), "[::1]:1: connection refused", "_spf.big.example: [::1]:1: connection refused"},
		{lookup("192.0.2.1:53: no answer in time"), "192.0.2.1:53: no answer in time", "_spf.big.example: 192.0.2.1:53: no answer in time"},
		{errors.New("pool big: x.example: no SPF record"), "pool big: x.example: no SPF record", "x.example: no SPF record"},
	} {
		if got := Reason(c.err); got != c.reason {
			t.Errorf("%v: %s", c.err, got)
		}
		if got := PoolError("big", c.err); got != c.text {
			t.Errorf("%v: %s", c.err, got)
		}
	}
}

// Where DNS is dead, the log says it once, and what is known of each pool says why.
func TestAllPoolsFail(t *testing.T) {
	b, w := newBench(t), &world{gate: open(), pools: map[string][]netip.Prefix{}}
	b.pooled(w, func(p *plan.Plan) {
		p.Pools = append(p.Pools, plan.Pool{Name: "other", SPF: []string{"other.example"}}, plan.Pool{Name: "third", SPF: []string{"third.example"}})
	})
	w.err = &net.DNSError{Name: "x.example", Err: "127.0.0.1:1: read udp 127.0.0.1:5->127.0.0.1:1: read: connection refused"}
	for range 2 {
		if b.resolvePools(t.Context()) {
			t.Error("a failure is none")
		}
	}
	for _, p := range b.Status().Pools {
		if p.Error != "x.example: 127.0.0.1:1: connection refused" || p.Reason != "127.0.0.1:1: connection refused" {
			t.Errorf("%+v", p)
		}
	}
	w.err = nil
	b.resolvePools(t.Context())
	w.err = errors.New("x.example: no SPF record")
	b.resolvePools(t.Context())
	for text, want := range map[string]int{
		"none of 3 pools can be resolved": 2, "exipold pools --plan plan.json --pin FILE": 2, "a pool cannot be resolved": 0,
		`pools="google, other, third"`: 1,
	} {
		if n := strings.Count(b.log.String(), text); n != want {
			t.Errorf("logged %d times %q:\n%s", n, text, b.log)
		}
	}
}
