package emit

import (
	"slices"

	"exipol/generator/exim"
	"exipol/generator/plan"
)

// failure adds the statement for a policy that wants mail deferred rather than
// passed while the helper is away.
func (e *emitter) failure(v *halfView, stage string, ask plan.Ask, ref string) {
	if e.lists[ref] != nil || ask.Event == plan.Held {
		return // it learns another time; the message is in, and frozen
	}
	mode, onFailure := "", ""
	f := failureView{
		For:     named(e.origin(ref), ref),
		Traffic: exim.Text(ask.Traffic),
		Message: "451 4.3.2 " + exim.Quote("not available at the moment, please try again later ("+ref+")"),
		Log:     "exipol: " + exim.Text(ref) + " on_failure",
	}
	if g := e.greylists[ref]; g != nil {
		mode, onFailure = g.Mode, g.OnFailure
		f.Condition = e.condition(stage, plan.Ask{Event: ask.Event, Policies: []string{ref}})
		f.Reachable = stage == plan.Rcpt
		f.Except = e.lasting(g.Except)
	} else {
		l := e.limits[ref]
		mode, onFailure = l.Mode, l.OnFailure
		f.Except = e.lasting(l.Except)
	}
	if onFailure == plan.DeferMail && mode != plan.Observe && !slices.Contains(v.Failures, f) {
		v.Failures = append(v.Failures, f)
	}
}

// lasting is the client addresses that are exempt whatever the helper knows: those
// of the lists, as far as their entries have no end, and those that a pool names. ""
// for none.
func (e *emitter) lasting(refs []plan.Ref) exim.Text {
	cidrs := append([]string(nil), e.plan.Forwarders...)
	for _, ref := range refs {
		for _, p := range e.plan.Pools {
			if p.Name == ref.Pool {
				cidrs = append(cidrs, p.Clients...)
			}
		}
		for _, l := range e.plan.Lists {
			if l.Name != ref.List || ref.Field != "" && ref.Field != "client" {
				continue
			}
			for _, entry := range l.Entries {
				if entry.Field == "client" && entry.Until == "" {
					cidrs = append(cidrs, entry.Pattern)
				}
			}
		}
	}
	if cidrs == nil {
		return ""
	}
	return exim.Addresses(cidrs)
}
