// Package wire is the conversation between Exim and exipold over the helper's
// socket, both directions of it: the text that Exim expands into a question, the
// parser that reads it, the answer, and what Exim checks of the answer.
//
// One question per connection. Exim connects, writes the question, shuts down its
// side, and reads until the helper closes (Exim specification, "Expansion items",
// readsocket). A question is one line of name=value words that ends in a newline:
//
//	v=1 plan=ID at=rcpt.after traffic=inbound events=recipient nonce=PID.TIME ip=192.0.2.1 helo=BASE64 sender=BASE64 rcpt=BASE64 auth=BASE64
//
// Whatever a client can put into a value travels in base64, so no byte that SMTP
// lets in can end a word or the line. An answer is one line without a newline:
//
//	v=1 verdict=defer by=greylist.inbound delay=0 waive=no end=1
//
// The last word proves that nothing was cut off. Exim takes an empty answer, and
// half an answer, for a success; the generated text therefore uses nothing of an
// answer that does not match AnswerRegex as a whole.
package wire

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MaxQuestion is the longest question read, in bytes. Exim's longest command is 16
// KiB (smtp_cmd_buffer_size), but addresses beyond about 300 bytes and HELO names
// beyond that are the work of a vandal: a question with several such is refused, and
// on_failure holds.
const MaxQuestion = 64 << 10

// AnswerRegex is the PCRE that a whole answer matches, written for the inside of an
// Exim expansion: no capital letter in it, so that no macro of the site's can
// change it, and \z rather than a dollar sign, which would let a newline pass.
const AnswerRegex = `^v=1( [a-z]+=[a-z0-9_./,-]*)* end=1\\z`

// Waivers: what the helper need not be asked again in this half of the stage.
const (
	WaiveNo         = "no"
	WaiveMessage    = "message"    // for the rest of this message
	WaiveConnection = "connection" // for WaiveSeconds, while this connection lasts
)

// WaiveSeconds is how long a connection's waiver holds, at most: Exim's clock has
// whole seconds. What is said at run time must be in force within two.
const WaiveSeconds = 1

// KeptRecipients is about how many bytes of a message's recipients, in base64, Exim
// keeps for the questions at predata and data. What is beyond is not judged.
const KeptRecipients = 4000

// Failed is the verdict of an answer that could not be given: the store is away,
// say. Exim then does what on_failure says.
const Failed = "failed"

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
}

// Answer is what exipold says. By, DelayBy and WouldBy name policies as
// "limit.tarpit/slow" or "greylist.inbound".
type Answer struct {
	Verdict string   // plan.Accept, ..., or Failed
	By      string   // who decided; "" for accept
	Delay   int64    // seconds to wait before the verdict
	DelayBy string   // who wants the longest wait; "" for none
	Add     []string // tiers whose headers are to be added
	Waive   string   // one of the waivers; "" is WaiveNo
	Would   string   // what observing policies would have decided, "" for nothing
	WouldBy string   //
}

// fields are the question's words in their order, each with the Exim text that
// fills it and the stages from which on Exim knows it.
const (
	exprClient    = `$sender_host_address`
	exprHelo      = `${base64:$sender_helo_name}`
	exprSender    = `${base64:$sender_address}`
	exprRecipient = `${base64:$local_part@$domain}`
	exprAuth      = `${base64:$authenticated_id}`
)

// Expressions for the words of a question that depend on where it is asked. The
// emitter chooses; package wire only knows how each is encoded.
type Expressions struct {
	Traffic   string   // expands to the traffic
	Events    string   // expands to the events, separated by commas
	Recipient string   // "" before RCPT; at predata and data the first of the message's
	Others    []string // further recipients of the message, at predata and data
	Helo      bool
	Sender    bool
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
	fmt.Fprintf(&b, "v=1 plan=%s at=%s.%s traffic=%s events=%s nonce=%s ip=%s helo=%s sender=%s rcpt=%s auth=%s\n",
		q.Plan, q.Stage, q.Half, q.Traffic, strings.Join(q.Events, ","), q.Nonce, client,
		enc([]byte(q.Helo)), enc([]byte(q.Sender)), rcpt, enc([]byte(q.Auth)))
	return b.String()
}

