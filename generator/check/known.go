package check

import (
	"fmt"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// owned is the traffic of which somebody answers for the mail: that of a limit that names
// no traffic, and counts what the log says.
var owned = []string{plan.Submission, plan.Relay, plan.Local}

// traffics are a limit's.
func traffics(lim *policy.Limit) []string {
	if lim.Traffic.V == "" {
		return owned
	}
	return []string{lim.Traffic.V}
}

// trafficName is a traffic in words.
func trafficName(traffic string) string {
	if traffic == "" {
		return "submission, relay and local"
	}
	return traffic
}

// onlyLogged says whether a limit counts nothing else: its tiers then act at the next RCPT, for
// there is no command that they could act at.
func onlyLogged(lim *policy.Limit) bool {
	return len(lim.Events) > 0 && !slices.ContainsFunc(lim.Events, func(e policy.Event) bool { return !plan.Events[e.Name.V].Log })
}

// known says whether a field of the question is known at an event, and if not,
// why. Of several traffics it is enough that one has it.
func known(field, event, traffic string) (why string, ok bool) {
	if traffic == "" {
		for _, t := range owned {
			if why, ok = known(field, event, t); ok {
				return "", true
			}
		}
		return why, false
	}
	early := event == plan.Connection || event == plan.HeloEvent
	base, _, _ := strings.Cut(field, ".")
	switch base {
	case "client":
		if traffic == plan.Local {
			return "local traffic has no client address", false
		}
	case "pool":
		switch {
		case traffic == plan.Local:
			return "local traffic has no client address", false
		case early:
			return fmt.Sprintf("at the event %s there is no sender yet, whose SPF record could name a pool", event), false
		case plan.Events[event].Log:
			return fmt.Sprintf("%s is read from the log, which knows no pools: use client.net", event), false
		}
	case "helo":
		if event == plan.Connection {
			return "a client that connects has not said HELO yet", false
		}
		if traffic == plan.Local {
			return "a message that comes without SMTP has no HELO name", false
		}
	case "sender":
		if early || event == plan.AuthFailure {
			return fmt.Sprintf("at the event %s there is no sender yet", event), false
		}
	case "recipient":
		return knownRecipient(event)
	}
	return knownOwner(base, event, traffic)
}

// knownRecipient is known for the recipient.
func knownRecipient(event string) (why string, ok bool) {
	switch event {
	case plan.Connection, plan.HeloEvent, plan.AuthFailure:
		return fmt.Sprintf("at the event %s there is no recipient yet", event), false
	case plan.Message:
		return "a message may have many recipients", false
	case plan.Login:
		return "what somebody who logged in sends may have many recipients", false
	}
	return "", true
}

// knownOwner is known for the fields that say who answers for a message.
func knownOwner(field, event, traffic string) (why string, ok bool) {
	switch field {
	case "auth":
		if traffic != plan.Submission {
			return fmt.Sprintf("%s traffic is not authenticated", traffic), false
		}
	case "user":
		if traffic != plan.Local {
			return fmt.Sprintf("%s traffic has no local user", traffic), false
		}
	case "owner":
		if traffic == plan.Inbound {
			return "nobody here answers for inbound mail", false
		}
	case "login":
		if event != plan.AuthFailure && event != plan.Login {
			return fmt.Sprintf("%s does not say which login was tried: only auth_failure and login do", event), false
		}
	}
	return "", true
}

// strangeEvent says whether a traffic does not have an event, why, and what to write.
func strangeEvent(event, traffic string) (why, help string, strange bool) {
	const counted = "a limit on %s traffic counts recipient, message or unknown_recipient"
	switch event {
	case plan.Connection, plan.HeloEvent:
		switch traffic {
		case plan.Submission:
			return fmt.Sprintf("at the event %s nobody is authenticated yet", event), fmt.Sprintf(counted, traffic), true
		case plan.Local:
			return fmt.Sprintf("local traffic has no event %s", event), fmt.Sprintf(counted, traffic), true
		}
	case plan.Bounce, plan.RejectedRecipient:
		if traffic == plan.Inbound {
			return fmt.Sprintf("nobody here answers for inbound mail: the event %s is counted for others only", event),
				`say traffic = "submission", "relay" or "local"; a limit that counts nothing else needs no traffic`, true
		}
	case plan.Login:
		if traffic != plan.Submission && traffic != "" {
			return fmt.Sprintf("who has logged in is submission traffic, not %s", traffic), `say traffic = "submission"`, true
		}
	case plan.AuthFailure:
		if traffic != plan.Inbound && traffic != plan.Relay {
			return fmt.Sprintf("who fails to log in is no %s traffic yet", traffic), `say traffic = "inbound", and count it for client.ip`, true
		}
	}
	return "", "", false
}
