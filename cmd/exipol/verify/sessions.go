package verify

import (
	"regexp"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// session is one SMTP session: who calls, what the helper's stand-in answers at one
// half of one stage, and what must be seen of that.
type session struct {
	name    string
	traffic string
	client  string
	null    bool // null sender
	chunks  bool // BDAT instead of DATA
	away    bool // no helper at all
	signed  bool // the helper's stand-in wants to hear of a signature
	at      string
	answer  string
	expect  []string // regular expressions: each matches a line of the session or the log
}

// plannedSessions lists, for every traffic and every half of a stage that asks for
// it, one session for each thing that could come back from the helper. Everywhere
// else in the session the helper accepts, so that nothing ends it before.
func plannedSessions(p *plan.Plan) []session {
	var out []session
	for _, traffic := range plan.TrafficOrder {
		var found []session
		for _, stage := range p.Stages {
			found = append(found, halfSessions(p, traffic, stage.Name, plan.Before, stage.Before)...)
			found = append(found, halfSessions(p, traffic, stage.Name, plan.After, stage.After)...)
		}
		if found == nil {
			continue
		}
		for _, null := range []bool{false, true} {
			found = append(found,
				session{name: "accepted everywhere", null: null, answer: accept},
				session{name: "no helper", null: null, away: true})
		}
		// Where there is no SMTP session, a session is one message.
		for _, stage := range p.Stages {
			if stage.Name == plan.NotSMTP && traffic == plan.Local {
				found = append(found, session{name: "no helper, without SMTP", at: plan.NotSMTP + ".", away: true})
			}
			if stage.Name == plan.Delivery && traffic == plan.Local && fromLocal(stage.After) {
				found = append(found, session{name: "no helper, a failed delivery", at: plan.Delivery + ".", away: true, expect: []string{"exipol: a failed delivery is not counted"}},
					session{name: "a failed delivery", at: plan.Delivery + ".after", answer: accept, expect: []string{`\*\* unknown@`}})
			}
		}
		address, fits := client(p, traffic, nil)
		for _, s := range found {
			s.name, s.traffic, s.client = traffic+" mail, "+s.name, traffic, address
			if s.null {
				s.name += ", null sender"
			}
			if !fits {
				s.expect = nil // nobody is such a client
			}
			out = append(out, s)
		}
	}
	return out
}

// fromLocal says whether somebody is asked about local mail.
func fromLocal(asks []plan.Ask) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool { return a.Traffic == plan.Local && len(a.Policies) > 0 })
}

// halfSessions are those of one half of a stage.
func halfSessions(p *plan.Plan, traffic, stage, half string, asks []plan.Ask) []session {
	var out []session
	for _, ask := range asks {
		if ask.Traffic != traffic || len(ask.Policies) == 0 || ask.Event == plan.Held || stage == plan.Delivery {
			continue // what is held is asked about where a block has frozen a message
		}
		add := func(name, answer string, expect ...string) {
			null, whole := ask.Event == plan.NullSender, ask.Event == plan.WholeMessage
			out = append(out, session{
				name: stage + "." + half + " answered " + name, at: stage + "." + half, answer: answer, expect: expect,
				null: null, chunks: null && stage == plan.Data, signed: whole,
			})
		}
		for _, r := range replies(p, traffic, stage, ask) {
			if stage == plan.NotSMTP { // no reply, but a complaint
				for i, e := range r.expect {
					r.expect[i] = smtpCode.ReplaceAllString(e, "")
				}
			}
			add(r.name, r.answer.String(), r.expect...)
		}
		for _, w := range []string{wire.WaiveNo, wire.WaiveMessage, wire.WaiveConnection} {
			add(plan.Accept+" waive "+w, wire.Answer{Verdict: plan.Accept, Waive: w}.String())
		}
		failed := failures(p, traffic, ask, asks)
		if stage == plan.NotSMTP {
			for i, e := range failed {
				failed[i] = smtpCode.ReplaceAllString(e, "")
			}
		}
		add(wire.Failed, wire.Answer{Verdict: wire.Failed}.String(), failed...)
		add("with half a line", "v=1 verdict=acc", failed...)
	}
	return out
}

// reply is something that the helper could say, and what Exim then shows.
type reply struct {
	name   string
	answer wire.Answer
	expect []string
}

// smtpCode is the beginning of an expression for a reply.
var smtpCode = regexp.MustCompile(`^\^(\(?[0-9|]+\)?)\[ -\]`)

