package engine_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
)

// someFacts are made up about a client and a sender, the same as long as the hour
// lasts, so that what is unclear may be clear at the retry.
func someFacts(seed uint64, now func() time.Time) func(wire.Question) engine.Facts {
	return func(q wire.Question) engine.Facts {
		b := q.Client.As4()
		domain := q.Sender[strings.IndexByte(q.Sender, '@')+1:]
		random := rand.New(rand.NewPCG(seed+uint64(now().Unix()/3600)<<20, uint64(b[2])<<16+uint64(len(domain))<<8+uint64(b[3])))
		out := engine.Facts{
			SPF:       []string{"pass", "pass", "pass", "fail", "softfail", "none", "temperror", "permerror"}[random.IntN(8)],
			SPFDomain: domain, SPFOpen: random.IntN(6) == 0, Found: found{},
		}
		for _, f := range []plan.Fact{noName, listed, dnswl} {
			out.Found[f] = []engine.Finding{engine.Unclear, engine.No, engine.No, engine.Yes}[random.IntN(4)]
		}
		return out
	}
}

// somePolicy is a greylist with any choice of what may be chosen.
func somePolicy(random *rand.Rand) plan.Grey {
	some := func(facts ...plan.Fact) (out []plan.Fact) {
		for _, f := range facts {
			if random.IntN(2) == 0 {
				out = append(out, f)
			}
		}
		return out
	}
	return grey(func(g *plan.Grey) {
		if random.IntN(3) > 0 {
			byPool(g)
		}
		if random.IntN(2) == 0 {
			trust(g)
			if random.IntN(2) == 0 {
				g.Trust.Key = []plan.Part{{Field: "pool"}}
			}
		}
		if random.IntN(3) > 0 {
			g.Suspicious = some(noName, listed, spfFails)
		}
		if random.IntN(3) == 0 {
			g.Spare = some(inPool, dnswl, known)
		}
		if random.IntN(3) == 0 {
			urgent(g)
		}
		g.OnFailure = []string{plan.Pass, plan.Defer}[random.IntN(2)]
		g.GiveUp = []plan.Duration{0, dur("2h"), dur("4h")}[random.IntN(3)]
		g.Retry = dur("6h")
	})
}

// someQuestion is one of few enough for retries.
func someQuestion(random *rand.Rand, g plan.Grey) wire.Question {
	event := plan.Recipient
	if len(g.Urgent) > 0 {
		event = plan.WholeMessage
	}
	q := says(event,
		func(q *wire.Question) {
			q.Client = netip.AddrFrom4([4]byte{192, 0, byte(random.IntN(4)), byte(1 + random.IntN(2))})
		},
		sender([]string{"a@example.org", "b@example.org", "c@x.test", "d@mail.shop.example"}[random.IntN(4)]),
		to("r"+strconv.Itoa(random.IntN(3))+"@example.com"))
	if event == plan.WholeMessage {
		for range random.IntN(3) {
			q.Others = append(q.Others, "r"+strconv.Itoa(random.IntN(3))+"@example.com")
		}
		if random.IntN(4) == 0 {
			q.From, q.Dkim = "x@shop.example", []string{"shop.example"}
		}
	}
	return q
}

func somePools(a netip.Addr) string {
	if a.As4()[2] == 3 {
		return "big"
	}
	return ""
}

// TestSelectiveGreylisting checks what must hold whatever the policy is, whatever can
// be found out and whenever it is asked. (That nothing is asked for twice, world checks.)
func TestSelectiveGreylisting(t *testing.T) {
	deferred, asked, quiet := 0, 0, 0
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 9))
		g := somePolicy(random)
		watch := somePolicy(random)
		watch.Name, watch.Mode = "watch", plan.Observe
		w := newWorld(t, makePlan(codes, knownList, g))
		o := newWorld(t, makePlan(codes, knownList, g, watch))
		w.live.Pool, o.live.Pool = somePools, somePools
		w.truth = someFacts(seed, func() time.Time { return w.now })
		o.truth = w.truth
		pairs := pairModel{}
		for range 150 {
			step := time.Duration(random.ExpFloat64() * float64(20*time.Minute)).Truncate(time.Millisecond)
			w.wait(step)
			o.wait(step)
			q := someQuestion(random, g)
			passed := w.passedAtOnce(g, q)
			d := w.ask(q)
			if passed && (len(w.asked) > 0 || d.Answer.Verdict != accept) {
				t.Fatalf("seed %d: %+v passed, and yet it asks for %v: %s", seed, q, w.asked, reasons(d))
			}
			if d.Answer.Verdict == later {
				deferred++
				w.checkReasons(g, q, d)
			}
			if g.GiveUp > 0 {
				pairs.check(t, w, g, q, d)
			}
			if len(w.asked) > 0 {
				asked++
			} else {
				quiet++
			}
			// An observer beside it changes nothing.
			if also := o.ask(q); also.Answer.Verdict != d.Answer.Verdict || also.Answer.By != d.Answer.By {
				t.Fatalf("seed %d: %s, but with an observer beside it %s", seed, d.Answer, also.Answer)
			}
		}
		for k, row := range w.mem.seen {
			if o.mem.seen[k] != row {
				t.Fatalf("seed %d: with an observer beside it the row %v is another", seed, k)
			}
		}
	}
	if deferred < 1000 || asked < 1000 || quiet < 1000 {
		t.Errorf("a weak test: %d deferred, %d asked, %d did not", deferred, asked, quiet)
	}
}

