package dns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/internal/dnstest"
)

// logged is a log that may be read while others write.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *logged) log() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// TestBudget: a zone has its share and no more, all have the whole and no more, and the
// log has the beginning and the end of it.
func TestBudget(t *testing.T) {
	var log logged
	c := &clock{}
	b := newBudget("tests", 16, 0, 8, log.log(), c.now)
	taken := 0
	take := func(zone string, want bool) {
		t.Helper()
		if got := b.Take(zone); got != want {
			t.Errorf("%s with %d taken: %v", zone, taken, got)
		} else if got {
			taken++
		}
	}
	for range 2 {
		take("dead.example", true)
	}
	for range 5 {
		take("dead.example", false)
	}
	if log.count("level=WARN") != 1 || log.count("zone=dead.example") != 1 {
		t.Errorf("%s", &log.b)
	}
	for i := range 14 {
		take(fmt.Sprintf("z%d.example", i), true)
	}
	for i := range 5 {
		take(fmt.Sprintf("y%d.example", i), false)
	}
	if log.count("level=WARN") != 2 || b.refused.Load() != 10 || len(b.zones) != 15 {
		t.Errorf("%d refused, %d zones: %s", b.refused.Load(), len(b.zones), &log.b)
	}
	b.Give("dead.example")
	take("y.example", true)
	take("dead.example", false)
	for _, zone := range []string{"dead.example", "y.example"} {
		b.Give(zone)
	}
	c.advance(calm - time.Second)
	take("dead.example", true)
	if log.count("level=INFO") != 0 {
		t.Errorf("over already: %s", &log.b)
	}
	c.advance(time.Second)
	take("dead.example", true)
	if log.count("level=INFO") != 2 || log.count("level=WARN") != 2 {
		t.Errorf("not over: %s", &log.b)
	}
	for range 2 {
		b.Give("dead.example")
	}
	for i := range 14 {
		b.Give(fmt.Sprintf("z%d.example", i))
	}
	if b.used != 0 || len(b.zones) != 0 {
		t.Errorf("%d are under way, %d zones", b.used, len(b.zones))
	}
}

// TestWait: a place that is given back goes to whom has waited longest and may have it;
// who waits in vain is refused; not more wait than may.
func TestWait(t *testing.T) {
	c := &clock{}
	b := newBudget("tests", 4, 4, 2, slog.New(slog.DiscardHandler), c.now)
	for _, zone := range []string{"a", "a", "b", "c"} {
		b.Take(zone)
	}
	got := make(chan string)
	wait := func(zone string, want int) {
		t.Helper()
		go func() { got <- fmt.Sprint(zone, " ", b.await(zone, 10*time.Second)) }()
		for n := 0; n != want; time.Sleep(time.Millisecond) {
			b.mu.Lock()
			n = b.queue.Len()
			b.mu.Unlock()
		}
	}
	wait("a", 1)
	wait("a", 2)
	wait("d", 3)
	if b.await("a", time.Hour) {
		t.Error("a third of one zone waits")
	}
	b.Give("b")
	if first := <-got; first != "d true" { // a has its share
		t.Error(first)
	}
	b.Give("c")
	b.Give("a")
	if next := <-got; next != "a true" {
		t.Error(next)
	}
	b.Give("a")
	if next := <-got; next != "a true" {
		t.Error(next)
	}
	b.Take("e")
	if b.await("f", time.Millisecond) || b.queue.Len() != 0 || b.refused.Load() != 2 {
		t.Errorf("in vain: %d wait, %d refused", b.queue.Len(), b.refused.Load())
	}
	for _, zone := range []string{"a", "a", "d", "e"} {
		b.Give(zone)
	}
	if b.used != 0 || len(b.zones) != 0 {
		t.Errorf("%d are under way, %d zones", b.used, len(b.zones))
	}
}

// TestManyWait is for the race detector: nobody is lost, and no place.
func TestManyWait(t *testing.T) {
	b := newBudget("tests", 8, 1000, 4, slog.New(slog.DiscardHandler), time.Now)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			zone := fmt.Sprint(i % 7)
			patience := time.Minute
			if i%5 == 0 {
				patience = time.Millisecond
			}
			if b.await(zone, patience) {
				time.Sleep(time.Millisecond / 2)
				b.Give(zone)
			} else if i%5 != 0 {
				t.Error("one waited in vain")
			}
		})
	}
	wg.Wait()
	if b.used != 0 || len(b.zones) != 0 || b.queue.Len() != 0 {
		t.Errorf("%d are under way, %d zones, %d wait", b.used, len(b.zones), b.queue.Len())
	}
}

