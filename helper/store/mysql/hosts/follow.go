package hosts

import "time"

// doesNotFollow is why a host is not gone back to; Hosts.use names the host in use.
const doesNotFollow = "it does not follow the host in use"

// track takes from a look at a host whether it follows the host in use; first says that it was not
// well before.
//
// The row probe is written at the host in use every few looks, and has the time of the write. A host that shows one
// of those very writes has it from there. That it has no row, or an old one, or that nothing was written yet since
// the move, proves nothing: a host follows when it is seen to.
func (c *choice) track(i int, first bool, now time.Time) {
	h := &c.hosts[i]
	if i == c.used {
		c.node = h.galera
		if h.state == well || h.state == donor {
			c.lag.add(h.row)
		}
		return
	}
	h.kept = h.state == well && h.barred == "" && (first || h.kept) && c.written(h)
	switch {
	case c.used < 0 || h.state != well && h.state != unready:
	case c.lag.of(h.row, c.hosts[c.used].clock/1000) > lagging:
		h.followed = time.Time{}
	case c.lag.has(h.row):
		h.followed = now
	}
}

// written says whether the row of a host was written within the time for which a host has to be
// well before it is gone back to. One that is written to all that time, though not from here, is in use elsewhere: it
// was this exipold alone that did not reach it, and is to join the others again. After a crash nobody writes there.
func (c *choice) written(h *candidate) bool {
	age := time.Duration(h.clock-1000*h.row) * time.Microsecond
	return h.table && h.row != 0 && age > -c.every && age < steadyLooks*c.every
}

// follows says whether a host has what is written at the host in use. The nodes of a cluster have, which
// their barrier makes sure of; and a store that has no tables has nothing.
func (c *choice) follows(i int, now time.Time) bool {
	h := &c.hosts[i]
	switch {
	case c.used < 0, i == c.used, h.galera && c.node, !c.hosts[c.used].table:
		return true
	}
	return !h.followed.IsZero() && now.Sub(h.followed) < steadyLooks*c.every
}

// outrun says that a host comes before the one in use, and is not gone back to, for it lacks what was
// written since.
func (c *choice) outrun(i int, now time.Time) bool {
	return i < c.used && !c.hosts[i].kept && !c.follows(i, now)
}

// behind says whether a host may lack what was written at the host that was in use last.
func (c *choice) behind(i int) bool {
	h := &c.hosts[i]
	return h.lacks && !(h.galera && c.node)
}

// left notes which hosts did not follow the host in use, which is lost.
func (c *choice) left(now time.Time) {
	for i := range c.hosts {
		c.hosts[i].lacks = !c.hosts[i].kept && !c.follows(i, now)
	}
}

// entered begins anew to see who follows, after the host in use has changed.
func (c *choice) entered() {
	for i := range c.hosts {
		c.hosts[i].followed = time.Time{}
	}
	c.lag.begin(0)
	if c.used >= 0 {
		h := &c.hosts[c.used]
		c.node = h.galera
		c.lag.begin(h.row) // which it may have from the host that was in use before
	}
}
