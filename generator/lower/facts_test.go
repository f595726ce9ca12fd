package lower_test

import (
	"net/netip"
	"reflect"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// TestFacts: what only the helper acts upon goes through as it is, sorted where the
// order means nothing.
func TestFacts(t *testing.T) {
	s := base()
	s.Helper.DNS, s.Helper.Pools = []policy.Value[string]{set("127.0.0.1:5353")}, set("/p.json")
	s.Pools = []*policy.Pool{
		{Name: "z", DeclRange: at(8), SPF: []policy.Value[string]{set("b.example"), set("a.example")}},
		{Name: "a", DeclRange: at(9), Clients: []policy.Value[netip.Prefix]{set(netip.MustParsePrefix("192.0.2.0/24"))}},
	}
	s.Lists = []*policy.List{{Name: "l", DeclRange: at(4), Reviewed: set("2026-11-22"),
		Entries: []policy.Entry{{Field: "sender", Pattern: set("a@example.com"), Owner: set("Ann")}},
		Learn: []*policy.Learn{
			{Traffic: set(plan.Submission), From: set("recipient.domain"), Remember: set(dur("60d"))},
			{Traffic: set(plan.Submission), From: set("recipient"), Remember: set(dur("30d"))},
			{Traffic: set(plan.Relay), From: set("recipient"), Remember: set(dur("1d"))},
		}}}
	dnswl, dnslist := plan.Fact{Name: plan.NoDNSWL, Arg: "list.dnswl.org"}, plan.Fact{Name: plan.DNSList, Arg: "a.example"}
	s.Greylists = []*policy.Greylist{greylist("x", func(g *policy.Greylist) {
		g.Suspicious = []policy.Fact{{Fact: dnswl}, {Fact: dnslist}}
		g.Spare = []policy.Fact{{Fact: plan.Fact{Name: plan.InPool}}}
		g.Urgent = []policy.Ref{{Ref: plan.Ref{List: "l"}}}
		g.Except = []policy.Ref{{Ref: plan.Ref{Pool: "a"}}}
	})}
	p := lowered(t, s)
	file := func(line int) plan.Origin { return plan.Origin{File: "inbound.hcl", Line: line} }
	for name, got := range map[string][2]any{
		"dns": {p.DNS, []string{"127.0.0.1:5353"}}, "pools' file": {p.PoolsFile, "/p.json"},
		"pools": {p.Pools, []plan.Pool{{Name: "a", Clients: []string{"192.0.2.0/24"}, Origin: file(9)}, {Name: "z", SPF: []string{"b.example", "a.example"}, Origin: file(8)}}},
		"list": {p.Lists[0], plan.List{Name: "l", Reviewed: "2026-11-22", Origin: file(4),
			Entries: []plan.Entry{{Field: "sender", Pattern: "a@example.com", Owner: "Ann"}},
			Learn:   []plan.Learn{{Traffic: plan.Relay, From: "recipient", Remember: dur("1d")}, {Traffic: plan.Submission, From: "recipient", Remember: dur("30d")}, {Traffic: plan.Submission, From: "recipient.domain", Remember: dur("60d")}}}},
		"suspicious": {p.Greylists[0].Suspicious, []plan.Fact{dnswl, dnslist}},
		"spare":      {p.Greylists[0].Spare, []plan.Fact{{Name: plan.InPool}}},
		"urgent":     {p.Greylists[0].Urgent, []plan.Ref{{List: "l"}}},
		"except":     {p.Greylists[0].Except, []plan.Ref{{Pool: "a"}}},
	} {
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: %+v, wanted %+v", name, got[0], got[1])
		}
	}
}