// questionWords are a question's words, those that it must have first.
var questionWords = []string{"v", "plan", "at", "traffic", "events", "nonce", "ip", "helo", "sender", "rcpt", "auth"}

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
		var err error
		switch name {
		case "v":
			if i != 0 || value != "1" {
				err = fmt.Errorf("version %q at word %d", value, i+1)
			}
		case "plan":
			q.Plan, err = token(value, isHex)
		case "at":
			stage, half, found := strings.Cut(value, ".")
			if !found {
				err = fmt.Errorf("not STAGE.HALF")
				break
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
			q.Recipient, err = decode(first)
			for err == nil && more {
				var other string
				first, others, more = strings.Cut(others, ",")
				other, err = decode(first)
				q.Others = append(q.Others, other)
			}
		case "auth":
			q.Auth, err = decode(value)
		default:
			err = fmt.Errorf("unknown word")
		}
		if err != nil {
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

// String is the answer as exipold sends it. A value that could not be read back
// makes the whole answer a failed one, rather than one that Exim misreads.
func (a Answer) String() string {
	if a.Waive == "" {
		a.Waive = WaiveNo
	}
	words := [][2]string{{"verdict", a.Verdict}}
	add := func(name, value string) {
		if value != "" {
			words = append(words, [2]string{name, value})
		}
	}
	add("by", a.By)
	if a.Delay > 0 {
		add("delay", strconv.FormatInt(a.Delay, 10))
		add("delayby", a.DelayBy)
	}
	add("add", strings.Join(a.Add, ","))
	add("would", a.Would)
	add("wouldby", a.WouldBy)
	add("waive", a.Waive)
	var b strings.Builder
	b.WriteString("v=1")
	for _, w := range words {
		for i := 0; i < len(w[1]); i++ {
			if !isAnswerByte(w[1][i]) {
				return "v=1 verdict=failed end=1"
			}
		}
		b.WriteString(" " + w[0] + "=" + w[1])
	}
	b.WriteString(" end=1")
	return b.String()
}

// ParseAnswer reads an answer back, as Exim's text does: for `exipold ask`, for
// tests, and as the other half of the fuzz test.
func ParseAnswer(s string) (Answer, error) {
	var a Answer
	words := strings.Split(s, " ")
	if len(words) < 2 || words[0] != "v=1" || words[len(words)-1] != "end=1" {
		return a, fmt.Errorf("answer %q is not whole", s)
	}
	seen := map[string]bool{}
	for _, word := range words[1 : len(words)-1] {
		name, value, found := strings.Cut(word, "=")
		if !found {
			return a, fmt.Errorf("answer %q: %q has no equals sign", s, word)
		}
		if seen[name] {
			return a, fmt.Errorf("answer %q gives %q twice", s, name)
		}
		seen[name] = true
		for i := 0; i < len(value); i++ {
			if !isAnswerByte(value[i]) {
				return a, fmt.Errorf("answer %q: a byte that no answer holds", s)
			}
		}
		switch name {
		case "verdict":
			a.Verdict = value
		case "by":
			a.By = value
		case "delay":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return a, fmt.Errorf("answer %q: delay: %w", s, err)
			}
			a.Delay = int64(n)
		case "delayby":
			a.DelayBy = value
		case "add":
			a.Add = strings.Split(value, ",")
		case "would":
			a.Would = value
		case "wouldby":
			a.WouldBy = value
		case "waive":
			a.Waive = value
		default:
			return a, fmt.Errorf("answer %q: unknown word %q", s, name)
		}
	}
	if !slices.Contains([]string{WaiveNo, WaiveMessage, WaiveConnection, ""}, a.Waive) || a.Verdict == "" {
		return a, fmt.Errorf("answer %q makes no sense", s)
	}
	return a, nil
}

func decode(value string) (string, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return "", fmt.Errorf("not base64")
	}
	return string(b), nil
}

func token(value string, ok func(byte) bool) (string, error) {
	if value == "" || len(value) > 64 {
		return "", fmt.Errorf("%d bytes where 1 to 64 belong", len(value))
	}
	for i := 0; i < len(value); i++ {
		if !ok(value[i]) {
			return "", fmt.Errorf("byte %q does not belong there", value[i])
		}
	}
	return value, nil
}

func printable(s string) string {
	if len(s) > 32 {
		s = s[:32]
	}
	return strconv.Quote(s)
}

func isHex(c byte) bool   { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
func isWord(c byte) bool  { return c >= 'a' && c <= 'z' || c == '_' }
func isNonce(c byte) bool { return c >= '0' && c <= '9' || c == '.' }
func isAnswerByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '/' || c == ',' || c == '-'
}
