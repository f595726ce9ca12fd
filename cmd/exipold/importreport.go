package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// importReport is what exipold import says, for machines.
type importReport struct {
	FormatVersion string          `json:"format_version"`
	Kind          string          `json:"kind"`
	DryRun        bool            `json:"dry_run"`
	Policies      []string        `json:"policies"` // that something went to
	Read          int             `json:"read"`     // records
	Imported      int             `json:"imported"` // new here, or more than was known
	Known         int             `json:"known"`    // nothing new
	Old           int             `json:"old"`      // too long ago to matter
	Released      int             `json:"released"` // from a block, since: not blocked again
	NotRead       int             `json:"not_read"` // lines, or records without a use
	Problems      []importProblem `json:"problems"` // the first of them
	Remarks       []string        `json:"remarks"`  // what else there is to know
}

// importProblem is a line that cannot be imported.
type importProblem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// mostProblems bounds what is said of lines that cannot be read: a file of another kind has no others.
const mostProblems = 200

func (im *importer) bad(file string, line int, why string) {
	im.report.NotRead++
	if len(im.report.Problems) < mostProblems {
		im.report.Problems = append(im.report.Problems, importProblem{file, line, why})
	}
}

// remark says something once.
func (im *importer) remark(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(im.report.Remarks, text) {
		im.report.Remarks = append(im.report.Remarks, text)
	}
}

// print says what was done.
func (im *importer) print(cmd *cobra.Command) error {
	if im.asJSON {
		return printJSON(cmd.OutOrStdout(), im.report)
	}
	r := im.report
	for _, p := range r.Problems {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: %s\n", p.File, p.Line, readableText(p.Why))
	}
	if more := r.NotRead - len(r.Problems); more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", more)
	}
	for _, text := range r.Remarks {
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s\n", text)
	}
	would := ""
	if r.DryRun {
		would = "would be "
	}
	where := ""
	if len(r.Policies) > 0 {
		where = " into " + listed(r.Policies)
	}
	words := []string{fmt.Sprintf("%s read, %d %simported%s", number(r.Read, "record", "records"), r.Imported, would, where)}
	for _, c := range []struct {
		n    int
		text string
	}{{r.Known, "known already"}, {r.Old, "too old to matter"}, {r.Released, "released since, not blocked again"}, {r.NotRead, "not read"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.text))
		}
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(words, ", "))
	return err
}

// readableText is a text that quotes what others wrote, without control characters.
func readableText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
