package desk

import (
	"net/netip"
	"testing"
	"time"

	"exipol/helper/queue"
	"exipol/helper/store"
)

// What somebody has frozen before the case was there is not the case's.
func TestFrozenBefore(t *testing.T) {
	w := newBed(t, nil)
	id := w.send("bob@local.test", "free@remote.test")
	if _, _, err := w.bed.Exec("", "-Mf", id); err != nil {
		t.Fatal(err)
	}
	w.at = time.Now().Add(time.Minute)
	w.open("auth:bob@local.test", "block", 2)
	if held := w.look(); len(held) != 0 {
		t.Errorf("held: %+v", held)
	}
}

// Of several cases the newest that fits has it.
func TestChoose(t *testing.T) {
	sec := int64(1795356528)
	c := func(id, opened int64, key, owner, state string) store.Case {
		return store.Case{ID: id, Opened: opened * 1000, Key: key, Owner: owner, State: state}
	}
	m := queue.Message{Frozen: time.Unix(sec, 0), Untried: true}
	tried := m
	tried.Untried = false
	for name, k := range map[string]struct {
		m     queue.Message
		cases []store.Case
		want  int64
	}{
		"none":                    {m, nil, 0},
		"by its key":              {m, []store.Case{c(1, sec, "k", "", "open")}, 1},
		"by its owner":            {m, []store.Case{c(1, sec, "other", "auth:bob", "open")}, 1},
		"another's":               {m, []store.Case{c(1, sec, "other", "auth:alice", "open"), c(2, sec, "", "", "open")}, 0},
		"later ones are not":      {m, []store.Case{c(3, sec+1, "k", "", "open"), c(2, sec, "k", "", "ended"), c(1, sec-9, "k", "", "open")}, 2},
		"a closed one":            {m, []store.Case{c(1, sec-9, "k", "", "released")}, 1},
		"a closed one, no more":   {tried, []store.Case{c(1, sec-9, "k", "", "released")}, 0},
		"an open one, once more":  {tried, []store.Case{c(1, sec-9, "k", "", "open")}, 1},
		"the open one, once more": {tried, []store.Case{c(2, sec-5, "k", "", "released"), c(1, sec-9, "k", "", "open")}, 1},
	} {
		if got, ok := choose(k.m, "auth:bob", "k", k.cases); got.ID != k.want || ok != (k.want != 0) {
			t.Errorf("%s: case %d, want %d", name, got.ID, k.want)
		}
	}
	if got, ok := choose(m, "", "", []store.Case{c(1, sec, "", "", "open")}); ok {
		t.Errorf("nobody's message belongs to %+v", got)
	}
}

// Whose a message is, and by which key a policy knows him.
func TestParties(t *testing.T) {
	p := makePlan()
	relay := queue.Message{Client: addr("127.0.0.9"), Login: "", Helo: "h"}
	for name, c := range map[string]struct {
		m    queue.Message
		want string
	}{
		"authenticated":   {queue.Message{Auth: "bob", Client: addr("127.0.0.9")}, "auth:bob"},
		"local":           {queue.Message{Login: "www-data"}, "user:www-data"},
		"a relay host":    {relay, "relay:127.0.0.9"},
		"with an id":      {func() queue.Message { m := relay; m.Relay = "customer 7"; return m }(), "relay:customer 7"},
		"a stranger":      {queue.Message{Client: addr("192.0.2.1"), Relay: "x"}, ""},
		"nobody whatever": {queue.Message{}, ""},
	} {
		if got := ownerOf(c.m, p); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
