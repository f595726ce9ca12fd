package load

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// text reads any text.
func (l *loader) text(c *content, name string) policy.Value[string] {
	return read(l, c, name, field.str)
}

// word reads one of the argument's words.
func (l *loader) word(c *content, name string) policy.Value[string] {
	return read(l, c, name, func(f field) (string, bool) {
		s, ok := f.str()
		if ok && !slices.Contains(f.arg.Words, s) {
			f.fail("EP109", fmt.Sprintf("%s cannot be %q", f.arg.Name, s), choose(s, f.arg.Words))
			ok = false
		}
		return s, ok
	})
}

func (l *loader) boolean(c *content, name string) policy.Value[bool] {
	return read(l, c, name, func(f field) (bool, bool) {
		if f.val.Type() != cty.Bool {
			f.wrongType("true or false", "")
			return false, false
		}
		return f.val.True(), true
	})
}

// mostNumber is the largest number that an argument takes which has no bound of its own.
const mostNumber = 1_000_000_000

func (l *loader) number(c *content, name string) policy.Value[int64] {
	return read(l, c, name, field.number)
}

func (f field) number() (int64, bool) {
	if f.val.Type() != cty.Number {
		help := ""
		if s := f.l.source(f.at()); len(s) > 2 && strings.Trim(s, `"0123456789`) == "" {
			help = "write it without quotes: " + strings.Trim(s, `"`)
		}
		f.wrongType("a number", help)
		return 0, false
	}
	n, ok := wholeNumber(f.val)
	most := cmp.Or(f.arg.Most, mostNumber)
	if !ok || n < f.arg.Min || n > most {
		f.fail("EP121", fmt.Sprintf("%s must be a whole number from %d to %d", f.arg.Name, f.arg.Min, most), "")
		return 0, false
	}
	return n, true
}

