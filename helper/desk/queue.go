package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/queue"
	"exipol/helper/store"
)

const (
	// arriving is for how long a message that is said to be held may not be in the queue yet: it is said
	// when the message is in, a moment before Exim writes its files.
	arriving = 10 * time.Minute
	// lookEvery is how often the whole queue is read, and lookShare by how much longer than the last
	// reading took the pause is at least.
	lookEvery = time.Minute
	lookShare = 20
	// atOnce is how many messages are thawed or removed in one round.
	atOnce = 500
)

// Queue does what the desk wants with the messages in this gateway's queue, and, where that is due or all
// is set, compares all of the queue with what the store says.
func (d *Desk) Queue(ctx context.Context, all bool) error {
	now := d.now()
	held, err := d.o.Store.Held(ctx, d.o.Gateway)
	if err != nil {
		return err
	}
	freezing, err := d.o.Store.Freezing(ctx, now.UnixMilli())
	if err != nil {
		return err
	}
	p := d.o.Plan()
	spool := queue.Spool{Dir: p.Spool}
	if len(held) > 0 {
		if err := spool.Check(); err != nil {
			return err
		}
	}
	err = d.carryOut(ctx, spool, held, now)
	if all || d.queue.lookDue(len(held) > 0 || blocksMail(p), freezing, now) {
		begin := time.Now()
		left, lookErr := d.look(ctx, p, spool, held, freezing, now)
		d.queue.looked(freezing, now, time.Since(begin), left, lookErr)
	}
	if err != nil && d.queue.lookErr != nil && err.Error() == d.queue.lookErr.Error() {
		return err
	}
	return errors.Join(err, d.queue.lookErr)
}

// blocksMail says whether a block of the plan's freezes mail: the queue may then hold some that
// the store does not know of, from a time when exipold was away.
func blocksMail(p *plan.Plan) bool {
	for _, l := range p.Limits {
		for _, t := range l.Tiers {
			if t.Block != nil && t.Block.Verdict == plan.Freeze && l.Mode == plan.Enforce {
				return true
			}
		}
	}
	return false
}

// carryOut thaws and removes what is wanted.
func (d *Desk) carryOut(ctx context.Context, spool queue.Spool, held []store.Held, now time.Time) error {
	var thaw, remove []queue.Message
	var gone []store.HeldMessage
	var all []error
	for _, h := range held {
		if h.Wanted == store.Keep || len(thaw)+len(remove) >= atOnce || !d.queue.may(h.Message, now) {
			continue
		}
		m, ok, err := spool.Find(h.Message)
		switch {
		case err != nil:
			d.queue.failed(h.Message, now)
			all = append(all, err)
		case !ok && recent(h, now):
			d.queue.failed(h.Message, now)
		case !ok || h.Wanted == store.Thaw && m.Frozen.IsZero():
			gone = append(gone, h.HeldMessage)
		case h.Wanted == store.Thaw:
			thaw = append(thaw, m)
		default:
			remove = append(remove, m)
		}
	}
	thawed, err := d.change(ctx, spool, "thawed", thaw, d.o.Exim.Thaw, func(m queue.Message, there bool) bool { return !there || m.Frozen.IsZero() }, now)
	all = append(all, err)
	removed, err := d.change(ctx, spool, "removed", remove, d.o.Exim.Remove, func(_ queue.Message, there bool) bool { return !there }, now)
	all = append(all, err)
	for _, m := range append(thawed, removed...) {
		gone = append(gone, store.HeldMessage{Gateway: d.o.Gateway, Message: m.ID})
	}
	if len(gone) > 0 {
		all = append(all, d.o.Store.SettleHeld(ctx, now.UnixMilli(), nil, gone))
	}
	d.deliver(thawed)
	return errors.Join(all...)
}

func recent(h store.Held, now time.Time) bool {
	return now.UnixMilli()-h.Since < arriving.Milliseconds()
}

// change has Exim change messages, and sees in the spool which of them are as they should be.
func (d *Desk) change(ctx context.Context, spool queue.Spool, done string, messages []queue.Message,
	command func(context.Context, []queue.Message) error, well func(queue.Message, bool) bool, now time.Time) (changed []queue.Message, err error) {
	if len(messages) == 0 {
		return nil, nil
	}
	said := command(ctx, messages)
	for _, m := range messages {
		is, there, err := spool.Find(m.ID)
		if err != nil || !well(is, there) {
			d.queue.failed(m.ID, now)
			continue
		}
		d.queue.forget(m.ID)
		changed = append(changed, m)
	}
	d.o.Log.Info("queue: "+done, "messages", len(changed), "of", len(messages))
	if n := len(messages) - len(changed); n > 0 {
		if said == nil {
			said = errors.New("no word from Exim about it")
		}
		return changed, fmt.Errorf("of %d messages %d could not be %s yet: %w", len(messages), n, done, said)
	}
	return changed, nil
}

// deliver has Exim try messages in the background.
func (d *Desk) deliver(messages []queue.Message) {
	const inOneRun = 20
	for i := 0; i < len(messages); i += inOneRun {
		some := messages[i:min(i+inOneRun, len(messages))]
		d.wg.Go(func() {
			d.slots <- struct{}{}
			defer func() { <-d.slots }()
			// However long it takes, and also while this process ends: it is Exim's delivery now.
			d.note("delivery", d.o.Exim.Deliver(context.Background(), some))
		})
	}
}

