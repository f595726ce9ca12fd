// Package metrics counts what the helper does, for Prometheus, in a registry of its
// own. It exists only where somebody asked for it (exipold serve --metrics).
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is a helper.Observer.
type Metrics struct {
	registry *prometheus.Registry
	answers  *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	unknown  prometheus.Counter
	found    *prometheus.CounterVec
}

// Gauges are read when Prometheus asks.
type Gauges struct {
	Connections func() float64            // unfinished ones
	Accepted    func() float64            // since the start
	Cut         func() float64            // since the start
	Sleepers    func() map[string]int     // by tier
	Rows        func() map[string]float64 // by table; counted at most once a minute
	Plan        func() string             // id of the newest
	Lookups     func() map[string]float64 // of DNS, since the newest plan's servers are asked: asked, remembered, failed, refused
	Pools       func() map[string]float64 // networks, by pool
	Store       func() Store
}

// New makes the metrics and registers them.
func New(g Gauges) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "exipold_answers_total", Help: "Questions answered, by stage, half and verdict.",
		}, []string{"stage", "half", "verdict"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "exipold_answer_duration_seconds", Help: "Time from the whole question to the answer.",
			Buckets: []float64{.00005, .0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 2},
		}, []string{"stage"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "exipold_failures_total", Help: "What went wrong: reading and writing are faults of the store, late and busy mean that too much was asked of it, decision and malformed are faults of exipold and of the question.",
		}, []string{"at"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "exipold_unknown_plan_total", Help: "Questions by a plan that this helper does not hold.",
		}),
	}
	m.found = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "exipold_facts_total", Help: "What was found out about clients and senders, by fact and finding (yes, no, unclear, or what SPF says).",
	}, []string{"fact", "finding"})
	m.registry.MustRegister(m.answers, m.latency, m.failures, m.unknown, m.found,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
	}
	gauge("exipold_connections", "Connections that were not answered at once and are not finished.", g.Connections)
	counter("exipold_connections_total", "Connections accepted.", g.Accepted)
	counter("exipold_connections_cut_total", "Connections closed for being slow, or to make room for others.", g.Cut)
	m.registry.MustRegister(
		newTable("exipold_sleepers", "Delays that run on this gateway, by tier.", "tier", func() map[string]float64 {
			out := map[string]float64{}
			for tier, n := range g.Sleepers() {
				out[tier] = float64(n)
			}
			return out
		}),
		newTable("exipold_store_rows", "Rows in the store, by table.", "table", g.Rows),
		newTable("exipold_plan_info", "The newest plan.", "plan", func() map[string]float64 {
			return map[string]float64{g.Plan(): 1}
		}),
		newTable("exipold_dns_lookups", "Lookups since the newest plan's DNS servers are asked: asked of a server, remembered, failed, or refused for being too many at once.", "result", g.Lookups),
		newTable("exipold_pool_networks", "Networks of each pool.", "pool", g.Pools),
		storeFigures{g.Store},
	)
	return m
}

// table is a gauge for each of some labels, read when Prometheus asks.
type table struct {
	desc *prometheus.Desc
	read func() map[string]float64
}

func newTable(name, help, label string, read func() map[string]float64) *table {
	return &table{prometheus.NewDesc(name, help, []string{label}, nil), read}
}

func (t *table) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

func (t *table) Collect(ch chan<- prometheus.Metric) {
	for label, v := range t.read() {
		ch <- prometheus.MustNewConstMetric(t.desc, prometheus.GaugeValue, v, label)
	}
}

// known are the stages and halves; they bound the labels: a question can name any.
var known = map[string]bool{
	"connect": true, "helo": true, "mail": true, "rcpt": true, "predata": true, "data": true,
	"before": true, "after": true,
}

func label(s string) string {
	if known[s] {
		return s
	}
	return "other"
}

// Answered counts an answer.
func (m *Metrics) Answered(stage, half, verdict string, took time.Duration) {
	stage = label(stage)
	m.answers.WithLabelValues(stage, label(half), verdict).Inc()
	m.latency.WithLabelValues(stage).Observe(took.Seconds())
}

// Failed counts a failure.
func (m *Metrics) Failed(why string) { m.failures.WithLabelValues(why).Inc() }

// UnknownPlan counts a question by a plan that is not held.
func (m *Metrics) UnknownPlan() { m.unknown.Inc() }

// Found counts what was found out.
func (m *Metrics) Found(fact, finding string) { m.found.WithLabelValues(fact, finding).Inc() }

// Handler serves the metrics at /metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
