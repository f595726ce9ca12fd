package load

import (
	"slices"
	"strings"
	"testing"

	"exipol/generator/language"
	"exipol/generator/plan"
)

// The table's facts are the plan's, and each has its help.
func TestFactTable(t *testing.T) {
	facts := map[string]bool{
		plan.NoReverseDNS: true, plan.HeloMismatch: true, plan.DynamicName: true, plan.DNSList: true, plan.SPFFail: true,
		plan.NoDNSWL: true, plan.DNSWL: true, plan.SPFPass: true, plan.InPool: true,
	}
	for _, f := range language.FactWords {
		if !facts[f.Name] || misplaced[f.Name] == "" || factExample[f.In] == "" {
			t.Errorf("fact %s: not the plan's, or without its help", f.Name)
		}
		delete(facts, f.Name)
	}
	if len(facts) > 0 || len(misplaced) != len(language.FactWords) {
		t.Errorf("facts %v are not in the table", facts)
	}
	for in, words := range alias {
		names, calls := factWords(in)
		for word, fact := range words {
			if slices.Contains(names, word) || !slices.Contains(names, fact) && !slices.Contains(calls, fact) {
				t.Errorf("%s: %s stands for %s", in, word, fact)
			}
		}
	}
}

// Zones of DNS lists are written down in one form, whatever they are written as.
func TestZones(t *testing.T) {
	spec := language.FactWord{Name: "dnslist", Zone: true, Answers: true}
	for in, want := range map[string]string{
		"zen.spamhaus.org":                           "zen.spamhaus.org",
		" Zen.Spamhaus.ORG. ":                        "zen.spamhaus.org",
		"a_b-c.zen.dq.example=127.0.0.2":             "a_b-c.zen.dq.example=127.0.0.2",
		"x.example = 127.0.1.2, 127.0.0.9,127.0.0.9": "x.example=127.0.0.9,127.0.1.2",
		"x.example=127.0.0.10,127.0.0.2":             "x.example=127.0.0.2,127.0.0.10",
		"x.example=127.255.254.2":                    "x.example=127.255.254.2",
		"x":                                          "", "": "", ".": "", "x..y": "", "=127.0.0.2": "", "x.example=": "", "x.example=127.0.0.1": "", "x.example=127.255.255.0": "",
		"x.example=128.0.0.2": "", "x.example=::ffff:127.0.0.2": "", "x.example=127.0.0.2\n": "x.example=127.0.0.2", "x.example\x00": "", "bücher.example": "",
		"1.2.3.4": "", "x.example==127.0.0.2": "", strings.Repeat("a.", 94) + "example": "", strings.Repeat("a", 64) + ".example": "",
	} {
		got, fault, _ := parseZone(in, spec)
		if got != want || (fault == "") != (want != "") {
			t.Errorf("%q: %q (%s), wanted %q", in, got, fault, want)
		}
		if want != "" {
			if again, _, _ := parseZone(got, spec); again != got {
				t.Errorf("%q: %q at the second time", got, again)
			}
		}
	}
}
