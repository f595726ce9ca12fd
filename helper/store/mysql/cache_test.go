package mysql

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store/storetest"
)

// seenBy is what a gateway knows of a row without asking.
func seenBy(s *Store, policy, key string) (row engine.SeenRow, ok, known bool) {
	err := s.Glance(func(st engine.State) (err error) {
		row, ok, err = st.Seen(policy, key)
		return err
	})
	return row, ok, !errors.Is(err, ErrUnseen)
}

func lookAt(t *testing.T, s *Store, policy, key string) (row engine.SeenRow) {
	t.Helper()
	if err := s.Look(t.Context(), func(st engine.State) (err error) {
		row, _, err = st.Seen(policy, key)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return row
}

// What is good is remembered when it was looked at; what is not, and what is no row of seen, never.
func TestGlance(t *testing.T) {
	all := gateways(t, 2)
	a, b := all[0], all[1]
	passed := engine.SeenRow{First: 1, Passed: 2, Expires: 1 << 50}
	storetest.Do(t, a, engine.PutSeen{Policy: "greylist.x", Key: "passed", Row: passed}, engine.PutSeen{Policy: "greylist.x", Key: "waits", Row: engine.SeenRow{First: 1, Expires: 1 << 50}},
		engine.PutSeen{Policy: "greylist.x.trusted", Key: "client", Row: engine.SeenRow{Passes: 5, Expires: 1 << 50}})
	for _, c := range []struct {
		policy, key string
		ok, known   bool
	}{
		{"greylist.x", "passed", true, true}, {"greylist.x.trusted", "client", true, true}, {"list.learned", "stranger", false, true},
		{"greylist.x", "waits", false, false}, {"greylist.x", "nobody", false, false},
	} {
		if _, _, known := seenBy(b, c.policy, c.key); known {
			t.Errorf("%s %s is known before anybody looked", c.policy, c.key)
		}
		row := lookAt(t, b, c.policy, c.key)
		if got, ok, known := seenBy(b, c.policy, c.key); known != c.known || ok != c.ok || known && got != row {
			t.Errorf("%s %s: %+v, %v, %v", c.policy, c.key, got, ok, known)
		}
	}
	// What another gateway changes is known two seconds later, and what this one does at once.
	passed.Passes = 9
	began := time.Now()
	storetest.Do(t, a, engine.PutSeen{Policy: "greylist.x", Key: "passed", Row: passed})
	for {
		late := time.Since(began)
		got, _, known := seenBy(b, "greylist.x", "passed")
		if !known {
			break
		}
		if got != passed && late > remembered {
			t.Fatalf("%+v after %s", got, late)
		}
	}
	if got := lookAt(t, b, "greylist.x", "passed"); got != passed {
		t.Errorf("%+v", got)
	}
	passed.Passes = 10
	storetest.Do(t, b, engine.PutSeen{Policy: "greylist.x", Key: "passed", Row: passed})
	if got, _, known := seenBy(b, "greylist.x", "passed"); known && got != passed {
		t.Errorf("it wrote %+v, and knows %+v", passed, got)
	}
	if err := b.Batch(t.Context(), func(tr engine.Transaction) error {
		lookAt(t, b, "greylist.x", "passed") // of what is not committed yet
		passed.Passes = 11
		return tr.Apply([]engine.Write{engine.PutSeen{Policy: "greylist.x", Key: "passed", Row: passed}})
	}); err != nil {
		t.Fatal(err)
	}
	if got, _, known := seenBy(b, "greylist.x", "passed"); known && got != passed {
		t.Errorf("it wrote %+v, and knows %+v", passed, got)
	}
}

// Nothing is remembered for longer than two seconds, however often it is asked for, and there is a bound to how much.
func TestRemembered(t *testing.T) {
	c := newCache()
	k, good := rowKey{"greylist.x", "k"}, seenRow{SeenRow: engine.SeenRow{Passed: 1}, ok: true}
	now := time.Now()
	read := func(k rowKey, at time.Duration) { c.read(k, good, now.Add(at), c.changes()) }
	knows := func(k rowKey, at time.Duration) bool { _, known := c.get(k, now.Add(at)); return known }
	read(k, 0)
	for at := time.Duration(0); at < remembered; at += 100 * time.Millisecond {
		if !knows(k, at) {
			t.Errorf("it is forgotten after %s", at)
		}
		read(rowKey{"greylist.x", fmt.Sprint(at)}, at)
	}
	if knows(k, remembered) {
		t.Error("it is known for too long")
	}
	// A reading that took its time is as old as its beginning.
	late := rowKey{"greylist.x", "late"}
	read(rowKey{"greylist.x", "another"}, 10*time.Second)
	read(late, 9*time.Second)
	if knows(late, 9*time.Second+remembered) {
		t.Error("what was read long ago is known for too long")
	}
	// A change keeps out what was read before it.
	before := c.changes()
	c.wrote(k)
	c.read(k, good, now.Add(20*time.Second), before)
	if knows(k, 20*time.Second) {
		t.Error("a row is known that was read before a change")
	}
	for i := range 40000 {
		read(rowKey{"greylist.x", fmt.Sprint("many", i)}, 30*time.Second)
	}
	rows := 0
	for i := range c.shards {
		rows += len(c.shards[i].young.rows) + len(c.shards[i].old.rows)
	}
	if rows > 2*shards*generation {
		t.Errorf("%d rows are remembered", rows)
	}
	c.forget()
	if knows(rowKey{"greylist.x", "many39999"}, 30*time.Second) {
		t.Error("it is not forgotten")
	}
}
