package mysql

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// Two gateways that write to two nodes of a cluster, as while they move from one to the other: a lock of one
// node is none of the other, so some of what they write the cluster refuses, which is run again. What is promised is kept, once.
func TestTwoNodes(t *testing.T) {
	cluster := mysqltest.Cluster(t, 2)
	made := cluster.Database()
	create(t, cluster.Nodes[0], made)
	var all []*Store
	for i, host := range made.Hosts {
		c := Config{Store: made, Gateway: fmt.Sprint("gw", i)}
		c.Store.Hosts = []string{host}
		all = append(all, open(t, c))
	}
	const callers, each = 16, 10
	var promised, unknown atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				err := all[i%2].Update(t.Context(), func(st engine.State) ([]engine.Write, error) {
					_, err := st.Count(storetest.Policy, "k", storetest.Window, 0, 9)
					row, _, err2 := st.Seen("list.x", "k")
					row.Passes++
					row.Expires = 1 << 50
					return []engine.Write{storetest.Add("k", 1, 1), engine.PutSeen{Policy: "list.x", Key: "k", Row: row}}, errors.Join(err, err2)
				})
				switch {
				case err == nil:
					promised.Add(1)
				case errors.Is(err, store.ErrUnknown):
					unknown.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n, rows int64
	view := func(st engine.State) error {
		row, _, err := st.Seen("list.x", "k")
		rows = row.Passes
		return err
	}
	// What one node has committed last the other may have yet to apply.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n = storetest.Count(t, all[0], "k", 0)
		if err := all[0].View(t.Context(), view); err != nil {
			t.Fatal(err)
		}
		if n >= promised.Load() && rows == n || time.Now().After(end) {
			break
		}
	}
	if n < promised.Load() || n > promised.Load()+unknown.Load() || rows != n {
		t.Errorf("%d promised, %d of which nobody knows, and %d and %d were kept", promised.Load(), unknown.Load(), n, rows)
	}
	if promised.Load() < callers*each/2 {
		t.Errorf("only %d of %d were kept", promised.Load(), callers*each)
	}
	t.Logf("%d of %d promised, %d attempts were run again", promised.Load(), callers*each, all[0].Health().Retries+all[1].Health().Retries)
}
