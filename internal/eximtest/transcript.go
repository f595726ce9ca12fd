package eximtest

import (
	"regexp"
	"strconv"
	"strings"
)

// What differs from one run to the next in what Exim says or logs.
var volatile = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`\b[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})\b`), "MESSAGE-ID"},
	{regexp.MustCompile(`\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [ 0-9]?\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d [+-]\d{4}`), "DATE"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\bpid=\d+`), "pid=PID"},
}

// Normalise replaces message ids, dates, process numbers by words, so that two runs
// can be compared byte for byte.
func Normalise(text string) string {
	for _, v := range volatile {
		text = v.re.ReplaceAllString(text, v.to)
	}
	return text
}

// Transcript is the dialogue so far, a line each, "C: " before what the client sent,
// "S: " before what Exim said; normalised ([Normalise]); bytes that are not printable
// ASCII are written as in a Go string.
func (s *Session) Transcript() string {
	return Normalise(strings.Join(s.log, "\n")) + "\n"
}

// printable writes controls and 8-bit bytes visibly, and leaves the rest alone.
func printable(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			q := strconv.QuoteToASCII(string([]byte{c}))
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}
