package desk

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/queue"
	"exipol/helper/store"
)

// digestAgain is how long after one that failed a digest is tried again.
const digestAgain = 15 * time.Minute

// Digests sends those that are due.
func (d *Desk) Digests(ctx context.Context) error {
	p := d.o.Plan()
	var all []error
	for _, n := range p.Notices {
		if n.Digest > 0 {
			if err := d.digest(ctx, p, n); err != nil {
				all = append(all, fmt.Errorf("digest for %s: %w", n.Ref(), err))
			}
		}
	}
	return errors.Join(all...)
}

func (d *Desk) digest(ctx context.Context, p *plan.Plan, n plan.Notice) error {
	now := d.now()
	from, due, err := d.o.Store.ClaimDigest(ctx, n.Ref(), d.o.Gateway, now.UnixMilli(), now.Add(lease).UnixMilli(), n.Digest.Milliseconds())
	if err != nil || !due {
		return err
	}
	cases, err := d.o.Store.Cases(ctx, store.CaseFilter{All: true, Now: now.UnixMilli()})
	if err != nil {
		return err
	}
	s := summary{plan: p, receiver: n, gateway: d.o.Gateway, from: from, now: now, cases: ofDigest(p, n, cases, from)}
	if len(s.cases) == 0 {
		return d.o.Store.SettleDigest(ctx, n.Ref(), d.o.Gateway, now.UnixMilli(), true)
	}
	if err := d.sum(ctx, s); err != nil {
		if now.UnixMilli()-from < (giveUp + n.Digest.Std()).Milliseconds() {
			return errors.Join(err, d.o.Store.SettleDigest(ctx, n.Ref(), d.o.Gateway, now.Add(digestAgain).UnixMilli(), false))
		}
		d.o.Log.Error("a digest is given up", "receiver", n.Ref(), "since", moment(from), "error", err)
	} else {
		d.o.Log.Info("digest", "receiver", n.Ref(), "cases", len(s.cases))
	}
	err = d.o.Store.SettleDigest(ctx, n.Ref(), d.o.Gateway, now.UnixMilli(), true)
	if err == nil {
		d.settled(s.id())
	}
	return err
}

// sum mails and posts a digest. What was mailed is not mailed again because the webhook failed,
// but where this process ended in between.
func (d *Desk) sum(ctx context.Context, s summary) error {
	var mailErr, postErr error
	if len(s.receiver.Mail) > 0 {
		_, mailErr = d.once("mail", s.id(), func() error { return d.mail(ctx, s.letter()) })
	}
	if s.receiver.Webhook != "" {
		_, postErr = d.once("post", s.id(), func() error { return d.post(ctx, s.receiver.Webhook, s.id(), s.payload()) })
	}
	return both(mailErr, postErr)
}

// ofDigest are the cases of the policies that notify a receiver, which were opened since from or
// are open still; newest first, as they come.
func ofDigest(p *plan.Plan, n plan.Notice, all []store.Case, from int64) []store.Case {
	var some []store.Case
	for _, c := range all {
		if (c.State == store.CaseOpen || c.Opened >= from) && notifies(p, c.Policy, n.Ref()) {
			some = append(some, c)
		}
	}
	return some
}

func notifies(p *plan.Plan, policy, receiver string) bool {
	l, ok := limitOf(p, policy)
	return ok && slices.ContainsFunc(l.Tiers, func(t plan.Tier) bool { return slices.Contains(t.Notify, receiver) })
}

// summary is a digest.
type summary struct {
	plan     *plan.Plan
	receiver plan.Notice
	gateway  string
	from     int64
	now      time.Time
	cases    []store.Case
}

// id is the same for every try. It names the receiver's host, for any gateway may send it.
func (s summary) id() string {
	host := ""
	if len(s.receiver.Mail) > 0 {
		_, host, _ = strings.Cut(s.receiver.Mail[0], "@")
	} else if at, err := url.Parse(s.receiver.Webhook); err == nil {
		host = at.Hostname()
	}
	return fmt.Sprintf("exipol.digest.%s.%d@%s", atom(s.receiver.Ref()), s.from/1000, hostOf(host))
}

func (s summary) subject() string {
	open := 0
	for _, c := range s.cases {
		if c.State == store.CaseOpen {
			open++
		}
	}
	if len(s.cases) == 1 {
		return fmt.Sprintf("exipol: 1 case, %s", s.cases[0].State)
	}
	return fmt.Sprintf("exipol: %d cases, %d of them open", len(s.cases), open)
}

// mostCases is how many a digest lists.
const mostCases = 200

func (s summary) letter() letter {
	var b strings.Builder
	b.WriteString(wrapped("", "The cases of %s that were opened since %s, or are open still, newest first:", s.receiver.Ref(), moment(s.from)))
	b.WriteString("\n")
	for _, c := range s.cases[:min(len(s.cases), mostCases)] {
		state := c.State
		if c.State == store.CaseOpen && c.Blocks {
			state = "blocked"
		}
		fmt.Fprintf(&b, "  %d  %s, %s/%s, %s, %d held\n     opened %s on %s; last: %s\n",
			c.ID, brief(Shown(c.Who), mostWho), c.Policy, c.Tier, state, c.Held, moment(c.Opened), Shown(c.Gateway), brief(Shown(c.LastWord), mostLine))
	}
	if more := len(s.cases) - mostCases; more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	b.WriteString("\nSee one:  exipold case show NUMBER\nAll open: exipold case list\n")
	l := letter{
		id: s.id(), date: s.now, name: "exipold on " + brief(ascii(s.gateway), mostWho), to: s.receiver.Mail, subject: s.subject(), text: b.String(),
		extra: [][2]string{{"X-Exipol-Digest", s.receiver.Ref()}},
	}
	if queue.ValidAddress(s.plan.Admin) {
		l.from = s.plan.Admin
	}
	return l
}

// digestPayload is what a webhook gets as a digest.
type digestPayload struct {
	FormatVersion string   `json:"format_version"`
	Kind          string   `json:"kind"` // digest
	ID            string   `json:"id"`
	Gateway       string   `json:"gateway"`
	Receiver      string   `json:"receiver"`
	Summary       string   `json:"summary"`
	From          string   `json:"from"`
	Cases         []Record `json:"cases"`
}

func (s summary) payload() digestPayload {
	p := digestPayload{
		FormatVersion: FormatVersion, Kind: "digest", ID: s.id(), Gateway: s.gateway, Receiver: s.receiver.Ref(),
		Summary: s.subject(), From: stamp(s.from), Cases: []Record{},
	}
	for _, c := range s.cases {
		p.Cases = append(p.Cases, NewRecord(c))
	}
	return p
}
