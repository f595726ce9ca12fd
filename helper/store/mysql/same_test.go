package mysql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/helper/store/storetest"
	"exipol/internal/mysqltest"
)

// program is a decision made by chance: questions and writes about few keys, in some order.
type program struct {
	seed  uint64
	steps int
}

// step does one thing, and gives what was said.
func (p program) step(r *rand.Rand, tr engine.Transaction) string {
	key, other, at := fmt.Sprint("k", r.IntN(4)), fmt.Sprint("m", r.IntN(4)), int64(1+r.IntN(40))
	window := []time.Duration{time.Hour, 24 * time.Hour}[r.IntN(2)]
	from := int64(r.IntN(30))
	to := from + int64(r.IntN(15))
	var w engine.Write
	switch r.IntN(19) {
	case 0, 1:
		row, ok, err := tr.Seen("greylist.x", key)
		return fmt.Sprintf("seen %s: %+v %v %v", key, row, ok, err)
	case 2, 3, 4:
		n, err := tr.Count(storetest.Policy, key, window, from, to)
		return fmt.Sprintf("count %s %s %d-%d: %d %v", key, window, from, to, n, err)
	case 5, 6:
		n, last, err := tr.Distinct(storetest.Policy, key, other, from, to, int64(1+r.IntN(4)))
		return fmt.Sprintf("distinct %s %s %d-%d: %d %d %v", key, other, from, to, n, last, err)
	case 7:
		s, ok, err := tr.Standing(storetest.Policy, key)
		return fmt.Sprintf("standing %s: %+v %v %v", key, s, ok, err)
	case 8:
		known, err := tr.Known("gw", other, key)
		return fmt.Sprintf("known %s %s: %v %v", other, key, known, err)
	case 9:
		a, ok, err := tr.Arrival("gw", other)
		return fmt.Sprintf("arrival %s: %+v %v %v", other, a, ok, err)
	case 10:
		n, err := tr.Held(at % 4)
		n2, err2 := tr.Bounces("auth:"+key, from)
		return fmt.Sprintf("held %d: %d %v; bounces %s %d: %d %v", at%4, n, err, key, from, n2, err2)
	case 11:
		// What is asked hangs on what was said.
		n, err := tr.Count(storetest.Policy, key, window, 0, 99)
		next := fmt.Sprint("k", n%5)
		row, ok, err2 := tr.Seen("greylist.x", next)
		return fmt.Sprintf("count %s: %d, seen %s: %+v %v %v", key, n, next, row, ok, errors.Join(err, err2))
	case 12:
		w = engine.PutSeen{Policy: "greylist.x", Key: key, Row: engine.SeenRow{First: at, Passes: from, Expires: 1 << 50}}
	case 13, 14:
		w = engine.AddCount{Policy: storetest.Policy, Key: key, Window: window, Slot: at, N: to, Expires: 1 << 50}
	case 15:
		w = engine.PutDistinct{Policy: storetest.Policy, Key: key, Member: other, At: at, Expires: 1 << 50}
	case 16:
		w = engine.PutEvent{Gateway: "gw", Message: other, Item: key, Kind: "bounce", Owner: "auth:" + key, At: at, Expires: 1 << 50}
	case 17:
		w = engine.PutArrival{Gateway: "gw", Message: other, Arrival: engine.Arrival{Auth: key, Came: at}, Expires: 1 << 50}
		if at%3 == 0 {
			w = engine.DropArrival{Gateway: "gw", Message: other}
		}
	case 18:
		w = sampled(key, at)
		switch at % 3 {
		case 0:
			w = engine.PutHeld{Gateway: "gw", Message: other, Case: at % 4, At: at}
		case 1:
			w = engine.OpenCase{Policy: storetest.Policy, Key: key, Tier: "stop", Rank: int(at % 3), Blocks: true, At: at, Until: at + 9, Gateway: "gw", Rate: "1/1h", Notify: []string{"owner"}}
		}
	}
	return fmt.Sprintf("write %+v: %v", w, tr.Apply([]engine.Write{w}))
}

