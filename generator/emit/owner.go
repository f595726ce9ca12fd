package emit

import (
	"slices"

	"exipol/generator/exim"
	"exipol/generator/plan"
)

// Variables of the generated text that several parts of it use. Those with _c_ last for the
// connection, those with _m_ for the message; a message takes them along into the spool.
const (
	varRelay   = "$acl_c_exipol_relay"   // who the site says that a relay host is
	varOwner   = "$acl_c_exipol_owner"   // whose the message is, as engine.Owner says it
	varCallout = "$acl_c_exipol_callout" // " callout=yes" where a remote host refused the recipient
	varHold    = "$acl_m_exipol_hold"    // the block that froze the message
)

// authID expands to the authenticated id, "" where nobody logged in: of a local message Exim takes
// the caller's login for one.
const authID = "${if def:sender_host_authenticated {$authenticated_id}}"

// login expands to who gave a local message to Exim. Of a client on the net, the variable
// holds what its own ident service says.
const login = "${if eq{$acl_c_exipol_traffic}{local}{$sender_ident}}"

// clientAddress expands to the client's address as netip has it: IPv4 in IPv6 is IPv4.
const clientAddress = "${sg{$sender_host_address}{^::ffff:}{}}"

// fields are what a header may name, as Exim has it.
var fields = map[string]exim.Text{
	"auth":   authID,
	"owner":  varOwner,
	"user":   login,
	"client": "$sender_host_address",
	"sender": "$sender_address",
	"helo":   "$sender_helo_name",
}

// mostField is how many bytes of a field a header holds: a line has at most 998 (RFC 5322, 2.1.1).
const mostField = "255"

// headerLines prints headers. A field may hold what a client chose: of it only printable ASCII
// reaches the header, the rest escaped as in the log, and never a line end. None of the
// expansions can fail, for that would be a temporary error for the client.
func headerLines(hs []plan.Header) []headerView {
	var out []headerView
	for _, h := range hs {
		var value exim.Text
		for i, piece := range h.Value {
			if piece.Field != "" {
				value += "${sg{${length_" + mostField + ":${escape:" + fields[piece.Field] + "}}}{[^\\\\x20-\\\\x7e]}{?}}"
				continue
			}
			text := exim.Quote(piece.Text)
			if i > 0 && len(text) > 0 && text[0] == '{' {
				text = "\\" + text // never what an expansion before it goes on with
			}
			value += text
		}
		out = append(out, headerView{Name: exim.Quote(h.Name), Value: value})
	}
	return out
}

// names says whether a limit's key, or what it counts, has a field.
func names(l *plan.Limit, field string) bool {
	return slices.ContainsFunc(l.Key, func(p plan.Part) bool { return p.Field == field }) || l.Distinct != nil && l.Distinct.Field == field
}

// desk says whether a tier of the limit opens cases.
func desk(l *plan.Limit) bool { return slices.ContainsFunc(l.Tiers, plan.Tier.Desk) }

// limited says whether one of the limits that are asked about for a traffic ("": any) is like that.
func (e *emitter) limited(asks []plan.Ask, traffic string, like func(*plan.Limit) bool) bool {
	return slices.ContainsFunc(asks, func(a plan.Ask) bool {
		return (traffic == "" || a.Traffic == traffic) && slices.ContainsFunc(a.Policies, func(ref string) bool {
			l := e.limits[ref]
			return l != nil && like(l)
		})
	})
}

// wantsRelay says whether a question needs to say who a relay host is.
func (e *emitter) wantsRelay(asks []plan.Ask) bool {
	return e.plan.RelayID != "" && e.limited(asks, plan.Relay, func(l *plan.Limit) bool { return names(l, "owner") })
}

// needsRelay says whether a stage does, for a question or for the owner.
func (e *emitter) needsRelay(s plan.Stage) bool {
	return s.Name != plan.NotSMTP && e.plan.RelayID != "" && (e.wantsRelay(s.Before) || e.wantsRelay(s.After) || e.needsOwner(s))
}

// needsOwner says whether a stage's text uses the owner: in a header, or to find a block while
// exipold is away.
func (e *emitter) needsOwner(s plan.Stage) bool {
	inHeader := func(hs []plan.Header) bool {
		return slices.ContainsFunc(hs, func(h plan.Header) bool {
			return slices.ContainsFunc(h.Value, func(p plan.Piece) bool { return p.Field == "owner" })
		})
	}
	for _, a := range slices.Concat(s.Before, s.After) {
		for _, ref := range slices.Concat(a.Policies, a.Exim) {
			l := e.limits[ref]
			if l == nil || l.Mode == plan.Observe {
				continue
			}
			if names(l, "owner") && e.remembered(s.Name, a, l) {
				return true
			}
			for _, t := range l.Tiers {
				if inHeader(t.AddHeader) || t.Block != nil && inHeader(t.Block.AddHeader) {
					return true
				}
			}
		}
	}
	return false
}

// owner expands to whose a message is, as engine.Owner makes it; "" where the stage does not
// need it.
func (e *emitter) owner(s plan.Stage) exim.Text {
	if !e.needsOwner(s) {
		return ""
	}
	relay := exim.Text(clientAddress)
	if e.needsRelay(s) {
		relay = "${if def:acl_c_exipol_relay {" + varRelay + "}{" + clientAddress + "}}"
	}
	return "${if and{ {def:sender_host_authenticated} {def:authenticated_id} }{auth:$authenticated_id}" +
		"{${if eq{$acl_c_exipol_traffic}{local}{${if def:sender_ident {user:$sender_ident}}}" +
		"{${if eq{$acl_c_exipol_traffic}{relay}{relay:" + relay + "}}}}}}"
}

// submission is whose mail is mended at this stage. Exim has that control in the ACLs up to
// predata only; what comes without SMTP it mends by itself.
func (e *emitter) submission(s plan.Stage) *submissionView {
	m := e.plan.SubmissionMode
	if m == nil || s.Name != plan.Rcpt {
		return nil
	}
	v := &submissionView{Traffics: exim.List(m.Traffics), Control: "submission"}
	if m.Retain {
		v.Control += "/sender_retain"
	}
	if m.Domain != "" {
		v.Control += "/domain=" + exim.Quote(m.Domain)
	}
	return v
}
