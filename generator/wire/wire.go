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
// Where a policy needs them, there are more: host=BASE64 (or - or ~), the client's host
// name as far as Exim has looked; from=BASE64 and dkim=BASE64,BASE64 at data; kept=no;
// auto=yes at data; and a full stop before a recipient that is the site's own. For policies
// that know owners and cases: user=BASE64 and relay=BASE64; mid=ID and hold=NAME of a message;
// callout=yes, count=N, and text=BASE64 of a failed delivery.
//
// Whatever a client can put into a value travels in base64, so no byte that SMTP
// lets in can end a word or the line. An answer is one line without a newline:
//
//	v=1 verdict=defer by=greylist.inbound why=no_reverse_dns,spf_fail waive=no end=1
//
// The last word proves that nothing was cut off. Exim takes an empty answer, and
// half an answer, for a success; the generated text therefore uses nothing of an
// answer that does not match AnswerRegex as a whole.
package wire

import (
	"encoding/base64"
	"fmt"
	"strconv"
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

// Away is the verdict of an answer that comes at once although the store is away: exipold knows no block
// of what was asked, and nothing was counted. The generated text has no statement for it, and so
// comes to its last ones, which do what on_failure says; other than after Failed it goes on asking.
const Away = "away"

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

// answerText says whether a value is one that an answer can hold.
func answerText(value string) error {
	if value == "" || len(value) > mostName {
		return fmt.Errorf("%d bytes where 1 to %d belong", len(value), mostName)
	}
	for i := 0; i < len(value); i++ {
		if !isAnswerByte(value[i]) {
			return fmt.Errorf("byte %q does not belong there", value[i])
		}
	}
	return nil
}

// mostName is more bytes than the name of a tier's block has.
const mostName = 255

func printable(s string) string {
	if len(s) > 32 {
		s = s[:32]
	}
	return strconv.Quote(s)
}

func isHex(c byte) bool   { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
func isWord(c byte) bool  { return c >= 'a' && c <= 'z' || c == '_' }
func isNonce(c byte) bool { return c >= '0' && c <= '9' || c == '.' }
func isMessageID(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-'
}
func isAnswerByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '/' || c == ',' || c == '-'
}
