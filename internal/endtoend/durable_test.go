package endtoend

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

const durable = `
greylist "inbound" {
  delay = "1s"
}
limit "guesses" {
  event = unknown_recipient
  key   = [client.ip]
  tier "many" {
    over = "1000000/4h"
    deny {
    }
  }
}
`

// letters writes a number without digits, which normalising could take for a mere
// counter.
func letters(n int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'a' }, strconv.Itoa(n))
}

// asker asks exipold and remembers what its answers promised.
type asker struct {
	plan   string
	socket string
	number int
	client netip.Addr

	asked   int             // questions, for the nonce
	sent    int             // offences that were sent
	counted int             // offences that an answer has counted
	met     []wire.Question // first contacts that an answer has deferred
}

// question is about this client, with another nonce each time.
func (a *asker) question(half, event string) wire.Question {
	a.asked++
	return wire.Question{
		Plan: a.plan, Stage: plan.Rcpt, Half: half, Traffic: plan.Inbound, Events: []string{event},
		Nonce: fmt.Sprintf("%d.%d", a.number, a.asked), Client: a.client, Sender: letters(a.number) + "." + letters(a.asked) + "@remote.test", Recipient: "alice@local.test",
	}
}

// put asks; ok is false where there was no answer.
func (a *asker) put(q wire.Question) (answer wire.Answer, ok bool) {
	text, err := ask(a.socket, strings.TrimSuffix(q.String(), "\n"))
	if err != nil {
		return answer, false
	}
	answer, err = wire.ParseAnswer(text)
	return answer, err == nil && answer.Verdict != wire.Failed
}

// tarlist commits an offence and checks how many there are.
func (a *asker) tarlist() (ok bool, err error) {
	a.sent++
	text, err := ask(a.socket, "TARLIST "+a.client.String())
	if err != nil || text == "" || text == "0" { // 0 is the answer of a store in trouble
		return false, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return false, err
	}
	if n <= a.counted || n > a.sent {
		return true, fmt.Errorf("client %s: %d offences are counted; answers have counted %d before this one, and %d were sent", a.client, n, a.counted, a.sent)
	}
	a.counted = n
	return true, nil
}

// once asks one thing; ok is false where there was no answer.
func (a *asker) once(t *testing.T) (ok bool) {
	switch a.asked % 3 {
	case 0:
		a.asked++
		ok, err := a.tarlist()
		if err != nil {
			t.Error(err)
		}
		return ok
	case 1:
		a.sent++
		answer, ok := a.put(a.question(plan.Before, plan.UnknownRecipient))
		if ok {
			a.counted++
			if answer.Verdict != plan.Accept {
				t.Errorf("an unknown recipient: %s", answer)
			}
		}
		return ok
	}
	q := a.question(plan.After, plan.Recipient)
	answer, ok := a.put(q)
	if ok {
		a.met = append(a.met, q)
		if answer.Verdict != plan.Defer || answer.By != "greylist.inbound" {
			t.Errorf("first contact: %s", answer)
		}
	}
	return ok
}

// TestDurable: exipold is killed a hundred times while it answers. What an answer has
// counted is there after the restart, and nothing is there that was not asked.
func TestDurable(t *testing.T) {
	t.Parallel()
	s := New(t, durable, Options{})
	d := s.daemon(t)
	var askers []*asker
	for i := range 4 {
		askers = append(askers, &asker{
			plan: s.Plan.ID, socket: s.Plan.Socket, number: i,
			client: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
		})
	}
	const rounds = 100
	for range rounds {
		if err := d.start(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var first sync.Once
		answered := make(chan struct{})
		for _, a := range askers {
			wg.Go(func() {
				for a.once(t) {
					first.Do(func() { close(answered) })
				}
			})
		}
		gone := make(chan struct{})
		go func() { wg.Wait(); close(gone) }()
		select {
		case <-answered: // it is at work
		case <-gone:
			t.Fatal("nobody got an answer")
		}
		time.Sleep(rand.N(15 * time.Millisecond))
		d.kill()
		<-gone
		if t.Failed() {
			return
		}
	}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	counted, met := 0, 0
	for _, a := range askers {
		if ok, err := a.tarlist(); !ok || err != nil {
			t.Errorf("after all: %v %v", ok, err)
		}
		counted += a.counted
		for _, q := range a.met {
			a.asked++
			q.Nonce = fmt.Sprintf("%d.%d", a.number, a.asked)
			if answer, ok := a.put(q); !ok || answer.Verdict != plan.Accept {
				t.Fatalf("a first contact that was deferred is not known any more: %s to %s: %s", q.Sender, q.Recipient, answer)
			}
			met++
		}
	}
	t.Logf("%d offences and %d first contacts were answered, and were there", counted, met)
	if counted < rounds || met == 0 {
		t.Errorf("too few answers for %d rounds", rounds)
	}
}

// TestDurableThroughExim: the same, asked by Exim: after the last reply of a session
// exipold is killed, and what the session did is counted.
func TestDurableThroughExim(t *testing.T) {
	t.Parallel()
	s := New(t, durable, Options{})
	d := s.daemon(t)
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	const perSession = 6
	total := 0
	for round := range 5 {
		session := s.BsSession("192.0.2.1")
		session.Ehlo("client.test")
		session.Expect(250, fmt.Sprintf("MAIL FROM:<%s@remote.test>", letters(round)))
		for i := range perSession {
			session.Expect(550, fmt.Sprintf("RCPT TO:<nosuch%d@local.test>", i))
		}
		session.Expect(451, "RCPT TO:<alice@local.test>")
		d.kill()
		session.Close()
		if err := d.start(); err != nil {
			t.Fatal(err)
		}
		total += perSession + 1
		if got, err := ask(s.Plan.Socket, "TARLIST 192.0.2.1"); err != nil || got != strconv.Itoa(total) {
			t.Errorf("round %d: %q offences are counted, want %d (%v)", round+1, got, total, err)
		}
	}
	time.Sleep(1100 * time.Millisecond)
	for round := range 5 {
		want(t, "a retry", rcpt(s, "192.0.2.1", letters(round)+"@remote.test", "alice@local.test"), 250)
	}
	if l := s.Grep("gave no answer"); len(l) > 0 {
		t.Errorf("Exim got no answer: %s", l)
	}
	s.CheckLogs()
}
