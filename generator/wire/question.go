package wire

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Question is what Exim asks.
type Question struct {
	Plan    string   // the plan that the asking text was generated from
	Stage   string   // plan.Rcpt, ...
	Half    string   // plan.Before or plan.After
	Traffic string   // plan.Inbound, ...
	Events  []string // what happened, at least one
	Nonce   string   // the same in a repeated question

	Client    netip.Addr // IPv4-mapped addresses are given as IPv4; zero for local traffic
	Helo      string     // these four as SMTP brought them, byte for byte
	Sender    string     // "" before MAIL, and for the null sender
	Recipient string     // "" before RCPT; at predata and data the first of the message's
	Others    []string   // further recipients of the message, at predata and data
	Auth      string     // "" where nobody authenticated

	// What Exim knows already of the client's host name, where it has looked (its
	// host_lookup): the name that led back to the address, HostNone where there is none,
	// HostUnclear where DNS did not say; "" where it has not looked.
	Host string
	// At data: the address of the From header ("" where it is not exactly one), and the
	// domains (d=) whose DKIM signatures verified.
	From string
	Dkim []string
	// At rcpt: this recipient will not be among those of the questions at predata and
	// data, because KeptRecipients is reached.
	Unkept bool
}

// What stands for a host name where there is none. No host name is like them.
const (
	HostNone    = "-"
	HostUnclear = "~"
)

// The Exim text that fills the words.
const (
	exprClient    = `$sender_host_address`
	exprHelo      = `${base64:$sender_helo_name}`
	exprSender    = `${base64:$sender_address}`
	exprRecipient = `${base64:$local_part@$domain}`
	exprAuth      = `${base64:$authenticated_id}`

	// Reading $sender_host_name, and def: of it, makes Exim look the name up. What
	// $sender_fullhost begins with says without that whether there is one: the name
	// itself, or else the HELO name in parentheses, or the address in brackets.
	exprHost = `${if match{$sender_fullhost}{^[^(\\[]}{${base64:$sender_host_name}}{${if bool{$host_lookup_deferred}{~}{${if bool{$host_lookup_failed}{-}}}}}}`

	// The raw header: decoded, an encoded word in a name could hold an address. Two
	// headers, or two addresses, make what ${address:} takes for no address at all. An
	// address that is too long to be one (RFC 5321, 4.5.3.1) is none.
	exprFrom = `${if match{${address:$rheader_from:}}{^.\{1,256\}@[^@]\{1,255\}\\z}{${base64:$0}}}`
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
}

// Recipient expands, in an RCPT ACL, to the recipient as a question carries it.
const Recipient = exprRecipient

// QuestionText is the Exim text that expands into a question, without its final
// newline: Exim puts it into a variable first, so that a question that is asked
// twice is the same twice.
func QuestionText(planID, stage, half string, e Expressions) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=1 plan=%s at=%s.%s traffic=%s events=%s nonce=$pid.$tod_epoch_l ip=%s", planID, stage, half, e.Traffic, e.Events, exprClient)
	if e.Helo {
		b.WriteString(" helo=" + exprHelo)
	}
	if e.Sender {
		b.WriteString(" sender=" + exprSender)
	}
	if e.Recipient != "" {
		b.WriteString(" rcpt=" + e.Recipient)
	}
	b.WriteString(" auth=" + exprAuth)
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
	return b.String()
}

// String is the question as Exim sends it, with its final newline.
func (q Question) String() string {
	var b strings.Builder
	enc := base64.StdEncoding.EncodeToString
	client := ""
	if q.Client.IsValid() {
		client = q.Client.String()
	}
	rcpt := enc([]byte(q.Recipient))
	for _, other := range q.Others {
		rcpt += "," + enc([]byte(other))
	}
	fmt.Fprintf(&b, "v=1 plan=%s at=%s.%s traffic=%s events=%s nonce=%s ip=%s helo=%s sender=%s rcpt=%s auth=%s",
		q.Plan, q.Stage, q.Half, q.Traffic, strings.Join(q.Events, ","), q.Nonce, client,
		enc([]byte(q.Helo)), enc([]byte(q.Sender)), rcpt, enc([]byte(q.Auth)))
	switch q.Host {
	case "":
	case HostNone, HostUnclear:
		b.WriteString(" host=" + q.Host)
	default:
		b.WriteString(" host=" + enc([]byte(q.Host)))
	}
	if q.From != "" {
		b.WriteString(" from=" + enc([]byte(q.From)))
	}
	for i, d := range q.Dkim {
		b.WriteString([]string{" dkim=", ","}[min(i, 1)] + enc([]byte(d)))
	}
	if q.Unkept {
		b.WriteString(" kept=no")
	}
	b.WriteString("\n")
	return b.String()
}

