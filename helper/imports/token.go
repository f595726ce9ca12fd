package imports

import (
	"errors"
	"io"
	"strings"
)

// Kinds of token.
const (
	end   = iota
	word  // a name, a number, NULL
	name  // in backquotes or double quotes
	text  // in single quotes
	other // one byte of anything else
)

type token struct {
	kind int
	text string
	long bool // it was longer than is kept
}

func (t token) is(words ...string) bool {
	for _, w := range words {
		if t.kind == word && strings.EqualFold(t.text, w) || t.kind == other && t.text == w {
			return true
		}
	}
	return false
}

// next is the next token; comments and blanks are none.
func (s *sql) next() (token, error) {
	if t := s.again; t != nil {
		s.again = nil
		return *t, nil
	}
	for {
		c, err := s.byte()
		if errors.Is(err, io.EOF) {
			return token{}, nil
		}
		if err != nil {
			return token{}, err
		}
		switch {
		case blank(c):
		case c == '#', c == '-' && s.peek("-"):
			err = s.past("\n")
		case c == '/' && s.peek("*"):
			err = s.past("*/")
		case c == '\'':
			return s.within(c, text)
		case c == '`', c == '"':
			return s.within(c, name)
		case wordByte(c):
			return s.word(c)
		default:
			return token{kind: other, text: string(rune(c))}, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return token{}, err
		}
	}
}

func wordByte(c byte) bool {
	return c == '_' || c == '.' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// byte reads one and counts lines.
func (s *sql) byte() (byte, error) {
	c, err := s.in.ReadByte()
	if c == '\n' && err == nil {
		s.line++
	}
	return c, err
}

// peek says whether this comes next.
func (s *sql) peek(want string) bool {
	b, _ := s.in.Peek(len(want))
	return string(b) == want
}

// past reads until this has been read.
func (s *sql) past(until string) error {
	for {
		if s.peek(until) {
			for range until {
				if _, err := s.byte(); err != nil {
					return err
				}
			}
			return nil
		}
		if _, err := s.byte(); err != nil {
			return err
		}
	}
}

func (s *sql) word(c byte) (token, error) {
	t := token{kind: word}
	var b strings.Builder
	for {
		if b.Len() < longest {
			b.WriteByte(c)
		} else {
			t.long = true
		}
		t.text = b.String()
		next, err := s.in.Peek(1)
		if len(next) == 0 || !wordByte(next[0]) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return t, err
		}
		if c, err = s.byte(); err != nil {
			return t, err
		}
	}
}

// within reads to the closing quote: doubled it stands for itself, and in texts there are MySQL's escapes.
func (s *sql) within(quote byte, kind int) (token, error) {
	t := token{kind: kind}
	var b strings.Builder
	for {
		c, err := s.byte()
		if errors.Is(err, io.EOF) {
			return token{}, nil // what is open stays open: the caller sees the end
		}
		if err != nil {
			return token{}, err
		}
		switch {
		case c == quote && s.peek(string(rune(quote))):
			if _, err := s.byte(); err != nil {
				return token{}, err
			}
		case c == quote:
			t.text = b.String()
			return t, nil
		case c == '\\' && kind == text:
			if c, err = s.byte(); err != nil {
				return token{}, nil
			}
			if at := strings.IndexByte("0bnrtZ", c); at >= 0 {
				c = "\x00\b\n\r\t\x1a"[at]
			}
		}
		if b.Len() < longest {
			b.WriteByte(c)
		} else {
			t.long = true
		}
	}
}
