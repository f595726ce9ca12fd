package follow

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
)

// BenchmarkGiB reads a log of 1 GiB, and says how much memory it took.
func BenchmarkGiB(b *testing.B) {
	d := newLogDir(b)
	f, err := os.Create(d.path("mainlog"))
	d.must(err)
	var block bytes.Buffer
	for block.Len() < 1<<20 {
		block.WriteString(d.line() + " 1abcde-000001-AB => somebody@example.org R=dnslookup T=remote_smtp H=mx.example.org [192.0.2.1] C=\"250 OK\"\n")
	}
	size := int64(0)
	for size < 1<<30 {
		n, err := f.Write(block.Bytes())
		d.must(err)
		size += int64(n)
	}
	d.must(f.Close())
	b.SetBytes(size)
	var peak uint64
	for b.Loop() {
		r := d.reader(Options{Once: true})
		lines := 0
		for {
			batch, err := r.Next(b.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if lines += len(batch.Lines); lines%(1<<20) < len(batch.Lines) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
		d.must(errors.Join(r.Close()))
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap")
}

// BenchmarkPacked reads 64 MiB out of a compressed predecessor.
func BenchmarkPacked(b *testing.B) {
	d := newLogDir(b)
	var text bytes.Buffer
	for text.Len() < 64<<20 {
		text.WriteString(d.line() + " 1abcde-000001-AB => somebody@example.org R=dnslookup T=remote_smtp\n")
	}
	d.must(os.WriteFile(d.path("mainlog.1.gz"), gzipped(text.Bytes()), 0o600))
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		r := d.reader(Options{Once: true})
		for {
			if _, err := r.Next(b.Context()); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		d.must(r.Close())
	}
}
