package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/internal/dnstest"
)

// lists measures what lists cost that are long.
func (b *bench) lists() {
	dns := b.nameServer()
	b.learned(dns)
	b.written(dns)
}

// correspondents are those that the users of a site have written to.
type correspondents struct {
	planID string
	count  atomic.Int64 // those that the list has learned, or is about to
}

// correspondent is the n-th of them.
func correspondent(n int64) string {
	return fmt.Sprintf("first.last%d@firm-%d.example", n, n%50021)
}

// some is one of the first so many, in no order.
func some(n int64, many int) int64 { return n * 7368787 % int64(many) }

// submission is the question of a user's message to the n-th correspondent.
func (c *correspondents) submission(buf []byte, nonce, n int64) ([]byte, []byte) {
	user := fmt.Sprintf("user%d@local.test", nonce%5003)
	return fmt.Appendf(buf, "v=1 plan=%s at=data.after traffic=submission events=message nonce=1.%d ip=198.51.100.7 helo=%s sender=%s rcpt=%s auth=%s host= from=%s dkim=\n",
		c.planID, nonce, inBase64("laptop"), inBase64(user), inBase64(correspondent(n)), inBase64(user), inBase64(user)), saysAccept
}

// learn has the list learn one more with each question.
func (c *correspondents) learn(buf []byte, n int64) ([]byte, []byte) {
	return c.submission(buf, n, c.count.Add(1)-1)
}

// learnAgain names those that it knows.
func (c *correspondents) learnAgain(buf []byte, n int64) ([]byte, []byte) {
	return c.submission(buf, n, some(n, int(c.count.Load())))
}

// answers are mail of one of the first so many to whom nothing was known: only the list
// can let them in with that answer.
func (c *correspondents) answers(many int) source {
	d := starterDialect(c.planID)
	return func(buf []byte, n int64) ([]byte, []byte) {
		t := newTriplet(n, "")
		t.sender = correspondent(some(n, many))
		return d.question(buf, d.head(t), d.tail(t), n), saysListed
	}
}

// row is what the store has of one more.
func (c *correspondents) row(now time.Time) []engine.Write {
	address := correspondent(c.count.Add(1) - 1)
	row := engine.SeenRow{First: now.UnixMilli(), Counted: now.UnixMilli(), Expires: now.Add(60 * 24 * time.Hour).UnixMilli()}
	return []engine.Write{engine.PutSeen{Policy: "list.correspondents", Key: normalize.Key([]string{normalize.Listed(address)}), Row: row}}
}

// startStarter starts an exipold with the starter set, changed by edit, to which the
// known keys are known.
func (b *bench) startStarter(name string, dns *dnstest.Server, arguments string, edit func(set map[string][]byte)) *gateway {
	set, greylist := b.starter()
	if edit != nil {
		edit(set)
	}
	g := b.prepare(name, fmt.Sprintf("  dns = [%q]\n%s", dns.Address(), arguments), set)
	b.befriend(dns, g.plan)
	b.remember(g.plan, knownRows(greylist))
	b.serve(g)
	g.name = name
	return g
}

// notInList is asked of an exipold with any list, or without one.
const notInList = "sender not in the list, known key"

// learned measures a list that has learned as many correspondents as there are -keys,
// beside the same exipold with an empty one, and with none.
func (b *bench) learned(dns *dnstest.Server) {
	full := b.startStarter("list full", dns, "", nil)
	l := learner{gateway: full, correspondents: &correspondents{planID: full.plan.ID}}
	b.fillList(&l)
	empty := b.startStarter("list empty", dns, "", nil)
	none := b.startStarter("no list", dns, "", func(set map[string][]byte) {
		delete(set, "known-correspondents.hcl")
		set["greylist-selective.hcl"] = []byte(strings.Replace(string(set["greylist-selective.hcl"]), ", list.correspondents.sender", "", 1))
	})
	var all []contender
	for _, g := range []*gateway{none, empty, full} {
		all = append(all, contender{g.process, []load{{notInList, starterDialect(g.plan.ID).knownKeys()}}})
	}
	all[2].loads = append(all[2].loads,
		load{"sender in the list, any of it", l.answers(b.o.keys)},
		load{"sender in the list, the same " + number(knownSet, 0), l.answers(min(knownSet, b.o.keys))},
		load{"learns one more", l.learn},
		load{"learns one that it knows", l.learnAgain})
	got := newCells()
	for round := range b.o.rounds {
		b.logf("lists, round %d of %d", round+1, b.o.rounds)
		b.round(all, got, round)
	}
	b.tellTimes(fmt.Sprintf("A list that has learned %s correspondents", number(float64(b.o.keys), 0)), all, got)
	b.tellLearned(&l, empty, got)
	for _, s := range all {
		s.stop()
	}
}

// learner is an exipold with a list that learns, and what it took to fill that.
type learner struct {
	*gateway
	*correspondents
	filled      int     // over the socket
	first, last float64 // a second
	start, size float64 // memory before, and disk after, in MiB
}

// fillList has the list learn as many correspondents as there are -keys.
func (b *bench) fillList(l *learner) {
	b.logf("lists: %d correspondents", b.o.keys)
	l.start, _ = l.resident()
	l.filled, l.first, l.last = b.fill(l.process, l.learn, b.o.keys)
	now := time.Now()
	b.fillStore(l.gateway, b.o.keys-l.filled, func() []engine.Write { return l.row(now) })
	l.size = l.onDisk()
}

// tellLearned prints what the list takes, and compares with the goal and with an exipold
// whose list is empty.
func (b *bench) tellLearned(l *learner, empty *gateway, got cells) {
	keys := number(float64(b.o.keys), 0)
	total, own := l.resident()
	emptyTotal, _ := empty.resident()
	table("Memory and disk of that list",
		[]string{"correspondents", "of them over the socket", "learned/s at first", "at last", "MiB at the start", "MiB at the end", "of them no file's", "MiB at the end with an empty list", "MiB on disk with them"},
		[][]string{{keys, number(float64(l.filled), 0), number(l.first, 0), number(l.last, 0), number(l.start, 0), number(total, 0), number(own, 0), number(emptyTotal, 0), number(l.size, 0)}})
	judged := verdict(series{total}, 64, false)
	if l.filled < b.o.keys && judged == "pass" {
		judged = notJudged
	}
	rows := [][]string{{"MiB resident with " + keys + " correspondents", "", number(total, 0), "under 64", judged}}
	for _, clients := range clientCounts {
		of := func(server string) series { return got.rate[cell{server, notInList, clients}] }
		rows = append(rows,
			[]string{"known keys, full list, of an empty one", fmt.Sprint(clients), of("list full").over(of("list empty")).show(2), "none", ""},
			[]string{"known keys, empty list, of none", fmt.Sprint(clients), of("list empty").over(of("no list")).show(2), "none", ""})
	}
	table("Against the goals: lists", []string{"what", "clients", "exipold", "goal", ""}, rows)
}

// tellTimes prints how long answers took.
func (b *bench) tellTimes(title string, all []contender, got cells) {
	var rows [][]string
	for _, clients := range clientCounts {
		for _, s := range all {
			for _, l := range s.loads {
				rows = append(rows, got.row(cell{s.name, l.name, clients}))
			}
		}
	}
	table(title, []string{"exipold with", "question", "clients", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU us/answer"}, rows)
}
