// Package oldverbs lets Exim texts written for other helpers ask exipold, so that
// an administrator can switch first and rewrite later. It speaks
//
//	TARLIST IP                       a count; the question itself records an offence
//	BOUNCELIST ID                    HOUR:DAY, how many deliveries of an authenticated id's failed in each
//	[update|check] [--grey|--white|--black] IP SENDER RECIPIENT
//	                                 greylistd's: true or false, or grey or white
//
// Each is put to the engine as a question of our own, for one policy of the plan:
// state and meaning are shared with what the generated text asks. TARLIST uses the
// first limit (by name) that counts unknown_recipient by client.ip, greylistd's
// verbs the first greylist; BOUNCELIST asks for no policy, but needs one that counts bounces, of whatever
// class. Nothing is ever "black". What cannot be read, and what
// the plan has no policy for, gets the answer that lets mail pass.
package oldverbs

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/single"
)

// Verbs answers old verbs by one plan.
type Verbs struct {
	limit    *plan.Limit    // nil: the plan has none that fits
	grey     *plan.Grey     // nil: the plan has none
	limits   *engine.Engine // knows limit only
	greylist *engine.Engine // knows grey only
	bounces  bool           // the plan counts them
}

// New finds the plan's policies for the old verbs.
func New(p *plan.Plan) (*Verbs, error) {
	v := &Verbs{}
	var err error
	if i := slices.IndexFunc(p.Limits, fits); i >= 0 {
		v.limit = &p.Limits[i]
		if v.limits, err = engine.New(single.Plan(p, v.limit.Ref())); err != nil {
			return nil, err
		}
	}
	if len(p.Greylists) > 0 {
		v.grey = &p.Greylists[0]
		if v.greylist, err = engine.New(single.Plan(p, v.grey.Ref())); err != nil {
			return nil, err
		}
	}
	v.bounces = slices.ContainsFunc(p.Limits, func(l plan.Limit) bool {
		return slices.ContainsFunc(l.Events, func(e plan.WeightedEvent) bool { return e.Event == plan.Bounce })
	})
	return v, nil
}

// fits says whether a limit does what TARLIST asks for.
func fits(l plan.Limit) bool {
	return l.Engine == plan.EngineHelper && l.Distinct == nil && len(l.Windows) > 0 &&
		slices.ContainsFunc(l.Events, func(e plan.WeightedEvent) bool { return e.Event == plan.UnknownRecipient }) &&
		slices.Equal(l.Key, []plan.Part{{Field: "client", V4: 32, V6: 128}})
}

// Ask is an old verb, read.
type Ask struct {
	Engine   *engine.Engine // nil: nothing is decided
	Question wire.Question
	Update   bool   // the question is recorded; else it only looks
	Failed   string // the answer where the store fails
	// Answer prints the decision. st is the state that it was made from.
	Answer func(d engine.Decision, now time.Time, st engine.State) (string, error)
}

// Parse reads a line. Where ok is false there is nothing to decide: the answer is
// Ask.Failed.
func (v *Verbs) Parse(line []byte) (ask Ask, ok bool) {
	text, _, _ := strings.Cut(string(line), "\n")
	if len(text) > wire.MaxQuestion {
		text = text[:64] // its verb is enough to know what a safe answer is
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return Ask{Failed: "error: nothing was asked"}, false
	}
	switch words[0] {
	case "TARLIST":
		return v.tarlist(words[1:])
	case "BOUNCELIST":
		_, id, _ := strings.Cut(text, words[0])
		return v.bouncelist(strings.TrimSpace(id))
	}
	return v.greylistd(words)
}

// bouncelist asks how many of an id's deliveries failed, in an hour and in a day. An id may hold
// blanks.
func (v *Verbs) bouncelist(id string) (ask Ask, ok bool) {
	ask = Ask{Failed: "0:0"}
	if !v.bounces || id == "" {
		return ask, false
	}
	ask.Answer = func(_ engine.Decision, now time.Time, st engine.State) (string, error) {
		owner := engine.Owner(id, "", "")
		hour, err := st.Bounces(owner, now.Add(-time.Hour).UnixMilli())
		if err != nil {
			return "", err
		}
		day, err := st.Bounces(owner, now.Add(-24*time.Hour).UnixMilli())
		return fmt.Sprintf("%d:%d", hour, day), err
	}
	return ask, true
}

