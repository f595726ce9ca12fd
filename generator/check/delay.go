package check

import (
	"fmt"
	"time"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

const (
	// Exim's callout timeout is 30 seconds by default; a few are for the rest of
	// the answer.
	politeDelay = plan.Duration(25 * time.Second)
	// RFC 5321, 4.5.3.2: a client waits at least five minutes for the answer to a
	// command. One of them is left for what else the site does.
	longestDelay = plan.Duration(4 * time.Minute)
)

// longDelays: other hosts that verify a sender by callout give up.
func longDelays(c *checker) {
	c.eachTier(func(_ *policy.Limit, t *policy.Tier) {
		if t.Delay == nil {
			return
		}
		if d := c.effective(t.Delay); d > politeDelay {
			at := longest(t.Delay)
			if at.V != d {
				at = c.set.Site.MaxDelay
			}
			c.warn("EP201", at.Range, fmt.Sprintf("the delay of the tier %q can be %s", t.Name, d),
				"hosts that verify their senders by a callout to this site give up after 30 seconds: at most 25s")
		}
	})
}

// addedDelays: an SMTP client does not wait that long for one answer.
func addedDelays(c *checker) {
	site := c.set.Site
	if site.MaxDelay.V > longestDelay {
		c.fail("EP202", site.MaxDelay.Range, fmt.Sprintf("a client does not wait %s for an answer", site.MaxDelay.V),
			"clients may give up after five minutes: at most 4m")
		return
	}
	// The two halves round the site's ACL for RCPT can both delay the same command.
	var before, after *policy.Tier
	var most [2]plan.Duration
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		if t.Delay == nil {
			return
		}
		d := c.effective(t.Delay)
		if (counts(lim, plan.UnknownRecipient) || counts(lim, plan.InvalidRecipient) || onlyLogged(lim)) && d > most[0] {
			before, most[0] = t, d
		}
		if counts(lim, plan.Recipient) && d > most[1] {
			after, most[1] = t, d
		}
	})
	if before != nil && after != nil && before != after && most[0]+most[1] > longestDelay {
		c.fail("EP202", before.Delay.DeclRange, fmt.Sprintf("delays of one RCPT command can add up to %s", most[0]+most[1]),
			"clients may give up after five minutes: make both shorter, or site.max_delay",
			note(before.Delay.DeclRange, "before the site's ACL it is delayed by up to %s", most[0]),
			note(after.Delay.DeclRange, "after it by up to %s", most[1]))
	}
}

// delayBounds: bounds that contradict each other.
func delayBounds(c *checker) {
	c.eachTier(func(_ *policy.Limit, t *policy.Tier) {
		d := t.Delay
		if d == nil {
			return
		}
		for _, v := range []policy.Value[plan.Duration]{d.Each, d.Fixed, d.Max} {
			if v.Set && v.V == 0 {
				c.fail("EP216", v.Range, "a delay of no time at all", "leave the delay out")
				return
			}
		}
		want := d.Fixed
		if d.Each.Set {
			want = d.Each
		}
		switch {
		case d.Max.Set && want.V > d.Max.V:
			c.fail("EP216", want.Range, fmt.Sprintf("a delay of %s is longer than its max of %s", want.V, d.Max.V), "", note(d.Max.Range, "max is here"))
		case longest(d).V > c.set.Site.MaxDelay.V:
			c.warn("EP216", longest(d).Range, fmt.Sprintf("the site's max_delay cuts this delay to %s", c.set.Site.MaxDelay.V),
				"raise site.max_delay, or lower this", note(c.set.Site.MaxDelay.Range, "max_delay is %s", c.set.Site.MaxDelay.V))
		}
	})
}
