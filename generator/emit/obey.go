package emit

import (
	"fmt"
	"slices"

	"exipol/generator/exim"
	"exipol/generator/plan"
)

// obey adds the statements that carry out what an answer may say of one policy, at a half of a stage
// where all this is asked. Of a list that learns from the question it says nothing.
func (e *emitter) obey(v *halfView, acts *actors, stage string, asks []plan.Ask, ref string) {
	if e.lists[ref] != nil || !slices.ContainsFunc(asks, func(a plan.Ask) bool {
		return a.Event != plan.Held && slices.Contains(a.Policies, ref)
	}) {
		return // that a message is held, is told and no more
	}
	if g := e.greylists[ref]; g != nil {
		if g.Mode == plan.Observe {
			acts.observe, acts.suspects = append(acts.observe, named(g.Origin, ref)), true
			return
		}
		defers := verdict(g.Origin, ref, plan.Defer, g.Message)
		defers.Log += because(" why=")
		v.Verdicts = append(v.Verdicts, defers)
		return
	}
	l := e.limits[ref]
	if l.Mode == plan.Observe {
		acts.observe = append(acts.observe, named(l.Origin, ref))
		return
	}
	judged := e.judged(l, stage, asks)
	for _, t := range l.Tiers {
		name := ref + "/" + t.Name
		if t.Block != nil {
			obeyBlock(v, acts, stage, ref, t)
		}
		if !judged {
			continue
		}
		if t.Delay != nil {
			acts.delay = append(acts.delay, named(t.Origin, name))
		}
		if len(t.AddHeader) > 0 {
			v.Headers = append(v.Headers, headersView{
				For: named(t.Origin, name), Pattern: exim.Regex(name), Lines: headerLines(t.AddHeader),
			})
		}
		switch t.Verdict {
		case plan.Accept:
		case plan.Freeze:
			acts.freeze = append(acts.freeze, named(t.Origin, name))
		default:
			v.Verdicts = append(v.Verdicts, verdict(t.Origin, name, t.Verdict, t.Message))
		}
	}
}

// judged says whether a limit's rates are looked at where this is asked: for an event that it
// counts, or, where it counts what is read from the log, with what it knows by then. Elsewhere it is
// asked about its blocks only.
func (e *emitter) judged(l *plan.Limit, stage string, asks []plan.Ask) bool {
	fromLog := slices.ContainsFunc(l.Events, func(w plan.WeightedEvent) bool { return plan.Events[w.Event].Log })
	return slices.ContainsFunc(asks, func(a plan.Ask) bool {
		return slices.Contains(a.Policies, l.Ref()) && a.Event != plan.Held &&
			(a.Event != plan.Blocked || fromLog && (stage == plan.Rcpt || stage == plan.NotSMTP))
	})
}

func verdict(o plan.Origin, name, verdict, message string) verdictView {
	v := verdictView{
		For:     named(o, name),
		Verb:    exim.Text(fmt.Sprintf("%-6s", verdict)),
		Verdict: exim.Text(verdict),
		Pattern: exim.Regex(name),
		Log:     "exipol: " + exim.Text(name),
	}
	if verdict != plan.Discard {
		v.Message = reply(verdict, message, name)
	}
	return v
}

// reply is an SMTP reply of a fixed code, the policy's own text, and its name, so
// that the sender's postmaster can say which policy it was.
func reply(verdict, message, name string) exim.Text {
	code := exim.Text("550 5.7.1 ")
	if verdict == plan.Defer {
		code = "451 4.7.1 "
	}
	return code + exim.Quote(message+" ("+name+")")
}
