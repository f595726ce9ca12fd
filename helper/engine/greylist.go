package engine

import (
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// trustRow names the rows of the clients that a greylist policy may trust.
func trustRow(g *plan.Grey) string { return rows(g.Ref(), g.Mode) + ".trusted" }

// trusted says whether a client's row makes it trusted now.
func trusted(t *plan.Trust, row SeenRow, now time.Time) bool {
	return row.Passes >= t.After && now.UnixMilli() < row.Expires
}

// slid is the new end of a sliding expiry, and whether it moved far enough to be
// worth a write: a thirty-sixth of its length, either way (a clock that was ahead has
// left ends that are too far off).
func slid(expires int64, now time.Time, length plan.Duration) (int64, bool) {
	end := now.UnixMilli() + length.Milliseconds()
	lag := length.Milliseconds() / Slots
	return end, end-expires > lag || expires-end > lag
}

// neverGreylisted says whether all recipients are those that must always be
// reachable: RFC 5321 4.5.1 and RFC 2142.
func neverGreylisted(q *wire.Question) bool {
	for _, other := range q.Others {
		if !alwaysReachable(other) {
			return false
		}
	}
	return alwaysReachable(q.Recipient)
}

func alwaysReachable(recipient string) bool {
	local, domain := splitAddress(normalize.Listed(recipient))
	if local == "" {
		local = domain // the bare "postmaster" of RFC 5321
	}
	return local == "postmaster" || local == "abuse"
}

// judgeGrey is greylisting: first contact is deferred, a retry in time passes.
func (e *Engine) judgeGrey(j *judgement, g *plan.Grey, q *wire.Question, now time.Time, st State) error {
	if neverGreylisted(q) {
		j.waive = perRecipient
		j.say("", plan.Accept, "postmaster and abuse are never greylisted")
		return nil
	}
	if q.Sender == "" && q.Stage == plan.Rcpt {
		j.say("", plan.Accept, "a null sender is greylisted at predata, not here")
		return nil
	}
	var client SeenRow
	if g.Trust != nil {
		row, ok, err := st.Seen(trustRow(g), key(g.Trust.Key, q))
		if err != nil {
			return err
		}
		if ok && now.UnixMilli() < row.Expires {
			client = row
		}
		if ok && trusted(g.Trust, row, now) {
			j.waive = scopeOfKey(g.Trust.Key)
			j.say("", plan.Accept, "the client is trusted after %d passes", row.Passes)
			if end, far := slid(row.Expires, now, g.Trust.Remember); far {
				row.Expires = end
				j.accepted = append(j.accepted, PutSeen{trustRow(g), key(g.Trust.Key, q), row})
			}
			return nil
		}
	}
	return e.judgeTriplet(j, g, q, now, st, client)
}

// judgeTriplet looks at the policy's own key; client is the row that trust is
// earned in, empty for none.
func (e *Engine) judgeTriplet(j *judgement, g *plan.Grey, q *wire.Question, now time.Time, st State, client SeenRow) error {
	table, k := rows(g.Ref(), g.Mode), key(g.Key, q)
	row, ok, err := st.Seen(table, k)
	if err != nil {
		return err
	}
	ms := now.UnixMilli()
	age := ms - row.First
	fresh := !ok || ms >= row.Expires || row.Passed == 0 && (age > g.Retry.Milliseconds() || age < 0) // age < 0: the clock was ahead
	early := !fresh && row.Passed == 0 && age < g.Delay.Milliseconds()
	if !fresh && !early {
		j.letIn(table, k, row, g.Remember, now)
		j.credit(g, q, client, now)
		return nil
	}
	enough, err := j.waitedEnough(g, q, now, st)
	if err != nil {
		return err
	}
	if fresh {
		row = SeenRow{First: ms, Expires: ms + g.Retry.Milliseconds()}
	}
	switch {
	case enough: // but a client that did not retry has earned no trust
		j.letIn(table, k, row, g.Remember, now)
	case fresh:
		j.always = append(j.always, PutSeen{table, k, row})
		j.deferIt("first contact, may retry in %s and within %s", g.Delay, g.Retry)
	default:
		j.deferIt("seen %s ago, may retry in %s", ago(age), ago(g.Delay.Milliseconds()-age))
	}
	return nil
}

// letIn notes that a key passed, or moves its end on.
func (j *judgement) letIn(table, k string, row SeenRow, remember plan.Duration, now time.Time) {
	ms := now.UnixMilli()
	if row.Passed == 0 {
		j.say("", plan.Accept, "retried after %s: passes", ago(ms-row.First))
		row.Passed = ms
		row.Expires = ms + remember.Milliseconds()
		j.always = append(j.always, PutSeen{table, k, row})
		return
	}
	j.say("", plan.Accept, "passed for the first time %s ago", ago(ms-row.Passed))
	if end, far := slid(row.Expires, now, remember); far {
		row.Expires = end
		j.always = append(j.always, PutSeen{table, k, row})
	}
}

// credit counts a pass for the client, one in a while.
func (j *judgement) credit(g *plan.Grey, q *wire.Question, client SeenRow, now time.Time) {
	t, ms := g.Trust, now.UnixMilli()
	if t == nil || client.Passes > 0 && ms >= client.Counted && ms-client.Counted < t.Per.Milliseconds() {
		return
	}
	if client.First == 0 {
		client.First = ms
	}
	client.Passes++
	client.Counted = ms
	client.Expires = ms + t.Remember.Milliseconds()
	j.accepted = append(j.accepted, PutSeen{trustRow(g), key(t.Key, q), client})
}

// waitedEnough says whether a sender has tried to reach a recipient for so long, from
// whatever client, that it is time to give up. The pair's first contact is noted.
func (j *judgement) waitedEnough(g *plan.Grey, q *wire.Question, now time.Time, st State) (bool, error) {
	if g.GiveUp == 0 || q.Sender == "" {
		return false, nil
	}
	table := rows(g.Ref(), g.Mode) + ".pair"
	k := key([]plan.Part{{Field: "sender"}, {Field: "recipient"}}, q)
	pair, ok, err := st.Seen(table, k)
	if err != nil {
		return false, err
	}
	ms := now.UnixMilli()
	if !ok || ms >= pair.Expires || ms < pair.First {
		// A retry counts for as long after give_up as one counts after delay.
		pair = SeenRow{First: ms, Expires: ms + g.GiveUp.Milliseconds() + g.Retry.Milliseconds()}
		j.always = append(j.always, PutSeen{table, k, pair})
	}
	if ms-pair.First < g.GiveUp.Milliseconds() {
		return false, nil
	}
	j.say("", plan.Accept, "the sender has tried to reach this recipient for %s: gives up", ago(ms-pair.First))
	return true, nil
}

func (j *judgement) deferIt(format string, args ...any) {
	j.verdict, j.by = plan.Defer, j.ref
	j.say("", plan.Defer, format, args...)
}

// ago is a length of time in milliseconds, for reading.
type ago int64

func (a ago) String() string {
	return (time.Duration(a) * time.Millisecond).Round(time.Second).String()
}
