package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/internal/busylog"
)

// ledger counts what it is told, once each, in transactions that can fail at every step.
type ledger struct {
	// fault is asked before each step of a transaction, and after it was kept; nil: all goes well.
	fault func(step string) error

	mu       sync.Mutex
	known    map[[3]string]bool
	arrivals map[[2]string]engine.Arrival
	places   map[[2]string]engine.PutPlace
	events   map[busylog.Event]int
	puts     int // arrivals that were ever kept
	commits  int
	most     int // happenings of one transaction
}

func newLedger() *ledger {
	return &ledger{known: map[[3]string]bool{}, arrivals: map[[2]string]engine.Arrival{}, places: map[[2]string]engine.PutPlace{}, events: map[busylog.Event]int{}}
}

func (l *ledger) at(step string) error {
	if l.fault == nil {
		return nil
	}
	return l.fault(step)
}

func (l *ledger) Count(ctx context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for run := range 2 { // as a store may, on the one hand
		tx := &ledgerTx{l: l, known: map[[3]string]bool{}, events: map[busylog.Event]int{}}
		if err := l.at("begin"); err != nil {
			return err
		}
		if err := f(tx, tx.count); err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), l.at("commit")); err != nil {
			return err
		}
		if run == 0 {
			continue
		}
		tx.keep()
		if err := l.at("kept"); err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnknown, err)
		}
	}
	return nil
}

func (l *ledger) Places(context.Context) (all []engine.PutPlace, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.at("places"); err != nil {
		return nil, err
	}
	for _, p := range l.places {
		all = append(all, p)
	}
	return all, nil
}

// counted is what was counted so far.
func (l *ledger) counted() map[busylog.Event]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.events)
}

// ledgerTx is a transaction; what it does not implement is not asked for.
type ledgerTx struct {
	engine.State
	l      *ledger
	known  map[[3]string]bool
	events map[busylog.Event]int
	writes []engine.Write
	n      int
}

func (t *ledgerTx) Arrival(gateway, message string) (engine.Arrival, bool, error) {
	if err := t.l.at("arrival"); err != nil {
		return engine.Arrival{}, false, err
	}
	a, ok := t.l.arrivals[[2]string{gateway, message}]
	for _, w := range t.writes {
		if p, is := w.(engine.PutArrival); is && p.Gateway == gateway && p.Message == message {
			a, ok = p.Arrival, true
		}
	}
	return a, ok, nil
}

func (t *ledgerTx) Apply(writes []engine.Write) error {
	if err := t.l.at("apply"); err != nil {
		return err
	}
	t.writes = append(t.writes, writes...)
	return nil
}

func (t *ledgerTx) count(h engine.Happening) error {
	if err := t.l.at("count"); err != nil {
		return err
	}
	t.n++
	k := [3]string{h.Gateway, h.Message, h.Item}
	if t.known[k] || t.l.known[k] {
		return nil
	}
	t.known[k] = true
	client := ""
	if h.Client.IsValid() {
		client = h.Client.String()
	}
	e := busylog.Event{Event: h.Event, Traffic: h.Traffic, Class: h.Class, Who: engine.Owner(h.Auth, h.User, client)}
	if h.Event == "auth_failure" {
		e.Who = h.Login + " " + client
	}
	t.events[e]++
	return nil
}

func (t *ledgerTx) keep() {
	maps.Copy(t.l.known, t.known)
	for e, n := range t.events {
		t.l.events[e] += n
	}
	for _, w := range t.writes {
		switch w := w.(type) {
		case engine.PutArrival:
			t.l.arrivals[[2]string{w.Gateway, w.Message}] = w.Arrival
			t.l.puts++
		case engine.DropArrival:
			delete(t.l.arrivals, [2]string{w.Gateway, w.Message})
		case engine.PutPlace:
			t.l.places[[2]string{w.Gateway, w.Log}] = w
		default:
			panic(fmt.Sprintf("%T", w))
		}
	}
	t.l.commits++
	t.l.most = max(t.l.most, t.n)
}
