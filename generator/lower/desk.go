package lower

import (
	"slices"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

func notice(n *policy.Notice) plan.Notice {
	out := plan.Notice{Name: n.Name, Webhook: n.Webhook.V, Digest: n.Digest.V, Origin: origin(n.DeclRange)}
	for _, m := range n.Mail {
		out.Mail = append(out.Mail, m.V)
	}
	return out
}

func block(l plan.Limit, b *policy.Block) *plan.Block {
	out := &plan.Block{
		At:        b.At.V,
		Traffics:  blockTraffics(l, b.At.V),
		Until:     b.Until.V,
		Verdict:   b.Verdict.V,
		Message:   b.Message.V,
		AddHeader: headers(b.AddHeader),
		Queued:    b.Queued.V,
		Most:      b.Most.V,
		Free:      b.Free.V,
	}
	if p := b.Probation; p != nil {
		out.Probation = &plan.Probation{Lasts: p.Lasts.V, Share: p.Share.V}
	}
	return out
}

// owned is the traffic of which somebody answers for the mail.
var owned = []string{plan.Submission, plan.Relay, plan.Local}

// traffics are those of a limit.
func traffics(l plan.Limit) []string {
	if l.Traffic == "" {
		return owned
	}
	return []string{l.Traffic}
}

// blockTraffics is whose commands a block is looked up for. Nobody is authenticated yet at
// connect and auth, nor is he who failed to log in: then it is a stranger, or a relay host.
func blockTraffics(l plan.Limit, at string) []string {
	before := at == plan.Auth || at == plan.Connect && (l.Traffic == "" || l.Traffic == plan.Submission)
	others := slices.ContainsFunc(l.Events, func(e plan.WeightedEvent) bool { return e.Event != plan.AuthFailure })
	if before || !others {
		return []string{plan.Inbound, plan.Relay}
	}
	return traffics(l)
}

// logged says whether a limit counts an event of the log.
func logged(l plan.Limit) bool {
	return slices.ContainsFunc(l.Events, func(e plan.WeightedEvent) bool { return plan.Events[e.Event].Log })
}

// onlyLogged says whether a limit counts nothing but what the log says. Its tiers then act at the
// next RCPT, for there is no command that they could act at.
func onlyLogged(l plan.Limit) bool {
	return !slices.ContainsFunc(l.Events, func(e plan.WeightedEvent) bool { return !plan.Events[e.Event].Log })
}

// acts says whether a tier does something to a command, without a block.
func acts(t plan.Tier) bool {
	return t.Verdict != plan.Accept || t.Delay != nil || len(t.AddHeader) > 0
}
