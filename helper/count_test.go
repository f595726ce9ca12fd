package helper

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/testplan"
)

// bounced is a failed delivery of a user's.
func (b *bench) bounced(id string, n int) engine.Happening {
	return engine.Happening{
		Event: plan.Bounce, Class: "no_such_user", Traffic: plan.Submission, At: time.UnixMilli(b.now.Load()), Gateway: "gw1",
		Message: "1abcde-000001-01", Item: fmt.Sprint(n), Sender: "a@b.example", Recipient: "x@y.example", Auth: id, Line: "a line",
	}
}

// TestCount: what the log follower counts stands beside its own writes in one transaction: all of it, or
// nothing.
func TestCount(t *testing.T) {
	b := newBenchBy(t, testplan.Desk)
	place := func(at string) []engine.Write {
		return []engine.Write{engine.PutPlace{Gateway: "gw1", Log: "/log", Place: at, At: 1}}
	}
	broken := errors.New("broken")
	for _, want := range []error{broken, nil, nil} { // the third reads all of it again
		err := b.Count(t.Context(), func(tx engine.Transaction, count func(engine.Happening) error) error {
			for n := range 3 {
				if err := count(b.bounced("bob", n)); err != nil {
					return err
				}
			}
			if err := tx.Apply(place("there")); err != nil {
				return err
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
		counted, verdict, places := int64(3), plan.Defer, 1
		if want != nil {
			counted, verdict, places = 0, plan.Accept, 0
		}
		if n := b.counted("limit.bouncy", "auth:bob"); n != counted {
			t.Errorf("%d counted, want %d", n, counted)
		}
		b.want(b.ask(b.rcpt("bob", false)), verdict)
		if all, err := b.store.Places(t.Context()); err != nil || len(all) != places {
			t.Errorf("%v, %v", all, err)
		}
	}
	if got := b.old("BOUNCELIST bob\n"); got != "3:3" {
		t.Errorf("BOUNCELIST: %s", got)
	}
	b.pass(2 * time.Hour)
	e, err := engine.New(b.p)
	if err != nil {
		t.Fatal(err)
	}
	c := Counter{Store: b.store, Engine: e, Gateway: "gw1", Clock: b.o.Clock}
	err = c.Count(t.Context(), func(_ engine.Transaction, count func(engine.Happening) error) error {
		return count(b.bounced("bob", 7))
	})
	if err != nil {
		t.Fatal(err)
	}
	for question, want := range map[string]string{
		"BOUNCELIST bob": "1:4", "BOUNCELIST eve": "0:0", "BOUNCELIST": "0:0", "BOUNCELIST bob eve": "0:0", "BOUNCELIST '; drop table log_event": "0:0",
	} {
		if got := b.old(question); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
	b.store.reads.Store(&broken)
	b.store.writes.Store(&broken)
	if got := b.old("BOUNCELIST nobody-asked-before"); got != "0:0" {
		t.Errorf("a broken store: %s", got)
	}
}

// TestDelivered: Exim's own events are the same as those of its log.
func TestDelivered(t *testing.T) {
	b := newBenchBy(t, testplan.Desk)
	for i, text := range []string{
		"SMTP error from remote mail server after RCPT TO:<x@y.example>: 550 5.1.1 no such user",
		"SMTP error from remote mail server after RCPT TO:<x@y.example>: 552 5.2.2 mailbox full",
		"Unrouteable address",
		"all relevant MX records point to non-existent hosts",
	} {
		q := b.question(plan.Delivery, plan.After, plan.Bounce)
		q.Traffic, q.Auth, q.Message, q.Recipient, q.Text = plan.Submission, "bob", "1abcde-000001-01", fmt.Sprintf("x%d@y.example", i), text
		for range 2 {
			b.nonce++
			q.Nonce = fmt.Sprintf("1.%d", b.nonce)
			b.want(b.ask(q), plan.Accept)
		}
	}
	if n := b.counted("limit.bouncy", "auth:bob"); n != 3 {
		t.Errorf("%d counted, want 3", n)
	}
	if got := b.old("BOUNCELIST bob"); got != "4:4" {
		t.Error(got)
	}
}