// wholeNumber is v as an integer, where it is one.
func wholeNumber(v cty.Value) (int64, bool) {
	if v.Type() != cty.Number || v.IsNull() || !v.IsKnown() {
		return 0, false
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n == math.MaxInt64 || n == math.MinInt64 {
		return 0, false
	}
	return n, true
}

func (l *loader) duration(c *content, name string) policy.Value[plan.Duration] {
	return read(l, c, name, field.duration)
}

func (f field) duration() (plan.Duration, bool) {
	if f.val.Type() == cty.Number {
		f.fail("EP110", fmt.Sprintf("%s is a time, and needs a unit", f.arg.Name),
			fmt.Sprintf("for seconds write %q, for minutes %q", f.l.source(f.at())+"s", f.l.source(f.at())+"m"))
		return 0, false
	}
	s, ok := f.str()
	if !ok {
		return 0, false
	}
	d, err := plan.ParseDuration(s)
	if err != nil {
		offset := durationFault(s)
		f.l.fail("EP110", f.inside(offset, len(s)-offset), fmt.Sprintf("%q is not a time", s),
			"A time is whole numbers with the units w, d, h, m, s, largest first, and no blanks: 90s, 1h30m, 36d.", durationHelp(s))
		return 0, false
	}
	return d, true
}

// durationFault is where a time stops to be one: the length of the longest
// beginning that is.
func durationFault(s string) int {
	for n := len(s); n > 0; n-- {
		if _, err := plan.ParseDuration(s[:n]); err == nil {
			return n
		}
	}
	return 0
}

var otherDuration = regexp.MustCompile(`^\s*(\d{1,6})\s*([a-zA-Z]*)\.?\s*$`)

// durationHelp guesses what was meant by a time spelt another way.
func durationHelp(s string) string {
	m := otherDuration.FindStringSubmatch(s)
	if m == nil {
		if d, err := time.ParseDuration(s); err == nil && d >= time.Second && d%time.Second == 0 {
			return fmt.Sprintf("did you mean %q?", plan.Duration(d).String())
		}
		return ""
	}
	unit := strings.ToLower(m[2])
	switch {
	case unit == "":
		return fmt.Sprintf("for seconds write %q, for minutes %q", m[1]+"s", m[1]+"m")
	case strings.HasPrefix(unit, "mo"), unit == "ms":
		return ""
	case strings.ContainsAny(unit[:1], "wdhms"):
		return fmt.Sprintf("did you mean %q?", m[1]+unit[:1])
	}
	return ""
}

// rates reads one rate, or a list of them.
func (l *loader) rates(c *content, name string) []policy.Value[plan.Rate] {
	a := c.attrs[name]
	if a == nil {
		return nil
	}
	arg := c.spec.Argument(name)
	return l.rateList(a.Expr, field{l: l, arg: arg})
}

// rateList reads the rates of an expression; like says which argument it is for.
func (l *loader) rateList(expr hcl.Expression, like field) []policy.Value[plan.Rate] {
	fields := []field{}
	if exprs, ds := hcl.ExprList(expr); !ds.HasErrors() {
		if len(exprs) == 0 {
			l.emptyList(expr.Range(), like.arg.Name)
			return nil
		}
		for _, e := range exprs {
			if v, ok := l.eval(e, like.arg); ok {
				fields = append(fields, field{l, like.arg, e, v, true})
			}
		}
	} else if v, ok := l.eval(expr, like.arg); ok {
		fields = append(fields, field{l, like.arg, expr, v, true})
		if t := v.Type(); t.IsTupleType() || t.IsListType() {
			fields = fields[:0]
			for it := v.ElementIterator(); it.Next(); {
				_, e := it.Element()
				fields = append(fields, field{l, like.arg, expr, e, true})
			}
			if len(fields) == 0 {
				l.emptyList(expr.Range(), like.arg.Name)
			}
		}
	}
	var out []policy.Value[plan.Rate]
	for _, f := range fields {
		if r, ok := f.rate(); ok {
			out = append(out, policy.Value[plan.Rate]{V: r, Range: f.at(), Set: true})
		}
	}
	return out
}

func (l *loader) emptyList(at hcl.Range, name string) {
	l.fail("EP123", at, fmt.Sprintf("%s is empty", name), "", "name at least one, or leave the argument out")
}

func (f field) rate() (plan.Rate, bool) {
	const form = "A rate is a whole number, a slash and a time: 100/1h is more than 100 in the last hour."
	if f.val.IsNull() || f.val.Type() != cty.String {
		f.l.fail("EP111", f.at(), fmt.Sprintf("%s must be a rate, not %s", f.arg.Name, kindOf(f.val)), form, "")
		return plan.Rate{}, false
	}
	s := f.val.AsString()
	r, err := plan.ParseRate(s)
	if err == nil && r.Count > mostNumber {
		f.l.fail("EP121", f.at(), fmt.Sprintf("the number of a rate is at most %d", mostNumber), "", "")
		return plan.Rate{}, false
	}
	if err != nil {
		count, per, slash := strings.Cut(s, "/")
		at, help := f.at(), ""
		if _, wrong := plan.ParseRate(count + "/1s"); slash && wrong == nil {
			offset := len(count) + 1 + durationFault(per)
			at = f.inside(offset, len(s)-offset)
			if near := rateUnit[strings.TrimSpace(per)]; near != "" {
				help = fmt.Sprintf("did you mean %q?", count+"/"+near)
			}
		} else if slash {
			at = f.inside(0, len(count))
			if strings.HasSuffix(strings.TrimSpace(count), "%") {
				help = "a percentage is a whole number from 0 to 99: 30%/24h"
			}
		}
		f.l.fail("EP111", at, fmt.Sprintf("%q is not a rate", s), form, help)
		return plan.Rate{}, false
	}
	return r, true
}

// rateUnit are units without a number, as other programs have them.
var rateUnit = map[string]string{
	"s": "1s", "sec": "1s", "second": "1s", "m": "1m", "min": "1m", "minute": "1m",
	"h": "1h", "hour": "1h", "d": "1d", "day": "1d", "w": "1w", "week": "1w",
}

// network reads an address or network.
func (f field) network() (netip.Prefix, bool) {
	s, ok := f.str()
	if !ok {
		return netip.Prefix{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		help := "an address or network: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32"
		f.fail("EP112", fmt.Sprintf("%q is not an address or network", s), help)
		return netip.Prefix{}, false
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			f.fail("EP112", fmt.Sprintf("%q holds more than IPv4-mapped addresses", s), "write IPv4 networks as such: 192.0.2.0/24")
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		f.fail("EP112", fmt.Sprintf("%q has bits set beyond its prefix length", s),
			fmt.Sprintf("the network is %s, the address alone %s", p.Masked(), p.Addr()))
		return netip.Prefix{}, false
	}
	return p, true
}

var pathPattern = regexp.MustCompile(`^/[A-Za-z0-9_./+@=:,-]*$`)

var directoryPattern = regexp.MustCompile(`^[a-z0-9_./-]*$`)

// directory reads the path that Exim's .include lines name. They cannot quote, and a
// capital letter could be one of the site's macros.
func (f field) directory() (string, bool) {
	s, ok := f.path()
	if ok && !directoryPattern.MatchString(s) {
		f.fail("EP120", fmt.Sprintf("%q cannot be used as %s", s, f.arg.Name), "of lower-case letters, digits and _ . / - only: Exim might find one of the site's macros in anything else")
		return "", false
	}
	return s, ok
}

// path reads an absolute path. What it may be made of is what neither Exim's
// expansion nor a unit file nor a database address gives a meaning.
func (f field) path() (string, bool) {
	s, ok := f.str()
	if ok && (!pathPattern.MatchString(s) || len(s) > 4000 || s == "/" || strings.Contains(s, "/../") || strings.HasSuffix(s, "/")) {
		help := "an absolute path of letters, digits and _ . / + @ = : , -"
		f.fail("EP120", fmt.Sprintf("%q cannot be used as %s", s, f.arg.Name), help)
		return "", false
	}
	return s, ok
}
