package load

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxDepth is how deeply brackets, templates, signs and conditions may be nested
// in a file. HCL's parser calls itself for each, and a Go program whose stack
// overflows cannot be saved: 100,000 opening brackets are enough for that. No
// policy needs ten.
const maxDepth = 200

// notUTF8 finds the first byte of a file that is not UTF-8. HCL lets some of them
// through.
func notUTF8(name string, src []byte) (hcl.Range, bool) {
	if utf8.Valid(src) {
		return hcl.Range{}, false
	}
	pos := hcl.InitialPos
	for pos.Byte < len(src) {
		r, n := utf8.DecodeRune(src[pos.Byte:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		pos.Byte += n
		pos.Column++
		if r == '\n' {
			pos.Line++
			pos.Column = 1
		}
	}
	end := pos
	end.Byte++
	end.Column++
	return hcl.Range{Filename: name, Start: pos, End: end}, true
}

// tooDeep finds the place where a file is nested too deeply to be parsed.
func tooDeep(name string, src []byte, isJSON bool) (hcl.Range, bool) {
	if isJSON {
		return tooDeepJSON(name, src)
	}
	look, at := suspicious(src)
	switch look {
	case harmless:
		return hcl.Range{}, false
	case hopeless:
		pos := hcl.Pos{Line: 1 + bytes.Count(src[:at], []byte("\n")), Column: at - bytes.LastIndexByte(src[:at], '\n'), Byte: at}
		return hcl.Range{Filename: name, Start: pos, End: pos}, true
	}
	// The look at the bytes also counts what stands in texts and comments; this
	// one does not, but costs more.
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	depth, signs, conditions, controls := 0, 0, 0, 0
	for _, t := range tokens {
		run := 0
		switch t.Type {
		case hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenOQuote, hclsyntax.TokenTemplateInterp:
			depth++
		case hclsyntax.TokenTemplateControl:
			depth++
			controls++
		case hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenCQuote, hclsyntax.TokenTemplateSeqEnd:
			depth = max(depth-1, 0)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus:
			run = signs + 1
		case hclsyntax.TokenQuestion:
			conditions++
		case hclsyntax.TokenNewline:
			run = signs
			if depth <= 1 {
				conditions, controls = 0, 0
			}
		}
		signs = run
		if depth > maxDepth || signs > maxDepth || conditions > maxDepth || controls > maxDepth {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}

// What a look at the bytes says of a file.
const (
	harmless = iota
	doubtful // texts and comments may be what looks nested: look at the tokens
	hopeless // so much that HCL's scanner, whose time grows with the square of it, had better not see it
)

// suspicious is a quick look whether a native file might be nested too deeply,
// and where.
func suspicious(src []byte) (look, at int) {
	depth, signs, others, templates := 0, 0, 0, 0
	for i, c := range src {
		switch c {
		case '(', '[', '{':
			depth++
			if c == '{' && i > 0 && (src[i-1] == '%' || src[i-1] == '$') {
				templates++
			}
		case ')', ']', '}':
			depth = max(depth-1, 0)
		case '"', '?':
			others++
		case '!', '-':
			signs++
		case ' ', '\t', '\r':
			continue
		case '\n':
			if depth <= 1 {
				others, templates = 0, 0
			}
			continue
		}
		if c != '!' && c != '-' {
			signs = 0
		}
		if most := max(depth, signs, templates); most > 10*maxDepth {
			return hopeless, i
		} else if look == harmless && (most > maxDepth || others > maxDepth) {
			look, at = doubtful, i
		}
	}
	return look, at
}

// tooDeepJSON is tooDeep for the JSON form, where each string may itself be an
// expression.
func tooDeepJSON(name string, src []byte) (hcl.Range, bool) {
	depth, inside, text := 0, 0, false
	pos := hcl.InitialPos
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case text && c == '\\':
			i++
			pos.Byte++
			pos.Column++
		case c == '"':
			text, inside = !text, 0
		case text && (c == '(' || c == '[' || c == '{' || c == '!' || c == '-' || c == '?'):
			inside++
		case !text && (c == '[' || c == '{'):
			depth++
		case !text && (c == ']' || c == '}'):
			depth--
		}
		if depth > maxDepth || inside > maxDepth {
			end := pos
			end.Byte++
			end.Column++
			return hcl.Range{Filename: name, Start: pos, End: end}, true
		}
		pos.Byte++
		pos.Column++
		if c == '\n' {
			pos.Line++
			pos.Column = 1
		}
	}
	return hcl.Range{}, false
}
