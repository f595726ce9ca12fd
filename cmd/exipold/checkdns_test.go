package main

import (
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper"
)

// The doctor looks at the DNS where exipold asks it, and only there.
func TestAsksDNS(t *testing.T) {
	pool := plan.Part{Field: "pool"}
	key := []plan.Part{{Field: "sender"}, pool}
	spf := []plan.Pool{{Name: "x", SPF: []string{"x.example"}}}
	for name, c := range map[string]struct {
		p    plan.Plan
		want bool
	}{
		"nothing":           {plan.Plan{Greylists: []plan.Grey{{Trust: &plan.Trust{}}}, Limits: []plan.Limit{{}}}, false},
		"pools":             {plan.Plan{Pools: spf}, true},
		"pinned pools":      {plan.Plan{Pools: spf, PoolsFile: "x"}, false},
		"given pools":       {plan.Plan{Pools: []plan.Pool{{Name: "x", Clients: []string{"192.0.2.0/24"}}}}, false},
		"a greylist's key":  {plan.Plan{Greylists: []plan.Grey{{Key: key}}}, true},
		"trust's key":       {plan.Plan{Greylists: []plan.Grey{{Trust: &plan.Trust{Key: key}}}}, true},
		"a limit's key":     {plan.Plan{Limits: []plan.Limit{{Key: key}}}, false},
		"a limit's members": {plan.Plan{Limits: []plan.Limit{{Distinct: &pool}}}, false},
		"suspicious":        {plan.Plan{Greylists: []plan.Grey{{Suspicious: []plan.Fact{{Name: plan.NoReverseDNS}}}}}, true},
		"spare":             {plan.Plan{Greylists: []plan.Grey{{Spare: []plan.Fact{{Name: plan.InPool}, {Name: plan.DNSWL}}}}}, true},
		"spare pools":       {plan.Plan{Greylists: []plan.Grey{{Spare: []plan.Fact{{Name: plan.InPool}}}}}, false},
		"urgent":            {plan.Plan{Greylists: []plan.Grey{{Urgent: []plan.Ref{{List: "x"}}}}}, true},
	} {
		if got := asksDNS(&c.p); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDoctorOnRefusedLookups(t *testing.T) {
	d := doctor{}
	d.checkRefused()
	d.running = &helper.Status{DNS: &helper.DNSStatus{Failed: 3}}
	d.checkRefused()
	if len(d.findings) != 0 {
		t.Errorf("%v", d.findings)
	}
	d.running.DNS.Refused = 7
	d.checkRefused()
	if len(d.findings) != 1 || d.findings[0].Level != warning || !strings.HasPrefix(d.findings[0].Text, "7 lookups not made: too many at once") {
		t.Errorf("%v", d.findings)
	}
}
