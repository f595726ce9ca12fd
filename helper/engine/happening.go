package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// Happening is an event that was read from a log.
type Happening struct {
	Event   string    // plan.Bounce, AuthFailure, Login or RejectedRecipient
	Class   string    // of a bounce: no_such_user, no_such_domain, full, policy or other
	Traffic string    // as in plan
	At      time.Time // the log's own time
	Gateway string
	Message string // id in the log; "" where there is none
	Item    string // with Gateway and Message, what makes it unique

	Client    netip.Addr // zero for local traffic
	Helo      string
	Sender    string
	Recipient string // the address that failed, or was refused
	Auth      string // the authenticated id
	User      string // the local login
	Login     string // the login that was tried or used; "" where the log does not say
	Line      string // of the log, for people
}

// Outcome is what becomes of a happening.
type Outcome struct {
	Writes []Write // to be applied in the transaction that the state belongs to; none where nothing counts
	Known  bool    // it was counted before, and counts no more
	Hits   []Hit   // entries of lists that matched; read only
}

// countedFor is how long a bounce counts for those who only ask how many there were.
const countedFor = 24 * time.Hour

// noteHappenings remembers who counts what is read from the log.
func (e *Engine) noteHappenings(l *limit) {
	if l.Engine != plan.EngineHelper {
		return
	}
	for _, w := range l.Events {
		if !plan.Events[w.Event].Log {
			continue
		}
		all := append(e.happenings[w.Event], l)
		slices.SortFunc(all, func(a, b *limit) int { return strings.Compare(a.ref, b.ref) })
		e.happenings[w.Event] = all
		longest := max(e.horizons[w.Event], l.longest)
		if w.Event == plan.Bounce {
			longest = max(longest, countedFor)
		}
		e.horizons[w.Event] = longest
	}
}

// Count counts a happening for every limit that it concerns, and opens cases. An event that is known
// counts for nobody, and one that is older than a limit's longest window not for that limit.
// Windows end when it happened, or later, as far as they hold it: what is read late may fill one
// that others have begun. An error is an error of st's.
func (e *Engine) Count(hp Happening, now time.Time, st State, live Live) (Outcome, error) {
	if hp.At.After(now) { // it cannot have
		hp.At = now
	}
	horizon := e.horizons[hp.Event]
	limits := e.happenings[hp.Event]
	if hp.At.Before(now.Add(-horizon)) || !slices.ContainsFunc(limits, func(l *limit) bool { return l.hears(&hp) }) {
		return Outcome{}, nil
	}
	known, err := st.Known(hp.Gateway, hp.Message, hp.Item)
	if err != nil || known {
		return Outcome{Known: known}, err
	}
	live.Facts, live.Explain = nil, false
	h := &hearing{q: hp.question(), now: now, at: hp.At, st: st, live: live, happened: &hp}
	out := Outcome{Writes: []Write{PutEvent{
		Gateway: hp.Gateway, Message: hp.Message, Item: hp.Item, Kind: hp.Event, Owner: h.owner(),
		At: hp.At.UnixMilli(), Expires: hp.At.Add(horizon + time.Hour).UnixMilli(),
	}}}
	for _, l := range limits {
		if !l.hears(&hp) || hp.At.Before(now.Add(-l.longest)) || hp.Event == plan.Bounce && len(l.Classes) > 0 && !slices.Contains(l.Classes, hp.Class) {
			continue
		}
		j, err := e.judge(l.ref, h)
		if err != nil {
			return Outcome{}, fmt.Errorf("%s: %w", l.ref, err)
		}
		out.Writes = append(out.Writes, j.always...)
	}
	out.Hits = h.hits
	return out, nil
}

// hears says whether a happening is of the traffic that the limit is about. Who failed to log in
// has no traffic of his own yet: he is a stranger, also where his address might relay.
func (l *limit) hears(hp *Happening) bool {
	switch l.Traffic {
	case hp.Traffic:
		return true
	case "":
		return hp.Traffic == plan.Submission || hp.Traffic == plan.Relay || hp.Traffic == plan.Local
	case plan.Inbound:
		return hp.Event == plan.AuthFailure && hp.Traffic == plan.Relay
	}
	return false
}

// question is what lists and keys compare.
func (hp *Happening) question() wire.Question {
	stage := plan.Rcpt
	if hp.Sender == "" && (hp.Event == plan.AuthFailure || hp.Event == plan.Login) {
		stage = plan.Auth // there is no sender yet
	}
	return wire.Question{
		Stage: stage, Half: plan.Before, Traffic: hp.Traffic, Events: []string{hp.Event}, Message: hp.Message,
		Client: hp.Client, Helo: hp.Helo, Sender: hp.Sender, Recipient: hp.Recipient, Auth: hp.Auth, User: hp.User,
	}
}

// delivery counts a delivery that failed for good, as Exim tells it itself (plan.FromEvent).
func (e *Engine) delivery(q *wire.Question, now time.Time, st State, live Live) (Decision, error) {
	d := Decision{Answer: wire.Answer{Verdict: plan.Accept, Waive: wire.WaiveNo}}
	if !slices.Contains(q.Events, plan.Bounce) || q.Sender == "" {
		return d, nil
	}
	class, item := "other", q.Recipient
	if live.Failure != nil {
		class, item = live.Failure(*q)
	}
	out, err := e.Count(Happening{
		Event: plan.Bounce, Class: class, Traffic: q.Traffic, At: now, Gateway: live.Gateway, Message: q.Message, Item: item,
		Client: q.Client, Helo: q.Helo, Sender: q.Sender, Recipient: q.Recipient, Auth: q.Auth, User: q.User,
		Line: fmt.Sprintf("%s ** %s: %s", q.Message, q.Recipient, q.Text),
	}, now, st, live)
	if err != nil {
		return Decision{}, err
	}
	d.Writes, d.Hits = out.Writes, out.Hits
	if live.Explain {
		text := "counts a bounce of class " + class
		if out.Known {
			text = "this bounce was counted before"
		}
		d.Reasons = []Reason{{Verdict: plan.Accept, Text: text}}
	}
	return d, nil
}
