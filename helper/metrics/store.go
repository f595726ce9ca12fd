package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Store is how well the store is, as exipold sees it.
type Store struct {
	Up, Slow  bool              // it can be read and written to; replicas or the cluster lag
	Skew      float64           // seconds that this host's clock is ahead of the store's
	Failures  float64           // of connections and statements, since the start
	Retries   float64           // of transactions that the database gave up
	Moves     float64           // from one host to another
	Hosts     map[string]string // what each is used for, in a word or two
	Cleaning  bool              // this process cleans the store up
	Rounds    float64           // of that, since the start
	Removed   float64           // rows
	LastKnown float64           // questions answered with a block as it was known last
}

// storeFigures asks once for all figures of the store, so that they fit together.
type storeFigures struct{ read func() Store }

var (
	storeUp        = prometheus.NewDesc("exipold_store_up", "Whether the store can be read and written to.", nil, nil)
	storeSlow      = prometheus.NewDesc("exipold_store_slow", "Whether the store's replicas or its cluster lag.", nil, nil)
	storeSkew      = prometheus.NewDesc("exipold_store_skew_seconds", "How far this host's clock is ahead of the store's.", nil, nil)
	storeFailures  = prometheus.NewDesc("exipold_store_failures_total", "Connections and statements that failed.", nil, nil)
	storeRetries   = prometheus.NewDesc("exipold_store_retries_total", "Transactions that the database gave up and that were tried again: deadlocks, lock waits, failed certifications.", nil, nil)
	storeMoves     = prometheus.NewDesc("exipold_store_moves_total", "Moves from one host of the store to another.", nil, nil)
	storeHost      = prometheus.NewDesc("exipold_store_host_info", "What each host of the store is used for.", []string{"host", "use"}, nil)
	storeLastKnown = prometheus.NewDesc("exipold_last_known_answers_total", "Questions that were answered with a block as it was known last, the store being away.", nil, nil)
	cleanupLeader  = prometheus.NewDesc("exipold_cleanup_leader", "Whether this process cleans the store up at the moment.", nil, nil)
	cleanupRounds  = prometheus.NewDesc("exipold_cleanup_rounds_total", "How often this process has cleaned the store up.", nil, nil)
	cleanupRows    = prometheus.NewDesc("exipold_cleanup_rows_total", "Rows that this process has removed.", nil, nil)
)

func (storeFigures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		storeUp, storeSlow, storeSkew, storeFailures, storeRetries, storeMoves, storeHost, storeLastKnown, cleanupLeader, cleanupRounds, cleanupRows,
	} {
		ch <- d
	}
}

func (f storeFigures) Collect(ch chan<- prometheus.Metric) {
	s := f.read()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(storeUp, number(s.Up))
	gauge(storeSlow, number(s.Slow))
	gauge(storeSkew, s.Skew)
	gauge(cleanupLeader, number(s.Cleaning))
	for _, host := range slices.Sorted(maps.Keys(s.Hosts)) {
		gauge(storeHost, 1, host, s.Hosts[host])
	}
	counter(storeFailures, s.Failures)
	counter(storeRetries, s.Retries)
	counter(storeMoves, s.Moves)
	counter(storeLastKnown, s.LastKnown)
	counter(cleanupRounds, s.Rounds)
	counter(cleanupRows, s.Removed)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
