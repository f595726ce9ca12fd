package load

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"exipol/generator/diag"
)

// Format is a policy file in its canonical form: HCL's own layout, no more than
// one empty line in a row and none at either end, one newline at the end. It
// refuses what does not parse. The JSON form is returned as it is.
func Format(src []byte, filename string) ([]byte, diag.List) {
	if strings.HasSuffix(filename, ".json") {
		return src, nil
	}
	l := &loader{files: map[string]*hcl.File{}}
	if !l.parsable(filename, src, false) {
		return nil, l.diags
	}
	_, ds := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	for _, d := range ds {
		l.hclFault(d, "EP102")
	}
	if ds.HasErrors() {
		return nil, l.diags.Sorted()
	}
	out := src
	// One pass of HCL's formatter can leave work for the next (a comment that moves
	// moves what is aligned with it).
	for range 4 {
		next := tidyLines(hclwrite.Format(out), filename)
		if bytes.Equal(next, out) {
			break
		}
		out = next
	}
	return out, nil
}

// lineEnd is a newline with what Windows, or several such programs in a row, put
// before it.
var lineEnd = regexp.MustCompile(`\r+\n`)

// tidyLines drops empty lines where there are two or more in a row, or where
// they begin or end the file, but not those of a heredoc, which are text.
func tidyLines(src []byte, filename string) []byte {
	src = lineEnd.ReplaceAll(src, []byte("\n"))
	text := heredocLines(src, filename)
	var out bytes.Buffer
	empty := true // as if after an empty line: none at the beginning
	pending := false
	for i, line := range bytes.Split(src, []byte("\n")) {
		if text[i+1] {
			if pending {
				out.WriteByte('\n')
			}
			pending, empty = false, false
			out.Write(line)
			out.WriteByte('\n')
			continue
		}
		line = bytes.TrimRight(line, " \t\r")
		if len(line) == 0 {
			pending = !empty
			continue
		}
		if pending {
			out.WriteByte('\n')
		}
		pending, empty = false, false
		out.Write(line)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// heredocLines are the lines, counted from 1, that are text of a heredoc.
func heredocLines(src []byte, filename string) map[int]bool {
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	lines := map[int]bool{}
	from := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOHeredoc:
			from = t.Range.Start.Line
		case hclsyntax.TokenCHeredoc:
			for n := from; n <= t.Range.End.Line && from > 0; n++ {
				lines[n] = true
			}
			from = 0
		}
	}
	return lines
}
