package check

import (
	"fmt"
	"slices"
	"time"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// fewest recipients, or messages, of which a share says something.
const fewest = 20

// parts of a share: the offences that each concern a recipient.
var shareable = []string{plan.Bounce, plan.UnknownRecipient, plan.InvalidRecipient, plan.RejectedRecipient}

// shares: percentages belong to shares, and only there.
func shares(c *checker) {
	for _, lim := range c.set.Limits {
		if lim.Share == nil && lim.Floor.Set {
			c.fail("EP228", lim.Floor.Range, "floor means nothing here: no share is counted", "leave it out, or say count = share(recipient)")
		}
		for _, r := range rates(lim) {
			switch {
			case lim.Share == nil && r.V.Percent:
				c.fail("EP228", r.Range, fmt.Sprintf("%s is a percentage, but no share is counted", r.V), "say count = share(recipient), or give a number of events: 100/1h")
			case lim.Share != nil && !r.V.Percent:
				c.fail("EP228", r.Range, fmt.Sprintf("%s is a number, but a share is counted", r.V), "give a percentage: 30%/24h", note(lim.Share.Range, "of all %ss", lim.Share.V))
			}
		}
		if lim.Share != nil {
			c.share(lim)
		}
	}
}

// share judges a limit that counts one.
func (c *checker) share(lim *policy.Limit) {
	here := note(lim.Share.Range, "a share is counted")
	switch {
	case !lim.Floor.Set:
		c.fail("EP228", lim.Share.Range, "a share needs a floor", fmt.Sprintf("one of two is 50%%, and says nothing: with floor = 50, only those count who had 50 %ss in the time", lim.Share.V))
	case lim.Floor.V < fewest:
		c.warn("EP228", lim.Floor.Range, fmt.Sprintf("of %d %ss, very few make a share of many percent", lim.Floor.V, lim.Share.V), fmt.Sprintf("%d or more", fewest))
	}
	for _, e := range lim.Events {
		switch {
		case !slices.Contains(shareable, e.Name.V):
			c.fail("EP228", e.Name.Range, fmt.Sprintf("a share of all %ss cannot be of %s", lim.Share.V, e.Name.V), "count bounce, rejected_recipient, unknown_recipient or invalid_recipient", here)
		case e.Weight.V != 1:
			c.fail("EP228", e.Weight.Range, "a weight means nothing in a share", "give every event the weight 1", here)
		}
	}
	if lim.Attempts.Set && lim.Attempts.V {
		c.fail("EP228", lim.Attempts.Range, "a share is of what was accepted: attempts means nothing", "leave it out", here)
	}
}

// rates are all rates of a limit.
func rates(lim *policy.Limit) []policy.Value[plan.Rate] {
	var out []policy.Value[plan.Rate]
	for _, t := range lim.Tiers {
		out = append(out, t.Over...)
	}
	for _, o := range lim.Overrides {
		for _, over := range o.Over {
			out = append(out, over.Rates...)
		}
	}
	return out
}

// eventArguments: arguments that belong to one event.
func eventArguments(c *checker) {
	for _, lim := range c.set.Limits {
		bounces := slices.IndexFunc(lim.Events, func(e policy.Event) bool { return e.Name.V == plan.Bounce })
		switch {
		case len(lim.Classes) > 0 && bounces < 0:
			c.fail("EP229", lim.Classes[0].Range, "only bounces have classes", "leave classes out, or count the event bounce", note(lim.Events[0].Name.Range, "%s is counted", lim.Events[0].Name.V))
		case len(lim.Classes) == 0 && bounces >= 0:
			c.warn("EP230", lim.Events[bounces].Name.Range, "every bounce counts, even that of a full mailbox",
				"those that a sender can help are: classes = [no_such_user, no_such_domain]")
		}
		if lim.Callout.Set && !counts(lim, plan.InvalidRecipient) {
			c.fail("EP229", lim.Callout.Range, "only invalid_recipient has callouts", "leave callout out, or count the event invalid_recipient",
				note(lim.Events[0].Name.Range, "%s is counted", lim.Events[0].Name.V))
			continue
		}
		c.callout(lim)
	}
}

// longestCallout is for each answer of the remote host, of which there are some four: a mail program waits
// about a minute for the answer to a recipient.
const longestCallout = plan.Duration(15 * time.Second)

// callout judges a limit's callout.
func (c *checker) callout(lim *policy.Limit) {
	switch d := lim.Callout; {
	case d.V > longestDelay:
		c.fail("EP231", d.Range, fmt.Sprintf("a client does not wait %s for an answer", d.V), "10s")
	case d.V > longestCallout:
		c.warn("EP231", d.Range, fmt.Sprintf("mail programs do not wait as long for the answer to a recipient: Exim waits %s for each answer of the remote host", d.V), "10s")
	case d.V > 0 && lim.Traffic.V == plan.Local:
		c.warn("EP231", d.Range, "Exim has no callout for a message that comes without SMTP: routing alone is asked", "leave callout out", note(lim.Traffic.Range, "the traffic is local"))
	}
}
