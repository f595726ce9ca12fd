package mysql

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// benchKey is a key as a greylist has it.
func benchKey(i int64) string {
	return fmt.Sprintf("198.51.%d.0/24|alice%d@example.org|bob@example.com", i%256, i)
}

// known is a store with 100,000 known keys and as many counters.
func known(b *testing.B) *Store {
	b.Helper()
	s := open(b, Config{Store: database(b, mysqltest.Start(b, mysqltest.WithArgs("--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"))), Gateway: "gw"})
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

// A lookup of a known key, after one for a trusted client in vain, and of a counter; by one caller and by many.
func BenchmarkLook(b *testing.B) {
	s := known(b)
	var next atomic.Int64
	for name, ways := range map[string]func(b *testing.B, f func(engine.State) error) error{
		"look": func(b *testing.B, f func(engine.State) error) error { return s.Look(b.Context(), f) },
		"view": func(b *testing.B, f func(engine.State) error) error { return s.View(b.Context(), f) },
	} {
		for _, counts := range []bool{false, true} {
			lookup := func(b *testing.B) {
				key := benchKey(next.Add(7919) % 100000)
				known := false
				err := ways(b, func(st engine.State) error {
					if _, _, err := st.Seen("greylist.inbound.trusted", "198.51.100.0/24"); err != nil {
						return err
					}
					_, ok, err := st.Seen("greylist.inbound", key)
					if known = ok; err == nil && counts {
						_, err = st.Count(storetest.Policy, key, storetest.Window, 0, 36)
					}
					return err
				})
				if err != nil || !known {
					b.Errorf("key %s: %v, %v", key, known, err)
				}
			}
			name := fmt.Sprintf("%s/counts=%v", name, counts)
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					lookup(b)
				}
			})
			b.Run(name+"/parallel", func(b *testing.B) {
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						lookup(b)
					}
				})
			})
		}
	}
}

// updates are by so many callers at a time; each knows how many there were before it.
func updates(b *testing.B, callers int, update func(i int64) error) {
	var left, next atomic.Int64
	left.Store(int64(b.N))
	next.Store(time.Now().UnixNano() % (1 << 30))
	done := make(chan error)
	b.ResetTimer()
	for range callers {
		go func() {
			var err error
			for err == nil && left.Add(-1) >= 0 {
				err = update(next.Add(1))
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
}

// A first contact: a new key, and a new pair, committed before it is answered.
func BenchmarkUpdate(b *testing.B) {
	s := known(b)
	for _, callers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("new/callers=%d", callers), func(b *testing.B) {
			updates(b, callers, func(now int64) error {
				key := benchKey(now * 7919 % (1 << 30))
				return s.Update(b.Context(), func(st engine.State) ([]engine.Write, error) {
					_, _, err := st.Seen("greylist.inbound", key)
					row := engine.SeenRow{First: now, Expires: now + 86400000}
					return []engine.Write{engine.PutSeen{Policy: "greylist.inbound", Key: key, Row: row}}, err
				})
			})
		})
		// A message of one of 1,000 users, against two rates.
		b.Run(fmt.Sprintf("count/callers=%d", callers), func(b *testing.B) {
			updates(b, callers, func(now int64) error {
				key := fmt.Sprintf("user%d@example.com", now%1000)
				return s.Update(b.Context(), func(st engine.State) ([]engine.Write, error) {
					slot := now / 100000
					var writes []engine.Write
					for _, window := range []time.Duration{time.Hour, 24 * time.Hour} {
						if _, err := st.Count("limit.rate_user", key, window, slot-36, slot+1); err != nil {
							return nil, err
						}
						writes = append(writes, engine.AddCount{Policy: "limit.rate_user", Key: key, Window: window, Slot: slot, N: 1, Expires: 1 << 50})
					}
					return writes, nil
				})
			})
		})
	}
}

// A batch of a log follower's: for each event whether it is known, whose message it is, its
// counters in three windows, and five writes.
func BenchmarkBatch(b *testing.B) {
	s := known(b)
	next := int64(0)
	for _, events := range []int{16, 128, 1024} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			for b.Loop() {
				first := next
				err := s.Batch(b.Context(), func(tr engine.Transaction) error {
					next = first
					for range events {
						next++
						if err := event(tr, fmt.Sprintf("1tABCD-%011d-0001", next), benchKey(next%5000)); err != nil {
							return err
						}
					}
					return tr.Apply([]engine.Write{engine.PutPlace{Gateway: "gw", Log: "/var/log/exim4/mainlog", Place: fmt.Sprint(next), At: next}})
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func event(tr engine.Transaction, message, key string) error {
	if _, err := tr.Known("gw", message, "item"); err != nil {
		return err
	}
	if _, _, err := tr.Arrival("gw", message); err != nil {
		return err
	}
	writes := []engine.Write{
		engine.PutEvent{Gateway: "gw", Message: message, Item: "item", Kind: plan.Bounce, Owner: "auth:bob", At: 1, Expires: 1 << 50},
		engine.PutArrival{Gateway: "gw", Message: message, Expires: 1 << 50},
	}
	for _, window := range []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		if _, err := tr.Count("limit.bounces", key, window, 0, 36); err != nil {
			return err
		}
		writes = append(writes, engine.AddCount{Policy: "limit.bounces", Key: key, Window: window, Slot: 7, N: 1, Expires: 1 << 50})
	}
	return tr.Apply(writes)
}
