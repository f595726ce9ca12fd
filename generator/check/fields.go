package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/diag"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// keyFields: every part of a key is known wherever it is needed.
func keyFields(c *checker) {
	for _, g := range c.set.Greylists {
		keys := g.Key
		if g.Trust != nil {
			keys = slices.Concat(keys, g.Trust.Key)
		}
		for _, p := range keys {
			if why, ok := known(p.Field, plan.Recipient, g.Traffic.V); !ok {
				c.unknownField(p, why, p.Range == g.DeclRange || g.Trust != nil && p.Range == g.Trust.DeclRange)
			}
		}
	}
	for _, lim := range c.set.Limits {
		parts := lim.Key
		if lim.Distinct != nil {
			parts = slices.Concat(parts, []policy.Part{*lim.Distinct})
		}
		for _, p := range parts {
			if why, ok := c.knownToAll(lim, p.Field); !ok {
				c.unknownField(p, why, false)
			}
		}
	}
}

// knownToAll says whether a field is known at all events of a limit, and if not, why.
func (c *checker) knownToAll(lim *policy.Limit, field string) (why string, ok bool) {
	base, _, _ := strings.Cut(field, ".")
	if lim.Traffic.V == "" && (base == "client" || base == "helo") {
		return "local traffic, which is among all that this limit counts, has none; say traffic = \"submission\" or \"relay\"", false
	}
	for _, e := range lim.Events {
		if _, _, strange := strangeEvent(e.Name.V, lim.Traffic.V); strange && plan.Events[e.Name.V].Log {
			continue // reported as such
		}
		if why, ok := known(field, e.Name.V, lim.Traffic.V); !ok {
			return why, false
		}
	}
	if lim.Share != nil {
		return known(field, lim.Share.V, lim.Traffic.V)
	}
	return "", true
}

// unknownField reports a part of a key; byDefault says that nobody wrote it.
func (c *checker) unknownField(p policy.Part, why string, byDefault bool) {
	if byDefault {
		c.fail("EP211", p.Range, fmt.Sprintf("the default key has %s, which is not known here: %s", p.Text, why), "give it a key without that")
		return
	}
	c.fail("EP211", p.Range, fmt.Sprintf("%s is not known here: %s", p.Text, why), "")
}

// localTraffic: Exim's own ratelimit counts at its SMTP ACLs only.
func localTraffic(c *checker) {
	for _, lim := range c.set.Limits {
		if lim.Traffic.V == plan.Local && lim.Engine.V == plan.EngineExim {
			c.warn("EP218", lim.Traffic.Range, "with the engine exim, local traffic is only what is spoken over SMTP without a network (exim -bs, -bS)",
				"a message that a program gives to sendmail is not counted: leave engine out", note(lim.Engine.Range, "the engine is exim"))
		}
	}
}

// messageRecipients: at the event message a recipient matches only where all do.
func messageRecipients(c *checker) {
	warn := func(refs []policy.Ref) {
		for _, r := range refs {
			list := c.lists[r.List]
			if list == nil || r.Field != "" && r.Field != "recipient" {
				continue
			}
			i := slices.IndexFunc(list.Entries, func(e policy.Entry) bool { return e.Field == "recipient" })
			if i < 0 {
				continue
			}
			c.warn("EP219", r.Range, fmt.Sprintf("the recipients of list.%s match a message only where all of its recipients are among them", r.List),
				"for single recipients, count the event recipient", note(list.Entries[i].Pattern.Range, "a recipient of the list"))
		}
	}
	for _, lim := range c.set.Limits {
		if !counts(lim, plan.Message) {
			continue
		}
		warn(lim.Only)
		warn(lim.Except)
		for _, o := range lim.Overrides {
			warn(o.Only)
		}
	}
}

// eventTraffic: events that a traffic does not have.
func eventTraffic(c *checker) {
	for _, lim := range c.set.Limits {
		for _, e := range lim.Events {
			if why, help, strange := strangeEvent(e.Name.V, lim.Traffic.V); strange {
				traffic := note(lim.Traffic.Range, "the traffic is %s", lim.Traffic.V)
				if !lim.Traffic.Set {
					traffic = note(hcl.Range{}, "where no traffic is named, this limit's is %s", trafficName(lim.Traffic.V))
				}
				c.fail("EP212", e.Name.Range, why, help, traffic)
			}
		}
	}
}

// verdictStages: freeze, discard and headers need a message.
func verdictStages(c *checker) {
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		for _, e := range lim.Events {
			if e.Name.V != plan.Connection && e.Name.V != plan.HeloEvent {
				continue
			}
			where := note(e.Name.Range, "%s is counted here", e.Name.V)
			if t.Verdict.V == plan.Freeze || t.Verdict.V == plan.Discard {
				c.fail("EP213", t.Verdict.Range, fmt.Sprintf("at the event %s there is no message to %s", e.Name.V, t.Verdict.V), "use defer, deny, drop or delay", where)
				return
			}
			if len(t.AddHeader) > 0 {
				c.fail("EP213", t.AddHeader[0].Name.Range, fmt.Sprintf("at the event %s there is no message to add a header to", e.Name.V), "", where)
				return
			}
		}
	})
}

// distinctCounts: different ones have no weights.
func distinctCounts(c *checker) {
	for _, lim := range c.set.Limits {
		if lim.Distinct == nil {
			continue
		}
		for _, e := range lim.Events {
			if e.Weight.V != 1 {
				c.fail("EP217", e.Weight.Range, "a weight means nothing where different ones are counted", "give every event the weight 1",
					note(lim.Distinct.Range, "different values of %s are counted", lim.Distinct.Text))
			}
		}
		for _, p := range lim.Key {
			if p.Part == lim.Distinct.Part {
				c.fail("EP217", lim.Distinct.Range, fmt.Sprintf("for each %s there is only one %s", p.Text, p.Text), "count something that is not in the key",
					note(p.Range, "it is in the key"))
			}
		}
	}
}

// useless: arguments that change nothing.
func useless(c *checker) {
	for _, lim := range c.set.Limits {
		if lim.Attempts.Set && lim.Attempts.V && lim.Share == nil && !slices.ContainsFunc(lim.Events, func(e policy.Event) bool { return !plan.Events[e.Name.V].Offence }) && len(lim.Events) > 0 {
			c.add(diag.Warning, "EP214", lim.Attempts.Range, "attempts changes nothing here: these events count whatever becomes of them", "leave it out")
		}
	}
}