// passedAtOnce says whether a key passed, under the client's name that is known
// without a question.
func (w *world) passedAtOnce(g plan.Grey, q wire.Question) bool {
	name := netip.PrefixFrom(q.Client, 24).Masked().String()
	if g.Key[0].Field == "pool" && somePools(q.Client) != "" {
		name = "pool:big"
	}
	for _, r := range append([]string{q.Recipient}, q.Others...) {
		row, ok := w.mem.seen[[2]string{ref, name + "|" + q.Sender + "|" + r}]
		if ok && row.Passed != 0 && w.now.UnixMilli() < row.Expires {
			return true
		}
	}
	return false
}

// checkReasons: a deferral has a reason that the policy names, and nothing that spares.
func (w *world) checkReasons(g plan.Grey, q wire.Question, d engine.Decision) {
	w.t.Helper()
	truth := w.truth(q)
	proven := truth.SPF == "pass" && !truth.SPFOpen
	holds, unclear := len(g.Suspicious) == 0, false
	for _, f := range g.Suspicious {
		if f == spfFails {
			holds = holds || truth.SPF == "fail" || truth.SPF == "softfail"
			unclear = unclear || truth.SPF == "temperror"
			continue
		}
		holds = holds || truth.Found[f] == engine.Yes
		unclear = unclear || truth.Found[f] == engine.Unclear
	}
	if !holds && !(unclear && g.OnFailure == plan.Defer) {
		w.t.Errorf("%+v is deferred, and nothing is suspicious: %+v, %s", q, truth, reasons(d))
	}
	spared := slices.Contains(g.Spare, inPool) && somePools(q.Client) != "" ||
		slices.Contains(g.Spare, dnswl) && truth.Found[dnswl] == engine.Yes ||
		slices.Contains(g.Spare, known) && proven && strings.HasSuffix(q.Sender, "@example.org") ||
		len(g.Urgent) > 0 && (q.From != "" || proven && strings.HasSuffix(q.Sender, "shop.example"))
	if spared {
		w.t.Errorf("%+v is deferred, though it is spared: %+v, %s", q, truth, reasons(d))
	}
	if len(d.Answer.Why) == 0 || len(g.Suspicious) == 0 && d.Answer.Why[0] != "first_contact" {
		w.t.Errorf("deferred because of %v", d.Answer.Why)
	}
}

// pairModel is when each sender was deferred for the first time, for each recipient.
type pairModel map[string]time.Time

// check: no pair is deferred when its time is over. It begins anew when nothing has
// come of it for as long as a retry counts.
func (m pairModel) check(t *testing.T, w *world, g plan.Grey, q wire.Question, d engine.Decision) {
	t.Helper()
	for _, r := range append([]string{q.Recipient}, q.Others...) {
		pair := q.Sender + " " + r
		first, waits := m[pair]
		over := waits && w.now.Sub(first) >= (g.GiveUp+g.Retry).Std()
		switch {
		case d.Answer.Verdict != later:
		case !waits || over:
			m[pair] = w.now
		case w.now.Sub(first) >= g.GiveUp.Std():
			t.Fatalf("%s has been deferred for %s: %s", pair, w.now.Sub(first), reasons(d))
		}
	}
}

// TestWholeMessageOfOne: a message with one recipient is judged as its recipient would
// be, and leaves the same behind.
func TestWholeMessageOfOne(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 10))
		whole := somePolicy(random)
		urgent(&whole)
		whole.Urgent[0].List = "nobody"
		each := whole
		each.Urgent = nil
		nobody := plan.List{Name: "nobody"}
		a, b := newWorld(t, makePlan(knownList, nobody, whole)), newWorld(t, makePlan(knownList, nobody, each))
		for _, w := range []*world{a, b} {
			w.live.Pool = somePools
			w.truth = someFacts(seed, func() time.Time { return w.now })
		}
		for range 150 {
			step := time.Duration(random.ExpFloat64() * float64(20*time.Minute)).Truncate(time.Millisecond)
			a.wait(step)
			b.wait(step)
			q := someQuestion(random, each)
			message := q
			message.Stage, message.Events = plan.Data, []string{plan.WholeMessage}
			x, y := a.ask(message), b.ask(q)
			if !reflect.DeepEqual(x.Answer, y.Answer) || !slices.Equal(a.asked, b.asked) {
				t.Fatalf("seed %d: %+v is\n%s\nas a message, and\n%s", seed, q, x.Answer, y.Answer)
			}
		}
		if !reflect.DeepEqual(a.mem.seen, b.mem.seen) {
			t.Fatalf("seed %d: other rows", seed)
		}
	}
}
