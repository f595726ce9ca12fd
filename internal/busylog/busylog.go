// Package busylog writes a main log as a busy Exim would, and knows what is in it: a submission host with
// some inbound mail, relay hosts and local users, whose senders, logins and subjects look like log lines of
// their own now and then. It is the truth that a follower of logs is held to.
package busylog

import (
	"math/rand/v2"
	"time"
)

// Site of the log: what a plan has to know of it.
const (
	Domain = "local.test"       // the site's own
	Relays = "198.51.100.64/26" // its relay hosts
)

// Options say what kind of log.
type Options struct {
	Seed      uint64
	Start     time.Time // of the first second; the log is in its zone, without saying so
	PerSecond float64   // messages that come, on average
	Long      bool      // message ids of Exim 4.97 and later
	Spaced    bool      // " : " before the reason of a failure, as since 4.99
	Users     int       // who have logins; default 40,000
}

// Event is what a follower is to tell, without its time.
type Event struct {
	Event, Traffic, Class string // as in plan
	Who                   string // the owner as engine.Owner names it; of a failed login, login and address
}

// Truth is what is in the lines so far.
type Truth struct {
	Lines, Arrivals, Failures int64 // Failures: ** lines, whoever they are of
	Stars                     int64 // lines that grep ' \*\* ' finds
	Events                    map[Event]int
}

// Count sums events of a kind.
func (t *Truth) Count(event string) (n int) {
	for e, k := range t.Events {
		if e.Event == event {
			n += k
		}
	}
	return n
}

// Log writes.
type Log struct {
	o     Options
	rnd   *rand.Rand
	now   time.Time
	later [4 * 3600][]line // by second, a ring
	at    int
	out   []byte
	id    uint64
	truth Truth
}

// line is one to come.
type line struct {
	text   string
	event  Event // nothing where it has no name
	also   Event // likewise
	failed bool
}

// New makes a log.
func New(o Options) *Log {
	if o.Users == 0 {
		o.Users = 40000
	}
	return &Log{o: o, rnd: rand.New(rand.NewPCG(o.Seed, 7)), now: o.Start, truth: Truth{Events: map[Event]int{}}}
}

// Truth is what is in the lines that were given out.
func (l *Log) Truth() *Truth { return &l.truth }

// Now is the time of the second that comes next.
func (l *Log) Now() time.Time { return l.now }

// Second is the next second's lines, valid until the next call.
func (l *Log) Second() []byte {
	l.out = l.out[:0]
	for _, e := range l.later[l.at] {
		l.write(e)
	}
	l.later[l.at] = l.later[l.at][:0]
	n := int(l.o.PerSecond)
	if l.rnd.Float64() < l.o.PerSecond-float64(n) {
		n++
	}
	for range n {
		l.message()
		if l.rnd.IntN(10) < 4 {
			l.noise()
		}
	}
	l.now = l.now.Add(time.Second)
	l.at = (l.at + 1) % len(l.later)
	return l.out
}

// write puts a line into this second.
func (l *Log) write(e line) {
	begin := len(l.out)
	l.out = l.now.AppendFormat(l.out, "2006-01-02 15:04:05 ")
	l.out = append(append(l.out, e.text...), '\n')
	l.truth.Lines++
	if e.failed {
		l.truth.Failures++
	}
	if hasStars(l.out[begin:]) {
		l.truth.Stars++
	}
	for _, event := range []Event{e.event, e.also} {
		if event.Event != "" {
			l.truth.Events[event]++
		}
	}
}

func hasStars(b []byte) bool {
	for i := 0; i+4 <= len(b); i++ {
		if b[i] == ' ' && b[i+1] == '*' && b[i+2] == '*' && b[i+3] == ' ' {
			return true
		}
	}
	return false
}

// in puts a line off.
func (l *Log) in(seconds int, e line) {
	if seconds == 0 {
		l.write(e)
		return
	}
	i := (l.at + min(seconds, len(l.later)-1)) % len(l.later)
	l.later[i] = append(l.later[i], e)
}
