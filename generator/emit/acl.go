package emit

import (
	"fmt"
	"slices"
	"strings"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/templates"
)

// awaySeconds is how long a connection does not ask again after an answer that is of
// no use. Where there was none at all it asks no more: see the template.
const awaySeconds = 60

// secondCall is the part of the timeout that the second call gets: after a failed
// connect it returns at once, after a read timeout it asks again.
const secondCall = 1

// mostDkim is about how many bytes of domains, in base64, are kept of the signatures that
// verified: the domains of all signatures that Exim looks at (nineteen), unless they are long.
const mostDkim = 1000

// longestName is the longest name in the DNS, in bytes (RFC 1035, 2.3.4).
const longestName = 255

// aclText is the content of exipol.acl, without the header.
func aclText(p *plan.Plan) (string, error) {
	e := emitter{plan: p, greylists: map[string]*plan.Grey{}, limits: map[string]*plan.Limit{}, lists: map[string]*plan.List{}}
	for i := range p.Greylists {
		e.greylists[p.Greylists[i].Ref()] = &p.Greylists[i]
	}
	for i := range p.Limits {
		e.limits[p.Limits[i].Ref()] = &p.Limits[i]
	}
	for i := range p.Lists {
		e.lists[p.Lists[i].Ref()] = &p.Lists[i]
	}
	v := aclView{
		Socket:      exim.Quote(p.Socket),
		First:       exim.Text(fmt.Sprintf("%ds", p.Timeout.Seconds()-secondCall)),
		Second:      exim.Text(fmt.Sprintf("%ds", secondCall)),
		AnswerRegex: wire.AnswerRegex,
		AwaySeconds: awaySeconds,
	}
	if strings.ContainsAny(p.RelayID, "\n\r\x00") || strings.HasSuffix(p.RelayID, `\`) {
		return "", fmt.Errorf("relay_id is not one line that ends where it ends: %q", p.RelayID)
	}
	for _, s := range p.Stages {
		if s.Name == plan.Delivery {
			v.Delivery = e.delivery(s)
			v.Asks = v.Asks || v.Delivery != nil
			continue
		}
		sv := e.stage(s)
		if sv.Before.remembers() || sv.After.remembers() {
			v.Blocked = exim.Quote(p.Blocked)
		}
		if sv.RelayID {
			v.RelayID = exim.Text(p.RelayID)
		}
		v.Asks = v.Asks || sv.Before != nil || sv.After != nil
		v.Stages = append(v.Stages, sv)
	}
	var b strings.Builder
	if err := templates.Exim().ExecuteTemplate(&b, "acl.tmpl", v); err != nil {
		return "", fmt.Errorf("print the ACLs: %w", err)
	}
	return b.String(), nil
}

// emitter turns a plan's stages into what the templates print.
type emitter struct {
	plan      *plan.Plan
	greylists map[string]*plan.Grey
	limits    map[string]*plan.Limit
	lists     map[string]*plan.List
}

func (e *emitter) stage(s plan.Stage) stageView {
	if s.Name == plan.Dkim {
		return stageView{Name: exim.Text(s.Name), Option: option(s.Name), SiteACL: exim.Quote(s.SiteACL), Dkim: true, MostDkim: mostDkim, LongestName: longestName}
	}
	v := stageView{
		Name:        exim.Text(s.Name),
		Option:      option(s.Name),
		Traffic:     e.traffic(),
		RelayID:     e.needsRelay(s),
		Owner:       e.owner(s),
		Submission:  e.submission(s),
		SiteACL:     exim.Quote(s.SiteACL),
		Before:      e.half(s, plan.Before, s.Before),
		After:       e.half(s, plan.After, s.After),
		BeforeRates: e.rates(s, plan.Before, s.Before),
		AfterRates:  e.rates(s, plan.After, s.After),
	}
	if s.Name == plan.Rcpt && e.asksAfterRcpt() {
		v.KeepRecipient, v.MostKept = wire.Recipient, wire.KeptRecipients
		v.Own = e.own(plan.Data)
	}
	if s.Name == plan.NotSMTP {
		e.notSMTP(&v, s)
	}
	return v
}

// asksAfterRcpt says whether a question of a later stage carries a recipient.
func (e *emitter) asksAfterRcpt() bool {
	for _, s := range e.plan.Stages {
		if s.Name == plan.Predata || s.Name == plan.Data {
			return true
		}
	}
	return false
}

// own says whose recipients are marked where their domains are the site's own: those of
// traffic that lists learn from at this stage. nil for nobody's.
func (e *emitter) own(stage string) *ownView {
	var refs, traffics []string
	for _, s := range e.plan.Stages {
		for _, a := range s.After {
			if s.Name != stage {
				continue
			}
			for _, ref := range a.Policies {
				if e.lists[ref] != nil {
					refs, traffics = append(refs, ref), append(traffics, a.Traffic)
				}
			}
		}
	}
	if refs == nil || len(e.plan.Domains) == 0 {
		return nil
	}
	slices.Sort(refs)
	return &ownView{
		For: e.names(slices.Compact(refs)), Traffics: exim.List(slices.Compact(traffics)),
		Domains: exim.List(e.plan.Domains), Mark: wire.OursMark,
	}
}

// traffic expands to who is talking. Relay hosts are told by address, for that is
// what the log follower will see, too.
func (e *emitter) traffic() exim.Text {
	stranger := exim.Text(plan.Inbound)
	if len(e.plan.RelayHosts) > 0 {
		stranger = "${if match_ip{$sender_host_address}{" + exim.Addresses(e.plan.RelayHosts) + "}{relay}{inbound}}"
	}
	return "${if !def:sender_host_address {local}{${if def:sender_host_authenticated {submission}{" + stranger + "}}}}"
}

// half is what the helper is asked about at one half of a stage; nil for nothing.
func (e *emitter) half(s plan.Stage, half string, asks []plan.Ask) *halfView {
	v := &halfView{
		Stage: exim.Text(s.Name), Half: exim.Text(half),
		WaiveSeconds: wire.WaiveSeconds,
		MaxDelay:     e.plan.MaxDelay.Seconds(),
		LogFields:    logFields(s.Name),
		Predata:      s.Name == plan.Predata,
		Question:     e.question(s.Name, half, asks),
	}
	var acts actors
	done := map[string]bool{} // a policy's statements are printed once, whatever it is asked for
	for _, ask := range asks {
		if len(ask.Policies) == 0 {
			continue
		}
		c := e.concern(s.Name, ask)
		for _, before := range v.Concerns {
			c.Also = c.Also || before.Traffic == c.Traffic
		}
		v.Concerns = append(v.Concerns, c)
		v.Waives = v.Waives || half == plan.After
		for _, ref := range ask.Policies {
			e.failure(v, s.Name, ask, ref)
			if !done[ref] {
				done[ref] = true
				e.obey(v, &acts, s.Name, asks, ref)
			}
		}
	}
	if v.Concerns == nil {
		return nil
	}
	v.Observes, v.Delays, v.Freezes, v.Holds = some(acts.observe), some(acts.delay), some(acts.freeze), some(acts.hold)
	v.LastKnown, v.Callouts = e.lastKnown(s.Name, asks), e.calls(asks)
	v.Held = hasEvent(asks, plan.Held)
	if acts.suspects {
		v.Why = because("^v=1 verdict=accept .* why=")
	}
	return v
}

// actors are those that one statement serves for all: a place and a name each.
type actors struct {
	observe, delay, freeze []exim.Text
	hold                   []exim.Text // those of freeze that are blocks
	suspects               bool        // one of those that observe says why
}

// because expands to the answer's reasons in parentheses, with a blank before them,
// where the answer matches.
func because(pattern exim.Text) exim.Text {
	return "${if match{$acl_c_exipol_answer}{" + pattern + "}{ (${extract{why}{$acl_c_exipol_answer}})}}"
}

// some is a comment that names the first few of them.
func some(names []exim.Text) exim.Text {
	const most = 3
	var words []string
	for i, n := range names {
		if i == most && len(names) > most+1 {
			words = append(words, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		words = append(words, string(n))
	}
	return exim.Text(strings.Join(words, ", "))
}

// logFields are what a log line of ours says beside the policy and the client.
func logFields(stage string) exim.Text {
	switch stage {
	case plan.Rcpt:
		return "<$sender_address> to <$local_part@$domain>"
	case plan.Predata, plan.Data, plan.NotSMTP:
		return "<$sender_address>"
	case plan.Helo:
		return "helo ${length_255:$sender_helo_name}"
	}
	return "at " + exim.Text(stage)
}

// names is a comment that says where the policies stand.
func (e *emitter) names(refs []string) exim.Text {
	var names []exim.Text
	for _, ref := range refs {
		names = append(names, named(e.origin(ref), ref))
	}
	return some(names)
}

// named is a policy's place and name, for a comment.
func named(o plan.Origin, name string) exim.Text {
	return exim.Comment(o.String()) + " " + exim.Text(name)
}

func (e *emitter) origin(ref string) plan.Origin {
	if g := e.greylists[ref]; g != nil {
		return g.Origin
	}
	if l := e.lists[ref]; l != nil {
		return l.Origin
	}
	return e.limits[ref].Origin
}
