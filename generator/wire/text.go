package wire

import (
	"fmt"
	"strings"
)

// The Exim text that fills the words.
const (
	exprClient    = `$sender_host_address`
	exprHelo      = `${base64:$sender_helo_name}`
	exprSender    = `${base64:$sender_address}`
	exprRecipient = `${base64:$local_part@$domain}`
	exprAuth      = `${base64:$authenticated_id}`

	// Of a local message Exim takes the caller's login for an authenticated id, too, where he may not
	// say himself who the sender is. Nobody logged in for that.
	exprAuthOnly = `${if def:sender_host_authenticated {${base64:$authenticated_id}}}`
	exprUser     = `${base64:$sender_ident}`

	// A remote host may say as much as it likes.
	exprEvent = `${base64:${length_500:$event_data}}`

	// Reading $sender_host_name, and def: of it, makes Exim look the name up. What
	// $sender_fullhost begins with says without that whether there is one: the name
	// itself, or else the HELO name in parentheses, or the address in brackets.
	exprHost = `${if match{$sender_fullhost}{^[^(\\[]}{${base64:$sender_host_name}}{${if bool{$host_lookup_deferred}{~}{${if bool{$host_lookup_failed}{-}}}}}}`

	// The raw header: decoded, an encoded word in a name could hold an address. Two
	// headers, or two addresses, make what ${address:} takes for no address at all. An
	// address that is too long to be one (RFC 5321, 4.5.3.1) is none.
	exprFrom = `${if match{${address:$rheader_from:}}{^.\{1,256\}@[^@]\{1,255\}\\z}{${base64:$0}}}`

	// Whatever the header says, but for "no" (RFC 3834, 5), with parameters or a comment
	// behind it.
	exprAuto = `${if and{ {def:h_auto-submitted:} {!match{$rheader_auto-submitted:}{^(?i)\\s*no\\s*([;(]|\\z)}} }{ auto=yes}}`
)

// ListedBytes is about how many bytes of a message's recipients, at not_smtp, are looked at: more are
// counted, but not named. Verifying each takes a while, and whoever gave the message to Exim waits.
const ListedBytes = 4000

// The recipients at not_smtp, each in base64, apart by commas: of $recipients, which has
// commas between them. One with a quoted local part, which could hold a comma itself, is
// left out; so is what is beyond the bytes that are looked at.
const (
	// Listed expands to them as a list with colons, before base64: what is no address between
	// two colons stands for one that was left out.
	Listed = `${sg{${sg{${sg{${sg{` + listedHead + `}{"(\\\\.|[^"\\\\])*"@[^,]*}{-}}}{(?s)".*}{-}}}{:}{::}}}{, ?}{:}}`

	listedHead = `${if >{${strlen:$recipients}}{4000}{${sg{${length_4000:$recipients}}{,[^,]*\\z}{}}}{$recipients}}`
)

// Expressions for the words of a question that depend on where it is asked. The
// emitter chooses; package wire only knows how each is encoded.
type Expressions struct {
	Traffic   string // expands to the traffic
	Events    string // expands to the events, separated by commas
	Recipient string // expands to the recipient, or recipients; "" before RCPT
	Helo      bool
	Sender    bool
	Host      bool   // what Exim knows of the client's host name
	From      bool   // the address of the From header, at data
	Dkim      string // expands to the domains whose signatures verified, at data; "" for none
	Kept      string // expands to the message's recipients that were kept so far, at rcpt; "" where it does not matter
	Auto      bool   // whether the message is an automatic one, at data

	NotSMTP bool   // there is no client, whatever a trusted caller says
	User    bool   // who gave a local message to Exim
	Relay   string // expands to who the site says that a relay host is; "" for what has none
	Message bool   // the message's id
	Hold    string // expands to the block that froze the message
	Callout string // expands to " callout=yes" where it was the remote host that refused a recipient
	Count   bool   // how many recipients the message has
	Event   bool   // what was said of a delivery that failed
}

// Recipient expands, in an RCPT ACL, to the recipient as a question carries it.
const Recipient = exprRecipient

// QuestionText is the Exim text that expands into a question, without its final
// newline: Exim puts it into a variable first, so that a question that is asked
// twice is the same twice.
func QuestionText(planID, stage, half string, e Expressions) string {
	var b strings.Builder
	client := exprClient
	if e.NotSMTP {
		client = ""
	}
	fmt.Fprintf(&b, "v=1 plan=%s at=%s.%s traffic=%s events=%s nonce=$pid.$tod_epoch_l ip=%s", planID, stage, half, e.Traffic, e.Events, client)
	if e.Helo {
		b.WriteString(" helo=" + exprHelo)
	}
	if e.Sender {
		b.WriteString(" sender=" + exprSender)
	}
	if e.Recipient != "" {
		b.WriteString(" rcpt=" + e.Recipient)
	}
	if e.User || e.Event {
		b.WriteString(" auth=" + exprAuthOnly)
	} else {
		b.WriteString(" auth=" + exprAuth)
	}
	if e.Host {
		b.WriteString(" host=" + exprHost)
	}
	if e.From {
		b.WriteString(" from=" + exprFrom)
	}
	if e.Dkim != "" {
		b.WriteString(" dkim=" + e.Dkim)
	}
	if e.Kept != "" {
		fmt.Fprintf(&b, "${if >{${strlen:%s}}{%d}{ kept=no}}", e.Kept, KeptRecipients)
	}
	if e.Auto {
		b.WriteString(exprAuto)
	}
	if e.User {
		b.WriteString("${if eq{" + e.Traffic + "}{local}{ user=" + exprUser + "}}")
	}
	if e.Relay != "" {
		b.WriteString("${if eq{" + e.Traffic + "}{relay}{ relay=${base64:" + e.Relay + "}}}")
	}
	if e.Message {
		b.WriteString(" mid=$message_exim_id")
	}
	if e.Hold != "" {
		b.WriteString("${if def:" + strings.TrimPrefix(e.Hold, "$") + " { hold=" + e.Hold + "}}")
	}
	b.WriteString(e.Callout)
	if e.Count {
		b.WriteString(" count=$recipients_count")
	}
	if e.Event {
		b.WriteString(" text=" + exprEvent)
	}
	return b.String()
}