func sampled(key string, at int64) engine.Write {
	return engine.PutSample{Policy: storetest.Policy, Key: key, N: at, At: at, Gateway: "gw", Message: "m", Address: "a", Line: "l", Expires: 1 << 50}
}

// run does all steps; some programs fail at the end.
func (p program) run(tr engine.Transaction, said *[]string) error {
	*said = nil
	r := rand.New(rand.NewPCG(p.seed, 1))
	for range p.steps {
		*said = append(*said, p.step(r, tr))
	}
	if p.seed%7 == 0 {
		return errMine
	}
	return nil
}

var errMine = errors.New("mine")

// collected is a transaction for Update: what is applied is seen by nobody before it is returned.
type collected struct {
	engine.State
	writes []engine.Write
}

func (c *collected) Apply(writes []engine.Write) error {
	c.writes = append(c.writes, writes...)
	return nil
}

// way is a way to run programs, of a store of one kind.
type way func(ctx context.Context, p program, said *[]string) error

func ways(s engine.Store) map[string]way {
	return map[string]way{
		"batch": func(ctx context.Context, p program, said *[]string) error {
			return s.Batch(ctx, func(tr engine.Transaction) error { return p.run(tr, said) })
		},
		"update": func(ctx context.Context, p program, said *[]string) error {
			return s.Update(ctx, func(st engine.State) ([]engine.Write, error) {
				c := &collected{State: st}
				err := p.run(c, said)
				return c.writes, err
			})
		},
	}
}

// A database says and keeps what a file does, whatever is asked and written in whatever order.
func TestSameAsFile(t *testing.T) {
	database := open(t, Config{Store: database(t, mysqltest.Shared(t)), Gateway: "gw"})
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "exipol.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Migrate(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(250) {
		p := program{seed: seed + i, steps: 1 + int((seed+i)%40)}
		kind := []string{"batch", "update"}[(seed+i)/3%2]
		var want, got []string
		wantErr := ways(file)[kind](t.Context(), p, &want)
		gotErr := ways(database)[kind](t.Context(), p, &got)
		if (wantErr == nil) != (gotErr == nil) || errors.Is(wantErr, errMine) != errors.Is(gotErr, errMine) {
			t.Fatalf("%s of program %d: %v, want %v", kind, p.seed, gotErr, wantErr)
		}
		for j := range want {
			if j >= len(got) || want[j] != got[j] {
				t.Fatalf("%s of program %d (seed %d), after\n%q\nstep %d is\n%q, want\n%q", kind, p.seed, seed, want[:j], j, got[min(j, len(got)-1)], want[j])
			}
		}
	}
	both := []store.Store{file, database}
	var all [2][]string
	for i, s := range both {
		reading := program{steps: 300}
		if err := s.View(t.Context(), func(st engine.State) error {
			r := rand.New(rand.NewPCG(seed, 2))
			for range reading.steps {
				all[i] = append(all[i], reading.step(r, &collected{State: st}))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		cases, err := s.Cases(t.Context(), store.CaseFilter{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			file, err := s.Case(t.Context(), c.ID)
			all[i] = append(all[i], fmt.Sprintf("%+v %v", file, err))
		}
	}
	if !slices.Equal(all[0], all[1]) {
		for i := range all[0] {
			if all[0][i] != all[1][i] {
				t.Errorf("%s\nwant\n%s", all[1][i], all[0][i])
			}
		}
	}
	// A look says what a view says.
	var viewed, looked []string
	for i, read := range []func(context.Context, func(engine.State) error) error{database.View, database.Look} {
		said := []*[]string{&viewed, &looked}[i]
		if err := read(t.Context(), func(st engine.State) error { return program{seed: 5, steps: 300}.run(&collected{State: st}, said) }); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(viewed, looked) {
		t.Errorf("%q\nwant\n%q", looked, viewed)
	}
}
