package load

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"exipol/generator/diag"
	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// facts reads suspicious or spare.
func (l *loader) facts(c *content, name string) []policy.Fact {
	var facts []policy.Fact
	for _, e := range l.static(c, name, "facts", factExample[name]) {
		f, ok := l.fact(e, name)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(facts, func(was policy.Fact) bool { return was.Fact == f.Fact }); i >= 0 {
			l.add(diag.Diagnostic{
				Code: "EP107", Severity: diag.Error, Subject: f.Range,
				Summary: fmt.Sprintf("%s stands in %s twice", f.Text, name),
				Notes:   []diag.Note{{Text: "it is here already", Range: facts[i].Range}},
			})
			continue
		}
		facts = append(facts, f)
	}
	return facts
}

var factExample = map[string]string{
	"suspicious": `[no_reverse_dns, dnslist("zen.spamhaus.org")]`,
	"spare":      `[pool, dnswl, spf_pass(list.known)]`,
}

// fact reads one item of suspicious or spare: a word, or a word with an argument.
func (l *loader) fact(expr hcl.Expression, in string) (policy.Fact, bool) {
	var args []hcl.Expression
	word, at, ok := bare(expr)
	c, isCall := call(expr)
	switch {
	case isCall:
		word, at, args = c.Name, expr.Range(), c.Arguments
	case !ok:
		l.notFact(expr, in)
		return policy.Fact{}, false
	}
	i := slices.IndexFunc(language.FactWords, func(f language.FactWord) bool { return f.Name == word })
	if i < 0 {
		l.unknownFact(word, at, in)
		return policy.Fact{}, false
	}
	spec := language.FactWords[i]
	if spec.In != in {
		l.fail("EP124", at, fmt.Sprintf("%s does not belong into %s", word, in), "", misplaced[word])
		return policy.Fact{}, false
	}
	arg, text, ok := l.factArgument(spec, expr, at, isCall, args)
	if !ok {
		return policy.Fact{}, false
	}
	return policy.Fact{Fact: plan.Fact{Name: word, Arg: arg}, Text: text, Range: at}, true
}

// misplaced is help for a fact in the wrong argument.
var misplaced = map[string]string{
	plan.NoReverseDNS: "it makes suspicious, and spares nobody",
	plan.HeloMismatch: "it makes suspicious, and spares nobody",
	plan.DynamicName:  "it makes suspicious, and spares nobody",
	plan.DNSList:      "it makes suspicious; a white list is dnswl(\"zone\")",
	plan.SPFFail:      "it makes suspicious; who passes is spf_pass(list.NAME)",
	plan.NoDNSWL:      "it makes suspicious; who is on the white list is dnswl",
	plan.DNSWL:        "it speaks for a client: spare = [dnswl]; that it is absent is no_dnswl",
	plan.SPFPass:      "it speaks for a client: spare = [spf_pass(list.NAME)]; who fails is spf_fail",
	plan.InPool:       "it speaks for a client: spare = [pool]",
}

// alias is what other programs, and people, call a fact.
var alias = map[string]map[string]string{
	"suspicious": {
		"dnsbl": `dnslist("zone")`, "rbl": `dnslist("zone")`, "dnslists": `dnslist("zone")`, "blacklist": `dnslist("zone")`, "blocklist": `dnslist("zone")`,
		"rdns": plan.NoReverseDNS, "no_rdns": plan.NoReverseDNS, "no_ptr": plan.NoReverseDNS, "ptr": plan.NoReverseDNS, "reverse_dns": plan.NoReverseDNS,
		"helo": plan.HeloMismatch, "bad_helo": plan.HeloMismatch, "spf": plan.SPFFail, "spf_softfail": plan.SPFFail,
		"dynamic": plan.DynamicName, "dialup": plan.DynamicName, "generic_name": plan.DynamicName,
	},
	"spare": {
		"spf": "spf_pass(list.NAME)", "whitelist": "dnswl", "dnswhitelist": "dnswl", "pools": "pool", "client.pool": "pool",
	},
}

// factWords are the words of facts of one argument, as candidates and as they are
// written.
func factWords(in string) (names, calls []string) {
	for _, f := range language.FactWords {
		if f.In == in {
			names, calls = append(names, f.Name), append(calls, f.Call)
		}
	}
	return names, calls
}

