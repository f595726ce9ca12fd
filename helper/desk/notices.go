package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/queue"
	"exipol/helper/store"
)

const (
	// lease is for how long a gateway has notices for itself: longer than the tries of those that
	// it takes at a time can last.
	lease       = 10 * time.Minute
	noticesOnce = 5
	// giveUp is how long after it was made a notice is no longer tried.
	giveUp = 5 * 24 * time.Hour
)

// pauses are those between the tries of a notice; the last one again and again.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour}

// GivenUp begins the error of a notice that nobody tries any more.
const GivenUp = "given up: "

// Notices tells what is due: as long as there is some, and ctx has not ended. Those that are claimed together
// are told at the same time, and a webhook that failed is left alone for this round: neither a host that hangs nor
// many cases at once keep the mail of another.
func (d *Desk) Notices(ctx context.Context) error {
	if err := d.sayUnsaid(ctx); err != nil {
		return err
	}
	var all []error
	d.mu.Lock()
	clear(d.failing)
	d.mu.Unlock()
	for ctx.Err() == nil {
		now := d.now()
		due, err := d.o.Store.ClaimNotices(ctx, d.o.Gateway, now.UnixMilli(), now.Add(lease).UnixMilli(), noticesOnce)
		if err != nil {
			return errors.Join(append(all, err)...)
		}
		errs := make([]error, len(due))
		var wg sync.WaitGroup
		for i, n := range due {
			wg.Go(func() { errs[i] = d.notice(ctx, n) })
		}
		wg.Wait()
		all = append(all, errs...)
		if len(due) < noticesOnce {
			break
		}
	}
	return errors.Join(all...)
}

// notice tries to tell one, and notes what came of it.
func (d *Desk) notice(ctx context.Context, n store.Notice) error {
	file, err := d.o.Store.Case(ctx, n.Case)
	if errors.Is(err, store.ErrNoCase) {
		return d.settle(ctx, n, "", final(err))
	}
	if err != nil {
		return err // the lease ends, and it is due again
	}
	t := telling{plan: d.o.Plan(), file: file, notice: n, gateway: d.o.Gateway, now: d.now()}
	if n.Receiver == plan.NotifyOwner {
		err = d.tellOwner(ctx, t, &n)
	} else if receiver, ok := noticeOf(t.plan, n.Receiver); ok {
		err = d.tell(ctx, t, receiver, &n)
	} else { // they may have it soon: a newer plan, which another gateway has already, opened the case
		err = fmt.Errorf("the policies have no %s", n.Receiver)
	}
	return d.settle(ctx, n, t.id(), err)
}

// unsaid is what came of a try, and the id of what was told.
type unsaid struct {
	notice store.Notice
	id     string
}

// sayUnsaid tells the store what it could not be told before. Where it hears that before the lease ends, nobody is told
// twice.
func (d *Desk) sayUnsaid(ctx context.Context) error {
	for {
		d.mu.Lock()
		var next unsaid
		some := len(d.unsaid) > 0
		if some {
			next = d.unsaid[0]
		}
		d.mu.Unlock()
		if !some {
			return nil
		}
		if err := d.o.Store.SettleNotice(ctx, next.notice); err != nil && store.AtFault(err) {
			return err
		}
		d.settled(next.id)
		d.mu.Lock()
		d.unsaid = d.unsaid[1:]
		d.mu.Unlock()
	}
}

// finalError is one that no further try can mend.
type finalError struct{ error }

func final(err error) error { return finalError{err} }

// tell does what is left to do of a receiver's mail and webhook. That one of them fails
// does not keep the other.
func (d *Desk) tell(ctx context.Context, t telling, receiver plan.Notice, n *store.Notice) error {
	var mailErr, postErr error
	if len(receiver.Mail) > 0 && n.Mailed == 0 {
		n.Mailed, mailErr = d.once("mail", t.id(), func() error { return d.mail(ctx, t.letter(receiver.Mail)) })
	}
	if receiver.Webhook != "" && n.Posted == 0 {
		n.Posted, postErr = d.once("post", t.id(), func() error { return d.postUnlessFailing(ctx, receiver.Webhook, t) })
	}
	return both(mailErr, postErr)
}

