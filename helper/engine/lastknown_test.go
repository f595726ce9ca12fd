package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/normalize"
)

// TestLastKnown: what Exim is to know where it gets no answer.
func TestLastKnown(t *testing.T) {
	deny := blocking(tier("t", accept, "1/1h"), func(b *plan.Block) {
		b.Verdict, b.AddHeader = plan.Deny, []plan.Header{{Name: "X", Value: []plan.Piece{{Text: "x"}}}}
	})
	named := func(name string, key []plan.Part, change ...func(*plan.Limit)) plan.Limit {
		return stolen(only(deny), append([]func(*plan.Limit){func(l *plan.Limit) { l.Name, l.Key = name, key }}, change...)...)
	}
	owner, auth := plan.Part{Field: "owner"}, plan.Part{Field: "auth"}
	w := newWorld(t, makePlan(
		named("owner", []plan.Part{owner}), named("both", []plan.Part{auth, clientIP}),
		named("net", []plan.Part{clientNet}), named("helo", []plan.Part{{Field: "helo"}}),
		named("pass", []plan.Part{auth}, func(l *plan.Limit) { l.OnFailure = plan.Pass }),
		named("watch", []plan.Part{auth}, func(l *plan.Limit) { l.Mode = plan.Observe }),
	))
	ms := w.now.UnixMilli()
	var all []engine.Standing
	add := func(policy string, until, released int64, parts ...string) {
		all = append(all, engine.Standing{
			Policy: "limit." + policy, Key: normalize.Key(parts), Case: 1, Tier: "t", Rank: 1, Blocks: true, Until: until, Released: released,
		})
	}
	add("owner", 0, 0, "auth:a|b\n: #")
	add("owner", ms+1, 0, "relay:192.0.2.1")
	add("owner", ms, 0, "auth:ended")
	add("owner", 0, 1, "auth:released")
	add("both", 0, 0, "bob", "2001:db8::1")
	for _, other := range []string{"net", "helo", "pass", "watch", "gone"} {
		add(other, 0, 0, "bob")
	}
	add("owner", 0, 0, "two", "parts") // of an earlier plan
	all[1].Tier = "of an earlier plan"
	r := engine.Runtime{Standings: new(engine.Standings).With(all)}
	line := func(policy string, parts ...string) string {
		return wire.BlockedKey("limit."+policy, parts...) + ": v=1 verdict=deny by=limit." + policy + "/t/block waive=no end=1"
	}
	ends := strings.Replace(line("owner", "relay:192.0.2.1"), " waive", fmt.Sprintf(" until=%d waive", ms/1000+1), 1)
	want := []string{line("owner", "auth:a|b\n: #"), ends, line("both", "bob", "2001:db8::1")}
	slices.Sort(want)
	if got := w.e.LastKnown(&r, w.now); !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	r.Off = []engine.Switch{{Policy: "limit.owner"}}
	r.Allowances = []engine.Allowance{{Field: "client", Pattern: "2001:db8::/32"}}
	if got := w.e.LastKnown(&r, w.now); len(got) != 0 {
		t.Errorf("off and allowed: %q", got)
	}
	if !w.e.KeepsBlocks() || newWorld(t, makePlan(named("net", []plan.Part{clientNet}))).e.KeepsBlocks() {
		t.Error("whether anything can be known is wrong")
	}
}
