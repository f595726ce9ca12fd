package wire

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
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
	Ours      []bool     // of each of these recipients, Recipient first: its domain is the site's own; nil where that is so of none
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
	// At data: the message says of itself that no human wrote it (RFC 3834).
	Auto bool

	User    string // of local traffic: the login of who gave the message to Exim
	Relay   string // of a relay host: who the site says that it is (plan.RelayID); "" where it does not say
	Message string // at data and not_smtp: the message's id in Exim's log
	Hold    string // with plan.Held: the block that froze the message, as in Answer.By
	Text    string // with plan.Bounce at delivery: what the remote host or Exim had against the recipient

	// Callout: with plan.InvalidRecipient, it was the remote host that refused the recipient.
	// Routing had nothing against it, so the event is none for a limit without a callout.
	Callout bool
	// Count is how many recipients the message has, at not_smtp.after, where Recipient and
	// Others are some of them at most; 0 elsewhere.
	Count int64
}

// IsOurs says whether the recipient, counted from Recipient on, is in one of the site's
// own domains. Only where a list learns from the traffic does a question say so.
func (q *Question) IsOurs(i int) bool { return i < len(q.Ours) && q.Ours[i] }

// OursMark stands before a recipient of the site's own, in questions at predata and
// data. It is no letter of base64.
const OursMark = "."

// What stands for a host name where there is none. No host name is like them.
const (
	HostNone    = "-"
	HostUnclear = "~"
)

// String is the question as Exim sends it, with its final newline.
func (q Question) String() string {
	var b strings.Builder
	enc := base64.StdEncoding.EncodeToString
	client := ""
	if q.Client.IsValid() {
		client = q.Client.String()
	}
	rcpt := q.mark(0) + enc([]byte(q.Recipient))
	for i, other := range q.Others {
		rcpt += "," + q.mark(i+1) + enc([]byte(other))
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
	if q.Auto {
		b.WriteString(" auto=yes")
	}
	for _, w := range []struct{ name, value string }{{"user", enc([]byte(q.User))}, {"relay", enc([]byte(q.Relay))}, {"mid", q.Message}, {"hold", q.Hold}, {"text", enc([]byte(q.Text))}} {
		if w.value != "" {
			b.WriteString(" " + w.name + "=" + w.value)
		}
	}
	if q.Callout {
		b.WriteString(" callout=yes")
	}
	if q.Count != 0 {
		fmt.Fprintf(&b, " count=%d", q.Count)
	}
	b.WriteString("\n")
	return b.String()
}

// mark stands before the recipient, counted from Recipient on.
func (q *Question) mark(i int) string {
	if q.IsOurs(i) {
		return OursMark
	}
	return ""
}

// questionWords are a question's words, those that it must have first.
var questionWords = []string{"v", "plan", "at", "traffic", "events", "nonce", "ip", "helo", "sender", "rcpt", "auth", "host", "from", "dkim", "kept", "auto",
	"user", "relay", "mid", "hold", "text", "callout", "count"}

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
		err = q.takeRecipients(value)
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
	case "auto":
		if q.Auto = value == "yes"; !q.Auto {
			err = fmt.Errorf("neither there nor yes")
		}
	default:
		err = q.takeOwner(name, value)
	}
	return err
}

// takeOwner fills in one of the words that tell whose a message is, and what became of it.
func (q *Question) takeOwner(name, value string) (err error) {
	switch name {
	case "user":
		q.User, err = decode(value)
	case "relay":
		q.Relay, err = decode(value)
	case "mid":
		q.Message, err = token(value, isMessageID)
	case "hold":
		q.Hold, err = value, answerText(value)
	case "text":
		q.Text, err = decode(value)
	case "callout":
		if q.Callout = value == "yes"; !q.Callout {
			err = fmt.Errorf("neither there nor yes")
		}
	case "count":
		if q.Count, err = strconv.ParseInt(value, 10, 32); err != nil || q.Count < 1 {
			err = fmt.Errorf("not a number of recipients")
		}
	default:
		err = fmt.Errorf("unknown word")
	}
	return err
}

// takeRecipients reads recipients with commas between them, each in base64, with or
// without a mark before it.
func (q *Question) takeRecipients(value string) error {
	for i, more := 0, true; more; i++ {
		var word string
		word, value, more = strings.Cut(value, ",")
		word, ours := strings.CutPrefix(word, OursMark)
		to, err := decode(word)
		if err != nil {
			return err
		}
		if i == MostRecipients {
			return fmt.Errorf("more than %d recipients", MostRecipients)
		}
		if ours {
			if to == "" {
				return fmt.Errorf("a mark without a recipient")
			}
			if q.Ours == nil {
				q.Ours = make([]bool, i, i+1)
			}
		}
		if q.Ours != nil {
			q.Ours = append(q.Ours, ours)
		}
		if i == 0 {
			q.Recipient = to
		} else {
			q.Others = append(q.Others, to)
		}
	}
	return nil
}

// MostRecipients is more than Exim's text can keep (the shortest address takes five of
// KeptRecipients bytes); each costs the store several looks.
const MostRecipients = 1024

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