// postUnlessFailing posts, unless this webhook has just failed.
func (d *Desk) postUnlessFailing(ctx context.Context, url string, t telling) error {
	d.mu.Lock()
	failing := d.failing[url]
	d.mu.Unlock()
	if failing {
		return errors.New("webhook: it has just failed for another notice")
	}
	err := d.post(ctx, url, t.id(), t.payload())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing[url] = err != nil
	return err
}

// once does a mail or a post, unless it went out before and the store could not be told. It says when it did, in
// Unix milliseconds; 0 where it failed.
func (d *Desk) once(way, id string, do func() error) (at int64, err error) {
	way += " " + id
	d.mu.Lock()
	at = d.sent[way]
	d.mu.Unlock()
	if at != 0 {
		return at, nil
	}
	if err := do(); err != nil {
		return 0, err
	}
	at = d.now().UnixMilli()
	d.mu.Lock()
	d.sent[way] = at
	d.mu.Unlock()
	return at, nil
}

// settled forgets what went out by an id: the store knows.
func (d *Desk) settled(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sent, "mail "+id)
	delete(d.sent, "post "+id)
}

// both joins two errors; it is final where each that there is is.
func both(a, b error) error {
	var f finalError
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case errors.As(a, &f) && errors.As(b, &f):
		return final(fmt.Errorf("%w; %w", a, b))
	}
	return fmt.Errorf("%v; %v", a, b)
}

func (d *Desk) tellOwner(ctx context.Context, t telling, n *store.Notice) error {
	if n.Mailed != 0 {
		return nil
	}
	to := ownerAddress(t.file.Owner)
	if to == "" {
		return final(fmt.Errorf("there is no address of %s", Shown(t.file.Who)))
	}
	var err error
	n.Mailed, err = d.once("mail", t.id(), func() error { return d.mail(ctx, t.ownerLetter(to)) })
	return err
}

// settleDeadline is how long the store may take to hear what came of a try, also when this process is to end:
// else somebody would be told again.
const settleDeadline = 10 * time.Second

// settle tells the store what came of a try.
func (d *Desk) settle(ctx context.Context, n store.Notice, id string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleDeadline)
	defer cancel()
	var f finalError
	now := d.now()
	n.Due, n.Error = 0, ""
	switch {
	case err == nil:
		d.o.Log.Info("told", "case", n.Case, "tier", n.Tier, "receiver", n.Receiver, "tries", n.Tries+1)
	case errors.As(err, &f) || now.UnixMilli()-n.Made >= giveUp.Milliseconds():
		n.Tries++
		n.Error = GivenUp + err.Error()
		d.o.Log.Error("a notice is given up", "case", n.Case, "tier", n.Tier, "receiver", n.Receiver, "error", err)
	default:
		n.Due = now.Add(pauses[min(n.Tries, len(pauses)-1)]).UnixMilli()
		n.Tries++
		n.Error = err.Error()
		d.o.Log.Warn("a notice was not delivered", "case", n.Case, "tier", n.Tier, "receiver", n.Receiver, "tries", n.Tries, "next", moment(n.Due), "error", err)
	}
	if err := d.o.Store.SettleNotice(ctx, n); err != nil {
		if store.AtFault(err) {
			d.mu.Lock()
			d.unsaid = append(d.unsaid, unsaid{n, id})
			d.mu.Unlock()
		}
		return err
	}
	d.settled(id)
	return nil
}

// mail gives a letter to Exim, from the site's admin, so that he hears of it where it comes back.
func (d *Desk) mail(ctx context.Context, l letter) error {
	for _, to := range l.to {
		if !queue.ValidAddress(to) && !queue.ValidLogin(to) {
			return final(fmt.Errorf("%s is no address that mail can be written to", Shown(to)))
		}
	}
	// Exim would go on without us, and the mail would be sent again: what has begun is waited for.
	if err := d.o.Exim.Submit(context.WithoutCancel(ctx), l.from, l.to, l.bytes()); err != nil {
		return fmt.Errorf("mail to %s: %w", strings.Join(l.to, ", "), err)
	}
	return nil
}
