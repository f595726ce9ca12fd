package emit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"exipol/generator/exim"
	"exipol/generator/plan"
)

// rates is what Exim itself counts at one half of a stage; nil for nothing. The
// first statement that refuses ends the ACL, so those of the strongest verdict come
// first, whichever limit they are of; what lets the mail pass comes last.
func (e *emitter) rates(s plan.Stage, half string, asks []plan.Ask) *ratesView {
	type ranked struct {
		rank int
		rate rateView
	}
	var all []ranked
	for _, ask := range asks {
		for _, ref := range ask.Exim {
			l := e.limits[ref]
			if len(l.Only) > 0 && len(e.clients(l.Only)) == 0 {
				continue // for nobody
			}
			for _, t := range l.Tiers {
				for _, r := range t.Over {
					all = append(all, ranked{rank(l, t), e.rate(l, t, r, ask)})
				}
			}
		}
	}
	if all == nil {
		return nil
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	v := &ratesView{Stage: exim.Text(s.Name), Half: exim.Text(half)}
	for _, r := range all {
		v.Rates = append(v.Rates, r.rate)
	}
	return v
}

// rank is a tier's place among the statements of a half.
func rank(l *plan.Limit, t plan.Tier) int {
	if l.Mode == plan.Observe || t.Verdict == plan.Freeze || t.Verdict == plan.Accept {
		return len(plan.VerdictOrder) // these do not end the ACL
	}
	return slices.Index(plan.VerdictOrder, t.Verdict)
}

// rate is one ratelimit statement. Its key names the policy and the tier, because
// Exim computes the rate of one key once per command, and is hashed, because a key
// may be what a client chose, and options and key share one list (Exim
// specification, "Rate limiting incoming messages").
func (e *emitter) rate(l *plan.Limit, t plan.Tier, r plan.Rate, ask plan.Ask) rateView {
	name := l.Ref() + "/" + t.Name
	v := rateView{
		For:     named(t.Origin, name),
		Traffic: exim.Text(ask.Traffic),
		Except:  addresses(e.exempt(l)),
		Only:    addresses(e.clients(l.Only)),
		Rate:    exim.Text(fmt.Sprintf("%d / %s", r.Count, r.Per)),
		Key:     exim.Text("exipol-"+l.Mode+"-"+strings.ReplaceAll(l.Ref(), ".", "-")+"-"+t.Name) + "-${sha256:" + keyText(l.Key) + "}",
		Log:     "exipol: " + exim.Text(name),
	}
	if ask.Event == plan.UnknownRecipient {
		v.Unknown, v.Domains = true, e.domains(ask.Traffic)
	}
	refuses := t.Verdict == plan.Defer || t.Verdict == plan.Deny || t.Verdict == plan.Drop
	v.Options = per(ask.Event) + " / " + update(refuses && !l.Attempts)
	if l.Mode == plan.Observe {
		v.Verb = "warn  "
		v.Log = "exipol: observe " + exim.Text(name) + ": would " + would(t) + " [$sender_host_address]"
		return v
	}
	v.Headers = headerLines(t.AddHeader)
	if d := t.Delay; d != nil {
		v.Delay = exim.Text(min(d.Fixed, d.Max).String())
	}
	switch {
	case refuses:
		v.Verb, v.Refuses = exim.Text(fmt.Sprintf("%-6s", t.Verdict)), true
		v.Message = reply(t.Verdict, t.Message, name)
	case t.Verdict == plan.Discard:
		v.Verb, v.Refuses = "discard", true
	default:
		v.Verb, v.Freeze = "warn  ", t.Verdict == plan.Freeze
		v.Log += " [$sender_host_address]"
	}
	return v
}

// would puts into words what a tier of an observing limit would have done.
func would(t plan.Tier) exim.Text {
	switch {
	case t.Verdict != plan.Accept:
		return exim.Text(t.Verdict)
	case t.Delay != nil:
		return "delay"
	}
	return "add a header"
}

// per says what one event is to Exim.
func per(event string) exim.Text {
	switch event {
	case plan.Connection:
		return "per_conn"
	case plan.Message:
		return "per_mail"
	}
	return "per_cmd"
}

// update chooses whether events over the limit count: they do not where they are
// refused anyway, and must where the tier lets them pass.
func update(leaky bool) exim.Text {
	if leaky {
		return "leaky"
	}
	return "strict"
}

// keyText expands to the key, its parts apart from each other by a byte that none
// of them holds unencoded.
func keyText(parts []plan.Part) exim.Text {
	var words []string
	for _, p := range parts {
		switch p.Field {
		case "client":
			words = append(words, fmt.Sprintf("${if isip4{$sender_host_address}{%s}{%s}}", netIPv4(p.V4), netIPv6(p.V6)))
		case "helo":
			words = append(words, "${lc:$sender_helo_name}")
		case "sender":
			words = append(words, "${lc:$sender_address}")
		case "sender.domain":
			words = append(words, "${lc:$sender_address_domain}")
		case "recipient":
			words = append(words, "${lc:$local_part@$domain}")
		case "recipient.domain":
			words = append(words, "${lc:$domain}")
		case "auth":
			words = append(words, "$authenticated_id")
		}
	}
	for i, w := range words {
		words[i] = "${base64:" + w + "}"
	}
	return exim.Text(strings.Join(words, "."))
}

// netIPv4 expands to the same for all IPv4 addresses of one net, and netIPv6 for IPv6.
// Both are the first digits of the address written out in full: ${ipv6denorm:} does that
// for IPv4, too, in the last 32 of 128 bits. ${mask:} would end the session with a panic
// ("Taint mismatch", Exim 4.96), and ${eval:} be refused (from 4.100 on), where the
// address came from the command line, as that of an `exim -bs -oMa` does.
func netIPv4(bits int) string {
	if bits == 32 {
		return "$sender_host_address"
	}
	return netIPv6(96 + bits)
}

// netIPv6 is netIPv4's other half. A net that ends within a digit keeps the bits that it
// has of that one.
func netIPv6(bits int) string {
	const full = "${ipv6denorm:$sender_host_address}"
	digits := bits / 4
	length := digits + max(digits-1, 0)/4 // a colon after each four
	text := fmt.Sprintf("${length_%d:%s}", length, full)
	if rest := bits % 4; rest > 0 {
		if digits > 0 && digits%4 == 0 {
			length++
		}
		const hex = "0123456789abcdef"
		kept := []byte(hex)
		for i := range kept {
			kept[i] = hex[i>>(4-rest)<<(4-rest)]
		}
		text += fmt.Sprintf("${tr{${substr_%d_1:%s}}{%s}{%s}}", length, full, hex, kept)
	}
	return text
}

// exempt is whom a limit does not concern: its own exceptions and, of strangers,
// the site's forwarders.
func (e *emitter) exempt(l *plan.Limit) []string {
	cidrs := e.clients(l.Except)
	if l.Traffic == plan.Inbound {
		cidrs = append(cidrs, e.plan.Forwarders...)
	}
	return cidrs
}

// addresses is a list for match_ip; "" for an empty one.
func addresses(cidrs []string) exim.Text {
	if cidrs == nil {
		return ""
	}
	return exim.Addresses(cidrs)
}

// clients is all the client addresses of the lists; nil for no list.
func (e *emitter) clients(refs []plan.Ref) []string {
	var cidrs []string
	for _, ref := range refs {
		for _, l := range e.plan.Lists {
			if l.Name != ref.List {
				continue
			}
			for _, entry := range l.Entries {
				if entry.Field == "client" {
					cidrs = append(cidrs, entry.Pattern)
				}
			}
		}
	}
	return cidrs
}
