package hosts

import (
	"time"

	"exipol/helper/store"
)

// state is what a look at a host found.
type state int

const (
	pending state = iota // it was not looked at yet
	away                 // it does not answer
	unready              // it answers, and is no good
	donor                // a Galera node that gives its state to another: good enough for the node in use, not for one to move to
	well
)

// The pace of a choice, in looks: the time between two of them is choice.every.
const (
	steadyLooks = 5 // for how long an earlier host is well before it is gone back to
	freshLooks  = 2 // for how long a commit that was seen proves that the host in use can commit
)

// candidate is one of the hosts, as the choice sees it.
type candidate struct {
	report
	since   time.Time // since when it is well without a break; zero: it is not
	suspect time.Time // when an operation failed there, which no commit has answered yet; zero: none
	barred  string    // why its last trial failed; "": it did not
	denied  bool      // it failed because the user may not write
	running bool      // a trial is under way
	passed  time.Time // when the last trial began that it passed,
	ended   time.Time // and when that ended
	stood   bool      // that one took long, or came after one that failed
	failed  time.Time // when the last trial ended that it failed

	followed time.Time // when it last showed a row that was written at the host in use
	kept     bool      // it was being written to by others when it was seen again, and still is
	lacks    bool      // it did not follow the host that was in use last when that was left
}

// choice decides which host is used. It is a pure machine: it is told what was found and when, and
// says which hosts are to be tried and which one is used. All exipolds go by the same rules, so that
// all write to the same host:
//
//   - The first host of the configuration that is well is used. One that comes before the host in
//     use is gone back to when it was well for some looks on end, so that one that comes and goes does not
//     drag everybody to and fro.
//   - What a host says of itself is not enough. A Galera node that is cut off from the others goes on as
//     ready, and serves reads of the past, until its timeouts have passed; but its commits hang. So a host is
//     used only after a trial: a barrier (a Galera node shows all that was committed before) and a small
//     write that commits in time. The host in use is tried again where an operation failed there by a timeout or
//     a lost connection, and wherever no commit was seen for some looks, for it may be cut off while nobody writes.
//   - A host that failed its trial is barred until it passes another one, whatever it says of itself.
//   - Nothing is used before all the hosts that come earlier have been looked at.
//   - A host that does not follow the host in use lacks what was written there, and is not gone back to
//     (follow.go says how that is known).
type choice struct {
	every time.Duration // between two looks at a host
	lasts time.Duration // how long a trial entitles the host that passed it to be used: longer than a look and a trial take
	hosts []candidate
	used  int       // -1: none
	since time.Time // since when used is what it is
	lag   lag       // the writes that were seen at the host in use
	node  bool      // the host that is in use, or was last, is a Galera node
}

func newChoice(n int, every, lasts time.Duration, now time.Time) *choice {
	return &choice{every: every, lasts: lasts, hosts: make([]candidate, n), used: -1, since: now}
}

// trial is what a host is to be put to.
type trial int

const (
	noTrial   trial = iota
	writing         // a small write: it is in use
	newcoming       // the barrier, and the write
)

// reported takes what a look found.
func (c *choice) reported(i int, r report, now time.Time) {
	h := &c.hosts[i]
	if r.version == "" {
		// It is worth knowing while the host is away, too.
		r.version, r.galera, r.table = h.version, h.galera, h.table
	}
	first := h.since.IsZero()
	h.report = r
	c.track(i, first, now)
	switch {
	case h.state != well:
		h.since, h.passed = time.Time{}, time.Time{}
	case h.since.IsZero():
		h.since = now
	}
}

// doubt notes that an operation failed at a host in a way that leaves open how well it is.
func (c *choice) doubt(i int, now time.Time) {
	if h := &c.hosts[i]; i == c.used && h.suspect.IsZero() {
		h.suspect = now
	}
}

// begin says whether a host is to be tried now; the caller does so, and tells finished.
func (c *choice) begin(i int, now time.Time) trial {
	t := c.wants(i, now)
	if t != noTrial {
		c.hosts[i].running = true
	}
	return t
}

// wants says whether a host is to be tried now.
func (c *choice) wants(i int, now time.Time) trial {
	h := &c.hosts[i]
	switch {
	case h.running:
	case i == c.used:
		if !h.suspect.IsZero() || !c.commits(h) {
			return writing
		}
	case h.state != well, c.outrun(i, now):
	case h.barred != "":
		if now.Sub(h.failed) >= c.every || c.inTheWay(i, now) {
			return newcoming
		}
	case c.target(now) == i && !c.fresh(h, now):
		return newcoming
	}
	return noTrial
}

