package dns

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// query is what is asked: a name in lower case without its last dot.
type query struct {
	name   string
	kind   dnsmessage.Type
	server string // the only one to ask, "address:port"; "": any
}

// flight is a query that is on its way, for all who want to know.
type flight struct {
	done chan struct{} // closed when answer is there
	answer
}

// wait waits for a flight's answer.
func (f *flight) wait(ctx context.Context) answer {
	select {
	case <-f.done: // first, where both are so
		return f.answer
	default:
	}
	select {
	case <-f.done:
		return f.answer
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	}
}

// landed is the done of answers that are there.
var landed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

var (
	errTooMany = errors.New("too many lookups at once")
	errBroken  = errors.New("the lookup broke off")
)

// begin is the flight for a name and a type.
func (r *Resolver) begin(name string, kind dnsmessage.Type) *flight {
	name = strings.TrimSuffix(lower(name), ".")
	if !possible(name) {
		return &flight{landed, answer{err: ErrNotFound}}
	}
	return r.fly(query{name: name, kind: kind})
}

// fly finds the flight for a query, or starts one.
func (r *Resolver) fly(q query) *flight {
	if a, ok := r.known.Get(q, r.clock()); ok {
		r.remembered.Add(1)
		return &flight{landed, a}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[q]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	r.flights[q] = f
	go func() {
		defer func() {
			// Strangers choose what is asked, and answer it. Should that ever break
			// something here, one answer is missing, not exipold.
			if p := recover(); p != nil {
				r.log.Error("a DNS lookup broke off", "name", q.name, "type", q.kind.String(), "panic", p, "stack", string(debug.Stack()))
				f.answer = answer{err: errBroken}
			}
			r.mu.Lock()
			delete(r.flights, q)
			r.mu.Unlock()
			close(f.done)
		}()
		f.answer = r.depart(q)
	}()
	return f
}

// depart asks as soon as there is a place, and remembers the answer. The question
// whether a server is to be believed belongs to a lookup that has one.
func (r *Resolver) depart(q query) answer {
	if q.server == "" {
		zone := Zone(q.name)
		if !r.budget.await(zone, r.patience) {
			return answer{err: errTooMany} // says nothing of the name
		}
		defer r.budget.Give(zone)
	}
	r.asked.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), flightTime)
	defer cancel()
	servers := []string{q.server}
	if q.server == "" {
		servers = r.servers.list()
	}
	a := r.ask(ctx, q, servers)
	r.remember(q, a)
	return a
}

// remember keeps an answer for its time.
func (r *Resolver) remember(q query, a answer) {
	keep := keepFound
	switch {
	case a.err != nil && (q.server != "" || !errors.Is(a.err, ErrNotFound)):
		keep = keepFailed
		r.failed.Add(1)
	case a.err != nil:
		keep = keepNotFound
	case q.server != "":
		keep = keepRoot
	}
	cost := 300 + len(q.name) + 24*len(a.addrs)
	for _, t := range a.texts {
		cost += 16 + len(t)
	}
	for _, mx := range a.mx {
		cost += 24 + len(mx.Host)
	}
	r.known.Put(q, a, cost, r.clock().Add(keep))
}
