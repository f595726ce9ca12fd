package engine_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// memory is a store for one test: maps, and what was asked of it.
type memory struct {
	seen    map[[2]string]engine.SeenRow
	counter map[counterKey]map[int64]int64 // by slot
	member  map[[2]string]map[string]int64
	reads   []string
	fail    error
	desk
}

type counterKey struct {
	policy, key string
	window      time.Duration
}

func newMemory() *memory {
	return &memory{seen: map[[2]string]engine.SeenRow{}, counter: map[counterKey]map[int64]int64{}, member: map[[2]string]map[string]int64{}, desk: newDesk()}
}

func (m *memory) Seen(policy, key string) (engine.SeenRow, bool, error) {
	m.reads = append(m.reads, "seen "+policy)
	row, ok := m.seen[[2]string{policy, key}]
	return row, ok, m.fail
}

// broken is a store that fails for the keys, or the tables, that begin so.
type broken struct {
	*memory
	at string
}

func (b broken) Seen(policy, key string) (engine.SeenRow, bool, error) {
	if strings.HasPrefix(key, b.at) || strings.HasPrefix(policy, b.at) {
		return engine.SeenRow{}, false, errors.New("broken")
	}
	return b.memory.Seen(policy, key)
}

func (m *memory) Count(policy, key string, window time.Duration, from, to int64) (n int64, err error) {
	m.reads = append(m.reads, "count "+policy)
	for at, v := range m.counter[counterKey{policy, key, window}] {
		if from <= at && at <= to {
			n += v
		}
	}
	return n, m.fail
}

func (m *memory) Distinct(policy, key, member string, since, until, most int64) (n, at int64, err error) {
	m.reads = append(m.reads, "distinct "+policy)
	members := m.member[[2]string{policy, key}]
	for _, v := range members {
		if since <= v && v <= until {
			n++
		}
	}
	if v := members[member]; since <= v && v <= until {
		at = v
	}
	return min(n, most), at, m.fail
}

func (m *memory) apply(t *testing.T, now time.Time, writes []engine.Write) {
	t.Helper()
	for _, w := range writes {
		var expires int64
		switch w := w.(type) {
		case engine.PutSeen:
			m.seen[[2]string{w.Policy, w.Key}] = w.Row
			expires = w.Row.Expires
		case engine.AddCount:
			k := counterKey{w.Policy, w.Key, w.Window}
			if m.counter[k] == nil {
				m.counter[k] = map[int64]int64{}
			}
			m.counter[k][w.Slot] += w.N
			expires = w.Expires
		case engine.PutDistinct:
			k := [2]string{w.Policy, w.Key}
			if m.member[k] == nil {
				m.member[k] = map[string]int64{}
			}
			m.member[k][w.Member] = w.At
			expires = w.Expires
		default:
			var known bool
			if expires, known = m.desk.apply(w); !known {
				t.Fatalf("a write of type %T", w)
			}
			if expires == 0 {
				continue
			}
		}
		if expires <= now.UnixMilli() {
			t.Errorf("%+v has expired before it is written", w)
		}
	}
}

// world is an engine with a store, a clock, what is said at run time, and what can be
// found out.
type world struct {
	t     *testing.T
	e     *engine.Engine
	mem   *memory
	now   time.Time
	live  engine.Live
	truth func(q wire.Question) engine.Facts // nil: nothing can be found out
	asked []plan.Fact                        // for the last question
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, p *plan.Plan) *world {
	t.Helper()
	e, err := engine.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, e: e, mem: newMemory(), now: start, live: engine.Live{Explain: true}}
}

// ask decides, and keeps what that asks for.
func (w *world) ask(q wire.Question) engine.Decision {
	w.t.Helper()
	d := w.decide(q)
	w.mem.apply(w.t, w.now, d.Writes)
	return d
}

