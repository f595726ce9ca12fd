package emit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/eximtest"
)

// eximCounts is a plan whose limits Exim counts, all for inbound recipients.
func eximCounts(t *testing.T, limits ...plan.Limit) *plan.Plan {
	t.Helper()
	p := everything("/run/none.sock")
	p.Greylists, p.Forwarders = nil, []string{"198.51.100.0/24"}
	p.Lists = append(p.Lists, plan.List{Name: "nobody"})
	var refs []string
	for i := range limits {
		l := &limits[i]
		l.Traffic, l.Engine, l.OnFailure = plan.Inbound, plan.EngineExim, plan.Pass
		l.Key = []plan.Part{{Field: "client", V4: 32, V6: 128}}
		l.Events = []plan.WeightedEvent{{Event: plan.Recipient, Weight: 1}}
		if l.Mode == "" {
			l.Mode = plan.Enforce
		}
		refs = append(refs, l.Ref())
	}
	p.Limits = limits
	p.Stages = []plan.Stage{{Name: plan.Rcpt, SiteACL: "acl_check_rcpt", After: []plan.Ask{{Traffic: plan.Inbound, Event: plan.Recipient, Exim: refs}}}}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

func eximTier(name, verdict string, count int64) plan.Tier {
	t := plan.Tier{Name: name, Verdict: verdict, Over: []plan.Rate{{Count: count, Per: plan.Duration(time.Hour)}}, Origin: plan.Origin{File: "a.hcl", Line: 1}}
	if slices.Contains([]string{plan.Defer, plan.Deny, plan.Drop}, verdict) {
		t.Message = "no"
	}
	return t
}

// codes are the replies to so many recipients from a client.
func codes(t *testing.T, p *plan.Plan, client string, n int) (got []int, logs []string) {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	var err error
	if b.Main, err = mainText(p); err != nil {
		t.Fatal(err)
	}
	if b.ACL, err = aclText(p); err != nil {
		t.Fatal(err)
	}
	s := b.BsSession(client)
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<a@remote.test>")
	for i := range n {
		got = append(got, s.Cmd(fmt.Sprintf("RCPT TO:<user%d@local.test>", i)).Code)
	}
	s.Close()
	b.CheckLogs()
	return got, b.Log("mainlog")
}

// TestRatesStrongestFirst: whatever the order of limits and tiers, the strongest
// verdict of those over their rates wins.
func TestRatesStrongestFirst(t *testing.T) {
	t.Parallel()
	slow, stop, mark := eximTier("slow", plan.Defer, 2), eximTier("stop", plan.Deny, 4), eximTier("mark", plan.Freeze, 3)
	for name, limits := range map[string][]plan.Limit{
		"one limit":  {{Name: "r", Attempts: true, Tiers: []plan.Tier{mark, slow, stop}}},
		"two limits": {{Name: "a", Attempts: true, Tiers: []plan.Tier{mark, slow}}, {Name: "b", Attempts: true, Tiers: []plan.Tier{stop}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := codes(t, eximCounts(t, limits...), stranger, 7)
			if want := []int{250, 250, 451, 451, 550, 550, 550}; !slices.Equal(got, want) {
				t.Errorf("replies %v, want %v", got, want)
			}
		})
	}
}

// TestRatesExempt: the site's forwarders are no strangers, and a limit that is only
// for an empty list is for nobody.
func TestRatesExempt(t *testing.T) {
	t.Parallel()
	limit := plan.Limit{Name: "r", Tiers: []plan.Tier{eximTier("stop", plan.Deny, 2)}}
	if got, _ := codes(t, eximCounts(t, limit), "198.51.100.7", 4); slices.Max(got) != 250 {
		t.Errorf("a forwarder gets %v", got)
	}
	if got, _ := codes(t, eximCounts(t, limit), stranger, 4); slices.Max(got) != 550 {
		t.Errorf("a stranger gets %v", got)
	}
	limit.Only = []plan.Ref{{List: "nobody"}}
	if got, _ := codes(t, eximCounts(t, limit), stranger, 4); slices.Max(got) != 250 {
		t.Errorf("somebody who is on no list gets %v", got)
	}
}

// TestRatesObserve: what is logged of a tier without a verdict says what it does.
func TestRatesObserve(t *testing.T) {
	t.Parallel()
	slow, tag := eximTier("slow", plan.Accept, 2), eximTier("tag", plan.Accept, 2)
	slow.Delay = &plan.Delay{Fixed: plan.Duration(time.Second), Max: plan.Duration(time.Second)}
	tag.AddHeader = []plan.Header{{Name: "X-Slow", Value: []plan.Piece{{Text: "yes"}}}}
	_, log := codes(t, eximCounts(t, plan.Limit{Name: "r", Mode: plan.Observe, Tiers: []plan.Tier{slow, tag}}), stranger, 3)
	for _, want := range []string{"exipol: observe limit.r/slow: would delay [192.0.2.1]", "exipol: observe limit.r/tag: would add a header [192.0.2.1]"} {
		if !strings.Contains(strings.Join(log, "\n"), want) {
			t.Errorf("no %q in\n%s", want, strings.Join(log, "\n"))
		}
	}
}
