package watch

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestFlights compares the table with a map.
func TestFlights(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	f := newFlights()
	f.table = make([]flight, 64)
	type state struct {
		line  string
		state flightState
	}
	want := map[string]state{}
	id := func() string { return fmt.Sprintf("id%d", rnd.IntN(600)) }
	for step := range 200000 {
		k := id()
		was, known := want[k]
		switch rnd.IntN(5) {
		case 0, 1:
			line := fmt.Sprintf("line %d of %s", step, k)
			f.add([]byte(k), []byte(line))
			if !known || was.state == fresh {
				want[k] = state{line, fresh}
			}
		case 2:
			if drop := f.gone([]byte(k)); drop != (!known || was.state == stored) {
				t.Fatalf("step %d: drop %v of %v %v", step, drop, known, was)
			}
			delete(want, k)
		case 3:
			if known {
				f.nobodys([]byte(k))
				want[k] = state{"", nobody}
			}
		default:
			line, st, ok := f.line([]byte(k))
			if ok != known || string(line) != was.line || st != was.state {
				t.Fatalf("step %d: %q %v %v, want %v %v", step, line, st, ok, was, known)
			}
		}
		if step%997 == 0 {
			f.compact()
		}
		if step%5003 == 0 {
			others := map[uint64]bool{}
			for k, s := range want {
				if s.state == fresh && len(k)%2 == 0 {
					others[f.hash([]byte(k))] = true
					want[k] = state{"", nobody}
				} else if s.state == fresh {
					want[k] = state{s.line, stored}
				}
			}
			f.kept(others)
		}
		if f.n != len(want) {
			t.Fatalf("step %d: %d, want %d", step, f.n, len(want))
		}
	}
}

// TestCrowded: what is long and stays is given to the store in time, and the memory is empty again.
func TestCrowded(t *testing.T) {
	f := newFlights()
	line := make([]byte, longest)
	for i := 0; !f.full(); i++ {
		if i > 2*mostBytes/longest {
			t.Fatal("never full")
		}
		f.add(fmt.Append(nil, i), line)
	}
	f.kept(nil)
	if f.full() || f.n != 0 {
		t.Error("still full")
	}
	for i := 0; !f.full(); i++ {
		if i > mostFlights {
			t.Fatal("never full of flights")
		}
		f.add(fmt.Append(nil, i), nil)
	}
}
