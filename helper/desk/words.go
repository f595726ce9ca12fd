package desk

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// Shown is what strangers chose (a login, an address, a line of the log), for people to read: with
// nothing in it that ends a line, moves a cursor or turns a text round.
func Shown(s string) string {
	q := strconv.Quote(s)
	if q == `"`+s+`"` {
		return s
	}
	return q
}

// brief is the beginning of a text, up to so many characters.
func brief(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "..."
		}
	}
	return s
}

// moment is a stored time for people.
func moment(ms int64) string {
	if ms == 0 {
		return "never"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC")
}

// eventWords say what an event is, of several.
var eventWords = map[string]string{
	plan.Connection:        "connections",
	plan.HeloEvent:         "HELO commands",
	plan.Recipient:         "recipients",
	plan.Message:           "messages",
	plan.UnknownRecipient:  "recipients that do not exist",
	plan.InvalidRecipient:  "recipients that do not exist",
	plan.Bounce:            "messages that came back",
	plan.AuthFailure:       "failed logins",
	plan.Login:             "logins",
	plan.RejectedRecipient: "recipients that were refused",
}

// countedWords say what a limit counts.
func countedWords(l plan.Limit) string {
	var events []string
	for _, e := range l.Events {
		if w := eventWords[e.Event]; len(events) == 0 || events[len(events)-1] != w {
			events = append(events, w)
		}
	}
	what := strings.Join(events, " and ")
	switch {
	case l.Distinct != nil:
		return "different " + partWords(*l.Distinct) + " of " + what
	case l.Share != nil:
		return "percent of all " + eventWords[l.Share.Event] + " were " + what
	}
	return what
}

func partWords(p plan.Part) string {
	switch p.Field {
	case "login":
		return "logins"
	case "client":
		return "client addresses"
	}
	return p.Field
}

// blockWords say what a block does, in a sentence without its end.
func blockWords(b *plan.Block) string {
	does := "Its mail is accepted and kept frozen in the queue"
	switch b.Verdict {
	case plan.Defer:
		does = "What it wants is refused for the moment, at " + commandOf(b.At)
	case plan.Deny:
		does = "What it wants is refused, at " + commandOf(b.At)
	}
	if b.Queued == plan.Freeze {
		does += ", and so is that which was waiting there"
	}
	if b.Until == 0 {
		return does + ", until somebody releases the case"
	}
	return does + ", for " + b.Until.String()
}

// commandOf is the SMTP command that a stage is run at.
func commandOf(stage string) string {
	switch stage {
	case plan.Connect:
		return "connection"
	case plan.Auth:
		return "AUTH"
	case plan.Mail:
		return "MAIL"
	}
	return "RCPT"
}

// HeldWords say how many messages are held where: "12 messages: 10 on mx1, 2 on mx2".
func HeldWords(held []store.Held) string {
	if len(held) == 0 {
		return "no message"
	}
	var gateways []string
	count := map[string]int{}
	for _, h := range held {
		if count[h.Gateway]++; count[h.Gateway] == 1 {
			gateways = append(gateways, h.Gateway)
		}
	}
	text := fmt.Sprintf("%d messages", len(held))
	if len(held) == 1 {
		text = "1 message"
	}
	if len(gateways) == 1 {
		return text + " on " + Shown(gateways[0])
	}
	var parts []string
	for _, g := range gateways {
		parts = append(parts, fmt.Sprintf("%d on %s", count[g], Shown(g)))
	}
	return text + ": " + strings.Join(parts, ", ")
}
