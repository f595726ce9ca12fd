package verify

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/generator/wire"
)

// siteDomain is a domain of the site's in the sessions.
const siteDomain = "site.example"

// domain is one that the policies take for the site's.
func domain(p *plan.Plan) string {
	for _, d := range p.Domains {
		if !strings.ContainsAny(d, "+*@!") {
			return d
		}
	}
	return siteDomain
}

// lists are the named domain lists that the policies speak of.
func lists(p *plan.Plan) []string {
	var names []string
	for _, d := range p.Domains {
		if name, ok := strings.CutPrefix(strings.TrimPrefix(d, "!"), "+"); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// client is the address that a session of this traffic comes from.
func client(p *plan.Plan, traffic string) string {
	if traffic == plan.Relay {
		for _, cidr := range p.RelayHosts {
			if prefix, err := netip.ParsePrefix(cidr); err == nil {
				return prefix.Addr().String()
			}
		}
	}
	// An address for documentation (RFC 5737) that no relay host or forwarder has.
	for _, address := range []string{"192.0.2.99", "198.51.100.99", "203.0.113.99"} {
		if !within(address, p.RelayHosts) && !within(address, p.Forwarders) {
			return address
		}
	}
	return "2001:db8::99"
}

func within(address string, cidrs []string) bool {
	addr := netip.MustParseAddr(address)
	return slices.ContainsFunc(cidrs, func(c string) bool {
		prefix, err := netip.ParsePrefix(c)
		return err == nil && prefix.Contains(addr)
	})
}

// dialogue is what the client says: two recipients that there are, one that there
// is not, and a message; all of it again, so that what an answer waives is met.
func dialogue(p *plan.Plan, s session) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	say("EHLO client.example")
	if s.traffic == plan.Submission {
		say("AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00user@example.com\x00secret")))
	}
	sender := "sender@client.example"
	if s.null {
		sender = ""
	}
	for range 2 {
		say("MAIL FROM:<%s>", sender)
		say("RCPT TO:<known@%s>", domain(p))
		say("RCPT TO:<unknown@%s>", domain(p))
		say("RCPT TO:<other@%s>", domain(p))
		say("DATA")
		say("From: sender@client.example")
		say("Subject: check")
		say("")
		say("text")
		say(".")
	}
	say("QUIT")
	return b.String()
}

// configuration is an Exim around the text that delivers nothing: the site's ACLs
// accept, addresses that begin with "unknown" do not exist, anybody may log in.
func configuration(p *plan.Plan, dir string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("primary_hostname = host.example")
	say("spool_directory = %s/spool", dir)
	say("log_file_path = %s/log/%%slog", dir)
	say("keep_environment =")
	say("host_lookup =")
	say("rfc1413_hosts =")
	say("smtp_enforce_sync = false")
	say("queue_only = true")
	for _, name := range lists(p) {
		say("domainlist %s = %s", name, siteDomain)
	}
	say(".include %s/exipol.main", dir)
	own := map[string]bool{}
	for _, s := range p.Stages {
		upper := strings.ToUpper(s.Name)
		say(".ifdef MAIN_ACL_CHECK_%s", upper)
		say("acl_smtp_%s = MAIN_ACL_CHECK_%s", s.Name, upper)
		say(".endif")
	}
	say("begin acl")
	say(".include %s/exipol.acl", dir)
	for _, s := range p.Stages {
		if s.SiteACL != "" && !own[s.SiteACL] {
			own[s.SiteACL] = true
			say("%s:\n  accept", s.SiteACL)
		}
	}
	say("begin routers\nknown:\n  driver = accept\n  local_parts = !^unknown\n  transport = nowhere")
	say("begin transports\nnowhere:\n  driver = appendfile\n  file = /dev/null")
	say("begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_condition = yes\n  server_set_id = $auth2")
	return b.String()
}

// plannedSessions lists, for every traffic that a policy concerns, one session for
// each thing that could come back from the helper.
func plannedSessions(p *plan.Plan) []session {
	var out []session
	for _, traffic := range plan.TrafficOrder {
		answers, null := answers(p, traffic)
		if len(answers) == 0 {
			continue
		}
		for _, a := range answers {
			out = append(out, session{traffic, false, a.text, traffic + " mail, " + a.name})
			if null {
				out = append(out, session{traffic, true, a.text, traffic + " mail with a null sender, " + a.name})
			}
		}
	}
	return out
}

type reply struct{ name, text string }

// answers lists what the helper could say to questions of this traffic, and whether
// null senders are asked about by themselves.
func answers(p *plan.Plan, traffic string) (out []reply, null bool) {
	add := func(name string, a wire.Answer) {
		out = append(out, reply{"answered " + name, a.String()})
	}
	concerned := false
	for _, g := range p.Greylists {
		if g.Traffic == traffic {
			concerned, null = true, true
			add(plan.Defer, wire.Answer{Verdict: plan.Defer, By: g.Ref()})
			add("would "+plan.Defer, wire.Answer{Verdict: plan.Accept, Would: plan.Defer, WouldBy: g.Ref()})
		}
	}
	for _, l := range p.Limits {
		if l.Traffic != traffic {
			continue
		}
		concerned = true
		for _, t := range l.Tiers {
			ref := l.Ref() + "/" + t.Name
			a := wire.Answer{Verdict: t.Verdict, Add: []string{ref}}
			if t.Verdict != plan.Accept {
				a.By = ref
			}
			if traffic != plan.Local { // outside of -bh Exim really sleeps
				a.Delay, a.DelayBy = 1, ref
			}
			add(t.Verdict+" by "+ref, a)
			add("would "+t.Verdict, wire.Answer{Verdict: plan.Accept, Would: t.Verdict, WouldBy: ref})
		}
	}
	if !concerned {
		return nil, false
	}
	for _, w := range []string{wire.WaiveNo, wire.WaiveMessage, wire.WaiveConnection} {
		add(plan.Accept+" waive "+w, wire.Answer{Verdict: plan.Accept, Waive: w})
	}
	add(wire.Failed, wire.Answer{Verdict: wire.Failed})
	out = append(out, reply{"answered with half a line", "v=1 verdict=acc"}, reply{"no helper", ""})
	return out, null
}
