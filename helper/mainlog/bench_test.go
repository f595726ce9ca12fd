package mainlog

import (
	"strings"
	"testing"
)

// traffic is what a log holds of a busy submission host: arrival, delivery, completion, and a failure now and then.
func traffic() (lines [][]byte, size int64) {
	for _, l := range []string{
		`~<= bob@local.test H=client.example (cl.test) [192.0.2.7] P=esmtpsa X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no A=plain_server:bob@local.test S=20213 id=5f2c7a10-9d11-4c7e@local.test`,
		`~=> user@remote.test R=dnslookup T=remote_smtp H=mx.remote.test [198.51.100.3] X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes DN="CN=mx.remote.test" C="250 2.0.0 Ok: queued as 4F1D2C0A1B"`,
		`~-> other@remote.test R=dnslookup T=remote_smtp H=mx.remote.test [198.51.100.3] X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes DN="CN=mx.remote.test" C="250 2.0.0 Ok: queued as 4F1D2C0A1B"`,
		`~Completed`,
		`~** bad1@a.remote.test R=remote T=smtp H=mx.remote.test [198.51.100.3]: ` + er + `<bad1@a.remote.test>: 550 5.1.1 <bad1@a.remote.test>: Recipient address rejected: User unknown`,
	} {
		lines = append(lines, []byte(strings.Replace(l, "~", at, 1)))
		size += int64(len(lines[len(lines)-1])) + 1
	}
	return lines, size
}

func BenchmarkParse(b *testing.B) {
	lines, size := traffic()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range lines {
			if _, ok := Parse(l, Options{}); !ok {
				b.Fatal(l)
			}
		}
	}
}

func BenchmarkGlance(b *testing.B) {
	lines, size := traffic()
	b.SetBytes(size)
	b.ReportAllocs()
	var o Options
	for b.Loop() {
		for _, l := range lines {
			if _, _, ok := Glance(l, &o); !ok {
				b.Fatal(l)
			}
		}
	}
}

// BenchmarkHostile is the worst line that was thought of: many places where a size could be, none that is.
func BenchmarkHostile(b *testing.B) {
	line := []byte(at + "<= a@b.test H=(x) [1.2.3.4] U=x P=y A=a:b" + strings.Repeat(` S=1 for a@b P=x A=a:b`, 340))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		Parse(line, Options{JunkHelo: true})
	}
}
