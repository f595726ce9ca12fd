// Package check judges policies that load could read: what they mean and what
// Exim can do with them. It finds what hurts later (a delay that makes other
// hosts give up, a tier that nothing reaches, a site ACL that would be lost)
// while it is still a message. One file per rule; it reads no file, knows no
// clock, and changes nothing.
package check

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/diag"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// Check is everything that is wrong with a policy set, sorted.
func Check(set *policy.Set) diag.List {
	c := &checker{set: set, lists: map[string]*policy.List{}, all: map[string]bool{}}
	for _, l := range set.Lists {
		c.lists[l.Name] = l
	}
	for _, rule := range rules {
		rule(c)
	}
	return c.diags.Sorted()
}

// rules are all rules. Their order does not matter: the result is sorted.
var rules = []func(*checker){
	eximVersion, siteACLs, siteDirectory, helperLimits,
	storeTLS, storeHosts, storeUser, storeTimeout,
	longDelays, addedDelays, delayBounds,
	greylistTimes, greylistTraffic,
	idleFacts, zoneSense, goneLists, senderLists,
	poolKeys, poolNetworks, forNobody, learnTimes,
	keyFields, eventTraffic, localTraffic, messageRecipients, verdictStages, distinctCounts, useless,
	messageTexts, headerTexts,
	shares, eventArguments,
	blockStages, logTiers, awayBlocks, told, foreverBlocks, idleBlocks, deskTimes,
	emptyTiers, unreachableTiers, unreachablePolicies,
	eximEngine, eximRates,
}

type checker struct {
	set   *policy.Set
	lists map[string]*policy.List // by name; faulty ones are missing
	all   map[string]bool         // lists that hold every client, as far as anybody asked
	diags diag.List
}

func (c *checker) add(severity diag.Severity, code string, at hcl.Range, summary, help string, notes ...diag.Note) {
	c.diags = append(c.diags, diag.Diagnostic{Code: code, Severity: severity, Subject: at, Summary: summary, Help: help, Notes: notes})
}

func (c *checker) fail(code string, at hcl.Range, summary, help string, notes ...diag.Note) {
	c.add(diag.Error, code, at, summary, help, notes...)
}

func (c *checker) warn(code string, at hcl.Range, summary, help string, notes ...diag.Note) {
	c.add(diag.Warning, code, at, summary, help, notes...)
}

// note is a Note on a place, without one where the place is a default's.
func note(at hcl.Range, format string, args ...any) diag.Note {
	return diag.Note{Text: fmt.Sprintf(format, args...), Range: at}
}

// eachTier calls f for every tier of every limit.
func (c *checker) eachTier(f func(*policy.Limit, *policy.Tier)) {
	for _, lim := range c.set.Limits {
		for _, t := range lim.Tiers {
			f(lim, t)
		}
	}
}

// counts says whether a limit counts an event.
func counts(lim *policy.Limit, event string) bool {
	return slices.ContainsFunc(lim.Events, func(e policy.Event) bool { return e.Name.V == event })
}

// longest is the longest that a tier's delay can be, the site's bound left aside.
func longest(d *policy.Delay) policy.Value[plan.Duration] {
	switch {
	case d.Fixed.Set && (!d.Max.Set || d.Fixed.V < d.Max.V):
		return d.Fixed
	case d.Max.Set:
		return d.Max
	}
	return d.Each // without a bound of its own: the site's holds
}

// effective is the longest that a tier can delay a command.
func (c *checker) effective(d *policy.Delay) plan.Duration {
	most := c.set.Site.MaxDelay.V
	if d.Fixed.Set || d.Max.Set {
		most = min(most, longest(d).V)
	}
	return most
}
