package single

import (
	"reflect"
	"testing"

	"exipol/generator/plan"
)

func TestPlan(t *testing.T) {
	ask := func(event string, refs ...string) plan.Ask {
		return plan.Ask{Traffic: plan.Inbound, Event: event, Policies: refs, Exim: []string{"limit.exim"}}
	}
	p := &plan.Plan{ID: "7", Stages: []plan.Stage{
		{Name: plan.Connect, Before: []plan.Ask{ask(plan.Connection, "limit.b")}},
		{Name: plan.Rcpt, Before: []plan.Ask{ask(plan.UnknownRecipient, "limit.b")}, After: []plan.Ask{ask(plan.Recipient, "greylist.a", "limit.b")}},
		{Name: plan.Predata, After: []plan.Ask{ask(plan.NullSender, "greylist.a")}},
	}}
	before := *p
	only := func(event, ref string) []plan.Ask {
		return []plan.Ask{{Traffic: plan.Inbound, Event: event, Policies: []string{ref}}}
	}
	for ref, want := range map[string][]plan.Stage{
		"greylist.a": {{Name: plan.Rcpt, After: only(plan.Recipient, "greylist.a")}, {Name: plan.Predata, After: only(plan.NullSender, "greylist.a")}},
		"limit.b": {
			{Name: plan.Connect, Before: only(plan.Connection, "limit.b")},
			{Name: plan.Rcpt, Before: only(plan.UnknownRecipient, "limit.b"), After: only(plan.Recipient, "limit.b")},
		},
		"limit.exim": nil,
	} {
		if got := Plan(p, ref); !reflect.DeepEqual(got.Stages, want) || got.ID != "7" {
			t.Errorf("%s: %+v, want %+v", ref, got.Stages, want)
		}
	}
	if !reflect.DeepEqual(*p, before) || len(p.Stages[1].After[0].Policies) != 2 {
		t.Error("the plan itself was changed")
	}
}
