package desk

import (
	"fmt"
	"strings"
	"time"

	"exipol/generator/plan"
)

// letter says that the store cannot be used, and what that means.
func (o *outage) letter(p *plan.Plan, gateway string, now time.Time) letter {
	var b strings.Builder
	b.WriteString(wrapped("", "exipold on %s cannot use its store (%s) since %s:", Shown(gateway), Shown(p.Store.String()), moment(o.Since.UnixMilli())))
	fmt.Fprintf(&b, "\n  %s\n", brief(Shown(o.Why), mostLine))
	b.WriteString("\nWhat that means\n")
	known, deferring, passing := onFailure(p)
	say := func(names []string, format string) {
		if len(names) > 0 {
			b.WriteString(wrapped("  ", format, strings.Join(names, ", ")))
		}
	}
	say(known, "Whoever was blocked stays blocked, and nobody else is, by %s.")
	say(deferring, "Mail is refused for the moment, to come again later, by %s.")
	say(passing, "Mail passes, and is not counted, at %s.")
	if len(p.Mainlog) > 0 {
		b.WriteString(wrapped("  ", "What Exim's main log tells is counted later: nothing of that is lost."))
	}
	b.WriteString(wrapped("  ", "No case can be opened or decided. What is held stays held."))
	b.WriteString("\nWhat you can do (on this gateway, as root)\n  See how it is:\n    exipold status\n  See what is wrong, and what mends it:\n    exipold doctor\n\n")
	b.WriteString(wrapped("", "exipold goes on by itself when the store can be used again, and you are told then."))
	return o.sealed(p, gateway, now, "away", "exipol: the store cannot be used on "+gateway, b.String())
}

// overLetter says that it can be used again.
func (o *outage) overLetter(p *plan.Plan, gateway string, now time.Time) letter {
	var b strings.Builder
	b.WriteString(wrapped("", "exipold on %s can use its store (%s) again since %s. It could not since %s, for %s.", Shown(gateway), Shown(p.Store.String()),
		moment(o.Over.UnixMilli()), moment(o.Since.UnixMilli()), o.Over.Sub(o.Since).Round(time.Second)))
	b.WriteString("\n")
	if len(p.Mainlog) > 0 {
		b.WriteString(wrapped("", "What Exim's main log told meanwhile is being counted. What was asked at SMTP time meanwhile was not counted, and is not."))
	} else {
		b.WriteString(wrapped("", "What was asked meanwhile was not counted, and is not."))
	}
	return o.sealed(p, gateway, now, "back", "exipol: the store can be used again on "+gateway, b.String())
}

func (o *outage) sealed(p *plan.Plan, gateway string, now time.Time, what, subject, text string) letter {
	return letter{
		id: fmt.Sprintf("exipol.store.%d.%s@%s", o.Since.Unix(), what, hostOf(gateway)), date: now, from: p.Admin, name: "exipold on " + brief(ascii(gateway), mostWho),
		to: []string{p.Admin}, subject: brief(Shown(subject), 2*mostWho), extra: [][2]string{{"X-Exipol-Store", what}}, text: text,
	}
}

// onFailure sorts the plan's policies by what they do while the store is away. Those that only observe, and what Exim
// counts itself, are not affected.
func onFailure(p *plan.Plan) (known, deferring, passing []string) {
	sort := func(ref, mode, onFailure string, blocks bool) {
		switch {
		case mode == plan.Observe:
		case onFailure == plan.DeferMail:
			deferring = append(deferring, ref)
		case onFailure == plan.LastKnown && blocks:
			known = append(known, ref)
		default:
			passing = append(passing, ref)
		}
	}
	for _, g := range p.Greylists {
		sort(g.Ref(), g.Mode, g.OnFailure, false)
	}
	for _, l := range p.Limits {
		if l.Engine != plan.EngineHelper {
			continue
		}
		blocks := false
		for _, t := range l.Tiers {
			blocks = blocks || t.Block != nil
		}
		sort(l.Ref(), l.Mode, l.OnFailure, blocks)
	}
	return known, deferring, passing
}
