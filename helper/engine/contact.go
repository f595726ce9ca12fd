package engine

import (
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// keyed is one key of a contact, and its row.
type keyed struct {
	key       string
	recipient int // whose key it is
	name      int // by which of the client's names
	row       SeenRow
	live      bool // the row counts
}

// contact is what the store knows of a greylist's keys for a question: one key for
// each recipient (where the key tells them apart) and each name of the client. All of
// them are written together, so that the client is known by any of its names the next
// time.
type contact struct {
	rows   []keyed
	names  int   // how many names were looked at; the last is the strongest
	passed bool  // one of the keys did
	known  bool  // one of them counts
	first  int64 // the earliest first contact of those that count
}

// read looks at the keys for one name of the client.
func (c *contact) read(g *greylist, h *hearing, name string) error {
	recipients := 1
	if g.each {
		recipients = h.recipients()
	}
	ms := h.now.UnixMilli()
	for i := range recipients {
		k := keyed{key: key(g.Key, &h.q, h.recipient(i), name), recipient: i, name: c.names}
		row, ok, err := h.st.Seen(g.table, k.key)
		if err != nil {
			return err
		}
		if ok && counted(g, row, ms) {
			k.row, k.live = row, true
			if !c.known || row.First < c.first {
				c.first = row.First
			}
			c.known = true
			c.passed = c.passed || row.Passed != 0
		}
		c.rows = append(c.rows, k)
	}
	c.names++
	return nil
}

// counted says whether a row still means something: one that waits does so for as
// long as a retry counts.
func counted(g *greylist, row SeenRow, ms int64) bool {
	if ms >= row.Expires {
		return false
	}
	age := ms - row.First
	return row.Passed != 0 || age >= 0 && age <= g.Retry.Milliseconds() // age < 0: the clock was ahead
}

// inTime says whether this is a retry that is late enough, and not too late.
func (c *contact) inTime(g *greylist, now time.Time) bool {
	return c.known && now.UnixMilli()-c.first >= g.Delay.Milliseconds()
}

// letIn notes that all keys passed, or moves their ends on. It says whether there was
// anything to note.
func (c *contact) letIn(j *judgement, g *greylist, now time.Time) (noted bool) {
	ms := now.UnixMilli()
	if j.explain && c.known {
		c.explainPass(j, ms)
	}
	for _, k := range c.rows {
		if !k.live {
			k.row = SeenRow{First: ms}
		}
		if k.row.Passed == 0 {
			k.row.Passed, k.row.Expires = ms, ms+g.Remember.Milliseconds()
		} else {
			end, far := slid(k.row.Expires, now, g.Remember)
			if !far {
				continue
			}
			k.row.Expires = end
		}
		noted = true
		j.always = append(j.always, PutSeen{g.table, k.key, k.row})
	}
	return noted
}

// prolong moves on the ends of those keys that have passed, and no others.
func (c *contact) prolong(j *judgement, g *greylist, now time.Time) {
	end := now.UnixMilli() + g.Remember.Milliseconds()
	for _, k := range c.rows {
		if k.live && k.row.Passed != 0 && k.row.Expires != end {
			k.row.Expires = end
			j.always = append(j.always, PutSeen{g.table, k.key, k.row})
		}
	}
}

func (c *contact) explainPass(j *judgement, ms int64) {
	for _, k := range c.rows {
		if k.row.Passed != 0 {
			j.say("", plan.Accept, "passed for the first time %s ago", ago(ms-k.row.Passed))
			return
		}
	}
	j.say("", plan.Accept, "retried after %s: passes", ago(ms-c.first))
}

// note writes down the first contact of the keys that have none. A further name of a
// client that waits already waits with it. The reasons, and who it was, stand in one
// row of each recipient only, so that they can be counted.
func (c *contact) note(j *judgement, g *greylist, why []string, q *wire.Question, now time.Time) {
	kept := g.Retry.Milliseconds()
	if j.observe {
		kept = max(kept, ObservedFor.Milliseconds())
	}
	for _, k := range c.rows {
		if k.live {
			continue
		}
		first, waits := c.firstOf(k.recipient)
		if !waits {
			first = now.UnixMilli()
		}
		row := SeenRow{First: first, Expires: first + kept}
		if !waits && k.name == c.names-1 {
			row.Why, row.Who = strings.Join(why, ","), who(q)
		}
		j.always = append(j.always, PutSeen{g.table, k.key, row})
	}
}

// ObservedFor is how long an observing greylist keeps those who did not write again, at
// least: whoever decides whether to enforce it wants to see more than a day of them. They
// count as waiting for no longer than a retry does.
const ObservedFor = 14 * 24 * time.Hour

// who is a question's client, for people: its address, and its host name if Exim knows
// one, else the HELO name in brackets.
func who(q *wire.Question) string {
	name := q.Host
	if name == "" || name == wire.HostNone || name == wire.HostUnclear {
		if name = ""; q.Helo != "" {
			name = "(" + q.Helo[:min(len(q.Helo), 255)] + ")"
		}
	}
	client := "local"
	if q.Client.IsValid() {
		client = q.Client.String()
	}
	return strings.ToValidUTF8(strings.TrimSpace(client+" "+name), "?")
}

// firstOf is the earliest first contact of one recipient, under any name.
func (c *contact) firstOf(recipient int) (first int64, ok bool) {
	for _, k := range c.rows {
		if k.recipient == recipient && k.live && (!ok || k.row.First < first) {
			first, ok = k.row.First, true
		}
	}
	return first, ok
}

// reasons is why the contact was deferred the first time, nil where nobody knows.
func (c *contact) reasons() []string {
	for _, k := range c.rows {
		if k.row.Why != "" {
			return strings.Split(k.row.Why, ",")
		}
	}
	return nil
}

// explain says for how long the contact is deferred.
func (c *contact) explain(j *judgement, g *greylist, why []string, now time.Time) {
	if !j.explain {
		return
	}
	because := ""
	if len(g.Suspicious) > 0 {
		because = "; suspicious: " + strings.Join(why, ", ")
	}
	if !c.known {
		j.say("", plan.Defer, "first contact, may retry in %s and within %s%s", g.Delay, g.Retry, because)
		return
	}
	age := now.UnixMilli() - c.first
	j.say("", plan.Defer, "seen %s ago, may retry in %s%s", ago(age), ago(g.Delay.Milliseconds()-age), because)
}
