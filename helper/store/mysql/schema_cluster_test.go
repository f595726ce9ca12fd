package mysql

import (
	"fmt"
	"testing"

	"exipol/internal/mysqltest"
)

// However many gateways start at once, by whichever node of a cluster they come: each statement runs once.
func TestMigrateCluster(t *testing.T) {
	t.Parallel()
	cluster := mysqltest.Cluster(t, 2)
	c := Config{Store: cluster.Database()}
	migrateAtOnce(t, 6, func(i int) Config {
		c.Gateway, c.Store.Hosts = fmt.Sprintf("gw%d", i), []string{cluster.Nodes[i%2].Addr()}
		return c
	})
}
