package check

import (
	"fmt"

	"exipol/generator/plan"
)

// greylistTimes: a retry must be able to pass.
func greylistTimes(c *checker) {
	for _, g := range c.set.Greylists {
		if g.Retry.V <= g.Delay.V {
			at, other, name := g.Retry, g.Delay, "delay"
			if !at.Set {
				at, other, name = g.Delay, g.Retry, "retry"
			}
			c.fail("EP203", at.Range, fmt.Sprintf("nothing could ever pass: a retry within %s (retry) is too early before %s (delay)", g.Retry.V, g.Delay.V),
				"retry must be longer than delay, by hours rather than minutes", note(other.Range, "%s is %s", name, other.V))
			continue
		}
		if g.GiveUp.Set && g.GiveUp.V < g.Delay.V {
			c.warn("EP203", g.GiveUp.Range, fmt.Sprintf("mail is let through after %s (give_up), before any retry could pass after %s (delay)", g.GiveUp.V, g.Delay.V),
				"give_up is for senders that retry from another network each time: hours rather than minutes", note(g.Delay.Range, "delay is %s", g.Delay.V))
		}
		if g.Remember.V < g.Delay.V {
			c.warn("EP203", g.Remember.Range, fmt.Sprintf("what passed is forgotten after %s, sooner than a new key could pass", g.Remember.V),
				"mail that comes once a month needs 36d")
		}
	}
}

// greylistTraffic: only hosts that retry can be greylisted.
func greylistTraffic(c *checker) {
	for _, g := range c.set.Greylists {
		switch g.Traffic.V {
		case plan.Submission:
			c.fail("EP206", g.Traffic.Range, "greylisting of submission: mail programs do not retry by themselves",
				"their users would see an error for every new recipient")
		case plan.Relay, plan.Local:
			c.warn("EP206", g.Traffic.Range, fmt.Sprintf("greylisting of %s traffic delays the site's own mail", g.Traffic.V),
				"greylisting is for inbound traffic")
		}
	}
}
