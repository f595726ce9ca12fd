package engine

import (
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/normalize"
)

// greylist is a plan's greylist, with what is worth finding out once.
type greylist struct {
	*plan.Grey
	ref                    string
	table, trustees, pairs string // the names of its rows: keys, trusted clients, pairs that wait
	each                   bool   // its key differs between the recipients of a message
	keyByPool, trustByPool bool   // they name the client by client.pool
}

func newGreylist(p *plan.Grey) *greylist {
	table := rows(p.Ref(), p.Mode)
	return &greylist{
		Grey: p, ref: p.Ref(), table: table, trustees: table + ".trusted", pairs: table + ".pair",
		each: perRecipientKey(p.Key), keyByPool: pooled(p.Key), trustByPool: p.Trust != nil && pooled(p.Trust.Key),
	}
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

// judgeGrey is greylisting: first contact is deferred, a retry in time passes. At
// RCPT it is about one recipient, later about a whole message: there one key that
// passes takes the others with it, for it is the client that has proven that it
// comes back.
//
// The client's first name is known at once, and whoever passed under it is let in for
// that alone: this is the way of most mail.
func (e *Engine) judgeGrey(j *judgement, g *greylist, h *hearing) error {
	if neverGreylisted(&h.q) {
		j.waive = perRecipient
		j.say("", plan.Accept, "postmaster and abuse are never greylisted")
		return nil
	}
	if h.q.Sender == "" && h.q.Stage == plan.Rcpt {
		j.say("", plan.Accept, "a null sender is greylisted at predata, not here")
		return nil
	}
	var c contact
	n := h.names(g.keyByPool || g.trustByPool)
	client, err := g.standingOf(n.first, h)
	if err != nil {
		return err
	}
	if client.trusted > never {
		j.trust(g, client, h.now)
		return nil
	}
	if err := c.read(g, h, n.first); err != nil {
		return err
	}
	if c.passed {
		if c.letIn(j, g, h.now) && g.keyByPool && h.pool() == "" {
			if err := j.keepDomain(g, h); err != nil {
				return err
			}
		}
		j.credit(g, client, h.now)
		return nil
	}
	return e.judgeContact(j, g, h, &c, n, client)
}

// judgeContact goes on where the client's first name has not passed. What needs no
// facts is decided without them, also where another policy has found them out already:
// no policy's rows depend on what others want to know. Then it matters what SPF says,
// and last of all what makes the contact suspicious; both are asked for together.
func (e *Engine) judgeContact(j *judgement, g *greylist, h *hearing, c *contact, n names, client standing) error {
	retried := c.inTime(g, h.now)
	var pairs []Write
	if !retried {
		enough, writes, err := j.waitedEnough(g, h)
		if err != nil {
			return err
		}
		if enough { // but a client that did not retry has earned no trust
			c.letIn(j, g, h.now)
			return nil
		}
		if e.sparedAtOnce(j, g, h) {
			return nil
		}
		pairs = writes
	}
	if n.unsure {
		h.ask(spfFact)
		if !retried { // otherwise only the name is missing under which it came back
			if _, err := e.inquire(g, h); err != nil {
				return err
			}
		}
		j.mustKnow(h)
		return nil
	}
	if n.second != "" {
		trusted, err := j.secondName(g, h, c, n.second, &client)
		if trusted || err != nil {
			return err
		}
	}
	if c.passed || c.inTime(g, h.now) {
		c.letIn(j, g, h.now)
		j.credit(g, client, h.now)
		return nil
	}
	why, suspicious, err := e.suspect(j, g, h, c)
	if err != nil || !suspicious {
		return err
	}
	j.verdict, j.by, j.why = plan.Defer, j.ref, why
	j.always = append(j.always, pairs...)
	c.note(j, g, why, &h.q, h.now)
	c.explain(j, g, why, h.now)
	return nil
}

// keepDomain moves on the ends of the rows that a contact has under its sender's domain,
// where it passed there: mail that always comes from the same network never asks for
// SPF, and must not be forgotten by the domain's other hosts. That SPF would pass is not
// proven for that, nor need it be: whoever is let in by such a row proves it.
func (j *judgement) keepDomain(g *greylist, h *hearing) error {
	name := h.presumed()
	if name == "" {
		return nil
	}
	var c contact
	if err := c.read(g, h, name); err != nil {
		return err
	}
	c.prolong(j, g, h.now)
	return nil
}

// secondName looks at the client's second name: it may be trusted, and it may have
// passed, under that.
func (j *judgement) secondName(g *greylist, h *hearing, c *contact, name string, client *standing) (bool, error) {
	var err error
	if g.trustByPool {
		if *client, err = g.standingOf(name, h); err != nil {
			return false, err
		}
		if client.trusted > never {
			j.trust(g, *client, h.now)
			return true, nil
		}
	}
	if g.keyByPool {
		err = c.read(g, h, name)
	}
	return false, err
}

// waitedEnough says whether a sender has tried to reach a recipient for so long, from
// whatever client, that it is time to give up; of a whole message, any of its
// recipients. The writes note the first contact of those pairs that are new.
func (j *judgement) waitedEnough(g *greylist, h *hearing) (bool, []Write, error) {
	if g.GiveUp == 0 || h.q.Sender == "" {
		return false, nil, nil
	}
	var writes []Write
	ms := h.now.UnixMilli()
	for i := range h.recipients() {
		k := key(pairKey, &h.q, h.recipient(i), "")
		pair, ok, err := h.st.Seen(g.pairs, k)
		if err != nil {
			return false, nil, err
		}
		if !ok || ms >= pair.Expires || ms < pair.First {
			// A retry counts for as long after give_up as one counts after delay.
			pair = SeenRow{First: ms, Expires: ms + g.GiveUp.Milliseconds() + g.Retry.Milliseconds()}
			writes = append(writes, PutSeen{g.pairs, k, pair})
		}
		if ms-pair.First >= g.GiveUp.Milliseconds() {
			j.say("", plan.Accept, "the sender has tried to reach this recipient for %s: gives up", ago(ms-pair.First))
			return true, nil, nil
		}
	}
	return false, writes, nil
}

var pairKey = []plan.Part{{Field: "sender"}, {Field: "recipient"}}

// ago is a length of time in milliseconds, for reading.
type ago int64

func (a ago) String() string {
	return (time.Duration(a) * time.Millisecond).Round(time.Second).String()
}
