package main

import (
	"net/netip"
	"slices"
	"strings"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/generator/wire"
)

// fill puts what was given into a question, and says which event was.
func fill(q *wire.Question, given []string) (event string, err error) {
	for _, g := range given {
		name, value, found := strings.Cut(g, "=")
		if !found || !slices.Contains(askFields, name) {
			return "", cli.WrongUsage("%q is not FIELD=VALUE with one of the fields %s", g, listed(askFields))
		}
		if name == "owner" {
			kind, who, _ := strings.Cut(value, ":")
			if !slices.Contains([]string{"auth", "user", "relay"}, kind) || who == "" {
				return "", cli.WrongUsage("%s: auth:ID, user:LOGIN or relay:HOST belongs there", g)
			}
			name, value = kind, who
		}
		switch name {
		case "client":
			a, err := netip.ParseAddr(value)
			if err != nil {
				return "", cli.WrongUsage("client=%s: not an IP address", value)
			}
			q.Client = a.Unmap().WithZone("")
		case "relay":
			// Who is known by the address has no other id.
			if a, err := netip.ParseAddr(value); err == nil {
				q.Client, value = a.Unmap().WithZone(""), ""
			}
			q.Relay, q.Traffic = value, plan.Relay
		case "helo":
			q.Helo = value
		case "sender":
			q.Sender = strings.TrimSuffix(strings.TrimPrefix(value, "<"), ">")
		case "recipient":
			q.Recipient = value
		case "auth":
			q.Auth = value
		case "user":
			q.User = value
		case "host":
			q.Host = value
		case "from":
			q.From = value
		case "dkim":
			q.Dkim = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		case "event":
			event = value
		}
	}
	return event, nil
}

// unnamed are the fields that the policy judges by and nobody gave: one that is left
// out is not one that is empty.
func unnamed(p *plan.Plan, ref string, given []string) (missing []string) {
	var fields []string
	var key []plan.Part
	for _, g := range p.Greylists {
		if g.Ref() == ref {
			fields, key = []string{"sender", "recipient"}, g.Key
			if len(g.Suspicious)+len(g.Spare)+len(g.Urgent) > 0 {
				fields = append(fields, "client", "helo")
			}
		}
	}
	for _, l := range p.Limits {
		if l.Ref() == ref {
			key = l.Key
		}
	}
	for _, part := range key {
		field, _, _ := strings.Cut(part.Field, ".")
		if field == "pool" {
			field = "client"
		}
		fields = append(fields, field)
	}
	has := func(fields ...string) bool {
		return slices.ContainsFunc(given, func(g string) bool {
			field, _, _ := strings.Cut(g, "=")
			return slices.Contains(fields, field)
		})
	}
	for _, field := range askFields {
		named := has(field)
		switch field {
		case "owner":
			named = has("owner", "auth", "user", "relay")
		case "auth", "user":
			named = has("owner", field)
		case "client":
			named = has("relay", "owner", field)
		}
		if slices.Contains(fields, field) && !named {
			missing = append(missing, field+"=")
		}
	}
	return missing
}

// place says where the question is asked: the first place in a session where the plan asks for the event, or for any
// where it is empty; of the traffic that whoever was named has, where it is asked of any of that. What is in force is
// asked about there, too.
func place(p *plan.Plan, event string, q *wire.Question) bool {
	wanted := traffic(q)
	if !slices.ContainsFunc(p.Stages, func(s plan.Stage) bool {
		return slices.ContainsFunc(slices.Concat(s.Before, s.After), func(a plan.Ask) bool { return a.Traffic == wanted })
	}) {
		wanted = ""
	}
	for pass := range 3 {
		for _, s := range p.Stages {
			for _, half := range []string{plan.Before, plan.After} {
				for _, a := range asksOf(s, half) {
					if event != "" && a.Event != event || event == "" && turn(s.Name, a.Event) != pass || wanted != "" && a.Traffic != wanted {
						continue
					}
					q.Stage, q.Half, q.Traffic, q.Events = s.Name, half, a.Traffic, []string{a.Event}
					if a.Event != plan.Blocked && asks(s, half, a.Traffic, plan.Blocked) {
						q.Events = append(q.Events, plan.Blocked)
					}
					return true
				}
			}
		}
	}
	return false
}

// turn says which questions are put first where none was named: those of a session, then those about blocks alone,
// and of what became of a message only where there is no other.
func turn(stage, event string) int {
	switch {
	case stage == plan.Delivery:
		return 2
	case event == plan.Blocked:
		return 1
	}
	return 0
}

// traffic is that of mail of who was named; "" where it may be any.
func traffic(q *wire.Question) string {
	switch {
	case q.Auth != "":
		return plan.Submission
	case q.User != "":
		return plan.Local
	}
	return q.Traffic
}

// asks says whether a half of a stage asks for an event of a traffic.
func asks(s plan.Stage, half, traffic, event string) bool {
	return slices.ContainsFunc(asksOf(s, half), func(a plan.Ask) bool { return a.Traffic == traffic && a.Event == event })
}

func asksOf(s plan.Stage, half string) []plan.Ask {
	if half == plan.Before {
		return s.Before
	}
	return s.After
}

// events are all that a plan asks for, each once.
func events(p *plan.Plan) []string {
	var out []string
	for _, s := range p.Stages {
		for _, a := range slices.Concat(s.Before, s.After) {
			if !slices.Contains(out, a.Event) {
				out = append(out, a.Event)
			}
		}
	}
	return out
}