// questionWords are a question's words, those that it must have first.
var questionWords = []string{"v", "plan", "at", "traffic", "events", "nonce", "ip", "helo", "sender", "rcpt", "auth", "host", "from", "dkim", "kept"}

const requiredWords = 6

// ParseQuestion reads one question. It must end in a newline: one that was cut off
// is an error, as is a word given twice or one that it does not know.
func ParseQuestion(line []byte) (Question, error) {
	var q Question
	if len(line) > MaxQuestion {
		return q, fmt.Errorf("question of %d bytes: the most is %d", len(line), MaxQuestion)
	}
	if len(line) == 0 || line[len(line)-1] != '\n' {
		return q, fmt.Errorf("question without its final newline")
	}
	text := string(line[:len(line)-1])
	if strings.ContainsAny(text, "\n\r\x00") {
		return q, fmt.Errorf("question of more than one line")
	}
	var seen uint // a bit for each of questionWords; this is the hot path
	for i, more := 0, true; more; i++ {
		var word string
		word, text, more = strings.Cut(text, " ")
		name, value, found := strings.Cut(word, "=")
		if !found {
			return q, fmt.Errorf("word %d of the question has no equals sign", i+1)
		}
		bit := uint(1) << uint(slices.Index(questionWords, name)+1)
		if seen&bit != 0 && bit != 1 {
			return q, fmt.Errorf("the question gives %q twice", name)
		}
		seen |= bit
		if name == "v" && i != 0 {
			return q, fmt.Errorf("the question's version is word %d", i+1)
		}
		if err := q.take(name, value); err != nil {
			return q, fmt.Errorf("question, %s: %w", printable(name), err)
		}
	}
	for i, must := range questionWords[:requiredWords] {
		if seen&(1<<uint(i+1)) == 0 {
			return q, fmt.Errorf("question without %s", must)
		}
	}
	return q, nil
}

// take fills in one word.
func (q *Question) take(name, value string) (err error) {
	switch name {
	case "v":
		if value != "1" {
			err = fmt.Errorf("version %q", value)
		}
	case "plan":
		q.Plan, err = token(value, isHex)
	case "at":
		stage, half, found := strings.Cut(value, ".")
		if !found {
			return fmt.Errorf("not STAGE.HALF")
		}
		if q.Stage, err = token(stage, isWord); err == nil {
			q.Half, err = token(half, isWord)
		}
	case "traffic":
		q.Traffic, err = token(value, isWord)
	case "events":
		q.Events = strings.Split(value, ",")
		for _, e := range q.Events {
			if _, werr := token(e, isWord); werr != nil {
				err = werr
			}
		}
	case "nonce":
		q.Nonce, err = token(value, isNonce)
	case "ip":
		if value != "" {
			q.Client, err = netip.ParseAddr(value)
			q.Client = q.Client.Unmap().WithZone("")
		}
	case "helo":
		q.Helo, err = decode(value)
	case "sender":
		q.Sender, err = decode(value)
	case "rcpt":
		first, others, more := strings.Cut(value, ",")
		if q.Recipient, err = decode(first); err == nil && more {
			q.Others, err = decodeAll(others)
		}
	case "auth":
		q.Auth, err = decode(value)
	case "host":
		q.Host, err = host(value)
	case "from":
		q.From, err = decode(value)
	case "dkim":
		if value != "" {
			q.Dkim, err = decodeAll(value)
		}
	case "kept":
		if q.Unkept = value == "no"; !q.Unkept {
			err = fmt.Errorf("neither there nor no")
		}
	default:
		err = fmt.Errorf("unknown word")
	}
	return err
}

// host reads a host name, or what stands for there being none.
func host(value string) (string, error) {
	if value == HostNone || value == HostUnclear {
		return value, nil
	}
	name, err := decode(value)
	if err == nil && (name == HostNone || name == HostUnclear) {
		return "", fmt.Errorf("not a name")
	}
	return name, err
}

// decodeAll reads words of base64 with commas between them.
func decodeAll(value string) (all []string, err error) {
	for word := range strings.SplitSeq(value, ",") {
		text, err := decode(word)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}
