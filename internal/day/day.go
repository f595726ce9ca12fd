// Package day replays a day of inbound mail at a site to whoever greylists it, and
// tells what was kept out and how long the rest waited. The day is scripted: who
// sends, how they look in the DNS, and when each tries again is decided beforehand by
// a seed, so that everybody is judged by the same attempts.
//
//	New -> Day -> Replay (a Judge) -> []Outcome -> Tables
//
// The shares of the kinds are assumptions (see kinds.go). They decide the sums of the
// tables, not their rows: a row is one kind of mail, and what became of it follows
// from its schedule (schedules.go, mostly documented or measured) and its looks.
package day

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Site is the domain that the mail is for.
const Site = "site.example"

// users is how many mailboxes the site has: an office.
const users = 250

// Attempt is one time that a host tries to deliver a message, as the site's Exim sees
// it. Each message has one recipient: with more, every greylister here would do the
// same for each of them.
type Attempt struct {
	Client    netip.Addr
	Host      string // the name that leads back to the client, "" where there is none
	Helo      string
	Sender    string // "": the null sender
	Recipient string
	From      string   // the address of the From header
	Dkim      []string // domains whose signatures verify
	Callout   bool     // ends after RCPT: another host verifies a sender
}

// Try is an attempt and its time, counted from the message's first.
type Try struct {
	After time.Duration
	Attempt
}

// Message is one message and all attempts that its host would make.
type Message struct {
	Kind    *Kind
	Start   time.Time
	Tries   []Try
	History bool // of the days before: teaches the greylister, and is not counted
}

// Submission is a message of one of the site's users.
type Submission struct {
	At       time.Time
	From, To string
}

// Day is the script.
type Day struct {
	Start       time.Time // of the day itself; what is before it is history
	Messages    []*Message
	Submissions []Submission
	Records     []string // of the DNS, as dnstest takes them
}

// historyDays is for how long the site's greylister has been running when the day
// begins: regular senders are known by then.
const historyDays = 7

// New writes the script of a day. With size 1 it has about 6,100 messages besides the
// history, of each kind as many as its row in kinds.go says; with less, fewer.
func New(seed uint64, size float64) *Day {
	b := &script{
		rng: newRand(seed),
		day: &Day{Start: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)},
	}
	b.world = newWorld(b.rng)
	for i := range kinds {
		b.kind = &kinds[i]
		for range max(1, int(float64(b.kind.count)*size)) {
			b.kind.write(b)
		}
	}
	slices.SortStableFunc(b.day.Messages, func(m, n *Message) int { return m.Start.Compare(n.Start) })
	slices.SortStableFunc(b.day.Submissions, func(s, t Submission) int { return s.At.Compare(t.At) })
	b.day.Records = b.world.records
	return b.day
}

func newRand(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a script, not a secret
}

// script is a day that is being written.
type script struct {
	rng   *rand.Rand
	day   *Day
	world *world
	kind  *Kind
	named int
}

// envelope is what a message's attempts have in common.
type envelope struct {
	sender, recipient string
	from              string // "": the sender
	dkim              []string
	callout           bool
}

// add puts a message into the script: its first try at start, the others by the
// schedule, each from the host that route gives.
func (b *script) add(start time.Time, e envelope, retries schedule, route func() *host) {
	m := &Message{Kind: b.kind, Start: start, History: start.Before(b.day.Start)}
	if e.from == "" {
		e.from = cmp.Or(e.sender, "mailer-daemon@"+Site)
	}
	for _, after := range retries(b.rng) {
		h := route()
		m.Tries = append(m.Tries, Try{after, Attempt{
			Client: h.addr, Host: h.verified(), Helo: h.helo, Sender: e.sender, Recipient: e.recipient,
			From: e.from, Dkim: e.dkim, Callout: e.callout,
		}})
	}
	b.day.Messages = append(b.day.Messages, m)
}

// officeHours is a moment of the day when people write: most between 8 and 18 o'clock.
func (b *script) officeHours() time.Time {
	if b.rng.IntN(5) == 0 {
		return b.anyTime()
	}
	return b.day.Start.Add(8*time.Hour + b.upTo(10*time.Hour))
}

// anyTime is a moment of the day.
func (b *script) anyTime() time.Time { return b.day.Start.Add(b.upTo(24 * time.Hour)) }

// upTo is a random duration in whole seconds.
func (b *script) upTo(d time.Duration) time.Duration {
	return time.Duration(b.rng.Int64N(int64(d/time.Second))) * time.Second
}

// chance is true so many times out of a hundred.
func (b *script) chance(percent int) bool { return b.rng.IntN(100) < percent }

// number is another one each time, for names.
func (b *script) number() int {
	b.named++
	return b.named
}

func pick[T any](b *script, from []T) T { return from[b.rng.IntN(len(from))] }
