package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"exipol/cmd/internal/cli"
	"exipol/helper"
	"exipol/helper/metrics"
)

// scrape is where Prometheus asks.
type scrape struct {
	*metrics.Metrics
	ln net.Listener
}

// listenMetrics listens for Prometheus; on loopback, unless an address says otherwise.
// Nothing is answered before serve.
func (d *daemon) listenMetrics() (*scrape, error) {
	host, port, err := net.SplitHostPort(d.o.metrics)
	if err != nil {
		return nil, cli.WrongUsage("--metrics %s: an address as in 127.0.0.1:9234 belongs there", d.o.metrics)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	rows := &rowCounts{d: d}
	m := metrics.New(metrics.Gauges{
		Connections: func() float64 { return float64(d.server.Stats().Open) },
		Accepted:    func() float64 { return float64(d.server.Stats().Accepted) },
		Cut:         func() float64 { return float64(d.server.Stats().Cut) },
		Sleepers:    func() map[string]int { return d.helper.Status().Sleepers },
		Rows:        rows.get,
		Plan:        func() string { return d.helper.Plan().ID },
		Lookups:     func() map[string]float64 { return lookups(d.helper.Status()) },
		Pools:       func() map[string]float64 { return poolSizes(d.helper.Status()) },
		Store:       func() metrics.Store { return storeFigures(d.helper.Status()) },
	})
	return &scrape{m, ln}, nil
}

// lookups counts what DNS was asked.
func lookups(s helper.Status) map[string]float64 {
	if s.DNS == nil {
		return nil
	}
	return map[string]float64{"asked": float64(s.DNS.Asked), "remembered": float64(s.DNS.Known), "failed": float64(s.DNS.Failed), "refused": float64(s.DNS.Refused)}
}

// storeFigures are how well the store is.
func storeFigures(s helper.Status) metrics.Store {
	h := s.Store
	out := metrics.Store{
		Up: h.Away == "" && s.Trouble == "", Slow: h.Slow, Skew: h.Skew.Seconds(),
		Failures: float64(h.Failures), Retries: float64(h.Retries), Moves: float64(h.Moves),
		Cleaning: s.Cleanup.Now, Rounds: float64(s.Cleanup.Rounds), Removed: float64(s.Cleanup.Removed), LastKnown: float64(s.LastKnown),
		Hosts: map[string]string{},
	}
	for _, host := range h.Hosts {
		out.Hosts[host.Host] = host.Use
	}
	return out
}

func poolSizes(s helper.Status) map[string]float64 {
	out := map[string]float64{}
	for _, p := range s.Pools {
		out[p.Name] = float64(p.Networks)
	}
	return out
}

// serve answers Prometheus until ctx ends. What the metrics look at must be there.
func (s *scrape) serve(ctx context.Context, log *slog.Logger) {
	h := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	defer context.AfterFunc(ctx, func() { h.Close() })()
	log.Info("metrics", "address", s.ln.Addr().String())
	if err := h.Serve(s.ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Error("metrics", "error", err)
	}
}

// rowCounts counts the store's rows, at most once a minute: it takes a moment.
type rowCounts struct {
	d    *daemon
	mu   sync.Mutex
	at   time.Time
	last map[string]float64
}

func (r *rowCounts) get() map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) < time.Minute {
		return r.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stats, err := r.d.store.Stats(ctx, r.d.store.Now().UnixMilli())
	if err != nil {
		return r.last
	}
	r.at, r.last = time.Now(), map[string]float64{}
	for _, t := range stats.Tables {
		r.last[t.Name] = float64(t.Rows)
	}
	return r.last
}