func (l *loader) unknownFact(word string, at hcl.Range, in string) {
	names, calls := factWords(in)
	help := ""
	kind, rest, _ := strings.Cut(word, ".")
	asZone := map[string]string{"suspicious": plan.DNSList, "spare": plan.DNSWL}[in]
	_, declared := l.lists[strings.Split(rest, ".")[0]]
	switch {
	case alias[in][word] != "":
		help = fmt.Sprintf("did you mean %s?", alias[in][word])
	case kind == "list" && !declared && strings.Contains(rest, ".") && isHost(word): // list.dnswl.org
		help = fmt.Sprintf("did you mean %s(%q)?", asZone, word)
	case kind == "pool" && in == "spare":
		help = fmt.Sprintf("spare = [pool] is for all pools; to exempt one, write except = [%s]", word)
	case kind == "list" || kind == "greylist" || kind == "pool":
		help = fmt.Sprintf("whom a list or pool names is exempt with except = [%s]", word)
	case rest != "" && isHost(word):
		help = fmt.Sprintf("did you mean %s(%q)?", asZone, word)
	default:
		help = meant(word, names)
	}
	l.fail("EP124", at, fmt.Sprintf("%q is not a fact", word), "The facts of "+in+" are: "+strings.Join(calls, ", ")+".", help)
}

// notFact reports what is neither a word nor a call: a string, mostly.
func (l *loader) notFact(expr hcl.Expression, in string) {
	if v, ds := expr.Value(nil); !ds.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
		if name, _, _ := strings.Cut(strings.ToLower(v.AsString()), "="); isHost(name) {
			l.unknownFact(name, expr.Range(), in)
			return
		}
	}
	l.notBare(expr, "a fact", strings.Trim(factExample[in], "[]"))
}

// factArgument reads what stands in a fact's parentheses. Text is the fact as it is to
// be written.
func (l *loader) factArgument(spec language.FactWord, expr hcl.Expression, at hcl.Range, isCall bool, args []hcl.Expression) (arg, text string, ok bool) {
	form := "write " + factForm(spec)
	switch {
	case !isCall && spec.Bare():
		return spec.Default, spec.Name, true
	case !isCall || len(args) == 0 && !spec.Bare():
		what := "the zone of a DNS list"
		if spec.List {
			what = "a list of senders"
		}
		l.fail("EP124", at, fmt.Sprintf("%s needs %s", spec.Name, what), "", form)
		return "", "", false
	case !spec.Zone && !spec.List:
		l.fail("EP124", at, fmt.Sprintf("%s has no argument", spec.Name), "", "write "+spec.Name)
		return "", "", false
	case len(args) == 0:
		l.fail("EP124", at, fmt.Sprintf("%s() names nothing", spec.Name), "", form)
		return "", "", false
	case len(args) > 1:
		help := form
		if spec.Answers {
			help = "one zone in each, with its answers in the same string: " + factForm(spec)
		}
		l.fail("EP124", within(expr, args[1]), fmt.Sprintf("%s has one argument", spec.Name), "", help)
		return "", "", false
	case spec.List:
		return l.factList(spec, expr, args[0])
	}
	return l.factZone(spec, expr, args[0])
}

// factForm is a fact with its argument, as an example.
func factForm(spec language.FactWord) string {
	switch {
	case spec.Answers:
		return `dnslist("zen.spamhaus.org"), or dnslist("zen.spamhaus.org=127.0.0.2,127.0.0.3") for some of its answers`
	case spec.Zone:
		return fmt.Sprintf("%s, or %s(%q) for another list", spec.Name, spec.Name, "list.example.org")
	}
	return spec.Call
}

// within is the place of a part of an expression; in the JSON form, whose escapes move
// columns, that of the whole.
func within(expr, part hcl.Expression) hcl.Range {
	if _, native := expr.(hclsyntax.Expression); native {
		return part.Range()
	}
	return expr.Range()
}

func (l *loader) factList(spec language.FactWord, expr, arg hcl.Expression) (name, text string, ok bool) {
	at := within(expr, arg)
	word, _, isBare := bare(arg)
	steps := strings.Split(word, ".")
	if !isBare || len(steps) < 2 || steps[0] != "list" {
		help := "write " + factForm(spec)
		if _, declared := l.lists[strings.Trim(l.source(arg.Range()), `"`)]; declared {
			help = fmt.Sprintf("did you mean %s(list.%s)?", spec.Name, strings.Trim(l.source(arg.Range()), `"`))
		}
		l.fail("EP124", at, fmt.Sprintf("the argument of %s is a list of senders", spec.Name), "", help)
		return "", "", false
	}
	if len(steps) > 2 {
		l.fail("EP124", at, fmt.Sprintf("%s compares senders only", spec.Name), "", fmt.Sprintf("write %s(list.%s)", spec.Name, steps[1]))
		return "", "", false
	}
	if !l.exists("list", steps[1], nil, at, l.lists) {
		return "", "", false
	}
	return steps[1], fmt.Sprintf("%s(%s)", spec.Name, word), true
}

