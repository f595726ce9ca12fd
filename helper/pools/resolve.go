// Package pools knows the networks of the plan's named pools: it finds them out by DNS,
// keeps them in a file, says what changed, and to which pool an address belongs.
package pools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/dns"
)

// What a provider's records may ask of us. The largest providers need a tenth of it.
const (
	mostLookups  = 300      // records and hosts
	mostDepth    = 20       // of includes
	mostText     = 16 << 10 // bytes of the texts of one name
	mostPrefixes = 10_000   // of one pool

	// resolveTime is for all of it. Callers give a minute, to all pools at once; one that
	// is slow ends before that, with an error of its own.
	resolveTime = 45 * time.Second
)

// Resolver is what Resolve needs of a *dns.Resolver.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve finds out a pool's networks: those that its SPF records name, whoever is
// behind them, and the given ones. Notes say what in the records is not a network (a
// macro, say), or not one to believe. Where a record could not be had, is not to be read
// or goes in circles, or where all together cannot be meant (see check), there is an error
// and no network: what was known before is better than a half, or than everybody.
func Resolve(ctx context.Context, r Resolver, p plan.Pool) (prefixes []netip.Prefix, notes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	w := &walk{ctx: ctx, dns: r, done: map[string]bool{}}
	for _, text := range p.Clients {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, nil, fmt.Errorf("pool %s: %w", p.Name, err)
		}
		w.prefixes = append(w.prefixes, prefix)
	}
	for _, domain := range p.SPF {
		if err := w.record(domain, nil); err != nil {
			return nil, w.noted(), fmt.Errorf("pool %s: %w", p.Name, err)
		}
	}
	if len(w.prefixes) == 0 {
		return nil, w.noted(), fmt.Errorf("pool %s: no network is named", p.Name)
	}
	prefixes = Merge(w.prefixes)
	if err := check(prefixes); err != nil {
		return nil, w.noted(), fmt.Errorf("pool %s: %w", p.Name, err)
	}
	return prefixes, w.noted(), nil
}

// walk goes through records.
type walk struct {
	ctx      context.Context
	dns      Resolver
	lookups  int
	done     map[string]bool // domains whose record was read
	prefixes []netip.Prefix
	notes    []string
}

var errNoRecord = errors.New("no SPF record")

func (w *walk) note(domain, format string, args ...any) {
	if len(w.notes) < mostLookups {
		w.notes = append(w.notes, domain+": "+fmt.Sprintf(format, args...))
	}
}

func (w *walk) noted() []string { return slices.Compact(slices.Sorted(slices.Values(w.notes))) }

func (w *walk) count() error {
	if w.lookups++; w.lookups > mostLookups {
		return fmt.Errorf("more than %d lookups", mostLookups)
	}
	return nil
}

// record reads the record of a domain, which those in path led to.
func (w *walk) record(domain string, path []string) error {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if slices.Contains(path, domain) {
		return fmt.Errorf("%s includes itself (%s)", domain, strings.Join(append(path, domain), ", "))
	}
	if w.done[domain] {
		return nil
	}
	w.done[domain] = true
	if len(path) >= mostDepth {
		return fmt.Errorf("%s: more than %d includes deep", domain, mostDepth)
	}
	text, err := w.text(domain)
	if err != nil {
		return err
	}
	return w.terms(domain, strings.Fields(text)[1:], append(slices.Clone(path), domain))
}

// text is a domain's SPF record.
func (w *walk) text(domain string) (string, error) {
	if err := w.count(); err != nil {
		return "", err
	}
	texts, err := w.dns.LookupTXT(w.ctx, domain)
	if errors.Is(err, dns.ErrNotFound) {
		return "", fmt.Errorf("%s: %w", domain, errNoRecord)
	}
	if err != nil {
		return "", err
	}
	var records []string
	size := 0
	for _, t := range texts {
		size += len(t)
		if first, _, _ := strings.Cut(t, " "); strings.EqualFold(first, "v=spf1") {
			records = append(records, t)
		}
	}
	switch {
	case size > mostText:
		return "", fmt.Errorf("%s has %d bytes of text", domain, size)
	case len(records) == 0:
		return "", fmt.Errorf("%s: %w", domain, errNoRecord)
	case len(records) > 1:
		return "", fmt.Errorf("%s has %d SPF records", domain, len(records))
	}
	return records[0], nil
}

// terms takes the networks out of a record. A redirect holds only where there is no
// "all" (RFC 7208, 6.1).
func (w *walk) terms(domain string, terms []string, path []string) error {
	redirect, all := "", false
	for _, term := range terms {
		if to, ok := cutFold(term, "redirect="); ok {
			redirect = to
			continue
		}
		name := strings.ToLower(strings.TrimLeft(term, "+-~?"))
		if name == "all" {
			all = true
			if !strings.ContainsRune("-~?", rune(term[0])) {
				w.note(domain, "%q lets everybody pass; that names no network", term)
			}
			continue
		}
		if strings.Contains(name, "=") { // a modifier: exp, or one not heard of
			continue
		}
		if err := w.mechanism(domain, term, path); err != nil {
			return err
		}
		if len(w.prefixes) > mostPrefixes {
			return fmt.Errorf("%s: more than %d networks", domain, mostPrefixes)
		}
	}
	if redirect == "" || all {
		return nil
	}
	if strings.Contains(redirect, "%") {
		w.note(domain, "redirect=%s holds a macro", redirect)
		return nil
	}
	return w.record(redirect, path)
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// mechanism takes the networks out of one term.
func (w *walk) mechanism(domain, term string, path []string) error {
	if strings.ContainsRune("-~?", rune(term[0])) {
		w.note(domain, "%q lets nobody pass", term)
		return nil
	}
	name, value, _ := strings.Cut(strings.TrimPrefix(term, "+"), ":")
	name, suffix, _ := strings.Cut(strings.ToLower(name), "/") // "a/24": what is after the slash belongs to no domain
	if suffix != "" {
		value = "/" + suffix
	}
	if strings.Contains(value, "%") {
		w.note(domain, "%q holds a macro", term)
		return nil
	}
	switch name {
	case "ip4", "ip6":
		w.literal(domain, term, name, value)
	case "include":
		err := w.record(value, path)
		if errors.Is(err, errNoRecord) {
			w.note(domain, "%q leads to no SPF record", term)
			return nil
		}
		return err
	case "a", "mx":
		return w.hosts(domain, term, name, value)
	default: // exists, ptr, and what is no mechanism
		w.note(domain, "%q names no network", term)
	}
	return nil
}

func (w *walk) literal(domain, term, name, value string) {
	prefix, err := netip.ParsePrefix(value)
	if addr, aerr := netip.ParseAddr(value); aerr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil || prefix.Addr().Is4() != (name == "ip4") || prefix.Addr().Is4In6() || prefix.Addr().Zone() != "" {
		w.note(domain, "%q is not a network", term)
		return
	}
	w.add(domain, term, prefix.Masked())
}

// add takes a network, unless it cannot be meant.
func (w *walk) add(domain, term string, p netip.Prefix) {
	switch {
	case tooWide(p):
		w.note(domain, "%q is too wide", term)
	case within(inner, p), p.Addr().IsMulticast():
		w.note(domain, "%q is not public", term)
	default:
		w.prefixes = append(w.prefixes, p)
	}
}
