package lower

import (
	"cmp"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// tables lists the tables by shape, so that one more limit needs no migration.
func tables(p *plan.Plan) []plan.Table {
	var counter, distinct bool
	for _, l := range p.Limits {
		if l.Engine == plan.EngineExim {
			continue
		}
		if l.Distinct != nil {
			distinct = true
		} else {
			counter = true
		}
	}
	// Seen holds more than greylists: what lists learned, and how often their entries hit.
	return plan.Tables(true, counter, distinct)
}

// stages collects whom each event concerns, at its half of its stage.
func stages(site policy.Site, p *plan.Plan) []plan.Stage {
	type where struct{ stage, half, traffic, event string }
	asks := map[where]*plan.Ask{}
	ask := func(stage, half, traffic, event string) *plan.Ask {
		w := where{stage, half, traffic, event}
		if asks[w] == nil {
			asks[w] = &plan.Ask{Traffic: traffic, Event: event}
		}
		return asks[w]
	}
	urgent := false
	for _, g := range p.Greylists {
		if len(g.Urgent) > 0 {
			urgent = true
			a := ask(plan.Data, plan.After, g.Traffic, plan.WholeMessage)
			a.Policies = append(a.Policies, g.Ref())
			continue
		}
		for _, a := range []*plan.Ask{
			ask(plan.Rcpt, plan.After, g.Traffic, plan.Recipient),
			ask(plan.Predata, plan.After, g.Traffic, plan.NullSender),
			// Exim has no predata stage for a message that comes by BDAT (RFC 3030).
			ask(plan.Data, plan.After, g.Traffic, plan.NullSender),
		} {
			a.Policies = append(a.Policies, g.Ref())
		}
	}
	for _, l := range p.Limits {
		for _, e := range l.Events {
			at := plan.Events[e.Event]
			a := ask(at.Stage, at.Half, l.Traffic, e.Event)
			if l.Engine == plan.EngineExim {
				a.Exim = append(a.Exim, l.Ref())
			} else {
				a.Policies = append(a.Policies, l.Ref())
			}
		}
	}
	for _, l := range p.Lists {
		if !learnsForSomebody(p, l.Name) {
			continue
		}
		for _, learn := range l.Learn {
			a := ask(plan.Data, plan.After, learn.Traffic, plan.Message)
			if !slices.Contains(a.Policies, l.Ref()) {
				a.Policies = append(a.Policies, l.Ref())
			}
		}
	}
	// A question after DATA names a recipient, which only the RCPT ACL can keep.
	needRecipient := false
	for w, a := range asks {
		needRecipient = needRecipient || w.stage == plan.Data && a.Policies != nil
	}
	needed := map[string]bool{plan.Rcpt: needRecipient, plan.Dkim: urgent}
	var out []plan.Stage
	for _, name := range plan.StageOrder {
		s := plan.Stage{Name: name, SiteACL: SiteACL(site, name)}
		for w, a := range asks {
			if w.stage != name {
				continue
			}
			slices.Sort(a.Policies)
			slices.Sort(a.Exim)
			if w.half == plan.Before {
				s.Before = append(s.Before, *a)
			} else {
				s.After = append(s.After, *a)
			}
		}
		if s.Before == nil && s.After == nil && !needed[name] {
			continue
		}
		sortAsks(s.Before)
		sortAsks(s.After)
		out = append(out, s)
	}
	return out
}

func sortAsks(asks []plan.Ask) {
	slices.SortFunc(asks, func(a, b plan.Ask) int {
		return cmp.Or(
			cmp.Compare(slices.Index(plan.TrafficOrder, a.Traffic), slices.Index(plan.TrafficOrder, b.Traffic)),
			strings.Compare(a.Event, b.Event))
	})
}

// learnsForSomebody says whether anything is compared with what a list learns, which is
// addresses.
func learnsForSomebody(p *plan.Plan, list string) bool {
	compared := func(refs []plan.Ref) bool {
		return slices.ContainsFunc(refs, func(r plan.Ref) bool { return r.List == list && r.Field != "client" && r.Field != "auth" })
	}
	for _, g := range p.Greylists {
		if compared(g.Except) || slices.Contains(g.Spare, plan.Fact{Name: plan.SPFPass, Arg: list}) {
			return true
		}
	}
	return slices.ContainsFunc(p.Limits, func(l plan.Limit) bool {
		return l.Engine != plan.EngineExim && (compared(l.Only) || compared(l.Except) ||
			slices.ContainsFunc(l.Overrides, func(o plan.Override) bool { return compared(o.Only) }))
	})
}
