package emit

import (
	"cmp"
	"fmt"
	"slices"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/generator/wire"
)

// obeyBlock adds the statements that carry out a tier's block, at a stage. What is frozen must be
// a message: before MAIL there is none.
func obeyBlock(v *halfView, acts *actors, stage, ref string, t plan.Tier) {
	b, name := t.Block, plan.BlockRef(ref, t.Name)
	if !message(stage) && b.Verdict == plan.Freeze {
		return
	}
	if b.Verdict != plan.Freeze {
		v.Verdicts = append(v.Verdicts, verdict(t.Origin, name, b.Verdict, b.Message))
		return
	}
	if len(b.AddHeader) > 0 {
		v.Headers = append(v.Headers, headersView{
			For: named(t.Origin, name), Pattern: exim.Regex(name), Lines: headerLines(b.AddHeader),
		})
	}
	acts.freeze = append(acts.freeze, named(t.Origin, name))
	acts.hold = append(acts.hold, named(t.Origin, name))
	if b.Most > 0 || b.Free > 0 {
		v.Verdicts = append(v.Verdicts, verdict(t.Origin, plan.GuardRef(ref, t.Name), plan.Defer, guarded))
	}
}

// guarded is what a client hears whose message would be held if there were room.
const guarded = "your mail is being looked at, please try again later"

// message says whether a stage belongs to a message.
func message(stage string) bool {
	return slices.Contains([]string{plan.Mail, plan.Rcpt, plan.Predata, plan.Data, plan.NotSMTP}, stage)
}

// lastKnown lists where blocks are found that were in force when exipold last said so: those that
// are asked about here, the strongest first.
func (e *emitter) lastKnown(stage string, asks []plan.Ask) []lastKnownView {
	type ranked struct {
		rank int
		view lastKnownView
	}
	var all []ranked
	for _, a := range asks {
		for _, ref := range a.Policies {
			l := e.limits[ref]
			if l == nil || !e.remembered(stage, a, l) {
				continue
			}
			v := lastKnownView{
				For: named(l.Origin, ref), Traffic: exim.Text(a.Traffic), Except: e.lasting(l.Except), Regex: wire.AnswerRegex,
			}
			for _, key := range e.blockedKeys(a.Traffic, l) {
				v.Key = key
				all = append(all, ranked{strongest(stage, a.Traffic, l), v})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	var views []lastKnownView
	for _, r := range all {
		views = append(views, r.view)
	}
	return views
}

// remembered says whether the file of blocks can hold one of the limit's that is in force at
// this stage for this traffic.
func (e *emitter) remembered(stage string, a plan.Ask, l *plan.Limit) bool {
	return a.Event == plan.Blocked && l.Mode == plan.Enforce && l.OnFailure == plan.LastKnown && e.plan.Blocked != "" &&
		strongest(stage, a.Traffic, l) < len(plan.VerdictOrder) && !slices.ContainsFunc(l.Key, func(p plan.Part) bool {
		return p.Field != "auth" && p.Field != "user" && p.Field != "owner" && (p.Field != "client" || p.V4 != 32 || p.V6 != 128)
	})
}

// strongest is the rank of the strongest block of a limit's at a stage, for a traffic;
// len(plan.VerdictOrder) where it has none there.
func strongest(stage, traffic string, l *plan.Limit) int {
	rank := len(plan.VerdictOrder)
	for _, t := range l.Tiers {
		b := t.Block
		if b == nil || b.At != stage && (stage != plan.NotSMTP || b.At != plan.Rcpt) || !slices.Contains(b.Traffics, traffic) {
			continue
		}
		rank = min(rank, slices.Index(plan.VerdictOrder, b.Verdict))
	}
	return rank
}

// blockedKeys expand to the keys in the file of blocks. A relay host may be there by who the site
// says that it is, or by its address, as the log knows it.
func (e *emitter) blockedKeys(traffic string, l *plan.Limit) []exim.Text {
	key := func(owner string) exim.Text {
		var parts []string
		for _, p := range l.Key {
			switch p.Field {
			case "auth":
				parts = append(parts, authID)
			case "user":
				parts = append(parts, login)
			case "owner":
				parts = append(parts, owner)
			case "client":
				parts = append(parts, clientAddress)
			}
		}
		return exim.Text(wire.BlockedExpression(l.Ref(), parts...))
	}
	keys := []exim.Text{key(varOwner)}
	if traffic == plan.Relay && e.plan.RelayID != "" && names(l, "owner") {
		keys = append(keys, key("relay:"+clientAddress))
	}
	return keys
}

// Verification, as the RCPT ACL has it: a temporary failure is nobody's offence.
const routing = "recipient/defer_ok"

// calloutTo is the verification that asks the remote host as well, which may take so many seconds
// altogether. With the client's own sender, because a host may judge by that; and
// without Exim's cache, so that neither the site's own callouts nor their texts change. Nothing
// of it is to be held open: a callout of the site's after one that is ends the process (4.99.1).
func calloutTo(seconds int64) exim.Text {
	return exim.Text(fmt.Sprintf("%s/callout=%ds,maxwait=%ds,defer_ok,use_sender,no_cache", routing, seconds, seconds))
}

// refused says whether the event is that a recipient is refused for good.
func refused(a plan.Ask) bool {
	return a.Event == plan.UnknownRecipient || a.Event == plan.InvalidRecipient
}

// verifies says whether there is such an event among them.
func verifies(asks []plan.Ask) bool { return slices.ContainsFunc(asks, refused) }

func hasEvent(asks []plan.Ask, event string) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool { return a.Event == event })
}

// callout is how many seconds the remote host may take that is asked for an event: what the most
// patient of its policies wants; 0 where routing decides alone.
func (e *emitter) callout(a plan.Ask) int64 {
	var most int64
	for _, ref := range a.Policies {
		if l := e.limits[ref]; l != nil && a.Event == plan.InvalidRecipient {
			most = max(most, l.Callout.Seconds())
		}
	}
	return most
}

// calls says whether a remote host is asked for one of these events.
func (e *emitter) calls(asks []plan.Ask) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool { return e.callout(a) > 0 })
}
