package diag

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Text prints the list for people: the place, the message, the line of the
// source with the fault underlined, and help. The meaning never depends on
// colour, so there is none. Files are by the names that the ranges use; a file
// that is missing costs the source line only.
func Text(w io.Writer, l List, files map[string]*hcl.File) error {
	var b strings.Builder
	for i, d := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		secret := slices.ContainsFunc(l, func(other Diagnostic) bool {
			return other.Secret && other.Subject.Filename == d.Subject.Filename && other.Subject.Start.Line == d.Subject.Start.Line
		})
		textOne(&b, d, files, !secret)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func textOne(b *strings.Builder, d Diagnostic, files map[string]*hcl.File, quote bool) {
	if placed(d.Subject) {
		fmt.Fprintf(b, "%s: ", place(d.Subject))
	} else if d.Subject.Filename != "" {
		fmt.Fprintf(b, "%s: ", clean(d.Subject.Filename))
	}
	fmt.Fprintf(b, "%s: %s [%s]\n", d.Severity, clean(d.Summary), d.Code)
	margin := "  "
	if line, under, ok := snippet(d.Subject, files); ok && quote {
		number := fmt.Sprint(d.Subject.Start.Line)
		margin = strings.Repeat(" ", len(number)+1)
		fmt.Fprintf(b, "%s|\n%s | %s\n%s| %s\n", margin, number, line, margin, under)
	}
	for _, line := range lines(d.Detail) {
		fmt.Fprintf(b, "%s= %s\n", margin, line)
	}
	for _, n := range d.Notes {
		if placed(n.Range) {
			fmt.Fprintf(b, "%s= note: %s: %s\n", margin, place(n.Range), clean(n.Text))
		} else {
			fmt.Fprintf(b, "%s= note: %s\n", margin, clean(n.Text))
		}
	}
	for _, line := range lines(d.Help) {
		fmt.Fprintf(b, "%s= help: %s\n", margin, line)
	}
}

// place is a range's beginning as editors read it.
func place(r hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", clean(r.Filename), r.Start.Line, r.Start.Column)
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(s, "\n")
	for i := range out {
		out[i] = clean(out[i])
	}
	return out
}

// maxSnippet is how much of a source line is shown.
const maxSnippet = 160

// snippet is the source line that r begins on, and the line of carets below it.
func snippet(r hcl.Range, files map[string]*hcl.File) (line, under string, ok bool) {
	f := files[r.Filename]
	if !placed(r) || f == nil || r.Start.Byte < 0 || r.Start.Byte > len(f.Bytes) {
		return "", "", false
	}
	start := bytes.LastIndexByte(f.Bytes[:r.Start.Byte], '\n') + 1
	end := len(f.Bytes)
	if n := bytes.IndexByte(f.Bytes[start:], '\n'); n >= 0 {
		end = start + n
	}
	to := min(max(r.End.Byte, r.Start.Byte), end)
	from := min(r.Start.Byte, end)
	if from-start > maxSnippet || end-start > 4*maxSnippet {
		return "", "", false
	}
	source := strings.TrimRight(string(f.Bytes[start:end]), "\r")
	var carets strings.Builder
	for _, c := range string(f.Bytes[start:from]) {
		if c == '\t' {
			carets.WriteByte('\t')
		} else if !unicode.Is(unicode.Mn, c) {
			carets.WriteByte(' ')
		}
	}
	carets.WriteString(strings.Repeat("^", max(1, utf8.RuneCount(f.Bytes[from:to]))))
	return clean(source), carets.String(), true
}

// clean takes what a terminal might obey out of a text: policies and file names
// may come from strangers.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' || c == utf8.RuneError || !unicode.IsControl(c) && !unicode.Is(unicode.Bidi_Control, c) {
			return c
		}
		return utf8.RuneError
	}, s)
}