func (v *Verbs) tarlist(args []string) (ask Ask, ok bool) {
	ask = Ask{Failed: "0", Engine: v.limits, Update: true, Answer: v.count}
	if len(args) != 1 || v.limit == nil {
		return ask, false
	}
	client, err := netip.ParseAddr(args[0])
	if err != nil {
		return ask, false
	}
	ask.Question = wire.Question{
		Stage: plan.Rcpt, Half: plan.Before, Traffic: v.limit.Traffic,
		Events: []string{plan.UnknownRecipient}, Client: client.Unmap().WithZone(""),
	}
	return ask, true
}

// count is what was counted of the client in the limit's longest window, this
// question included; nothing where it is exempt or the limit only observes.
func (v *Verbs) count(d engine.Decision, now time.Time, st engine.State) (string, error) {
	window := v.limit.Windows[len(v.limit.Windows)-1].Std()
	for _, w := range d.Writes {
		add, is := w.(engine.AddCount)
		if !is || add.Policy != v.limit.Ref() || add.Window != window {
			continue
		}
		first := now.Add(-window).UnixMilli() / engine.SlotLength(window).Milliseconds()
		n, err := st.Count(add.Policy, add.Key, window, first, add.Slot+1)
		return strconv.FormatInt(n+add.N, 10), err
	}
	return "0", nil
}

// greylistd reads greylistd's verbs, as its client and its ACL example use them.
func (v *Verbs) greylistd(words []string) (ask Ask, ok bool) {
	ask = Ask{Engine: v.greylist, Update: true}
	switch words[0] {
	case "check":
		ask.Update, words = false, words[1:]
	case "update":
		words = words[1:]
	}
	test := ""
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		if test == "" {
			test = strings.ToLower(strings.TrimLeft(words[0], "-"))
		}
		words = words[1:]
	}
	if !slices.Contains([]string{"", "grey", "white", "black"}, test) {
		ask.Failed = fmt.Sprintf("error: %.16q is none of grey, white and black", test)
		return ask, false
	}
	print := func(state string) string {
		if test == "" {
			return state
		}
		return strconv.FormatBool(state == test)
	}
	ask.Failed = print("white")
	if v.grey == nil || len(words) == 0 {
		return ask, false
	}
	ask.Answer = func(d engine.Decision, _ time.Time, _ engine.State) (string, error) {
		if d.Answer.Verdict == plan.Accept {
			return print("white"), nil
		}
		return print("grey"), nil
	}
	if ask.Question, ok = triplet(words); !ok {
		return ask, false
	}
	ask.Question.Traffic = v.grey.Traffic
	if v.grey.OnFailure == plan.DeferMail {
		ask.Failed = print("grey")
	}
	return ask, true
}

// triplet reads IP SENDER RECIPIENT. A null sender leaves two words; a sender with
// blanks in it more than three. At DATA, Exim texts give "IP $recipients": a list
// with commas, of which the first one counts, as everywhere.
func triplet(words []string) (q wire.Question, ok bool) {
	if len(words) < 2 {
		return q, false
	}
	client, ok := address(words[0])
	if !ok {
		return q, false
	}
	q = wire.Question{Stage: plan.Rcpt, Half: plan.After, Events: []string{plan.Recipient}, Client: client}
	rest := words[1:]
	switch {
	case len(rest) == 1 || strings.HasSuffix(rest[0], ","):
		q.Recipient = strings.TrimSuffix(rest[0], ",")
	default:
		q.Sender = strings.Join(rest[:len(rest)-1], " ")
		q.Recipient = rest[len(rest)-1]
	}
	if q.Sender == "" || q.Sender == "<>" {
		q.Sender = ""
		q.Stage, q.Events = plan.Predata, []string{plan.NullSender}
	}
	return q, true
}

// address reads an IP address, or a network as Exim's ${mask} prints it: with dots
// for an IPv6 one, so that it can be a lookup key.
func address(s string) (netip.Addr, bool) {
	host, _, masked := strings.Cut(s, "/")
	if masked && !strings.Contains(host, ":") && strings.Count(host, ".") == 7 {
		host = strings.ReplaceAll(host, ".", ":")
	}
	a, err := netip.ParseAddr(host)
	return a.Unmap().WithZone(""), err == nil
}
