package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// TestDeskProperty compares a limit that blocks with a list of all that happened: over random
// questions at two gateways, bounces that are read late, twice and out of order, decisions of the desk, and
// clocks that jump. Nothing is forgotten before its window ends or held longer than a few thirty-sixths
// of it; a case is opened by exactly what is over a rate; what is in force acts at the next command of the
// gateway that opened it, and everywhere within half a second.
func TestDeskProperty(t *testing.T) {
	var opened, raised, released, blocked, late, on int
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, rand.New(rand.NewPCG(seed, 4)))
			for range 400 {
				m.step()
			}
			m.sums()
			opened, raised, released, blocked, late, on = opened+len(m.mem.cases), raised+m.raised, released+m.released, blocked+m.frozen, late+m.late, on+m.onProbation
		})
	}
	if opened < 200 || raised < 50 || released < 100 || blocked < 500 || late < 1000 || on < 20 {
		t.Errorf("a weak test: %d cases, %d raised, %d released, %d blocked, %d read late, %d on probation", opened, raised, released, blocked, late, on)
	}
}

// model is a world with a list of all that counts.
type model struct {
	*world
	random  *rand.Rand
	l       plan.Limit
	window  time.Duration
	events  map[string][]time.Time // by user
	changed map[string]int         // when a case was opened or decided last, by user; in turns
	turn    int
	readAt  [2]int // when each gateway read; in turns
	told    []engine.Happening
	refresh [2]time.Time      // when each gateway read the standings last
	said    [2]engine.Runtime // what they were
	n       int

	raised, released, frozen, late, onProbation int
}

var modelUsers = []string{"bob", "eve"}

func newModel(t *testing.T, random *rand.Rand) *model {
	m := &model{random: random, events: map[string][]time.Time{}, changed: map[string]int{}}
	m.window = []time.Duration{10 * time.Second, 5 * time.Minute, time.Hour, 24 * time.Hour}[random.IntN(4)]
	rates := func(n int64) []plan.Rate { return []plan.Rate{{Count: n, Per: plan.Duration(m.window)}} }
	first := 2 + random.Int64N(4)
	warn := plan.Tier{Name: "warn", Verdict: accept, Over: rates(first), Notify: []string{"notice.desk"}}
	block := blocking(plan.Tier{Name: "block", Over: rates(first + random.Int64N(3))}, func(b *plan.Block) {
		if random.IntN(2) == 0 {
			b.Until = plan.Duration(m.window / time.Duration(1+random.IntN(3)))
		}
		b.Probation = &plan.Probation{Lasts: plan.Duration(m.window), Share: []int64{0, 50, 100}[random.IntN(3)]}
	})
	m.l = stolen([]plan.Tier{warn, block}, func(l *plan.Limit) {
		l.Events = []plan.WeightedEvent{{Event: plan.Bounce, Weight: 1}, {Event: plan.InvalidRecipient, Weight: 1}}
	})
	m.world = newWorld(t, makePlan(m.l))
	m.live.Explain = false
	m.wait(time.Duration(random.Int64N(int64(m.window))).Truncate(time.Millisecond))
	for gateway := range m.said {
		m.read(gateway)
	}
	return m
}

// read is a gateway's reading of the standings.
func (m *model) read(gateway int) {
	m.turn++
	m.said[gateway], m.refresh[gateway], m.readAt[gateway] = *m.mem.runtime(), m.now, m.turn
}

// pass lets time pass; every gateway reads every half second.
func (m *model) pass(d time.Duration) {
	for range min(d/(500*time.Millisecond), 3) { // what they read meanwhile is the same
		m.wait(500 * time.Millisecond)
		d -= 500 * time.Millisecond
		m.read(0)
		m.read(1)
	}
	m.wait(d)
	if m.now.Sub(m.refresh[0]) >= 500*time.Millisecond {
		m.read(0)
		m.read(1)
	}
}

func (m *model) step() {
	id, gateway := modelUsers[m.random.IntN(2)], m.random.IntN(2)
	m.pass(time.Duration(m.random.ExpFloat64() * float64(m.window) / 20).Truncate(time.Millisecond))
	m.n++
	switch m.random.IntN(10) {
	case 0:
		if s := m.mem.standing[[2]string{"limit.stolen", id}]; s.Open(m.now.UnixMilli()) {
			m.wait(time.Millisecond)
			m.mem.release("limit.stolen", id, m.now.UnixMilli(), m.now.Add(m.window).UnixMilli())
			m.turn++
			m.changed[id] = m.turn
			m.read(gateway)
			m.released++
		}
	case 1, 2, 3:
		m.ask(rcpt(id, false), id, gateway, false)
	case 4, 5, 6:
		m.ask(rcpt(id, true), id, gateway, true)
	case 7, 8:
		at := m.now.Add(-time.Duration(m.random.ExpFloat64() * float64(m.window) / 4).Truncate(time.Millisecond))
		m.told = append(m.told, bounced(id, m.n, at))
		m.tell(m.told[len(m.told)-1], gateway)
	case 9:
		if len(m.told) > 0 { // the same log once more
			again := m.told[m.random.IntN(len(m.told))]
			writes := len(m.happens(again).Writes)
			if writes > 0 {
				m.t.Fatalf("%s was counted twice", again.Item)
			}
		}
	}
}