// look reads the whole queue. left says that something is to be done again soon.
func (d *Desk) look(ctx context.Context, p *plan.Plan, spool queue.Spool, held []store.Held, freezing []store.Case, now time.Time) (left bool, err error) {
	s := &sight{d: d, plan: p, now: now, known: map[string]store.Held{}, seen: map[string]bool{}, freezing: map[string]store.Case{}, cases: map[string][]store.Case{}}
	for _, h := range held {
		s.known[h.Message] = h
	}
	for _, c := range freezing { // in the order of their ids: the oldest case has it
		if _, taken := s.freezing[c.Owner]; !taken {
			s.freezing[c.Owner] = c
		}
	}
	for m, err := range spool.Messages(ctx) {
		var broken *queue.Broken
		switch {
		case errors.As(err, &broken):
			s.faults = append(s.faults, err)
		case err != nil:
			return true, err
		default:
			if err := s.message(ctx, d.byStore(m)); err != nil {
				return true, err
			}
		}
	}
	return s.settle(ctx, spool)
}

// byStore is a message with the time by the store's clock at which it was frozen. Exim notes whole seconds, by this
// host's clock; where that is another than the store's it is the end of that second which is compared, for
// clocks never agree to the millisecond.
func (d *Desk) byStore(m queue.Message) queue.Message {
	if d.o.Skew != nil && !m.Frozen.IsZero() {
		m.Frozen = m.Frozen.Add(time.Second - d.o.Skew())
	}
	return m
}

// sight is one reading of the queue.
type sight struct {
	d        *Desk
	plan     *plan.Plan
	now      time.Time
	known    map[string]store.Held
	seen     map[string]bool         // of those
	freezing map[string]store.Case   // by owner
	cases    map[string][]store.Case // by policy, as far as they were wanted

	found  []engine.PutHeld
	gone   []store.HeldMessage
	freeze []queue.Message
	faults []error
	strays int
}

// message looks at one message.
func (s *sight) message(ctx context.Context, m queue.Message) error {
	h, known := s.known[m.ID]
	if known {
		s.seen[m.ID] = true
		if h.Wanted == store.Keep && m.Frozen.IsZero() {
			s.gone = append(s.gone, h.HeldMessage) // somebody has thawed it
		} else if h.Size == 0 && !m.Frozen.IsZero() {
			s.put(m, store.Case{ID: h.Case}) // while it came in, its size was not known
		}
		return nil
	}
	owner := store.Short(ownerOf(m, s.plan))
	if !m.Frozen.IsZero() && m.Hold != "" {
		c, ok, err := s.caseOf(ctx, m, owner)
		if err != nil || ok {
			s.put(m, c)
			return err
		}
		s.strays++
		return nil
	}
	c, blocked := s.freezing[owner]
	switch {
	case !blocked || owner == "":
	case m.Frozen.IsZero() && !m.Thawed:
		s.freeze = append(s.freeze, m)
	case !m.Frozen.IsZero() && m.Frozen.Unix() >= c.Opened/1000:
		s.put(m, c) // by us, before the store had our word for it
	}
	return nil
}

func (s *sight) put(m queue.Message, c store.Case) {
	if c.ID != 0 {
		s.found = append(s.found, engine.PutHeld{Gateway: s.d.o.Gateway, Message: m.ID, Case: c.ID, At: m.Frozen.UnixMilli(), Size: m.Size})
	}
}

// caseOf finds the case of a message that a block has marked.
func (s *sight) caseOf(ctx context.Context, m queue.Message, owner string) (store.Case, bool, error) {
	policy := policyOf(m.Hold)
	cases, read := s.cases[policy]
	if !read {
		var err error
		cases, err = s.d.o.Store.Cases(ctx, store.CaseFilter{All: true, Policy: policy, Now: s.now.UnixMilli()})
		if err != nil {
			return store.Case{}, false, err
		}
		s.cases[policy] = cases
	}
	c, ok := choose(m, owner, keyOf(m, policy, s.plan), cases)
	return c, ok, nil
}

// settle freezes what has to be, and tells the store.
func (s *sight) settle(ctx context.Context, spool queue.Spool) (left bool, err error) {
	for id, h := range s.known {
		if s.seen[id] || h.Wanted != store.Keep || recent(h, s.now) {
			continue
		}
		// It may have been passed over while Exim wrote the file anew; or it cannot be read.
		if _, there, err := spool.Find(id); err == nil && !there {
			s.gone = append(s.gone, h.HeldMessage)
		}
	}
	frozen, err := s.d.change(ctx, spool, "frozen", s.freeze, s.d.o.Exim.Freeze, func(m queue.Message, there bool) bool { return !there || !m.Frozen.IsZero() }, s.now)
	for _, m := range frozen {
		if is, there, err := spool.Find(m.ID); err == nil && there {
			s.put(s.d.byStore(is), s.freezing[store.Short(ownerOf(m, s.plan))])
		}
	}
	if s.strays > 0 {
		s.faults = append(s.faults, fmt.Errorf("%d frozen messages are marked as held by a block, and belong to no case: see exim -bp", s.strays))
	}
	all := append(s.faults, err)
	if len(s.found)+len(s.gone) > 0 {
		all = append(all, s.d.o.Store.SettleHeld(ctx, s.now.UnixMilli(), s.found, s.gone))
	}
	return err != nil, errors.Join(all...)
}