func (l *loader) factZone(spec language.FactWord, expr, arg hcl.Expression) (zone, text string, ok bool) {
	at := within(expr, arg)
	if word, _, isBare := bare(arg); isBare && !slices.Contains([]string{"var", "local", "site"}, strings.Split(word, ".")[0]) {
		l.fail("EP108", at, "a zone is a string", "", fmt.Sprintf("write %s(%q)", spec.Name, word))
		return "", "", false
	}
	v, ok := l.eval(arg, nil)
	if !ok {
		return "", "", false
	}
	if v.Type() != cty.String {
		l.fail("EP108", at, fmt.Sprintf("the zone of a DNS list must be a string, not %s", kindOf(v)), "", "write "+factForm(spec))
		return "", "", false
	}
	zone, fault, help := parseZone(v.AsString(), spec)
	if fault != "" {
		l.fail("EP125", at, fault, "", help)
		return "", "", false
	}
	return zone, fmt.Sprintf("%s(%q)", spec.Name, zone), true
}

// longestZone leaves room for an IPv6 address before a zone, digit by digit.
const longestZone = longestName - 64

// parseZone reads the zone of a DNS list, and the answers that are wanted after an
// equals sign: "zone=127.0.0.2,127.0.0.4", sorted. Or it says what is wrong.
func parseZone(s string, spec language.FactWord) (zone, fault, help string) {
	zone, list, equals := strings.Cut(strings.ToLower(s), "=")
	zone = strings.TrimSuffix(strings.TrimSpace(zone), ".")
	const ours = "the name of a zone, and where only some answers count, these: \"zen.spamhaus.org=127.0.0.2,127.0.0.3\""
	switch {
	case strings.ContainsAny(zone, "!&/$:;,* "):
		// Exim's own dnslists have all of these forms.
		return "", fmt.Sprintf("%q is not the zone of a DNS list", s), "one list in each dnslist(...), without Exim's forms with : & ! / and $: " + ours
	case !isHost(zone):
		return "", fmt.Sprintf("%q is not the zone of a DNS list", s), "the whole name of its zone, as in \"zen.spamhaus.org\""
	case len(zone) > longestZone:
		return "", fmt.Sprintf("the zone of a DNS list has at most %d characters", longestZone), ""
	case !equals:
		return zone, "", ""
	case !spec.Answers:
		return "", fmt.Sprintf("%s judges the answers itself", spec.Name), fmt.Sprintf("write %s(%q)", spec.Name, zone)
	}
	var answers []netip.Addr
	for _, item := range strings.Split(list, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(item))
		if fault, help := answerFault(strings.TrimSpace(item), a, err); fault != "" {
			return "", fault, help
		}
		answers = append(answers, a)
	}
	slices.SortFunc(answers, netip.Addr.Compare)
	var texts []string
	for _, a := range slices.Compact(answers) {
		texts = append(texts, a.String())
	}
	return zone + "=" + strings.Join(texts, ","), "", ""
}

// answerFault says what is wrong with an answer that a DNS list is to give.
func answerFault(item string, a netip.Addr, err error) (fault, help string) {
	switch {
	case item == "":
		return "an answer of the DNS list is missing", `answers stand after the zone, with commas between them: "zen.spamhaus.org=127.0.0.2,127.0.0.3"`
	case err != nil || !a.Is4() || a.As4()[0] != 127:
		return fmt.Sprintf("%q is not an answer of a DNS list", item), "they answer with single addresses in 127.0.0.0/8, here with commas between them"
	case a.As4() == [4]byte{127, 0, 0, 1}:
		return "127.0.0.1 is not an answer of a DNS list", "exipold never takes it for a listing: it comes from resolvers and dead zones that answer everything alike"
	case a.As4()[1] == 255 && a.As4()[2] == 255:
		return fmt.Sprintf("%s says that the DNS list refuses to answer, not that it has the client", a), "exipold never takes it for a listing: ask from a resolver of your own (helper.dns)"
	}
	return "", ""
}