// ask is a question of a user's at a gateway.
func (m *model) ask(q wire.Question, id string, gateway int, bad bool) {
	m.t.Helper()
	before := m.mem.standing[[2]string{"limit.stolen", id}]
	m.live.Runtime, m.live.Gateway = &m.said[gateway], fmt.Sprint("gw", gateway)
	d := m.world.ask(q)
	fresh := m.readAt[gateway] > m.changed[id]
	must, may := false, false
	if bad {
		m.events[id] = append(m.events[id], m.now)
		must, may = m.judge(id, before, m.now, d.Writes)
	}
	if engine.Opens(d.Writes) {
		m.turn++
		m.changed[id] = m.turn
		m.read(gateway)
	}
	// In force everywhere, once it was read.
	now := m.now.UnixMilli()
	frozen, inForce := d.Answer.Verdict == plan.Freeze, before.InForce(now)
	switch {
	case !frozen && (must || inForce && (fresh || bad)):
		m.t.Fatalf("at %s: %s of %s is accepted, and blocked is %+v", m.now.Sub(start), q.Events, id, before)
	case frozen && !may && !inForce && (fresh || bad):
		m.t.Fatalf("at %s: %s of %s is frozen, and the standing is %+v", m.now.Sub(start), q.Events, id, before)
	}
	if frozen {
		m.frozen++
	}
}

// tell is what a gateway reads in its log.
func (m *model) tell(hp engine.Happening, gateway int) {
	m.t.Helper()
	before := m.mem.standing[[2]string{"limit.stolen", hp.Auth}]
	m.live.Runtime = &m.said[gateway]
	out := m.happens(hp)
	switch {
	case hp.At.Before(m.now.Add(-m.window)), hp.At.UnixMilli() < before.Cleared:
		if engine.Opens(out.Writes) {
			m.t.Fatalf("%s opens a case, and it is too old", hp.At.Sub(start))
		}
		return
	case hp.At.Before(m.now.Add(-m.window / engine.Slots)):
		m.late++
	}
	m.events[hp.Auth] = append(m.events[hp.Auth], hp.At)
	m.judge(hp.Auth, before, hp.At, out.Writes)
	if engine.Opens(out.Writes) {
		m.turn++
		m.changed[hp.Auth] = m.turn
		m.read(gateway)
	}
}

// most is the largest number of events since the release in any window of that length that holds at and
// ends by now.
func (m *model) most(id string, s engine.Standing, at time.Time, length time.Duration) (most int64) {
	for _, first := range append(slices.Clone(m.events[id]), at) {
		if first.After(at) || at.Sub(first) >= length {
			continue
		}
		n := int64(0)
		for _, e := range m.events[id] {
			if !e.Before(first) && e.Sub(first) < length && e.UnixMilli() >= s.Cleared {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// judge compares what was opened with what is over a rate, and says whether the tier that blocks must be, and
// may be.
func (m *model) judge(id string, before engine.Standing, at time.Time, writes []engine.Write) (mustBlock, mayBlock bool) {
	m.t.Helper()
	slot := engine.SlotLength(m.window)
	must, may := m.most(id, before, at, m.window), m.most(id, before, at, m.window+3*slot)
	share := int64(100)
	if at.UnixMilli() < before.Probation {
		share = m.l.Tiers[1].Block.Probation.Share
		m.onProbation++
	}
	got := map[string]bool{}
	for _, w := range writes {
		if o, is := w.(engine.OpenCase); is {
			got[o.Tier] = true
		}
	}
	for i, tier := range m.l.Tiers {
		has := before.Open(at.UnixMilli()) && before.Rank > i
		if has && i > 0 && len(got) > 0 {
			m.t.Fatalf("a case that has its highest tier is raised: %v", got)
		}
		most := tier.Over[0].Count * share / 100
		switch {
		case got[tier.Name] && (has || may <= most):
			m.t.Fatalf("at %s, for %s of %s: tier %s opens with at most %d, over %d is needed; %+v", m.now.Sub(start), id, at.Sub(start), tier.Name, may, most, before)
		case !got[tier.Name] && !has && must > most:
			m.t.Fatalf("at %s, for %s of %s: tier %s does not open with %d, over %d; %+v", m.now.Sub(start), id, at.Sub(start), tier.Name, must, most, before)
		}
		if got[tier.Name] && before.Open(at.UnixMilli()) {
			m.raised++
		}
		mustBlock, mayBlock = must > most, may > most // it is the last
	}
	return mustBlock, mayBlock
}

// sums proves that no count was lost or made up.
func (m *model) sums() {
	for _, id := range modelUsers {
		if got, want := m.mem.sum(counterKey{"limit.stolen", id, m.window}), int64(len(m.events[id])); got != want {
			m.t.Errorf("%s: %d were counted, and %d happened", id, got, want)
		}
	}
	for i, c := range m.mem.cases {
		seen := map[string]bool{}
		for _, tier := range c.tiers {
			if seen[tier] {
				m.t.Errorf("case %d: tier %s twice", i+1, tier)
			}
			seen[tier] = true
		}
	}
}
