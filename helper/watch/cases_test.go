package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/internal/busylog"
)

// raw brings lines of its own to disk.
func (w *world) raw(lines ...string) {
	w.rest = append(w.rest, strings.Join(lines, "\n")+"\n"...)
	w.flushAll()
}

// TestSameSecond: equal lines of one second are as many events as there are lines, also if the follower ends between
// them; read again, they are none.
func TestSameSecond(t *testing.T) {
	w := newWorld(t, 1)
	now := time.Now().UTC().Format(time.DateTime)
	failed := now + " plain authenticator failed for (x) [192.0.2.1]: 535 Incorrect authentication data (set_id=admin)"
	want := map[busylog.Event]int{}
	for range 3 {
		w.raw(failed, now+" something else", failed)
		want[busylog.Event{Event: plan.AuthFailure, Traffic: plan.Inbound, Who: "admin 192.0.2.1"}] += 2
		w.must(w.once(t.Context()))
		compare(t, "in parts", w.ledger.counted(), want)
	}
	clear(w.ledger.places)
	w.must(w.once(t.Context()))
	compare(t, "again", w.ledger.counted(), want)
}

// TestHorizon: what is older than the longest window is not counted, and a message that came before is still known.
func TestHorizon(t *testing.T) {
	w := newWorld(t, 1)
	at := func(ago time.Duration) string { return time.Now().UTC().Add(-ago).Format(time.DateTime) }
	w.raw(at(7*day)+" 1abcde-000001-AB <= bob@local.test H=(x) [192.0.2.1] P=esmtpa A=plain:bob S=300",
		at(25*time.Hour)+" 1abcde-000001-AB ** old@x.test R=out T=out: no",
		at(23*time.Hour)+" 1abcde-000001-AB ** new@x.test R=out T=out: no",
		at(9*day)+" 1abcde-000002-AB <= bob@local.test H=(x) [192.0.2.1] P=esmtpa A=plain:bob S=300")
	w.must(w.once(t.Context()))
	want := map[busylog.Event]int{{Event: plan.Bounce, Traffic: plan.Submission, Class: "other", Who: "auth:bob"}: 1}
	compare(t, "", w.ledger.counted(), want)
	if w.ledger.puts != 1 {
		t.Errorf("%d arrivals are kept", w.ledger.puts)
	}
	w.raw(at(0) + " 1abcde-000001-AB ** later@x.test R=out T=out: no") // by one who finds it in the store
	w.must(w.once(t.Context()))
	want[busylog.Event{Event: plan.Bounce, Traffic: plan.Submission, Class: "other", Who: "auth:bob"}]++
	compare(t, "later", w.ledger.counted(), want)
	w.raw(at(0) + " 1abcde-000001-AB Completed")
	w.must(w.once(t.Context()))
	if len(w.ledger.arrivals) != 0 {
		t.Errorf("%d arrivals are left", len(w.ledger.arrivals))
	}
}

// TestSummerTime: in the hour that comes twice the log's lines look the same, and are not.
func TestSummerTime(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 1)
	end := time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC) // when 3:00 becomes 2:00
	w.o.Lines.Location, w.o.Clock = zone, func() time.Time { return end.Add(time.Hour) }
	var times []time.Time
	o := w.o
	o.Counter = counterFunc(func(f func(engine.Transaction, func(engine.Happening) error) error) error {
		return f(forgetful{}, func(h engine.Happening) error { times = append(times, h.At.UTC()); return nil })
	})
	o.Once = true
	var want []time.Time
	for at := end.Add(-50 * time.Minute); at.Before(end.Add(50 * time.Minute)); at = at.Add(20 * time.Minute) {
		w.raw(at.In(zone).Format(time.DateTime) + " plain authenticator failed for (x) [192.0.2.1]: 535 Incorrect authentication data (set_id=admin)")
		want = append(want, at)
	}
	w.must(New(o).Run(t.Context()))
	if !slices.EqualFunc(times, want, time.Time.Equal) {
		t.Errorf("%v\nwant %v", times, want)
	}
}

type counterFunc func(func(engine.Transaction, func(engine.Happening) error) error) error

func (c counterFunc) Count(_ context.Context, f func(engine.Transaction, func(engine.Happening) error) error) error {
	return c(f)
}

// TestSyslog: lines that a syslog split are put together, and nobody stops in the midst of one.
func TestSyslog(t *testing.T) {
	w := newWorld(t, 1)
	w.o.Syslog = true
	now := time.Now().UTC()
	head := now.Format(time.RFC3339) + " mx exim[12]: "
	text := now.Format(time.DateTime) + " 1abcde-000001-AB "
	w.raw(head+text+"<= bob@local.test H=(x) [192.0.2.1] P=esmtpa A=plain:bob S=300",
		head+"[1/2] "+text+"** gone@x.test R=out T=out: SMTP error from remote mail server after RCPT TO:<gone@x.test>: 550 ",
		now.Format(time.RFC3339)+" mx other[3]: "+text+"** not@exim.test: Unrouteable address",
		head+"[2/2] 5.1.1 no such user")
	w.must(w.once(t.Context()))
	compare(t, "", w.ledger.counted(), map[busylog.Event]int{
		{Event: plan.Login, Traffic: plan.Submission, Who: "auth:bob"}:                         1,
		{Event: plan.Bounce, Traffic: plan.Submission, Class: "no_such_user", Who: "auth:bob"}: 1,
	})
}

// TestEventSource: where Exim tells of bounces itself, the log's are not counted; and a plan that counts nothing of a
// log has none followed.
func TestEventSource(t *testing.T) {
	w := newWorld(t, 1)
	w.plan.Source = plan.FromEvent
	w.seconds(300)
	w.flushAll()
	w.must(w.once(t.Context()))
	for e := range w.ledger.counted() {
		if e.Event == plan.Bounce {
			t.Fatalf("%+v", e)
		}
	}
	if len(w.ledger.counted()) == 0 || !Needed(w.plan) {
		t.Error("nothing was counted")
	}
	w.plan.Limits = w.plan.Limits[:1]
	if Needed(w.plan) {
		t.Error("a plan that counts nothing of a log needs it")
	}
	before := w.ledger.commits
	w.must(w.once(t.Context()))
	if w.ledger.commits != before {
		t.Error("the log was followed")
	}
}

// TestPoison: what makes the engine fail is left out, and the rest is counted.
func TestPoison(t *testing.T) {
	w := newWorld(t, 2)
	w.seconds(200)
	w.flushAll()
	l := w.ledger
	n := 0
	w.o.Counter = counterFunc(func(f func(engine.Transaction, func(engine.Happening) error) error) error {
		return l.Count(t.Context(), func(tx engine.Transaction, count func(engine.Happening) error) error {
			return f(tx, func(h engine.Happening) error {
				if h.Event == plan.Bounce {
					n++
					return fmt.Errorf("%w: poison", store.ErrDecision)
				}
				return count(h)
			})
		})
	})
	w.must(w.once(t.Context()))
	want := maps.Clone(w.log.Truth().Events)
	maps.DeleteFunc(want, func(e busylog.Event, _ int) bool { return e.Event == plan.Bounce })
	compare(t, "", l.counted(), want)
	if n == 0 || len(l.places) == 0 {
		t.Error(n, l.places)
	}
}