// decide finds out what must be known for a decision. Nothing is asked for twice, and
// the facts are there in two rounds.
func (w *world) decide(q wire.Question) engine.Decision {
	w.t.Helper()
	live := w.live
	w.asked = nil
	for range 3 {
		d, err := w.e.Decide(q, w.now, w.mem, live)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(d.Needs) == 0 {
			return d
		}
		for _, f := range d.Needs {
			if slices.Contains(w.asked, f) {
				w.t.Fatalf("%v is asked for again: %s", f, reasons(d))
			}
		}
		w.asked = append(w.asked, d.Needs...)
		live.Facts = w.find(q, live.Facts, d.Needs)
	}
	w.t.Fatalf("it wants to know more and more: %v", w.asked)
	return engine.Decision{}
}

// find is what was known, and the truth about what must be known.
func (w *world) find(q wire.Question, have *engine.Facts, needs []plan.Fact) *engine.Facts {
	var truth engine.Facts
	if w.truth != nil {
		truth = w.truth(q)
	}
	out := engine.Facts{Found: map[plan.Fact]engine.Finding{}}
	if have != nil {
		out.SPF, out.SPFDomain, out.SPFOpen = have.SPF, have.SPFDomain, have.SPFOpen
		maps.Copy(out.Found, have.Found)
	}
	for _, f := range needs {
		if f.Name == plan.SPF {
			out.SPF, out.SPFDomain, out.SPFOpen = cmp.Or(truth.SPF, "temperror"), truth.SPFDomain, truth.SPFOpen
			continue
		}
		out.Found[f] = max(truth.Found[f], engine.Unclear)
	}
	return &out
}

// want asks, and compares the verdict and who gave it.
func (w *world) want(q wire.Question, verdict, by string) engine.Decision {
	w.t.Helper()
	d := w.ask(q)
	if d.Answer.Verdict != verdict || d.Answer.By != by {
		w.t.Errorf("at %s: %s by %q, want %s by %q; %s", w.now.Sub(start), d.Answer.Verdict, d.Answer.By, verdict, by, reasons(d))
	}
	return d
}

func reasons(d engine.Decision) string {
	var s string
	for _, r := range d.Reasons {
		s += fmt.Sprintf("[%s %s %s: %s]", r.Policy, r.Tier, r.Verdict, r.Text)
	}
	return s
}

func (w *world) wait(d time.Duration) { w.now = w.now.Add(d) }

