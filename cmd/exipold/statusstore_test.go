package main

import (
	"bytes"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// What people are told of a cluster of which one node is away, and of gateways that are not what they should be.
func TestStatusOfStore(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	seen := func(ago time.Duration) int64 { return now.Add(-ago).UnixMilli() }
	st := storeStatus{
		Name: "exipol at db1:3306, db2:3306", Stats: store.Stats{Bytes: 4096, Version: 5}, Cleaner: "mx1",
		Health: store.Health{
			Kind: plan.MySQL, Host: "db2:3306", Since: now.Add(-time.Hour), Skew: -3500 * time.Millisecond, Failures: 1, Retries: 7, Moves: 1, Slow: true,
			Hosts: []store.HostHealth{
				{Host: "db1:3306", Use: store.HostAway, Why: "connection refused", Version: "10.11.19-MariaDB"},
				{Host: "db2:3306", Use: store.HostInUse, Version: "10.11.19-MariaDB", Cluster: "Primary, Synced, 2 nodes"},
				{Host: "db3:3306", Use: store.HostStandby, Lag: 1234 * time.Millisecond},
			},
		},
	}
	for _, g := range []store.Gateway{
		{Name: "mx1", Version: "1.0", Plans: []string{"new", "old"}, Seen: seen(2 * time.Second)},
		{Name: "mx2", Version: "0.9", Plans: []string{"old"}, Seen: seen(time.Second)},
		{Name: "mx3", Plans: []string{"newer", "new"}, Seen: seen(3 * time.Hour)},
	} {
		st.Gateways = append(st.Gateways, gatewayStatus{g, oddities(g, "new", now)})
	}
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	st.print(w, now)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	const want = `store              exipol at db1:3306, db2:3306: 4 KiB, schema version 5
  host             db1:3306: away: connection refused, 10.11.19-MariaDB
  host             db2:3306: in use since 2026-11-22T11:00:00Z, 10.11.19-MariaDB, Primary, Synced, 2 nodes
  host             db3:3306: standby, 1.2s behind
  clock            this host's is 3.5s behind the database's
  slow             replicas or the cluster lag: the clean-up waits
  since the start  1 failure, 7 retries of transactions, 1 move between hosts
  gateway          mx1: exipold 1.0, plan new, seen 2 seconds ago
  gateway          mx2: exipold 0.9, plan old, seen 1 second ago, does not have this plan
  gateway          mx3: exipold of unknown version, plan newer, not seen for 3 hours, has taken another plan after this one
  clean-up         mx1 is at it
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}

	st = storeStatus{Name: "exipol at db1:3306", Error: "no database server can be used: \x1b", Health: store.Health{Kind: plan.MySQL, Away: "db1:3306: it hangs", Since: now}}
	out.Reset()
	st.print(&out, now)
	if got := out.String(); !strings.Contains(got, `no database server can be used: \x1b`) || !strings.Contains(got, "away\tsince 2026-11-22T12:00:00Z: db1:3306: it hangs\n") {
		t.Errorf("got\n%s", got)
	}
	// A file that one gateway has to itself.
	st = storeStatus{Name: "/var/lib/exipol/exipol.db", Stats: store.Stats{Bytes: 2048, Version: 5}, Health: store.Health{Kind: plan.SQLite}, Gateways: []gatewayStatus{{Gateway: store.Gateway{Name: "mx1"}}}}
	out.Reset()
	st.print(&out, now)
	if got := out.String(); got != "store\t/var/lib/exipol/exipol.db: 2 KiB, schema version 5\n" {
		t.Errorf("got\n%s", got)
	}
}
