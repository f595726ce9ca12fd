package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/language"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// references reads only, except or urgent.
func (l *loader) references(c *content, name string) []policy.Ref {
	var refs []policy.Ref
	for _, e := range l.static(c, name, "references", "[list.friends]") {
		word, at, ok := bare(e)
		if !ok {
			l.notBare(e, "a reference", "list.friends")
			continue
		}
		if ref, ok := l.reference(word, at); ok {
			refs = append(refs, policy.Ref{Ref: ref, Range: at})
		}
	}
	return refs
}

// wholeLists reads references to whole lists, as urgent has them.
func (l *loader) wholeLists(c *content, name string) []policy.Ref {
	refs := l.references(c, name)
	out := refs[:0:0]
	for _, r := range refs {
		switch {
		case r.List == "":
			l.fail("EP104", r.Range, fmt.Sprintf("%s names lists of senders only", name), "", "write list.NAME; pools and trusted clients can be exempt: except = ["+l.source(r.Range)+"]")
		case r.Field != "":
			l.fail("EP104", r.Range, fmt.Sprintf("%s takes a whole list, and compares its senders", name), "", "write list."+r.List)
		default:
			out = append(out, r)
		}
	}
	return out
}

func (l *loader) reference(word string, at hcl.Range) (plan.Ref, bool) {
	const forms = "expected list.NAME, list.NAME.FIELD, pool.NAME or greylist.NAME.trusted"
	steps := strings.Split(word, ".")
	switch {
	case steps[0] == "list" && (len(steps) == 2 || len(steps) == 3):
		if !l.exists("list", steps[1], steps[2:], at, l.lists) {
			return plan.Ref{}, false
		}
		ref := plan.Ref{List: steps[1]}
		if len(steps) == 3 {
			ref.Field = steps[2]
			if !slices.Contains(language.ListFields, ref.Field) {
				l.fail("EP104", at, fmt.Sprintf("a list has no field %q", ref.Field), "", choose(ref.Field, language.ListFields))
				return plan.Ref{}, false
			}
		}
		return ref, true
	case steps[0] == "pool" && len(steps) == 2:
		return plan.Ref{Pool: steps[1]}, l.exists("pool", steps[1], nil, at, l.pools)
	case steps[0] == "greylist" && len(steps) == 3 && steps[2] == "trusted":
		return plan.Ref{Trusted: steps[1]}, l.exists("greylist", steps[1], steps[2:], at, l.grey)
	case steps[0] == "greylist" && len(steps) == 2:
		l.fail("EP104", at, fmt.Sprintf("%s is a policy, not a list", word), "", fmt.Sprintf("the clients that it trusts are %s.trusted", word))
		return plan.Ref{}, false
	}
	help := forms
	if at, ok := l.pools[word]; ok {
		help = fmt.Sprintf("did you mean pool.%s%s?", word, l.declaredAt(at))
	}
	if at, ok := l.lists[word]; ok {
		help = fmt.Sprintf("did you mean list.%s%s?", word, l.declaredAt(at))
	}
	switch {
	case word == "pool":
		help = "write pool.NAME; to leave all pools alone, write spare = [pool]"
	case steps[0] == "pool" && len(steps) == 3:
		help = fmt.Sprintf("a pool has no fields: write pool.%s", steps[1])
	}
	l.fail("EP104", at, fmt.Sprintf("%q refers to nothing", word), "", help)
	return plan.Ref{}, false
}

// exists says whether a list, pool or greylist of that name is declared, and reports
// where not.
func (l *loader) exists(kind, name string, rest []string, at hcl.Range, declared map[string]hcl.Range) bool {
	if _, ok := declared[name]; ok {
		return true
	}
	if l.partial {
		l.errors++ // it may stand in the file that could not be read
		return false
	}
	names := sortedNames(declared)
	help := ""
	if near := nearest(name, names); near != "" {
		full := strings.Join(append([]string{kind, near}, rest...), ".")
		help = fmt.Sprintf("did you mean %s%s?", full, l.declaredAt(declared[near]))
	} else if len(names) > 0 && len(names) <= 10 {
		help = fmt.Sprintf("there are: %s", strings.Join(names, ", "))
	} else if len(names) == 0 {
		help = fmt.Sprintf("no %s is declared at all", kind)
	}
	l.fail("EP104", at, fmt.Sprintf("no %s is named %q", kind, name), "", help)
	return false
}
