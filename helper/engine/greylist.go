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
	switch age := ms - row.First; {
	case !ok || ms >= row.Expires || row.Passed == 0 && (age > g.Retry.Milliseconds() || age < 0): // age < 0: the clock was ahead
		row = SeenRow{First: ms, Expires: ms + g.Retry.Milliseconds()}
		j.always = append(j.always, PutSeen{table, k, row})
		j.deferIt("first contact, may retry in %s and within %s", g.Delay, g.Retry)
		return nil
	case row.Passed == 0 && age < g.Delay.Milliseconds():
		j.deferIt("seen %s ago, may retry in %s", ago(age), ago(g.Delay.Milliseconds()-age))
		return nil
	case row.Passed == 0:
		row.Passed = ms
		row.Expires = ms + g.Remember.Milliseconds()
		j.always = append(j.always, PutSeen{table, k, row})
		j.say("", plan.Accept, "retried after %s: passes", ago(age))
	default:
		j.say("", plan.Accept, "passed for the first time %s ago", ago(ms-row.Passed))
		if end, far := slid(row.Expires, now, g.Remember); far {
			row.Expires = end
			j.always = append(j.always, PutSeen{table, k, row})
		}
	}
	if t := g.Trust; t != nil && (client.Passes == 0 || ms < client.Counted || ms-client.Counted >= t.Per.Milliseconds()) {
		if client.First == 0 {
			client.First = ms
		}
		client.Passes++
		client.Counted = ms
		client.Expires = ms + t.Remember.Milliseconds()
		j.accepted = append(j.accepted, PutSeen{trustRow(g), key(t.Key, q), client})
	}
	return nil
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
