package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/testplan"
)

// Prometheus gets its figures, also where it asks before the daemon is ready.
func TestScrape(t *testing.T) {
	p := testplan.New(t.TempDir())
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := &daemon{o: serveOptions{metrics: ":0"}, log: slog.New(slog.DiscardHandler), store: s}
	early, err := d.listenMetrics()
	if err != nil {
		t.Fatal(err)
	}
	if host, _, _ := net.SplitHostPort(early.ln.Addr().String()); host != "127.0.0.1" {
		t.Errorf("listens on %s without being told to", host)
	}
	ask := func(s *scrape) (read func() string) {
		conn, err := net.Dial("tcp", s.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return func() string {
			defer conn.Close()
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("%s, %v\n%s", answer.Status, err, body)
			}
			return string(body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := ask(early)
	if err := d.build(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	go early.serve(ctx, d.log)
	if got := first(); !strings.Contains(got, "exipold_plan_info") {
		t.Errorf("%s", got)
	}
	ended := make(chan struct{})
	go func() { d.scrape.serve(ctx, d.log); close(ended) }()
	for _, line := range []string{
		"v=1 plan=" + p.ID + " at=rcpt.before traffic=inbound events=unknown_recipient nonce=1.1 ip=192.0.2.1\n",
		"v=1 plan=00ff at=rcpt.after traffic=inbound events=recipient nonce=1.2 ip=192.0.2.1 sender=YQ== rcpt=Yg==\n",
		"v=1 nonsense\n",
	} {
		d.helper.Answer(t.Context(), []byte(line))
	}
	got := ask(d.scrape)()
	for _, want := range []string{
		`exipold_answers_total{half="before",stage="rcpt",verdict="` + plan.Accept + `"} 1`,
		`exipold_answers_total{half="after",stage="rcpt",verdict="` + plan.Defer + `"} 1`,
		`exipold_answer_duration_seconds_count{stage="rcpt"} 2`,
		`exipold_failures_total{at="malformed"} 1`,
		`exipold_unknown_plan_total 1`,
		`exipold_connections 0`,
		`exipold_store_rows{table="counter"} 1`,
		`exipold_store_rows{table="seen"} 1`,
		`exipold_plan_info{plan="` + p.ID + `"} 1`,
		"exipold_store_up 1",
		"go_goroutines ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	cancel()
	<-ended
}
