package language

import "strings"

// FactWord is something that a greylist can ask about a client and a sender, in
// suspicious or in spare.
type FactWord struct {
	Name     string
	Call     string // how it is written, with its argument
	Zone     bool   // the argument is the zone of a DNS list
	Answers  bool   // after the zone, answers of the list can be named
	List     bool   // the argument is a list of the administrator's
	Default  string // the argument where none is given; "": one must be
	In       string // the argument of greylist that it belongs into
	Holds    string // when it holds, in a sentence
	HoldsNot string // what it does not mean, or when it is unclear
}

// Bare says whether the word alone, without an argument, is enough.
func (f FactWord) Bare() bool { return !f.Zone && !f.List || f.Default != "" }

// DNSWLZone is the zone of dnswl.org, the white list that is asked where none is named.
const DNSWLZone = "list.dnswl.org"

// FactWords are all facts, in the order of the reference page. A fact that cannot be
// found out in time does not hold.
var FactWords = []FactWord{
	{
		Name: "no_reverse_dns", Call: "no_reverse_dns", In: "suspicious",
		Holds:    "The client's address has no host name, or none that leads back to the address.",
		HoldsNot: "A DNS that does not answer is no missing name.",
	},
	{
		Name: "helo_mismatch", Call: "helo_mismatch", In: "suspicious",
		Holds:    "The HELO name is not the client's: no name with a dot, another address, a name that does not exist, or one of other networks and of another domain than the client's host name.",
		HoldsNot: "A name of the same domain as the client's host name is its own.",
	},
	{
		Name: "dynamic_name", Call: "dynamic_name", In: "suspicious",
		Holds:    "The client's host name looks like those of dial-up and cable clients: it holds the address, or words such as dyn, dsl and pool.",
		HoldsNot: "Not where it also has words such as mail, mx, smtp and static, nor where there is no name.",
	},
	{
		Name: "spf_fail", Call: "spf_fail", In: "suspicious",
		Holds:    "The SPF record of the sender's domain (of the HELO name for the null sender) says fail or softfail.",
		HoldsNot: "No record, neutral, and a record that is broken are no failure.",
	},
	{
		Name: "dnslist", Call: `dnslist("zone")`, Zone: true, Answers: true, In: "suspicious",
		Holds:    "The DNS list has the client, with any answer in 127.0.0.0/8; `dnslist(\"zone=127.0.0.2,127.0.0.3\")` takes only these for one.",
		HoldsNot: "Never with an answer in 127.255.255.0/24 (the list refuses to answer this resolver) or of 127.0.0.1, nor while the list has everybody.",
	},
	{
		Name: "no_dnswl", Call: `no_dnswl`, Zone: true, Default: DNSWLZone, In: "suspicious",
		Holds:    "The white list does not have the client; `no_dnswl(\"zone\")` asks another one than `" + DNSWLZone + "`.",
		HoldsNot: "A white list that does not answer has nobody missing.",
	},
	{
		Name: "pool", Call: "pool", In: "spare",
		Holds:    "The client belongs to one of the named pools; for one of them only there is `except = [pool.NAME]`.",
		HoldsNot: "A sender whose SPF passes is no named pool.",
	},
	{
		Name: "dnswl", Call: `dnswl`, Zone: true, Default: DNSWLZone, In: "spare",
		Holds:    "The white list has the client, with low, medium or high trust; `dnswl(\"zone\")` asks another one than `" + DNSWLZone + "`.",
		HoldsNot: "A listing with the trust none is not enough.",
	},
	{
		Name: "spf_pass", Call: "spf_pass(list.NAME)", List: true, In: "spare",
		Holds:    "SPF passes for the sender, and the list has the sender, written down or learned. Anybody can publish a record that passes: the list says whose counts.",
		HoldsNot: "A record that lets everybody pass proves nothing.",
	},
}

// factSchema describes the facts of an argument in the JSON form.
func factSchema(argument string) object {
	var words, forms []any
	for _, f := range FactWords {
		if f.In != argument {
			continue
		}
		if f.Bare() {
			words = append(words, f.Name)
		}
		switch {
		case f.Zone:
			forms = append(forms, object{"type": "string", "pattern": `^` + f.Name + `\(".*"\)$`, "description": f.Holds})
		case f.List:
			forms = append(forms, object{"type": "string", "pattern": `^` + f.Name + `\(list\.[a-z][a-z0-9_]*\)$`, "description": f.Holds})
		}
	}
	return object{"anyOf": append([]any{object{"enum": words}}, forms...)}
}

// writeFacts prints the facts for the reference page.
func writeFacts(b *strings.Builder) {
	b.WriteString("\n## Facts\n\nWhat `suspicious` and `spare` of a greylist are made of. exipold finds them out, by the DNS, when the answer depends on them. " +
		"What cannot be found out in time does not hold; with `on_failure = \"defer\"` a first contact about which something is unclear, and of which nothing suspicious holds, is deferred all the same.\n\n" +
		"| fact | belongs into | holds where | |\n|---|---|---|---|\n")
	for _, f := range FactWords {
		call := "`" + f.Call + "`"
		if f.Zone && f.Bare() {
			call += ", `" + f.Name + "(\"zone\")`"
		}
		b.WriteString("| " + call + " | `" + f.In + "` | " + f.Holds + " | " + f.HoldsNot + " |\n")
	}
}
