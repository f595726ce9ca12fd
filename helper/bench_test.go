package helper

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

func benchHelper(b *testing.B) (*Helper, *plan.Plan) {
	p := testplan.New(b.TempDir())
	s, err := sqlite.Open(b.Context(), p.Store.Path, sqlite.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if _, err := s.Migrate(b.Context(), p.Tables); err != nil {
		b.Fatal(err)
	}
	h, err := New(b.Context(), p, Options{Store: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	return h, p
}

const questionForm = "v=1 plan=%s at=rcpt.after traffic=inbound events=recipient nonce=1.%d ip=192.0.2.1 helo= sender=%s rcpt=Y0BkLmV4YW1wbGU= auth=\n"

// BenchmarkKnown is a question that changes nothing, from line to answer.
func BenchmarkKnown(b *testing.B) {
	h, p := benchHelper(b)
	line := fmt.Appendf(nil, questionForm, p.ID, 1, "YUBiLmV4YW1wbGU=")
	h.Answer(b.Context(), line)
	line = fmt.Appendf(nil, questionForm, p.ID, 2, "YUBiLmV4YW1wbGU=")
	b.ReportAllocs()
	for b.Loop() {
		if _, later := h.Handle(line); later != nil {
			b.Fatal("there was something to write")
		}
	}
}

// BenchmarkNew is a question that is on disk before its answer, from 64 askers.
func BenchmarkNew(b *testing.B) {
	h, p := benchHelper(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			h.Answer(b.Context(), fmt.Appendf(nil, questionForm, p.ID, i, fmt.Sprintf("%08d", i)))
		}
	})
}
