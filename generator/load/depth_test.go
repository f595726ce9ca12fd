package load

import (
	"strings"
	"testing"
)

// HCL's parsers call themselves for every level of nesting. These would overflow
// the stack, which no recover can stop, if they were let through.
func TestDeepNesting(t *testing.T) {
	const deep = 100_000
	for _, open := range []string{"(", "[", "{", "!", "-", "! ", "-\n", "a?", "a[", "f(", "\"${", "%{if a}", "\"%{if a}", "a{\n", "[for x in ", "{for x in "} {
		for _, begin := range []string{"a = ", "", "a = [\n", "a = \"", "a = <<E\n"} {
			n := deep
			if begin != "a = " {
				n = 3000 // enough to see that nesting is noticed there, too
			}
			src := begin + strings.Repeat(open, n)
			Parse(map[string][]byte{"a.hcl": []byte(src)}, map[string]string{"x": src})
			if _, diags := Format([]byte(src), "a.hcl"); !diags.HasErrors() && begin == "a = " && open != "%{if a}" {
				t.Errorf("%q: no fault", open)
			}
		}
		inside := strings.ReplaceAll(strings.ReplaceAll(strings.Repeat(open, deep), `"`, `\"`), "\n", `\n`)
		Parse(map[string][]byte{"a.hcl.json": []byte(`{"exipol":{"format":1},"locals":{"a":"` + inside + `","b":"${` + inside + `"},"limit":{"x":{"key":["` + inside + `"]}}}`)}, nil)
	}
	for _, open := range []string{"[", `{"a":`, `[{"a":`} {
		Parse(map[string][]byte{"a.hcl.json": []byte(`{"locals":` + strings.Repeat(open, deep))}, nil)
	}
}

// What is long but flat is fine, and what stands in texts and comments nests
// nothing.
func TestLongButFlat(t *testing.T) {
	for name, body := range map[string]string{
		"comment":    "# " + strings.Repeat("(-!?{", 900),
		"text":       `a = "` + strings.Repeat("(-!? ", 900) + `"`,
		"list":       "a = [" + strings.Repeat(`"x", `, 5000) + "]",
		"attributes": "a = { x = [{ y = (1) }] }",
		"conditions": "a = [\n" + strings.Repeat("true ? 1 : 2,\n", 150) + "]",
	} {
		src := "exipol {\n  format = 1\n}\nlocals {\n  " + body + "\n}\n"
		if _, diags := Parse(map[string][]byte{"a.hcl": []byte(src)}, nil); len(diags) > 0 {
			t.Errorf("%s: %v", name, diags[0].Summary)
		}
	}
}
