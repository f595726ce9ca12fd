package emit

import (
	"slices"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/generator/wire"
)

// eventAction is the option for the main part and for each smtp transport.
const eventAction exim.Text = "${if match{$event_name}{^msg:fail:}{${acl{exipol_delivery}}}}"

// localTraffic expands to the traffic at not_smtp. What Exim itself sends, as bounces and
// warnings, comes there too, from its own user; that is nobody's, and neither are the notices of
// exipold-desk: no block is to hold the news of a block.
const localTraffic exim.Text = "${if or{ {and{ {!def:sender_address} {inlist{$originator_uid}{0:$exim_uid}} }} {eq{$sender_ident}{exipold}} }{own}{local}}"

// onlyLocal keeps an expansion from being made for Exim's own messages.
func onlyLocal(text exim.Text) exim.Text {
	return "${if eq{$acl_c_exipol_traffic}{local}{" + text + "}}"
}

// commas turns a list with colons into what a question has.
func commas(list exim.Text) exim.Text { return "${tr{" + list + "}{:}{,}}" }

// notSMTP fills in what is different where a message came without SMTP: all its recipients are
// there at once. Before the site's own ACL the question names those that routing refuses.
func (e *emitter) notSMTP(v *stageView, s plan.Stage) {
	v.Traffic = localTraffic
	n := &notSMTPView{Routes: v.Before != nil && verifies(s.Before)}
	if n.Routes || v.After != nil {
		n.Listed = onlyLocal(wire.Listed)
	}
	if n.Routes {
		v.Before.Recipients = commas("${map{${filter{$acl_m_exipol_list}{acl{{exipol_not_smtp_refused}{$item}}}}}{${base64:$item}}}")
	}
	if v.After != nil {
		mark := exim.Text("")
		if n.Own = e.own(plan.NotSMTP); n.Own != nil {
			mark = "${if !eq{${acl{exipol_not_smtp_other}{${domain:$item}}}}{-}{" + n.Own.Mark + "}}"
		}
		v.After.Recipients = commas("${map{${filter{$acl_m_exipol_list}{match{$item}{^[^@ ]+@[^@ ]+\\\\z}}}}{" + mark + "${base64:$item}}}")
	}
	v.NotSMTP = n
}

// delivery is what is asked where deliveries have failed; nil for nothing.
func (e *emitter) delivery(s plan.Stage) *deliveryView {
	var refs, traffics []string
	for _, a := range s.After {
		if len(a.Policies) > 0 {
			refs, traffics = append(refs, a.Policies...), append(traffics, a.Traffic)
		}
	}
	if refs == nil {
		return nil
	}
	slices.Sort(refs)
	x := wire.Expressions{
		Traffic: "$acl_c_exipol_traffic", Events: plan.Bounce, Sender: true, Recipient: wire.Recipient,
		User: true, Message: true, Event: true,
	}
	if e.wantsRelay(s.After) {
		x.Relay = varRelay // as the session found it
	}
	return &deliveryView{
		For: e.names(slices.Compact(refs)), Traffic: e.traffic(), Traffics: exim.List(traffics),
		Question: exim.Text(wire.QuestionText(e.plan.ID, plan.Delivery, plan.After, x)),
	}
}