// replies lists what the helper could say of the policies that are asked for an event.
func replies(p *plan.Plan, traffic, stage string, ask plan.Ask) (out []reply) {
	refs := ask.Policies
	for _, g := range p.Greylists {
		if !slices.Contains(refs, g.Ref()) {
			continue
		}
		out = append(out, said(g.Mode, g.Ref(), wire.Answer{Verdict: plan.Defer, By: g.Ref(), Why: []string{"first_contact"}}))
	}
	for _, l := range p.Limits {
		if !slices.Contains(refs, l.Ref()) {
			continue
		}
		for _, t := range l.Tiers {
			ref := l.Ref() + "/" + t.Name
			switch {
			case t.Block == nil:
			case l.Mode != plan.Observe:
				out = append(out, blocked(stage, l.Ref(), t)...)
			default:
				name := plan.BlockRef(l.Ref(), t.Name)
				out = append(out, said(plan.Observe, name, wire.Answer{Verdict: t.Block.Verdict, By: name}))
			}
			if ask.Event == plan.Blocked && (!fromLog(l) || stage != plan.Rcpt && stage != plan.NotSMTP) {
				continue // it is about blocks only
			}
			a := wire.Answer{Verdict: t.Verdict}
			if t.Verdict != plan.Accept {
				a.By = ref
			}
			// Outside of -bh, which local traffic needs, Exim really sleeps.
			if t.Delay != nil && (traffic != plan.Local || l.Mode == plan.Observe) {
				a.Delay, a.DelayBy = 1, ref
			}
			if len(t.AddHeader) > 0 && (t.Verdict == plan.Accept || t.Verdict == plan.Freeze) {
				a.Add = []string{ref}
			}
			out = append(out, said(l.Mode, ref, a))
		}
	}
	return out
}

// fromLog says whether a limit counts what is read from the log: its tiers then act where it is
// asked about blocks.
func fromLog(l plan.Limit) bool {
	return slices.ContainsFunc(l.Events, func(w plan.WeightedEvent) bool { return plan.Events[w.Event].Log })
}

// blocked is what the helper could say of a tier's block at a stage.
func blocked(stage, limit string, t plan.Tier) (out []reply) {
	b, ref := t.Block, plan.BlockRef(limit, t.Name)
	if b.Verdict != plan.Freeze {
		return []reply{said(plan.Enforce, ref, wire.Answer{Verdict: b.Verdict, By: ref})}
	}
	if slices.Contains([]string{plan.Connect, plan.Helo, plan.Auth}, stage) {
		return nil // there is no message
	}
	a := wire.Answer{Verdict: plan.Freeze, By: ref}
	if len(b.AddHeader) > 0 {
		a.Add = []string{ref}
	}
	out = append(out, said(plan.Enforce, ref, a))
	if b.Most > 0 || b.Free > 0 {
		guard := plan.GuardRef(limit, t.Name)
		out = append(out, said(plan.Enforce, guard, wire.Answer{Verdict: plan.Defer, By: guard}))
	}
	return out
}

// said is a reply with what must be seen of it; of an observing policy it is what
// would have been said.
func said(mode, ref string, a wire.Answer) reply {
	if mode == plan.Observe {
		would := a.Verdict
		if would == plan.Accept && a.Delay > 0 {
			would = "delay"
		}
		return reply{"would " + would + " by " + ref, wire.Answer{Verdict: plan.Accept, Would: would, WouldBy: ref, Why: a.Why},
			[]string{logged("observe " + ref + ": would " + would + because(a) + " ")}}
	}
	r := reply{name: a.Verdict + " by " + ref, answer: a, expect: shown(a.Verdict, ref)}
	if a.Why != nil {
		r.expect = append(r.expect, logged(ref+because(a)))
	}
	if a.Delay > 0 {
		r.expect = append(r.expect, logged(ref+" delays "))
	}
	if a.Verdict == plan.Freeze {
		r.expect = append(r.expect, logged(ref+" freezes "))
	}
	return r
}

// because is an answer's reasons in a log line.
func because(a wire.Answer) string {
	if a.Why == nil {
		return ""
	}
	return " (" + strings.Join(a.Why, ",") + ")"
}

// shown is what a verdict shows in a session, nil for one that lets the mail pass.
func shown(verdict, ref string) []string {
	named := `[ -].*\(` + regexp.QuoteMeta(ref) + `\)$`
	switch verdict {
	case plan.Drop, plan.Deny:
		return []string{"^550" + named}
	case plan.Defer:
		return []string{"^451" + named}
	case plan.Discard:
		return []string{"exipol: " + regexp.QuoteMeta(ref) + "$"}
	}
	return nil
}

func logged(text string) string { return "exipol: " + regexp.QuoteMeta(text) }

// failures is what must be seen where the helper gives no answer: a deferral, if one
// of the policies asked for the event wants that of every client. Another one of the
// same half may come before it.
func failures(p *plan.Plan, traffic string, ask plan.Ask, asks []plan.Ask) []string {
	var names []string
	sure := false
	add := func(ref, mode, onFailure string, except []plan.Ref) {
		asked := slices.ContainsFunc(asks, func(a plan.Ask) bool { return a.Traffic == traffic && slices.Contains(a.Policies, ref) })
		if asked && mode != plan.Observe && onFailure == plan.DeferMail {
			names = append(names, regexp.QuoteMeta(ref))
			sure = sure || len(except) == 0 && slices.Contains(ask.Policies, ref)
		}
	}
	for _, g := range p.Greylists {
		add(g.Ref(), g.Mode, g.OnFailure, g.Except)
	}
	for _, l := range p.Limits {
		add(l.Ref(), l.Mode, l.OnFailure, l.Except)
	}
	if !sure {
		return nil
	}
	return []string{`^451[ -].*\((` + strings.Join(names, "|") + `)\)$`}
}
