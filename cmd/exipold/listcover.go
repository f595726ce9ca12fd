package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
)

// cover finds, among many entries, those that another one makes superfluous.
type cover struct {
	all []claim
	at  map[string][]int // by field and pattern in one spelling
}

// claim is an entry, as far as another may cover it.
type claim struct {
	field, pattern string
	policy         string // of a run-time entry; "" is all policies
	until          string // RFC 3339; "" is no end
	name           string // for the reader
}

func coverOfEntries(entries []plan.Entry) *cover {
	var all []claim
	for _, e := range entries {
		all = append(all, claim{field: e.Field, pattern: e.Pattern, until: e.Until, name: e.Field + " " + e.Pattern})
	}
	return newCover(all)
}

func coverOfAllowances(entries []engine.Allowance) *cover {
	var all []claim
	for _, a := range entries {
		all = append(all, claim{a.Field, a.Pattern, a.Policy, moment(a.Until), fmt.Sprintf("entry %d (%s)", a.ID, a.Pattern)})
	}
	return newCover(all)
}

func newCover(all []claim) *cover {
	c := &cover{all, map[string][]int{}}
	for i, one := range all {
		key := one.field + " " + wider(one.field, one.pattern)[0]
		c.at[key] = append(c.at[key], i)
	}
	return c
}

// of names an entry that matches all that entry i does, for at least as long; "" for
// none. Of two that are the same, the first covers the second.
func (c *cover) of(i int) string {
	mine := c.all[i]
	for n, pattern := range wider(mine.field, mine.pattern) {
		for _, j := range c.at[mine.field+" "+pattern] {
			other := c.all[j]
			if j == i || other.policy != "" && other.policy != mine.policy || !outlives(other.until, mine.until) {
				continue
			}
			same := n == 0 && other.policy == mine.policy && outlives(mine.until, other.until)
			if !same || j < i {
				return other.name
			}
		}
	}
	return ""
}

// outlives says whether what ends at a holds at least as long as what ends at b; "" is
// no end. Both are RFC 3339.
func outlives(a, b string) bool {
	if a == "" || b == "" {
		return a == ""
	}
	endA, errA := time.Parse(time.RFC3339, a)
	endB, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && !endA.Before(endB)
}

// wider is all patterns that match what this one matches, each in one spelling; this
// one is the first.
func wider(field, pattern string) []string {
	switch field {
	case "client":
		return widerNetworks(pattern)
	case "sender", "recipient":
		return widerAddresses(pattern)
	}
	return []string{pattern}
}

func widerNetworks(pattern string) []string {
	p, err := netip.ParsePrefix(pattern)
	if err != nil {
		return []string{pattern}
	}
	var out []string
	for bits := p.Bits(); bits >= 0; bits-- {
		if w, err := p.Addr().Prefix(bits); err == nil {
			out = append(out, w.String())
		}
	}
	return out
}

// widerAddresses knows the forms "local@domain", "*@domain" or "domain", "*@*.domain"
// and "<>".
func widerAddresses(pattern string) []string {
	pattern = strings.ToLower(pattern)
	if pattern == "<>" {
		return []string{pattern}
	}
	local, domain := "*", pattern
	if i := strings.LastIndexByte(pattern, '@'); i >= 0 {
		local, domain = pattern[:i], pattern[i+1:]
	}
	parent, below := strings.CutPrefix(domain, "*.")
	parent = normalize.Domain(parent)
	var out []string
	switch {
	case below:
		out = append(out, "*@*."+parent)
	case local != "*":
		out = append(out, local+"@"+parent, "*@"+parent)
	default:
		out = append(out, "*@"+parent)
	}
	for {
		_, up, found := strings.Cut(parent, ".")
		if !found {
			return out
		}
		parent = up
		out = append(out, "*@*."+parent)
	}
}