// commits says whether the last look saw a commit that is recent: of whichever exipold, the row
// is the same for all. So a thousand of them write no more than one. A store that has no table yet
// cannot be written to, and is believed.
func (c *choice) commits(h *candidate) bool {
	if h.state != well && h.state != donor || !h.table {
		return true
	}
	age := time.Duration(h.clock-1000*h.row) * time.Microsecond
	return age > -c.every && age < freshLooks*c.every
}

func (c *choice) fresh(h *candidate, now time.Time) bool {
	return !h.passed.IsZero() && now.Sub(h.passed) < c.lasts
}

// inTheWay says whether a barred host keeps a later one from being used.
func (c *choice) inTheWay(i int, now time.Time) bool {
	for j := i + 1; j < len(c.hosts); j++ {
		if c.eligible(j) && c.fresh(&c.hosts[j], now) && c.precedes(i, j) {
			return true
		}
	}
	return false
}

// waits says whether an earlier host is to be tried once more before this one is used.
func (c *choice) waits(j int) bool {
	for i := range j {
		if c.precedes(i, j) {
			return true
		}
	}
	return false
}

// precedes says whether barred host i may be as well by now as the later host j. The nodes of a cluster that stood still
// commit again all at once, and the first of them is to be used, though another was tried sooner.
func (c *choice) precedes(i, j int) bool {
	h, later := &c.hosts[i], &c.hosts[j]
	return c.used < 0 && h.state == well && h.barred != "" && (!c.behind(i) || c.behind(j)) && later.stood && h.failed.Before(later.ended)
}

// eligible says whether a host that is not in use may be.
func (c *choice) eligible(i int) bool {
	return c.hosts[i].state == well && c.hosts[i].barred == ""
}

// target is the host that should be used, if it passes its trial; -1 for none, or none as long as
// an earlier one was not looked at. Where none is in use, one that lacks what the last one had comes after all others.
func (c *choice) target(now time.Time) int {
	last := -1
	for i := range c.hosts {
		h := &c.hosts[i]
		switch {
		case i == c.used:
			return i
		case h.state == pending && c.used < 0:
			return -1
		case !c.eligible(i):
		case c.used < 0 && c.behind(i):
			if last < 0 {
				last = i
			}
		case c.used < 0 || now.Sub(h.since) >= steadyLooks*c.every && !c.outrun(i, now):
			return i
		}
	}
	return last
}

// finished takes what came of a trial that began at that time; why is "" where it was passed.
func (c *choice) finished(i int, began time.Time, why string, now time.Time) {
	h := &c.hosts[i]
	h.running = false
	if why != "" {
		h.barred, h.failed, h.since, h.kept = why, now, time.Time{}, false
		return
	}
	h.stood = h.barred != "" || now.Sub(began) > c.every/2
	if h.barred != "" {
		h.barred, h.since = "", now
	}
	h.passed, h.ended = began, now
	if !h.suspect.After(began) {
		h.suspect = time.Time{}
	}
}

// decide puts another host into use, or none, where what was told says so. It returns whether it did.
func (c *choice) decide(now time.Time) bool {
	used := c.used
	if used >= 0 && c.hosts[used].lost() != "" {
		c.left(now)
		c.used = -1
	}
	if t := c.target(now); t >= 0 && t != c.used && c.fresh(&c.hosts[t], now) && !c.waits(t) {
		c.used = t
		c.hosts[t].suspect = time.Time{}
	}
	if c.used == used {
		return false
	}
	if used >= 0 { // what is committed elsewhere from now on, it does not have to show
		c.hosts[used].suspect, c.hosts[used].passed = time.Time{}, time.Time{}
	}
	c.since = now
	c.entered()
	return true
}

// lost is why a host that is in use cannot be any longer, "" for it can.
func (h *candidate) lost() string {
	if h.state != well && h.state != donor {
		return h.why
	}
	return h.barred
}

// settled says whether all that can be known is known: no host is still to be looked at or tried for the first time.
func (c *choice) settled() bool {
	for i := range c.hosts {
		if h := &c.hosts[i]; h.state == pending || h.running || c.eligible(i) {
			return false
		}
	}
	return true
}

// refuses says whether what keeps a host from being used is the user.
func (h *candidate) refuses() bool { return h.refused || h.state == well && h.barred != "" && h.denied }

// use is the word for what a host is used for, and why it cannot be.
func (c *choice) use(i int, now time.Time) (use, why string) {
	h := &c.hosts[i]
	switch {
	case i == c.used:
		return store.HostInUse, ""
	case h.state == pending:
		return store.HostAway, "it was not asked yet"
	case h.state == away:
		return store.HostAway, h.why
	case h.state != well:
		return store.HostUnready, h.why
	case c.outrun(i, now):
		return store.HostUnready, doesNotFollow
	case h.barred != "":
		return store.HostUnready, h.barred
	}
	return store.HostStandby, ""
}