func dur(s string) plan.Duration {
	d, err := plan.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

func rate(s string) plan.Rate {
	r, err := plan.ParseRate(s)
	if err != nil {
		panic(err)
	}
	return r
}

var (
	clientNet = plan.Part{Field: "client", V4: 24, V6: 64}
	clientIP  = plan.Part{Field: "client", V4: 32, V6: 128}
)

// grey is the greylist policy of most tests.
func grey(change ...func(*plan.Grey)) plan.Grey {
	g := plan.Grey{
		Name: "inbound", Traffic: plan.Inbound, Key: []plan.Part{clientNet, {Field: "sender"}, {Field: "recipient"}},
		Delay: dur("5m"), Retry: dur("24h"), Remember: dur("36d"), Mode: plan.Enforce, OnFailure: plan.Pass, Message: "later",
	}
	for _, c := range change {
		c(&g)
	}
	return g
}

func trust(g *plan.Grey) {
	g.Trust = &plan.Trust{Key: []plan.Part{clientNet}, After: 3, Per: dur("1h"), Remember: dur("36d")}
}

// limit counts one event, for the tiers of a text like "slow 3/1h deny".
func limit(name, event string, tiers []plan.Tier, change ...func(*plan.Limit)) plan.Limit {
	l := plan.Limit{
		Name: name, Traffic: plan.Inbound, Events: []plan.WeightedEvent{{Event: event, Weight: 1}}, Key: []plan.Part{clientIP},
		Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass, Tiers: tiers,
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

func tier(name, verdict string, over ...string) plan.Tier {
	t := plan.Tier{Name: name, Verdict: verdict}
	for _, o := range over {
		t.Over = append(t.Over, rate(o))
	}
	return t
}

func only(t plan.Tier) []plan.Tier { return []plan.Tier{t} }

// stageOf is where each event happens.
var stageOf = map[string][2]string{
	plan.Connection: {plan.Connect, plan.Before}, plan.HeloEvent: {plan.Helo, plan.Before},
	plan.UnknownRecipient: {plan.Rcpt, plan.Before}, plan.Recipient: {plan.Rcpt, plan.After},
	plan.InvalidRecipient: {plan.Rcpt, plan.Before},
	plan.NullSender:       {plan.Predata, plan.After}, plan.Message: {plan.Data, plan.After}, plan.WholeMessage: {plan.Data, plan.After},
}

// makePlan puts policies into a plan, with the windows and stages that go with them.
func makePlan(policies ...any) *plan.Plan {
	p := &plan.Plan{Exim: "4.94", MaxDelay: dur("1m"), Forwarders: []string{"198.51.100.7/32", "2001:db8:f::/48"}}
	concerned := map[[2]string][]string{} // traffic and event
	for _, policy := range policies {
		switch v := policy.(type) {
		case plan.Grey:
			p.Greylists = append(p.Greylists, v)
			events := []string{plan.Recipient, plan.NullSender}
			if len(v.Urgent) > 0 {
				events = []string{plan.WholeMessage}
			}
			for _, event := range events {
				concerned[[2]string{v.Traffic, event}] = append(concerned[[2]string{v.Traffic, event}], v.Ref())
			}
		case plan.Limit:
			rates := []plan.Rate{}
			for _, t := range v.Tiers {
				rates = append(rates, t.Over...)
			}
			for _, o := range v.Overrides {
				for _, t := range o.Over {
					rates = append(rates, t.Over...)
				}
			}
			v.Windows = nil
			for _, r := range rates {
				v.Windows = append(v.Windows, r.Per)
			}
			slices.Sort(v.Windows)
			v.Windows = slices.Compact(v.Windows)
			p.Limits = append(p.Limits, v)
			for _, e := range v.Events {
				if !plan.Events[e.Event].Log {
					concerned[[2]string{v.Traffic, e.Event}] = append(concerned[[2]string{v.Traffic, e.Event}], v.Ref())
				}
			}
		case plan.List:
			p.Lists = append(p.Lists, v)
			for _, l := range v.Learn {
				at := [2]string{l.Traffic, plan.Message}
				if !slices.Contains(concerned[at], v.Ref()) {
					concerned[at] = append(concerned[at], v.Ref())
				}
			}
		case plan.Pool:
			p.Pools = append(p.Pools, v)
		default:
			panic(fmt.Sprintf("no policy of type %T", v))
		}
	}
	asks := deskAsks(p, concerned)
	for _, name := range plan.StageOrder {
		s := plan.Stage{Name: name, Before: asks[[2]string{name, plan.Before}], After: asks[[2]string{name, plan.After}]}
		for at, refs := range concerned {
			where := stageOf[at[1]]
			if where[0] != name {
				continue
			}
			slices.Sort(refs)
			ask := plan.Ask{Traffic: at[0], Event: at[1], Policies: refs}
			if where[1] == plan.Before {
				s.Before = append(s.Before, ask)
			} else {
				s.After = append(s.After, ask)
			}
		}
		p.Stages = append(p.Stages, s)
	}
	return p
}

// says is a question about one event, from a stranger, for bob.
func says(event string, change ...func(*wire.Question)) wire.Question {
	q := wire.Question{
		Plan: "0", Stage: stageOf[event][0], Half: stageOf[event][1], Traffic: plan.Inbound, Events: []string{event}, Nonce: "1.1",
		Client: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.org", Sender: "alice@example.org", Recipient: "bob@example.com",
	}
	if event == plan.NullSender {
		q.Sender = ""
	}
	for _, c := range change {
		c(&q)
	}
	return q
}

func from(ip string) func(*wire.Question) {
	return func(q *wire.Question) { q.Client = netip.MustParseAddr(ip) }
}

func helo(s string) func(*wire.Question)   { return func(q *wire.Question) { q.Helo = s } }
func sender(s string) func(*wire.Question) { return func(q *wire.Question) { q.Sender = s } }
func to(s string) func(*wire.Question)     { return func(q *wire.Question) { q.Recipient = s } }
func auth(s string) func(*wire.Question)   { return func(q *wire.Question) { q.Auth = s } }
