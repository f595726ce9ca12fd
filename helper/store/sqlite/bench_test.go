package sqlite

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
)

// benchKey is a key as a greylist has it.
func benchKey(i int64) string {
	return fmt.Sprintf("198.51.%d.0/24|alice%d@example.org|bob@example.com", i%256, i)
}

// known is a store with 100,000 known keys and as many counters.
func known(b *testing.B) *Store {
	b.Helper()
	s := create(b, filepath.Join(b.TempDir(), "exipol.db"), Options{})
	for from := int64(0); from < 100000; from += 5000 {
		var writes []engine.Write
		for i := from; i < from+5000; i++ {
			row := engine.SeenRow{First: 1, Passed: 2, Expires: 1 << 50}
			writes = append(writes, engine.PutSeen{Policy: "greylist.inbound", Key: benchKey(i), Row: row}, storetest.Add(benchKey(i), 1, 1))
		}
		storetest.Do(b, s, writes...)
	}
	return s
}

// A lookup of a known key, and one that first looks for a trusted client in vain;
// by one caller and by many.
func BenchmarkView(b *testing.B) {
	s := known(b)
	var next atomic.Int64
	lookup := func(b *testing.B, trusted bool) {
		key := benchKey(next.Add(7919) % 100000)
		err := s.View(b.Context(), func(st engine.State) error {
			if trusted {
				if _, ok, err := st.Seen("greylist.inbound.trusted", "198.51.100.0/24"); ok || err != nil {
					b.Errorf("%v, %v", ok, err)
				}
			}
			_, ok, err := st.Seen("greylist.inbound", key)
			if !ok {
				b.Errorf("key %s is not known", key)
			}
			return err
		})
		if err != nil {
			b.Error(err)
		}
	}
	for _, trusted := range []bool{false, true} {
		name := fmt.Sprintf("queries=%d", 1+map[bool]int{true: 1}[trusted])
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lookup(b, trusted)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					lookup(b, trusted)
				}
			})
		})
	}
}

// An update that counts one event of a new key, on disk before it is answered.
func BenchmarkUpdate(b *testing.B) {
	s := known(b)
	next := atomic.Int64{}
	next.Store(1 << 20)
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error)
			for range callers {
				go func() {
					var err error
					for err == nil && left.Add(-1) >= 0 {
						now := next.Add(1)
						key := benchKey(now * 7919 % (1 << 30))
						err = s.Update(b.Context(), func(st engine.State) ([]engine.Write, error) {
							_, _, err := st.Seen("greylist.inbound", key)
							row := engine.SeenRow{First: now, Expires: now + 86400000}
							return []engine.Write{engine.PutSeen{Policy: "greylist.inbound", Key: key, Row: row}}, err
						})
					}
					done <- err
				}()
			}
			for range callers {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
		})
	}
}

// A batch of a log follower's: for each event whether it is known, whose message it is, its
// counters in three windows, and five writes.
func BenchmarkBatch(b *testing.B) {
	s := known(b)
	next := int64(0)
	for _, events := range []int{64, 256, 1024} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			for b.Loop() {
				err := s.Batch(b.Context(), func(tr engine.Transaction) error {
					for range events {
						next++
						if err := count(tr, fmt.Sprintf("1tABCD-%011d-0001", next), benchKey(next%5000)); err != nil {
							return err
						}
					}
					return tr.Apply([]engine.Write{engine.PutPlace{Gateway: "gw", Log: "/var/log/exim4/mainlog", Place: "{}", At: next}})
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func count(tr engine.Transaction, message, key string) error {
	if _, err := tr.Known("gw", message, "item"); err != nil {
		return err
	}
	if _, _, err := tr.Arrival("gw", message); err != nil {
		return err
	}
	if _, _, err := tr.Standing(storetest.Policy, key); err != nil {
		return err
	}
	for range 3 {
		if _, err := tr.Count(storetest.Policy, key, storetest.Window, 0, 1<<50); err != nil {
			return err
		}
	}
	return tr.Apply([]engine.Write{
		engine.PutEvent{Gateway: "gw", Message: message, Item: "item", Kind: "bounce", Owner: "auth:bob", At: 1, Expires: 1 << 50},
		storetest.Add(key, 1, 1), storetest.Add(key, 2, 1), storetest.Add(key, 3, 1),
		engine.PutSample{Policy: storetest.Policy, Key: key, N: 1, Gateway: "gw", Message: message, Line: key, Expires: 1 << 50},
	})
}

// What is read at every look at what was said at run time, with so many blocks in force: where
// none has changed, and where one has.
func BenchmarkRuntime(b *testing.B) {
	for _, blocks := range []int{0, 1000, 20000} {
		s := create(b, filepath.Join(b.TempDir(), "exipol.db"), Options{})
		for from := 0; from < blocks; from += 500 {
			var writes []engine.Write
			for i := range 500 {
				writes = append(writes, openCase(benchKey(int64(from+i)), 10))
			}
			storetest.Do(b, s, writes...)
		}
		for _, changed := range []bool{false, true} {
			b.Run(fmt.Sprintf("blocks=%d/changed=%v", blocks, changed), func(b *testing.B) {
				for b.Loop() {
					if changed {
						s.Forget()
					}
					if r, err := s.Runtime(b.Context(), 20); err != nil || r.Standings.Len() != blocks {
						b.Fatal(r.Standings.Len(), err)
					}
				}
			})
		}
	}
}

// A case for each of many new keys.
func BenchmarkOpenCase(b *testing.B) {
	s := create(b, filepath.Join(b.TempDir(), "exipol.db"), Options{})
	for i := int64(0); b.Loop(); i++ {
		storetest.Do(b, s, openCase(benchKey(i), 10))
	}
}
