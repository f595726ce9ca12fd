package eximtest

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Message is one message as it was delivered to one recipient.
type Message struct {
	Sender    string // of the envelope; "" is the null sender
	Recipient string // of the envelope
	Header    string // without the two lines that say the envelope, with LF
	Body      string // byte for byte as Exim had it, with LF
}

// Field returns the value of the first header line of this name, unfolded no further
// than Exim did it, or "".
func (m Message) Field(name string) string {
	for _, l := range strings.Split(m.Header, "\n") {
		if n, value, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Mailbox returns all that was delivered, oldest first, a message per recipient.
func (b *Bed) Mailbox() []Message {
	b.t.Helper()
	entries, err := os.ReadDir(b.Path("mail/new"))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatalf("read the mailbox: %v", err)
	}
	slices.SortFunc(entries, func(x, y os.DirEntry) int { return slices.Compare(age(x.Name()), age(y.Name())) })
	var all []Message
	for _, e := range entries {
		all = append(all, parseMessage(b.readFile("mail/new/"+e.Name())))
	}
	return all
}

// The letter before the microseconds is H up to Exim 4.96, and M in newer ones.
var maildirName = regexp.MustCompile(`^(\d+)\.[HM](\d+)P(\d+)\.`)

// age is what sorts the names of a maildir: seconds, microseconds, process.
func age(name string) []int {
	m := maildirName.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	var n []int
	for _, s := range m[1:] {
		i, _ := strconv.Atoi(s)
		n = append(n, i)
	}
	return n
}

func parseMessage(raw string) Message {
	header, body, _ := strings.Cut(raw, "\n\n")
	m := Message{Body: body}
	var rest []string
	for _, l := range strings.Split(header, "\n") {
		if v, ok := strings.CutPrefix(l, "Return-path: <"); ok && m.Sender == "" {
			m.Sender = strings.TrimSuffix(v, ">")
		} else if v, ok := strings.CutPrefix(l, "Envelope-to: "); ok && m.Recipient == "" {
			m.Recipient = v
		} else {
			rest = append(rest, l)
		}
	}
	m.Header = strings.Join(rest, "\n")
	return m
}

// WaitMail waits until at least n messages have been delivered, and returns all. With
// fewer, the test ends.
func (b *Bed) WaitMail(n int) []Message {
	b.t.Helper()
	for end := time.Now().Add(patience / 2); ; time.Sleep(10 * time.Millisecond) {
		if all := b.Mailbox(); len(all) >= n {
			return all
		} else if time.Now().After(end) {
			b.t.Fatalf("%d messages delivered, not %d", len(all), n)
		}
	}
}

// Queued is a message that waits in the spool.
type Queued struct {
	ID         string
	Sender     string // "" is the null sender
	Frozen     bool
	Recipients []string // those that are still to be delivered
}

var queueHead = regexp.MustCompile(`^ *\d+[mhd] +\S+ +([0-9A-Za-z]+-[0-9A-Za-z]+-[0-9A-Za-z]+) +(?:\([^)]*\) +)?<(.*?)>( \*\*\* frozen \*\*\*)?`)

// Queue lists the spool (-bp).
func (b *Bed) Queue() []Queued {
	b.t.Helper()
	out, _, err := b.Exec("", "-bp")
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	var all []Queued
	for _, l := range strings.Split(out, "\n") {
		if m := queueHead.FindStringSubmatch(l); m != nil {
			all = append(all, Queued{ID: m[1], Sender: m[2], Frozen: m[3] != ""})
		} else if r := strings.TrimSpace(l); r != "" && len(all) > 0 && !strings.HasPrefix(r, "D ") {
			q := &all[len(all)-1]
			q.Recipients = append(q.Recipients, r)
		}
	}
	return all
}