// TestDeadZone: a zone that says nothing takes neither another's lookups nor those that
// no stranger chooses; nor do many dead zones take the latter.
func TestDeadZone(t *testing.T) {
	var log logged
	s := dnstest.Start(t, "a.good.example A 192.0.2.1", "192.0.2.1 PTR a.good.example", "1.2.0.192.list.example A 127.0.0.2")
	r := New(Options{Servers: []string{s.Address()}, Timeout: time.Minute, Log: log.log()})
	r.patience = time.Millisecond
	ended := within(t, 0)
	s.Behave("*.dead.example", dnstest.Dead)
	for i := range mostChosen {
		_, _ = r.Chosen().LookupNetIP(ended, "ip4", fmt.Sprintf("n%d.dead.example", i))
	}
	if got, err := r.Chosen().LookupNetIP(soon(t), "ip4", "a.good.example"); err != nil || len(got) != 1 {
		t.Errorf("another zone: %v, %v", got, err)
	}
	for until(t, func() bool { return r.Stats().Refused == mostChosen-mostChosen/chosenParts }) {
	}
	if log.count("level=WARN") != 1 || log.count("zone=dead.example") != 1 {
		t.Errorf("%s", &log.b)
	}
	for i := range mostChosen {
		zone := fmt.Sprintf("dead%d.example", i%20)
		s.Behave("*."+zone, dnstest.Dead)
		_, _ = r.Chosen().LookupNetIP(ended, "ip4", fmt.Sprintf("n%d.%s", i, zone))
	}
	for until(t, func() bool { return log.count("level=WARN") == 2 }) {
	}
	if _, err := r.Chosen().LookupTXT(soon(t), "other.example"); !errors.Is(err, ErrUnclear) || !strings.Contains(err.Error(), "too many") {
		t.Errorf("one more: %v", err)
	}
	if got, err := r.LookupAddr(soon(t), "192.0.2.1"); err != nil || len(got) != 1 {
		t.Errorf("PTR: %v, %v", got, err)
	}
	if got, err := r.LookupNetIP(soon(t), "ip4", "1.2.0.192.list.example"); err != nil || len(got) != 1 {
		t.Errorf("list: %v, %v", got, err)
	}
	if failed := r.Stats().Failed; failed != 0 {
		t.Errorf("%d have failed of those that were asked", failed)
	}
}

// until is whether to look again for what should become so.
func until(t *testing.T, so func() bool) bool {
	t.Helper()
	for range 5000 {
		if so() {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("it never came to that")
	return false
}

// TestWaitForPlace: with a resolver that is busy, but works, whoever comes when all
// places are taken has an answer a moment later.
func TestWaitForPlace(t *testing.T) {
	_, r, _ := start(t, "a.example A 192.0.2.1")
	r.patience = 10 * time.Second
	fill(r.budget)
	go func() {
		for until(t, func() bool {
			r.budget.mu.Lock()
			defer r.budget.mu.Unlock()
			return r.budget.queue.Len() == 1
		}) {
		}
		r.budget.Give("z0")
	}()
	if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// fill takes all places.
func fill(b *Budget) {
	for i := range b.most {
		b.Take(fmt.Sprintf("z%d", i))
	}
}

// TestNoPlace: where no place gets free, the answer is unclear soon, also for somebody
// who would wait for ever, and nothing is remembered of the name.
func TestNoPlace(t *testing.T) {
	_, r, _ := start(t, "a.example A 192.0.2.1")
	fill(r.budget)
	if _, err := r.LookupNetIP(context.Background(), "ip4", "a.example"); !errors.Is(err, ErrUnclear) || !strings.Contains(err.Error(), "too many") {
		t.Errorf("no place: %v", err)
	}
	if got := r.Stats(); got != (Stats{Refused: 1}) {
		t.Errorf("%+v", got)
	}
	r.budget.Give("z0")
	if got, err := r.LookupNetIP(soon(t), "ip4", "a.example"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestNewBudget: what another budget refuses is counted with the rest.
func TestNewBudget(t *testing.T) {
	_, r, _ := start(t)
	b := r.NewBudget("tests", 8)
	if !b.Take("a") || b.Take("a") || !b.Take("b") || r.Stats().Refused != 1 {
		t.Errorf("%+v", r.Stats())
	}
}

func TestZone(t *testing.T) {
	for name, want := range map[string]string{
		"mail.example.com": "example.com", "a.b.example.co.uk.": "example.co.uk", "EXAMPLE.com": "example.com",
		"x.customer.github.io": "github.io", "h1.compute.amazonaws.com": "amazonaws.com", "a.b.dead.example": "dead.example",
		"1.2.0.192.list.example": "list.example", "4.3.2.1.in-addr.arpa": "2.1.in-addr.arpa", "co.uk": "co.uk", "com": "com", "": "", "..": ".",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": "8.b.d.0.1.0.0.2.ip6.arpa",
		"1.in-addr.arpa": "1.in-addr.arpa",
	} {
		if got := Zone(name); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}
