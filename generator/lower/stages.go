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
	// Seen holds more than greylists: what lists learned, and how often their entries hit.
	var needs plan.Needs
	for _, l := range p.Limits {
		if l.Engine == plan.EngineExim {
			continue
		}
		if l.Distinct != nil {
			needs.Distinct = true
		} else {
			needs.Counter = true
		}
		needs.Desk = needs.Desk || slices.ContainsFunc(l.Tiers, plan.Tier.Desk)
		needs.Log = needs.Log || logged(l)
	}
	return plan.Tables(needs)
}

// where is a place at which something is asked.
type where struct{ stage, half, traffic, event string }

// asker collects whom each event concerns, at its half of its stage.
type asker map[where]*plan.Ask

func (a asker) at(stage, half, traffic, event string) *plan.Ask {
	w := where{stage, half, traffic, event}
	if a[w] == nil {
		a[w] = &plan.Ask{Traffic: traffic, Event: event}
	}
	return a[w]
}

// ask notes that a policy is to be asked about an event, once. All asks of a policy come
// one after the other.
func (a asker) ask(stage, half, traffic, event, ref string) {
	at := a.at(stage, half, traffic, event)
	if last := len(at.Policies) - 1; last < 0 || at.Policies[last] != ref {
		at.Policies = append(at.Policies, ref)
	}
}

// mail is ask for what happens at RCPT or DATA, and for local traffic also where a
// message comes without SMTP.
func (a asker) mail(stage, half, traffic, event, ref string) {
	a.ask(stage, half, traffic, event, ref)
	if traffic == plan.Local {
		a.ask(plan.NotSMTP, half, traffic, event, ref)
	}
}

// stages are all stages at which something is asked or done.
func stages(site policy.Site, p *plan.Plan) []plan.Stage {
	asks := asker{}
	needed := map[string]bool{}
	for _, g := range p.Greylists {
		if len(g.Urgent) > 0 {
			needed[plan.Dkim] = true
			asks.ask(plan.Data, plan.After, g.Traffic, plan.WholeMessage, g.Ref())
			continue
		}
		asks.ask(plan.Rcpt, plan.After, g.Traffic, plan.Recipient, g.Ref())
		asks.ask(plan.Predata, plan.After, g.Traffic, plan.NullSender, g.Ref())
		// Exim has no predata stage for a message that comes by BDAT (RFC 3030).
		asks.ask(plan.Data, plan.After, g.Traffic, plan.NullSender, g.Ref())
	}
	for _, l := range p.Limits {
		asks.limit(p, l)
	}
	for _, l := range p.Lists {
		if learnsForSomebody(p, l.Name) {
			for _, learn := range l.Learn {
				asks.mail(plan.Data, plan.After, learn.Traffic, plan.Message, l.Ref())
			}
		}
	}
	for w, a := range asks {
		// A question after DATA names a recipient, which only the RCPT ACL can keep.
		if w.stage == plan.Data && a.Policies != nil {
			needed[plan.Rcpt] = true
		}
	}
	if p.SubmissionMode != nil {
		needed[plan.Rcpt] = true
	}
	return asks.stages(site, needed)
}

// stages are the stages at which something is asked, or that are needed anyhow.
func (a asker) stages(site policy.Site, needed map[string]bool) []plan.Stage {
	var out []plan.Stage
	for _, name := range plan.StageOrder {
		s := plan.Stage{Name: name, SiteACL: SiteACL(site, name)}
		for w, ask := range a {
			if w.stage != name {
				continue
			}
			slices.Sort(ask.Policies)
			slices.Sort(ask.Exim)
			if w.half == plan.Before {
				s.Before = append(s.Before, *ask)
			} else {
				s.After = append(s.After, *ask)
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

// limit asks for a limit.
func (a asker) limit(p *plan.Plan, l plan.Limit) {
	for _, e := range l.Events {
		at := plan.Events[e.Event]
		switch {
		case l.Engine == plan.EngineExim:
			ask := a.at(at.Stage, at.Half, l.Traffic, e.Event)
			ask.Exim = append(ask.Exim, l.Ref())
		case at.NotSMTP:
			a.mail(at.Stage, at.Half, l.Traffic, e.Event, l.Ref())
		case !at.Log:
			a.ask(at.Stage, at.Half, l.Traffic, e.Event, l.Ref())
		case e.Event == plan.Bounce && p.Source == plan.FromEvent:
			for _, t := range traffics(l) {
				a.ask(plan.Delivery, plan.After, t, plan.Bounce, l.Ref())
			}
		}
	}
	if l.Share != nil {
		at := plan.Events[l.Share.Event]
		for _, t := range traffics(l) {
			a.mail(at.Stage, at.Half, t, l.Share.Event, l.Ref())
		}
	}
	for _, t := range l.Tiers {
		if t.Block != nil {
			a.block(l, t.Block)
		}
		if onlyLogged(l) && acts(t) {
			for _, traffic := range traffics(l) {
				a.mail(plan.Rcpt, plan.Before, traffic, plan.Blocked, l.Ref())
			}
		}
	}
}

// block asks whether a block is in force, and says which messages it froze. Of a limit that observes
// none ever is: it is only asked about where nothing else says what it would have done, because what
// it counts is read from the log.
func (a asker) block(l plan.Limit, b *plan.Block) {
	if l.Mode == plan.Observe && !onlyLogged(l) {
		return
	}
	for _, t := range b.Traffics {
		ask := a.ask
		if b.At == plan.Rcpt {
			ask = a.mail
		}
		ask(b.At, plan.Before, t, plan.Blocked, l.Ref())
		if b.Verdict == plan.Freeze && l.Mode != plan.Observe {
			ask(plan.Data, plan.After, t, plan.Held, l.Ref())
		}
	}
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
		return slices.ContainsFunc(refs, func(r plan.Ref) bool {
			return r.List == list && r.Field != "client" && r.Field != "auth" && r.Field != "user"
		})
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
