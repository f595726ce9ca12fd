package emit

import (
	"slices"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/generator/wire"
)

// question is the text of the question at one half of a stage: what every policy may
// need, and what only some of those asked here do.
func (e *emitter) question(stage, half string, asks []plan.Ask) exim.Text {
	x := wire.Expressions{
		Traffic: "$acl_c_exipol_traffic",
		Events:  "$acl_c_exipol_events",
		Helo:    stage != plan.Connect && stage != plan.NotSMTP,
		Sender:  stage != plan.Connect && stage != plan.Helo && stage != plan.Auth,
		Host:    e.asked(asks, wantsHost),
		User:    slices.ContainsFunc(asks, func(a plan.Ask) bool { return a.Traffic == plan.Local && len(a.Policies) > 0 }),
	}
	if e.wantsRelay(asks) {
		x.Relay = varRelay
	}
	switch stage {
	case plan.Rcpt:
		x.Recipient = wire.Recipient
		if half == plan.After && e.countsLater(asks) {
			x.Kept = "$acl_m_exipol_rcpt"
		}
	case plan.Predata, plan.Data:
		x.Recipient = "$acl_m_exipol_rcpt"
	case plan.NotSMTP:
		x.NotSMTP, x.Count = true, half == plan.After
		if half == plan.After || verifies(asks) {
			x.Recipient = "$acl_m_exipol_rcpt"
		}
	}
	if stage == plan.Data || stage == plan.NotSMTP {
		x.Message = e.limited(asks, "", desk)
		if hasEvent(asks, plan.Held) {
			x.Hold = varHold
		}
	}
	if stage == plan.Rcpt && e.calls(asks) {
		x.Callout = varCallout
	}
	if stage == plan.Data && e.asked(asks, func(g *plan.Grey) bool { return len(g.Urgent) > 0 }) {
		x.From, x.Dkim = true, "${tr{$acl_m_exipol_dkim}{:}{,}}"
	}
	x.Auto = (stage == plan.Data || stage == plan.NotSMTP) && e.learns(asks)
	return exim.Text(wire.QuestionText(e.plan.ID, stage, half, x))
}

// asked says whether one of the greylists that are asked here is like that.
func (e *emitter) asked(asks []plan.Ask, like func(*plan.Grey) bool) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool {
		return slices.ContainsFunc(a.Policies, func(ref string) bool {
			g := e.greylists[ref]
			return g != nil && like(g)
		})
	})
}

// learns says whether a list learns from what is asked here.
func (e *emitter) learns(asks []plan.Ask) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool {
		return slices.ContainsFunc(a.Policies, func(ref string) bool { return e.lists[ref] != nil })
	})
}

// wantsHost says whether a greylist suspects clients by their host names.
func wantsHost(g *plan.Grey) bool {
	return slices.ContainsFunc(g.Suspicious, func(f plan.Fact) bool {
		return f.Name == plan.NoReverseDNS || f.Name == plan.HeloMismatch || f.Name == plan.DynamicName
	})
}

// countsLater says whether a limit judges a recipient here that it counts when a
// greylist has let the message in.
func (e *emitter) countsLater(asks []plan.Ask) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool {
		return a.Event == plan.Recipient && e.judgesMessages(a.Traffic) &&
			slices.ContainsFunc(a.Policies, func(ref string) bool { return e.limits[ref] != nil })
	})
}

// judgesMessages says whether a greylist judges messages of this traffic as a whole, in
// a question with their recipients.
func (e *emitter) judgesMessages(traffic string) bool {
	for _, s := range e.plan.Stages {
		for _, a := range s.After {
			if a.Traffic == traffic && (a.Event == plan.NullSender || a.Event == plan.WholeMessage) {
				return true
			}
		}
	}
	return false
}

// concern is one reason to ask.
func (e *emitter) concern(stage string, ask plan.Ask) concernView {
	v := concernView{
		For:       e.names(ask.Policies),
		Traffic:   exim.Text(ask.Traffic),
		Condition: e.condition(stage, ask),
		Event:     exim.Text(ask.Event),
	}
	if stage == plan.Rcpt && refused(ask) {
		v.Verify, v.Domains = routing, e.domains(ask.Traffic)
		if wait := e.callout(ask); wait > 0 {
			v.Verify, v.Callout = calloutTo(wait), true
		}
	}
	return v
}

// domains restricts verification to the site's own domains for a stranger, who has
// no business with any other; one's own users may write to the whole world.
func (e *emitter) domains(traffic string) exim.Text {
	if traffic != plan.Inbound {
		return ""
	}
	return exim.List(e.plan.Domains)
}

// condition keeps what the policies do not want out of the question. For greylisting, a
// null sender waits for predata, so that other hosts' callouts pass; and for data where
// the message came by BDAT, for which Exim has no predata; a whole message has
// recipients. A list learns whom somebody wrote to.
func (e *emitter) condition(stage string, ask plan.Ask) exim.Text {
	switch {
	case ask.Event == plan.Held:
		return "${if def:acl_m_exipol_hold}"
	case stage == plan.NotSMTP && refused(ask):
		return "${if def:acl_m_exipol_rcpt}"
	case ask.Event == plan.WholeMessage:
		return "${if def:acl_m_exipol_rcpt}"
	case ask.Event == plan.NullSender && stage == plan.Predata:
		return "${if and{ {!def:sender_address} {def:acl_m_exipol_rcpt} }}"
	case ask.Event == plan.NullSender:
		return "${if and{ {!def:sender_address} {def:acl_m_exipol_rcpt} {!def:acl_m_exipol_predata} }}"
	}
	all := func(like func(ref string) bool) bool {
		return !slices.ContainsFunc(ask.Policies, func(ref string) bool { return !like(ref) })
	}
	switch {
	case all(func(ref string) bool { return e.lists[ref] != nil }):
		return "${if and{ {def:sender_address} {def:acl_m_exipol_rcpt} }}"
	case all(func(ref string) bool { return e.greylists[ref] != nil }):
		return "${if def:sender_address}"
	}
	return ""
}
