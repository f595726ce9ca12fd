package desk

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// letter is a mail to be written.
type letter struct {
	id      string // the Message-ID, without its brackets
	date    time.Time
	from    string // an address, "" for that of whoever runs this
	name    string // of the sender
	to      []string
	subject string
	extra   [][2]string // more header lines; plain ASCII
	text    string
}

// lineLength is the most that header lines, but for one long word, and plain text have.
const (
	headerLine = 76
	plainLine  = 500
)

// bytes is the mail as Exim takes it on its standard input: ASCII only, lines that any host lets through,
// and no line that somebody else's words could have begun.
func (l letter) bytes() []byte {
	var b bytes.Buffer
	put := func(name, value string) { b.WriteString(folded(name + ": " + value)) }
	put("Date", l.date.UTC().Format(time.RFC1123Z))
	if l.from != "" {
		put("From", phrase(l.name)+" <"+l.from+">")
	}
	put("To", strings.Join(l.to, ", "))
	put("Message-ID", "<"+l.id+">")
	put("Subject", unstructured(l.subject))
	put("Auto-Submitted", "auto-generated")
	put("X-Auto-Response-Suppress", "All")
	for _, e := range l.extra {
		put(e[0], unstructured(e[1]))
	}
	put("MIME-Version", "1.0")
	text := l.text
	if isPlain(text) {
		put("Content-Type", "text/plain; charset=us-ascii")
		put("Content-Transfer-Encoding", "7bit")
		b.WriteString("\n" + text)
		return b.Bytes()
	}
	put("Content-Type", "text/plain; charset=utf-8")
	put("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\n")
	var body bytes.Buffer
	w := quotedprintable.NewWriter(&body)
	_, _ = w.Write([]byte(text)) // into memory
	_ = w.Close()
	b.WriteString(strings.ReplaceAll(body.String(), "\r\n", "\n"))
	return b.Bytes()
}

// isPlain says whether a text can go out as it is.
func isPlain(text string) bool {
	for line := range strings.Lines(text) {
		if len(line) > plainLine {
			return false
		}
	}
	for i := range len(text) {
		if text[i] >= 0x7f || text[i] < ' ' && text[i] != '\n' {
			return false
		}
	}
	return true
}

// unstructured is a text in a header line.
func unstructured(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	// What looks encoded already would be decoded.
	s = strings.ReplaceAll(s, "=?", "= ?")
	return mime.QEncoding.Encode("utf-8", s)
}

// phrase is a name before an address.
func phrase(s string) string {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != ' ' {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(ascii(s)) + `"`
		}
	}
	return s
}

// ascii is a text with question marks for what is not printable ASCII.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// folded breaks a header line at its blanks.
func folded(line string) string {
	var b strings.Builder
	length := 0
	for i, word := range strings.Split(line, " ") {
		switch {
		case i == 0:
		case i > 1 && word != "" && length+1+len(word) > headerLine:
			b.WriteString("\n ")
			length = 1
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String() + "\n"
}

// wrapped is a paragraph, broken at its blanks.
func wrapped(indent, format string, args ...any) string {
	const width = 76
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(fmt.Sprintf(format, args...)) {
		switch {
		case length == 0:
			b.WriteString(indent)
			length = len(indent)
		case length+1+len(word) > width:
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String() + "\n"
}
