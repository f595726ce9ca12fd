package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// All figures can be scraped, and no question can make a label of its own.
func TestScrape(t *testing.T) {
	m := New(Gauges{
		Connections: func() float64 { return 3 },
		Accepted:    func() float64 { return 7 },
		Cut:         func() float64 { return 1 },
		Sleepers:    func() map[string]int { return map[string]int{"limit.tarpit/slow": 2} },
		Rows:        func() map[string]float64 { return map[string]float64{"seen": 11} },
		Plan:        func() string { return "00ff" },
		Lookups:     func() map[string]float64 { return map[string]float64{"failed": 5} },
		Pools:       func() map[string]float64 { return map[string]float64{"google": 12} },
		Store: func() Store {
			return Store{Up: true, Skew: -2.5, Retries: 4, Moves: 2, Hosts: map[string]string{"db1:3306": "in use", "db2:3306": "standby"}, Removed: 9, LastKnown: 6}
		},
	})
	m.Answered("rcpt", "after", "defer", time.Millisecond)
	m.Answered("\xff\n", "neither", "accept", time.Hour)
	m.Failed("writing")
	m.UnknownPlan()
	m.Found("spf", "temperror")
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	code, got := get(http.MethodGet, "/metrics")
	for _, want := range []string{
		`exipold_answers_total{half="after",stage="rcpt",verdict="defer"} 1`,
		`exipold_answers_total{half="other",stage="other",verdict="accept"} 1`,
		`exipold_answer_duration_seconds_bucket{stage="rcpt",le="0.001"} 1`,
		`exipold_failures_total{at="writing"} 1`,
		"exipold_unknown_plan_total 1",
		"exipold_store_up 1",
		"exipold_store_slow 0",
		"exipold_store_skew_seconds -2.5",
		"exipold_store_retries_total 4",
		"exipold_store_moves_total 2",
		`exipold_store_host_info{host="db2:3306",use="standby"} 1`,
		"exipold_last_known_answers_total 6",
		"exipold_cleanup_leader 0",
		"exipold_cleanup_rows_total 9",
		"exipold_connections 3",
		"exipold_connections_total 7",
		"exipold_connections_cut_total 1",
		`exipold_sleepers{tier="limit.tarpit/slow"} 2`,
		`exipold_store_rows{table="seen"} 11`,
		`exipold_plan_info{plan="00ff"} 1`,
		`exipold_facts_total{fact="spf",finding="temperror"} 1`,
		`exipold_dns_lookups{result="failed"} 5`,
		`exipold_pool_networks{pool="google"} 12`,
	} {
		if code != http.StatusOK || !strings.Contains(got, want+"\n") {
			t.Errorf("%d, and no %s in\n%s", code, want, got)
		}
	}
	for _, path := range []string{"/", "/debug/pprof/"} {
		if code, _ := get(http.MethodGet, path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _ := get(http.MethodPost, "/metrics"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
}
