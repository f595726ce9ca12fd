package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

// What is asked of a limit that blocks says who is blocked, since when, and by which case.
func TestAskOfBlocks(t *testing.T) {
	w := newStolenWorld(t, nil)
	ask := func(status int, args ...string) string {
		t.Helper()
		return w.run(status, append([]string{"ask", "--plan", w.plan}, args...)...)
	}
	want(t, ask(0, "limit.stolen", "auth=bob"), `^accept\n`)
	w.cases(0, "open", "limit.stolen", "auth=bob", "--reason", "x", "--gateway", "mx1")
	want(t, ask(0, "limit.stolen", "auth=bob"), `^freeze\n`, `limit.stolen/block: freeze: blocked by case 1 since 20\S+Z, until it is released\n`)
	want(t, ask(0, "limit.stolen", "owner=auth:bob", "--json"), `"verdict": "freeze"`, `"traffic": "submission"`, `"event": "invalid_recipient"`)
	want(t, ask(0, "limit.stolen", "auth=carol"), `^accept\n`)
	want(t, ask(0, "limit.stolen", "auth=carol", "event=blocked"), `^accept\n  no block is in force\n$`)
	for range 3 {
		w.bounce("auth:bob")
	}
	want(t, ask(0, "limit.bouncy", "owner=auth:bob"), `^defer\n`)
	want(t, ask(0, "limit.bouncy", "user=bob"), `^accept\n`)
	ask(2, "limit.bouncy")
	want(t, w.err, "limit.bouncy: name owner=, too")
	ask(2, "limit.stolen", "user=bob")
	want(t, w.err, "limit.stolen: name auth=, too")
	ask(2, "limit.bouncy", "owner=bob")
	want(t, w.err, "auth:ID, user:LOGIN or relay:HOST")
	ask(2, "limit.stolen", "auth=bob", "event=connection")
	want(t, w.err, `counts no event "connection"`)
}

// bounce has a bounce of an owner's be counted.
func (w *deskWorld) bounce(owner string) {
	w.t.Helper()
	w.bounces++
	now := time.Now()
	err := w.store.Update(w.t.Context(), func(engine.State) ([]engine.Write, error) {
		return []engine.Write{
			engine.PutEvent{Gateway: "mx1", Message: fmt.Sprint("m", w.bounces), Item: "i", Kind: plan.Bounce, Owner: owner, At: now.UnixMilli(), Expires: now.Add(48 * time.Hour).UnixMilli()},
			engine.AddCount{Policy: "limit.bouncy", Key: owner, Window: time.Hour, Slot: now.UnixMilli() / engine.SlotLength(time.Hour).Milliseconds(), N: 1, Expires: now.Add(2 * time.Hour).UnixMilli()},
		}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// The worst come first: those whose mail bounces, those that hold most.
func TestWorst(t *testing.T) {
	w := newStolenWorld(t, nil)
	for i, owner := range []string{"auth:bob", "user:www-data", "auth:bob\x1b"} {
		for range 3 - i {
			w.bounce(owner)
		}
	}
	w.run(0, "status", "--plan", w.plan, "--top", "2", "--exim", "/none")
	want(t, w.out, `bounces of the last hour and the last day\n  auth:bob +3 and 3\n  user:www-data +2 and 2\n[^ ]`)
	w.run(0, "status", "--plan", w.plan, "--json", "--exim", "/none")
	want(t, w.out, `"bouncers": \[\s+\{\s+"owner": "auth:bob",\s+"hour": 3,\s+"day": 3`)

	for _, who := range []string{"bob", "carol", "dave"} {
		w.cases(0, "open", "limit.stolen", "auth="+who, "--reason", "x")
	}
	w.hold(1, engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-00", At: 1})
	w.hold(2, engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-01", At: 1}, engine.PutHeld{Gateway: "mx2", Message: "1aaaaa-000000-02", At: 1})
	for args, ids := range map[string]string{"": "3 2 1", "--most 2": "3 2", "--by held": "2 1 3", "--by held --most 1": "2", "--by opened --most 9": "3 2 1"} {
		w.cases(0, append([]string{"list"}, strings.Fields(args)...)...)
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(w.out), "\n")[1:] {
			got = append(got, strings.Fields(line)[0])
		}
		if strings.Join(got, " ") != ids {
			t.Errorf("%s: %s, want %s", args, got, ids)
		}
	}
	w.cases(2, "list", "--by", "size")
	w.run(0, "__complete", "case", "--plan", w.plan, "release", "2", "")
	want(t, w.out, `(?m)^3\tauth dave, limit.stolen\n1\tauth bob, limit.stolen\n:4\n`)
	w.run(0, "__complete", "case", "--plan", w.plan, "show", "2", "")
	if strings.Contains(w.out, "auth") {
		t.Errorf("it takes one case: %s", w.out)
	}

	w.cases(0, "remove", "2", "--reason", "spam")
	w.run(0, "status", "--plan", w.plan, "--exim", "/none")
	want(t, w.out, `(?m)^undone +0 to thaw, 1 to remove by exipold desk on mx1$`, `(?m)^undone +0 to thaw, 1 to remove by exipold desk on mx2$`)
}

// A case whose policy acts on nobody does not look like a block.
func TestIdleCases(t *testing.T) {
	w := newDeskWorld(t, func(*plan.Plan) {})
	for _, policy := range []string{"limit.gone", "limit.watched", "limit.owners", "limit.hosts"} {
		c := engine.OpenCase{Policy: policy, Key: "auth:bob", Tier: "block", Rank: 2, Blocks: true, At: 1, Who: "auth bob", Gateway: "mx1"}
		if policy == "limit.hosts" {
			c.Until = 2
		}
		if _, err := w.store.Open(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	w.hold(4, engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-00", At: 1})
	w.cases(0, "list")
	want(t, w.out, `\n4 .* the block has ended; mail is held\n3 .* blocked\n2 .* open; blocks nobody, as limit.watched only observes\n1 .* open; blocks nobody, as the policies have no limit.gone\n`)
	w.run(0, "off", "limit.owners", "--why", "a flood", "--plan", w.plan)
	w.cases(0, "show", "3")
	want(t, w.out, `(?m)^state +open; blocks nobody, as limit.owners is switched off$`)
}
